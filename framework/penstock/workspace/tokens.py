"""The verbs of tokens: who may come in by HTTP, what for, and on which endpoints."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from penstock.callers import Caller, Scope
from penstock.errors import UsageError
from penstock.records import TokenRecord
from penstock.registry import NewToken
from penstock.workspace.verbs import Group, verb


class Tokens(Group):
    """Verbs of tokens. A reference is a name or an id."""

    @verb("token.create", "admin")
    def create(
        self,
        caller: Caller,
        name: str,
        *,
        scope: Scope,
        endpoints: Sequence[str] | None = None,
        expires_in: timedelta | None = None,
    ) -> NewToken:
        """Make a token; the answer is the only place where its secret is shown.

        `endpoints` are names or ids of those it is for, None for all. Raises UsageError, NotFound, Conflict
        `name_taken`.
        """
        try:
            expires = None if expires_in is None else datetime.now(UTC) + expires_in
        except OverflowError:
            message = f"there is no time {expires_in} from now: leave `expires_in` out for a token that does not expire"
            raise UsageError(message, code="value_invalid") from None
        self._services.make_registry()
        return self._services.registry.tokens.create(name, scope, endpoints, expires, caller)

    @verb("token.list", "admin")
    def list(self, caller: Caller, *, all: bool = False) -> tuple[TokenRecord, ...]:
        """Every token, newest first; revoked ones only with `all`."""
        return self._services.registry.tokens.list(all=all) if self._services.can_be_listed else ()

    @verb("token.revoke", "admin")
    def revoke(self, caller: Caller, ref: str) -> TokenRecord:
        """Revoke a token for good: from now on nobody comes in by it. Raises NotFound."""
        return self._services.registry.tokens.revoke(ref, caller)
