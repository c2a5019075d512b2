"""The two expanders that every word of a container passes: `{{$...}}` of the IR, then `$(NAME)` of the container.

Sources: comments of `ExecutorInput` and `EnvVar` in kfp's pipeline_spec.proto, and Kubernetes' rules for `$(NAME)`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from penstock_vertex_emulator.errors import invalid

PLACEHOLDER = re.compile(r"\{\{\$(.*?)\}\}", re.DOTALL)
_REFERENCE = re.compile(
    r"\.(?P<side>inputs|outputs)\.(?P<kind>parameters|artifacts)\['(?P<name>[^']+)'\]"
    r"(?:\.(?P<field>uri|path|output_file|name|metadata|value)(?:\['(?P<key>[^']+)'\])?)?"
)
WHOLE = ("", ".json_escape[0]", ".json_escape[1]")
JOB = (
    ".pipeline_job_name",
    ".pipeline_job_resource_name",
    ".pipeline_job_uuid",
    ".pipeline_task_name",
    ".pipeline_task_uuid",
    ".pipeline_task_resource_name",
    ".pipeline_root",
    ".pipeline_job_create_time_utc",
    ".pipeline_job_schedule_time_utc",
    ".pipeline_google_cloud_location",
    ".pipeline_service_account",
    ".outputs.output_file",
    ".outputs.output_metadata_uri",
)
"""Placeholders without a name; those of the pipeline are those that kfp.dsl can write."""

_FIELDS: dict[tuple[str, str], set[str | None]] = {
    ("inputs", "parameters"): {None, "value"},
    ("inputs", "artifacts"): {"uri", "path", "name", "metadata"},
    ("outputs", "parameters"): {"output_file"},
    ("outputs", "artifacts"): {"uri", "path", "name", "metadata"},
}

Names = Mapping[tuple[str, str], set[str]]


def check(text: str, names: Names, where: str) -> None:
    """Refuse a placeholder that says nothing here. Raises ApiError."""
    for found in PLACEHOLDER.finditer(text):
        inner = found[1]
        if inner in WHOLE or inner in JOB:
            continue
        match = _REFERENCE.fullmatch(inner)
        if match is None or match["field"] not in _FIELDS[match["side"], match["kind"]]:
            raise invalid(f"{where}: unknown placeholder {found[0]}")
        if match["name"] not in names[match["side"], match["kind"]]:
            raise invalid(f"{where}: {found[0]} names none of the component's {match['side']}")


def fill(text: str, lookup: Callable[[str], str]) -> str:
    """Replace every placeholder by what is found for its inside; what came in is not looked at again."""
    return PLACEHOLDER.sub(lambda found: lookup(found[1]), text)


def input_parameter(inner: str) -> str:
    """The name of the input parameter that a placeholder stands for, or nothing."""
    match = _REFERENCE.fullmatch(inner)
    plain = match is not None and (match["side"], match["kind"], match["field"]) == ("inputs", "parameters", None)
    return match["name"] if match is not None and plain else ""


def value_of(inner: str, values: Mapping[str, Any], single: Mapping[str, str]) -> str:
    """What one placeholder stands for.

    `values` is what the executor is given (`ExecutorInput` as JSON, with `path` and `name` beside `uri`), `single` what
    has a name of its own.
    """
    if inner in single:
        return single[inner]
    match = _REFERENCE.fullmatch(inner)
    assert match is not None, inner  # it was checked before the job was taken
    side, kind, name, field = match["side"], match["kind"], match["name"], match["field"]
    if kind == "parameters":
        if side == "inputs":
            return as_text(values["inputs"]["parameterValues"].get(name))
        return str(values["outputs"]["parameters"][name]["outputFile"])
    artifacts = values[side]["artifacts"].get(name, {}).get("artifacts", [])
    if not artifacts:
        return ""
    found = artifacts[0].get(field, "")
    if field == "metadata" and match["key"]:
        found = found.get(match["key"]) if found else None
    return as_text(found)


def as_text(value: Any) -> str:
    """A parameter's value as a container gets it: text as it is, all else as JSON, whole numbers without `.0`."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(whole(value), ensure_ascii=False, separators=(",", ":"))


def whole(value: Any) -> Any:
    """The value with numbers that are whole as such: a Struct holds all as floating ones."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [whole(one) for one in value]
    if isinstance(value, dict):
        return {key: whole(one) for key, one in value.items()}
    return value


def conditional(words: Sequence[str], present: set[str]) -> list[str]:
    """The words with kfp's `{"IfPresent": ...}` and `{"Concat": ...}` worked out."""
    found: list[str] = []
    for word in words:
        data = _structure(word)
        found += [word] if data is None else _worked_out(data, present)
    return found


def _structure(word: str) -> Any:
    if not word.startswith(('{"IfPresent"', '{"Concat"')):
        return None
    try:
        return json.loads(word)
    except ValueError:
        return None


def _worked_out(data: Any, present: set[str]) -> list[str]:
    if isinstance(data, str):
        return [data]
    if isinstance(data, list):
        return [word for one in data for word in _worked_out(one, present)]
    if "Concat" in data:
        return ["".join(_worked_out(data["Concat"], present))]
    chosen = data["IfPresent"]
    return _worked_out(chosen.get("Then" if chosen["InputName"] in present else "Else", []), present)


_EXPANDED = re.compile(r"\$(?:\$|\(([^)]*)\))")


def expand(text: str, variables: Mapping[str, str]) -> str:
    """`$(NAME)` as Kubernetes expands it: `$$` is one dollar sign, an unknown name stays as it is."""
    return _EXPANDED.sub(lambda found: "$" if found[0] == "$$" else variables.get(found[1], found[0]), text)
