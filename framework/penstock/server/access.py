"""Who comes in: a bearer token becomes a caller with rights, or nobody, and nothing that helps is said of why."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from attrs import evolve

from penstock.callers import Caller, Rights
from penstock.errors import NotAuthenticated
from penstock.server.rates import PerAddress
from penstock.workspace.references import split_version
from penstock.workspace.services import Services

if TYPE_CHECKING:
    from penstock.server.oidc import Oidc

_log = logging.getLogger("penstock.server")

_LONGEST = 4096
"""How long, in characters, a token of ours may be."""
_LET_IN = 1_000
"""How many tokens of ours are remembered that were let in; they are forgotten together."""
_LONGEST_SIGNED = 16_384
"""How long one of an issuer may be: Entra's with 200 groups has 11,000."""


class Gatekeeper:
    """Turns what a request says of its caller into a `Caller`. Without `ask` everybody comes in as `anonymous`.

    `oidc` are the issuers whose tokens are taken besides our own; None when there are none.
    """

    def __init__(
        self, services: Services, *, ask: bool = True, oidc: Oidc | None = None, anonymous_per_minute: int = 60
    ) -> None:
        self._services = services
        self._ask = ask
        self._oidc = oidc
        self._anonymous = PerAddress(anonymous_per_minute)
        self._let_in = set[bytes]()  # hashes of tokens

    @property
    def asks(self) -> bool:
        """Whether a token is asked for at all."""
        return self._ask

    def caller(
        self,
        authorization: Sequence[str],
        door: str,
        request_id: str,
        *,
        triggers: Callable[[], str | None],
        address: str,
    ) -> Caller:
        """Who calls. `authorization` are the values of all headers of that name.

        `triggers` says which endpoint the request triggers, if it does: of a public one that is taken from everybody,
        so often a minute from each `address`. Raises TooManyRequests, and NotAuthenticated, with code
        `issuer_unavailable` when who calls cannot be found out just now.
        """
        if not self._ask:
            return nobody(door, request_id)
        if not authorization and self._is_public(triggers()):
            self._anonymous.take(address)
            return evolve(nobody(door, request_id), rights=Rights(scope="submit", public=True))
        token = _bearer(authorization)
        found = None
        if token is not None:
            found = self._signed(token, request_id) if self._is_signed(token) else self._own(token)
        if found is None:
            raise NotAuthenticated()
        actor, rights = found
        return Caller(actor=actor, verified=True, door=door, request_id=request_id, folder=None, rights=rights)

    def may_wait(self, authorization: Sequence[str]) -> bool:
        """Whether an issuer may have to be asked who calls."""
        return self._oidc is not None and any(self._is_signed(value) for value in authorization)

    def _is_signed(self, text: str) -> bool:
        # Ours have no dot, and whoever has one of ours is never sent anywhere else.
        return self._oidc is not None and "." in text and not text.startswith("penstock")

    def _own(self, token: str) -> tuple[str, Rights] | None:
        """Who has a token of ours.

        Of one that was let in before it is found out in the transaction that decides what it asks for, which is begun
        for it, rather than in one before that. For who never had one the turn to decide is not taken.
        """
        if len(token) > _LONGEST or not self._services.exists:
            return None
        registry, hashed = self._services.registry, hashlib.sha256(token.encode()).digest()
        if hashed in self._let_in:
            registry.begin_joined()
        found = registry.tokens.verify(token)
        if found is None:
            self._let_in.discard(hashed)
            return None
        if len(self._let_in) >= _LET_IN:
            self._let_in.clear()
        self._let_in.add(hashed)
        endpoints = None if found.endpoints is None else frozenset(found.endpoints)
        return found.name, Rights(scope=found.scope, endpoints=endpoints, token=found.id)

    def _signed(self, token: str, request_id: str) -> tuple[str, Rights] | None:
        """Who has a token of an issuer; why nobody has it is for the log alone."""
        from penstock.server.oidc import IssuerAway, TokenRefused

        assert self._oidc is not None
        try:
            subject = self._oidc.verify(token)
        except TokenRefused as reason:
            _log.info("a token was refused: %s", reason, extra={"facts": {"request_id": request_id}})
            return None
        except IssuerAway:
            raise NotAuthenticated(
                "who calls cannot be checked just now; try again", code="issuer_unavailable"
            ) from None
        return subject.actor, subject.rights(self._ids(subject.named))

    def _ids(self, named: frozenset[str]) -> dict[str, str]:
        """The ids of those of some endpoints that are or were there, by what they are called here."""
        if not self._services.exists:
            return {}
        found = {ref: self._services.registry.endpoints.identify(ref, deleted=True) for ref in named}
        return {ref: id_ for ref, id_ in found.items() if id_ is not None}

    def _is_public(self, ref: str | None) -> bool:
        if ref is None or not self._services.exists:
            return False
        return self._services.registry.endpoints.is_public(split_version(ref)[0])


def nobody(door: str, request_id: str) -> Caller:
    """A caller of whom nothing is known."""
    return Caller(actor="anonymous", door=door, request_id=request_id, folder=None)


def _bearer(authorization: Sequence[str]) -> str | None:
    """The token of the only header, when its scheme is one that callers use: `Bearer`, or `Token` as Java's do."""
    if len(authorization) != 1 or len(authorization[0]) > _LONGEST_SIGNED + 16:
        return None
    scheme, _, token = authorization[0].partition(" ")
    token = token.strip(" ")
    is_known = scheme.lower() in ("bearer", "token") and token.isascii() and token.isprintable() and " " not in token
    return token if is_known and token else None
