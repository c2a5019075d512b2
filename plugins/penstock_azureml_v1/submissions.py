"""Reading what callers submit: parameters by their declared type, data paths and data sets by what is configured."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from penstock.codec import read_json
from penstock.errors import ParameterInvalid, Problem, UsageError, did_you_mean
from penstock.spec.values import OpenedPath, RawValue, describe
from penstock_azureml_v1.hooks import AzuremlV1

_SECTION = "plugins.azureml_v1"


def read_body(body: bytes) -> dict[str, Any]:
    """The object of a body, whatever its content type says; `{}` and nothing at all are legal. Raises UsageError."""
    data = read_json(body)
    if not isinstance(data, dict):
        raise UsageError(f"the body is a JSON object, got {describe(data)}", code="json_invalid")
    return data


def text_of(data: Mapping[str, Any], key: str) -> str | None:
    """A text of the body; None where it is left out or null. Raises UsageError."""
    value = data.get(key)
    if value is None or isinstance(value, str):
        return value
    raise UsageError(f"`{key}` is text, got {describe(value)}", code="type_mismatch")


def object_of(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """An object of the body; empty where it is left out or null. Raises UsageError."""
    value = data.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UsageError(f"`{key}` is an object, got {describe(value)}", code="type_mismatch")
    return value


def tags_of(data: Mapping[str, Any]) -> dict[str, str]:
    """The tags, which callers write as `tags` or `Tags`, and numbers in them as text. Raises UsageError."""
    found = {**object_of(data, "Tags"), **object_of(data, "tags")}
    return {name: value if isinstance(value, str) else _raw(value) for name, value in found.items()}


def parameters_of(data: Mapping[str, Any], door: AzuremlV1) -> dict[str, Any]:
    """Every parameter that a submission gives. Raises ParameterInvalid with all that is wrong, UsageError."""
    problems: list[Problem] = []
    found: dict[str, Any] = {}
    given = [
        *((name, _assigned(value)) for name, value in object_of(data, "ParameterAssignments").items()),
        *((name, _DataPath(value)) for name, value in object_of(data, "DataPathAssignments").items()),
        *((name, _DataSet(value)) for name, value in object_of(data, "DataSetDefinitionValueAssignments").items()),
    ]
    for name, value in given:
        if name in found:
            problems.append(Problem("parameter_type", "it is assigned twice, in two ways", (name,)))
        try:
            found[name] = value.resolve(door) if isinstance(value, _DataPath | _DataSet) else value
        except _Unmapped as unmapped:
            problems.append(Problem(unmapped.code, str(unmapped), (name,)))
    if problems:
        raise ParameterInvalid.of(problems, "parameters")
    return found


class _Unmapped(ValueError):
    """Data that cannot be named."""

    def __init__(self, message: str, code: str = "location_refused") -> None:
        super().__init__(message)
        self.code = code


class _DataPath:
    """`{DataStoreName, RelativePath}`; null is no value, which an optional parameter may have."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def resolve(self, door: AzuremlV1) -> str | None:
        """The path or URI beneath the root that is configured for the datastore."""
        if self.value is None:
            return None
        if not isinstance(self.value, dict):
            raise _Unmapped(f"expected {{DataStoreName, RelativePath}}, got {describe(self.value)}", "parameter_type")
        name, relative = self.value.get("DataStoreName"), self.value.get("RelativePath") or ""
        if not isinstance(name, str) or not isinstance(relative, str):
            raise _Unmapped("DataStoreName and RelativePath are texts", "parameter_type")
        if name not in door.datastores:
            hint = did_you_mean(name, door.datastores)
            raise _Unmapped(
                f"the datastore `{name}` is not mapped: set `{_SECTION}.datastores.{name}` to the folder or URI that "
                "it stands for" + (f" ({hint})" if hint else "")
            )
        return _beneath(door.datastores[name], relative)


class _DataSet:
    """`{SavedDataSetReference: {Id}}`, `{DataSetReference: {Id, Name, Version}}` or `{LiteralValue: a data path}`."""

    def __init__(self, value: Any) -> None:
        self.value = value if isinstance(value, dict) or value is None else {}

    def resolve(self, door: AzuremlV1) -> str | None:
        """The path or URI that is configured for the data set."""
        if self.value is None:
            return None
        if self.value.get("LiteralValue") is not None:
            return _DataPath(self.value["LiteralValue"]).resolve(door)
        reference = self.value.get("SavedDataSetReference") or self.value.get("DataSetReference")
        if not isinstance(reference, dict):
            raise _Unmapped("expected SavedDataSetReference, DataSetReference or LiteralValue", "parameter_type")
        id_, name, version = (reference.get(key) for key in ("Id", "Name", "Version"))
        known = [str(one) for one in (id_, f"{name}:{version}" if name and version else None, name) if one]
        for one in known:
            if one in door.datasets:
                found = door.datasets[one]
                return OpenedPath(found) if os.path.isabs(found) else found  # noqa: PTH117  # a text, as a URI is
        asked = known[0] if known else "without an id"
        raise _Unmapped(f"the data set `{asked}` is not mapped: set `{_SECTION}.datasets.{asked}` to a path or URI")


def _beneath(root: str, relative: str) -> str:
    """A path beneath a root, whatever its dots, links and encodings. Raises _Unmapped."""
    plain = relative
    for _ in range(5):  # encoded once by the book, and more often by who tries
        plain = unquote(plain, errors="surrogateescape")
    parts = plain.replace("\\", "/").split("/")
    if ".." in parts or any(ord(letter) < 32 or "\ud800" <= letter <= "\udfff" for letter in plain):
        raise _Unmapped(f"`{relative[:80]}` leads out of its datastore")
    kept = "/".join(part for part in relative.split("/") if part not in ("", "."))
    if "://" in root:
        return f"{root.rstrip('/')}/{kept}" if kept else root
    whole = os.path.realpath(os.path.join(root, kept))  # noqa: PTH118  # what it would lead to, links and all
    top = os.path.realpath(root)
    if whole != top and not whole.startswith(top.rstrip("/") + "/"):
        raise _Unmapped(f"`{relative[:80]}` leads out of its datastore")
    return OpenedPath(whole)


def _assigned(value: Any) -> Any:
    """A value as it is bound: text and numbers are read by the declared type, as all come as text from the SDK."""
    return RawValue(_raw(value)) if isinstance(value, str | int | float) else value


def _raw(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else repr(value) if isinstance(value, int | float) else str(value)
