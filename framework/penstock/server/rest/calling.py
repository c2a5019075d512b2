"""Which verb a handler calls: what its caller needs is told in the documents, and held to the handlers by a test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from penstock.workspace.rights import Verb
from penstock.workspace.verbs import verb_of

H = TypeVar("H", bound=Callable[..., Any])

_CALLED: dict[Callable[..., Any], Verb] = {}


def calls(verb: Verb | Callable[..., Any]) -> Callable[[H], H]:
    """Say which verb a handler calls."""

    def mark(handler: H) -> H:
        _CALLED[handler] = verb if isinstance(verb, Verb) else verb_of(verb)
        return handler

    return mark


def called_by(handler: Callable[..., Any]) -> Verb:
    """The verb that a handler calls."""
    return _CALLED[handler]
