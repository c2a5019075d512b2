"""Calls that must be refused, and the code with which they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from penstock.errors import PenstockError
from penstock.testing.laws import LawBroken, require


def code_of(call: Callable[..., object], *arguments: Any, **named: Any) -> str:
    """The code with which a call is refused, or "" when it is not."""
    try:
        call(*arguments, **named)
    except PenstockError as error:
        return error.code
    return ""


def refusal(law: int, code: str, what: str, call: Callable[..., object], *arguments: Any, **named: Any) -> str:
    """The message with which a call is refused. `what` says in words what is asked, for when it is not refused so."""
    try:
        call(*arguments, **named)
    except PenstockError as error:
        require(law, error.code == code, f"{what} is refused with `{error.code}` ({error.message}), expected `{code}`")
        return error.message
    raise LawBroken(law, f"{what} is not refused, expected `{code}`")
