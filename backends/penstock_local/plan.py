"""What the engine relies on in a plan, checked when it is read: files under a root may come to harm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock.spec.command import pieces

_Kinds = Mapping[str, type | tuple[type, ...]]

_PLAN: _Kinds = {"steps": list, "outputs": dict, "archives": dict}
_ARCHIVE: _Kinds = {"kind": str, "digest": str, "size": int}
_STEP: _Kinds = {
    "name": str,
    "needs": list,
    "command": list,
    "inputs": dict,
    "outputs": dict,
    "env": dict,
    "code": (str, type(None)),
    "slots": int,
    "attempts": int,
    "delay": (int, float),
    "timeout": (int, float, type(None)),
}


def check(plan: Any) -> None:
    """See that a plan has the shape in which it was compiled. Raises ValueError, TypeError."""
    _expect(plan, _PLAN, "the plan")
    for path, archive in plan["archives"].items():
        _expect(archive, _ARCHIVE, f"the archive `{path}`")
    for text in plan["outputs"].values():
        tuple(pieces(text))  # it raises as it goes
    known: set[str] = set()
    for number, step in enumerate(plan["steps"], 1):
        _expect(step, _STEP, f"step {number}")
        if step["name"] in known or not known.issuperset(step["needs"]):
            raise ValueError(f"step {number} is out of order")
        if not isinstance(step.get("memory", 0), int):
            raise ValueError(f"step {number} has no usable `memory`")
        known.add(step["name"])


def _expect(value: Any, kinds: _Kinds, what: str) -> None:
    if not isinstance(value, dict):
        raise TypeError(f"{what} is no object")
    wrong = [key for key, kind in kinds.items() if key not in value or not isinstance(value[key], kind)]
    if wrong:
        raise ValueError(f"{what} has no usable `{wrong[0]}`")
