"""Who calls a verb, and what they may."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

from attrs import frozen

Scope: TypeAlias = Literal["read", "submit", "publish", "admin"]
SCOPES: tuple[Scope, ...] = ("read", "submit", "publish", "admin")
"""What a caller may do, the least first: each holds those before it."""


@frozen(kw_only=True)
class Rights:
    """What a caller may: a scope, on the endpoints it names by id, or on everything where `endpoints` is None.

    `public`: it is one of whom nothing is known, who may trigger the endpoints that are public and nothing else.
    `token` is the id of a token of ours that gives them, as long as it is not revoked.
    """

    scope: Scope
    endpoints: frozenset[str] | None = None
    public: bool = False
    token: str | None = None

    def holds(self, scope: Scope) -> bool:
        """Whether the scope is held."""
        return SCOPES.index(scope) <= SCOPES.index(self.scope)


@frozen(kw_only=True)
class Caller:
    """Who calls, and how: for gates, history and plugins.

    `verified` is true when somebody checked who it is (a token); a command line or Python user only says so.
    `request_id` names one call; a caller without one gets a new one for each verb. `folder` is what the paths that the
    caller names are relative to, `Path()` being the current folder; a caller from another machine has none, and can
    name no file of this one. `rights` is what the caller may; None is everything, as for who owns the registry's file.
    """

    actor: str
    door: str
    request_id: str = ""
    verified: bool = False
    folder: Path | None = None
    rights: Rights | None = None
