"""What a door told as JSON, read back: records, pages, and errors of the class that their code stands for."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from datetime import datetime
from typing import Any, get_args, get_origin

import cattrs
import cattrs.gen

from penstock import errors
from penstock.codes import CODES, ending
from penstock.errors import PenstockError, Problem
from penstock.records import HistoryRecord, Page, RunRecord, StepRecord
from penstock.registry import MoveOutcome
from penstock.snapshot import Bundled
from penstock.workspace import Submitted

ANYBODY = "anonymous"
"""A caller of whom nothing is known."""


def read(cls: Any, data: Any) -> Any:
    """Data as an instance of a class, which must have a field for all of it."""
    if cls is dict:
        return data
    if get_origin(cls) is Page:  # older cattrs reads no generic class
        (one,) = get_args(cls)
        return Page(**{**data, "items": tuple(read(one, item) for item in data["items"])})
    return _converter().structure(data, cls)


def read_submitted(data: Mapping[str, Any]) -> Submitted:
    """A run with what is told of it when it was asked for."""
    found = dict(data)
    replayed, warnings = found.pop("replayed"), tuple(found.pop("warnings"))
    bundled = tuple(read(Bundled, one) for one in found.pop("bundled", ()))  # only the command line tells it
    return Submitted(run=read(RunRecord, found), replayed=replayed, warnings=warnings, bundled=bundled)


def read_error(told: Mapping[str, Any], *, exit_code: int = 0, http_status: int = 0) -> PenstockError:
    """The error of a code, a message and details, of the class that ends in a status."""
    names = [name for name in CODES[told["code"]].classes if _ends(name, told["code"], exit_code, http_status)]
    assert names, f"no error `{told['code']}` ends in {exit_code or http_status}: {told}"
    kind: type[PenstockError] = getattr(errors, names[0])
    problems = [_problem(one) for one in told["details"]]
    if not problems:
        return kind(told["message"], code=told["code"])
    return kind(told["message"], code=told["code"], details=problems)  # type: ignore[call-arg]  # one that has some


def _ends(name: str, code: str, exit_code: int, http_status: int) -> bool:
    by_command, by_http, _ = ending(name, code)
    return by_command == exit_code if exit_code else by_http == http_status


def _problem(told: Mapping[str, Any]) -> Problem:
    path = tuple(part for part in (told["path"] or "").removeprefix("$").split(".") if part)
    return Problem(told["code"], told["message"], path, told["where"] or "", told["hint"] or "", told["severity"])


@functools.cache
def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True)
    converter.register_structure_hook(datetime, lambda text, _: datetime.fromisoformat(text))
    converter.register_structure_hook(Problem, lambda told, _: _problem(told))
    for cls, names in {MoveOutcome: ("from_",), HistoryRecord: ("from_",)}.items():
        renamed = {name: cattrs.gen.override(rename=name.rstrip("_")) for name in names}
        converter.register_structure_hook(cls, cattrs.gen.make_dict_structure_fn(cls, converter, **renamed))
    for cls in (RunRecord, StepRecord):
        plain = cattrs.gen.override(struct_hook=lambda value, _: value)
        kept = dict.fromkeys({"parameters", "outputs"} & {one.name for one in cls.__attrs_attrs__}, plain)
        converter.register_structure_hook(cls, cattrs.gen.make_dict_structure_fn(cls, converter, **kept))
    return converter
