"""Who comes in: a bearer token becomes a caller with rights, or nobody, and nothing that helps is said of why."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.errors import NotAuthenticated
from penstock.records import Caller, Rights
from penstock.workspace.services import Services

_LONGEST = 4096
"""How long, in characters, a token may be."""


class Gatekeeper:
    """Turns what a request says of its caller into a `Caller`. Without `ask` everybody comes in as `anonymous`."""

    def __init__(self, services: Services, *, ask: bool = True) -> None:
        self._services = services
        self._ask = ask

    def caller(self, authorization: Sequence[str], door: str, request_id: str) -> Caller:
        """Who calls. `authorization` are the values of all headers of that name. Raises NotAuthenticated."""
        if not self._ask:
            return nobody(door, request_id)
        token = _bearer(authorization)
        found = self._services.registry.tokens.verify(token) if token and self._services.exists else None
        if found is None:
            raise NotAuthenticated("this needs a valid token: send `Authorization: Bearer TOKEN`")
        endpoints = None if found.endpoints is None else frozenset(found.endpoints)
        rights = Rights(scope=found.scope, endpoints=endpoints)
        return Caller(actor=found.name, verified=True, door=door, request_id=request_id, folder=None, rights=rights)


def nobody(door: str, request_id: str) -> Caller:
    """A caller of whom nothing is known."""
    return Caller(actor="anonymous", door=door, request_id=request_id, folder=None)


def _bearer(authorization: Sequence[str]) -> str | None:
    """The token of the only header, when its scheme is one that callers use: `Bearer`, or `Token` as Java's do."""
    if len(authorization) != 1 or len(authorization[0]) > _LONGEST:
        return None
    scheme, _, token = authorization[0].partition(" ")
    token = token.strip(" ")
    is_known = scheme.lower() in ("bearer", "token") and token.isascii() and token.isprintable() and " " not in token
    return token if is_known else None
