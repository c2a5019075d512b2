"""Microsoft's ARM schemas as a judge of the bodies of PUT, where somebody has them: they are no part of this package.

One file for each api-version, in draft 4 of JSON Schema, from the public repository azure-resource-manager-schemas.
They describe templates: what may be an expression there is not one here, text may be a number, enumerations do not mind
the case of letters; and what a typed object does not know is refused, which they do not say themselves.
"""

from __future__ import annotations

import json
import re
from functools import cached_property
from pathlib import Path
from typing import Any

from penstock_azureml_emulator.errors import invalid

_READ_ONLY = frozenset({"id", "name", "type", "systemData", "provisioningState", "scoringUri", "swaggerUri", "status"})
_Schema = dict[str, Any]


class Schemas:
    """The schemas in a folder; an api-version that is not there is not judged."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[str, Schema] = {}

    def check(self, version: str, kind: str, body: dict[str, Any]) -> None:
        """Refuse a body of a kind such as `workspaces_jobs`. Raises ArmError."""
        file = self._folder / f"{version}.json"
        if version not in self._read and file.is_file():
            self._read[version] = Schema(file)
        if version in self._read:
            problems = self._read[version].problems(kind, body)
            if problems:
                raise invalid(f"Microsoft's schema {version}: {'; '.join(problems[:5])}")


class Schema:
    """One file of schemas."""

    def __init__(self, file: Path) -> None:
        self._file = file

    @cached_property
    def _document(self) -> _Schema:
        return dict(json.loads(self._file.read_text()))

    def problems(self, kind: str, body: dict[str, Any]) -> list[str]:
        """What is wrong with a body; nothing where the kind is not known."""
        found = self._document["resourceDefinitions"].get(kind)
        if found is None:
            return []
        needed = [key for key in found["required"] if key not in ("name", "type", "apiVersion")]
        given = {key: value for key, value in body.items() if key not in _READ_ONLY}
        return self._whole(given, {**found, "required": needed}, kind)

    def _whole(self, value: Any, schema: _Schema, where: str) -> list[str]:
        """What is wrong with a value, what it holds and nobody knows included."""
        problems = self._fits(value, schema, where)
        if isinstance(value, dict):
            names, free = self._known(value, schema)
            unknown = [] if free else sorted(set(value) - names - _READ_ONLY)
            problems += [f"{where}.{key}: unknown" for key in unknown]
        return problems

    def _fits(self, value: Any, schema: _Schema, where: str) -> list[str]:
        if "$ref" in schema:
            return self._fits(value, self._referred(schema), where)
        problems = [one for part in schema.get("allOf", ()) for one in self._fits(value, part, where)]
        if choices := self._choices(schema):
            problems += self._best(value, choices, where)[1]
        return problems + _scalar(value, schema, where) + self._inside(value, schema, where)

    def _inside(self, value: Any, schema: _Schema, where: str) -> list[str]:
        problems = []
        if isinstance(value, dict):
            problems += [f"{where}.{key}: required" for key in schema.get("required", ()) if value.get(key) is None]
            declared, others = schema.get("properties", {}), schema.get("additionalProperties")
            for key, inner in value.items():
                wanted = declared.get(key, others if isinstance(others, dict) else None)
                if wanted and inner is not None:
                    problems += self._whole(inner, wanted, f"{where}.{key}")
        if isinstance(value, list) and isinstance(schema.get("items"), dict):
            for number, inner in enumerate(value):
                problems += self._whole(inner, schema["items"], f"{where}[{number}]")
        return problems

    def _best(self, value: Any, choices: list[_Schema], where: str) -> tuple[_Schema, list[str]]:
        """The alternative that fits best, and what is wrong with that."""
        tried = [(choice, self._fits(value, choice, where)) for choice in choices]
        return min(tried, key=lambda pair: len(pair[1]))

    def _choices(self, schema: _Schema) -> list[_Schema]:
        """The alternatives without those that are expressions of templates."""
        found = [*schema.get("oneOf", ()), *schema.get("anyOf", ())]
        return [one for one in found if not one.get("$ref", "#").endswith("/expression")]

    def _known(self, value: dict[str, Any], schema: _Schema) -> tuple[set[str], bool]:
        """The names that an object may have, and whether it may have any."""
        if "$ref" in schema:
            return self._known(value, self._referred(schema))
        parts = list(schema.get("allOf", ()))
        if choices := self._choices(schema):
            parts.append(self._best(value, choices, "")[0])
        names, free = set(schema.get("properties", ())), isinstance(schema.get("additionalProperties"), dict)
        if not parts and not names:
            free = True
        for part in parts:
            more, open_ = self._known(value, part)
            names |= more
            free = free or open_
        return names, free

    def _referred(self, schema: _Schema) -> _Schema:
        return dict(self._document["definitions"][schema["$ref"].rpartition("/")[2]])


def _scalar(value: Any, schema: _Schema, where: str) -> list[str]:
    """What is wrong with a value's type and form."""
    kind = schema.get("type")
    text = value if isinstance(value, str) else json.dumps(value)
    plain = isinstance(value, str | int | float | bool)
    right = {
        "string": plain,
        "boolean": text.lower() in ("true", "false"),
        "integer": plain and re.fullmatch(r"-?\d+(\.0+)?", text) is not None,
        "number": plain and re.fullmatch(r"-?\d+(\.\d+)?([eE][-+]?\d+)?", text) is not None,
        "object": isinstance(value, dict),
        "array": isinstance(value, list),
    }
    if kind in right and not right[kind]:
        return [f"{where}: {text[:80]} is no {kind}"]
    allowed = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if allowed is not None and text.lower() not in [str(one).lower() for one in allowed]:
        return [f"{where}: {text[:80]} is none of {', '.join(map(str, allowed))}"]
    if kind == "string" and len(text) < schema.get("minLength", 0):
        return [f"{where}: too short"]
    if kind == "string" and "pattern" in schema and not re.search(schema["pattern"], text):
        return [f"{where}: {text[:80]!r} does not match {schema['pattern']}"]
    return []
