"""What a trigger has to give: the parameters of a pipeline, as a table and as the body of a request."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from attrs import frozen

from penstock.cli.tables import Table
from penstock.spec import Value

if TYPE_CHECKING:
    from penstock.spec import Pipeline


@frozen(kw_only=True)
class ParameterShown:
    """One parameter of a pipeline. `default` is None where it is `required`, and where it is optional."""

    name: str
    type: str
    required: bool
    default: Value
    sensitive: bool
    description: str


def parameters_of(pipeline: Pipeline) -> tuple[ParameterShown, ...]:
    """The parameters of a pipeline, in its order."""
    return tuple(
        ParameterShown(
            name=name,
            type=one.type,
            required=one.required,
            default=one.default if one.has_default else None,
            sensitive=one.sensitive,
            description=one.description,
        )
        for name, one in pipeline.parameters.items()
    )


def parameters_table(parameters: Iterable[ParameterShown]) -> list[str | Table]:
    """The table of parameters and the empty line above it; nothing where there are none."""
    rows = [
        (one.name, f"{one.type}, sensitive" if one.sensitive else one.type, _default_text(one), one.description)
        for one in parameters
    ]
    return ["", Table(("PARAMETER", "TYPE", "DEFAULT", "DESCRIPTION"), rows)] if rows else []


def body_text(parameters: Iterable[ParameterShown]) -> str:
    """The body of a trigger, with a placeholder for each parameter that has to be given."""
    needed = {one.name: f"<{one.type}>" for one in parameters if one.required}
    return json.dumps({"parameters": needed} if needed else {})


def _default_text(one: ParameterShown) -> str:
    if one.required:
        return "(required)"
    if one.default is None:
        return "(none)"
    return one.default if isinstance(one.default, str) else json.dumps(one.default, ensure_ascii=False)
