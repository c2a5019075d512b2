"""Reading back the canonical form that was kept: quick, because it was checked before it was kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import attrs

from penstock.spec import Defaults, Output, Parameter, Pipeline, Resources, Retry, Step, document_key

_INSIDE: Mapping[tuple[type, str], type] = {
    (Pipeline, "defaults"): Defaults,
    (Defaults, "resources"): Resources,
    (Defaults, "retry"): Retry,
    (Step, "resources"): Resources,
    (Step, "retry"): Retry,
}
_INSIDE_EACH: Mapping[tuple[type, str], type] = {
    (Pipeline, "parameters"): Parameter,
    (Pipeline, "steps"): Step,
    (Step, "outputs"): Output,
}


def from_canonical(text: str) -> Pipeline:
    """The pipeline whose canonical JSON this is. It was checked when it was made and is not checked again.

    Raises SpecInvalid for text that is not a pipeline in canonical form.
    """
    data = json.loads(text)
    try:
        del data["apiVersion"], data["kind"]
        pipeline: Pipeline = _read(Pipeline, data)
        return pipeline
    except (TypeError, ValueError, KeyError, AttributeError):
        from penstock.codec.documents import pipeline_of  # which needs the slow converter

        return pipeline_of(json.loads(text))


@cache
def _names(cls: type) -> dict[str, str]:
    return {document_key(field.name): field.name for field in attrs.fields(cls)}


def _read(cls: type, data: Any) -> Any:
    if cls is Output and isinstance(data, str):
        return Output(data)  # type: ignore[arg-type]  # it was checked when it was written
    names = _names(cls)
    values = {}
    for key, value in data.items():
        one, each = _INSIDE.get((cls, key)), _INSIDE_EACH.get((cls, key))
        if one:
            value = _read(one, value)
        elif each:
            value = {name: _read(each, item) for name, item in value.items()}
        values[names[key]] = value
    return cls(**values)
