"""Google's credentials, and the clients that hold them, which are made once for each address."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, ParamSpec, TypeVar

from penstock_vertex.addresses import LOOPBACK, host_of

P = ParamSpec("P")
R = TypeVar("R")

_made: list[Callable[[], None]] = []


def credentials_of(kind: str) -> Any:
    """Google's credentials by what the option `credentials` says. Raises `DefaultCredentialsError` of google.auth."""
    if kind == "anonymous":
        from google.auth.credentials import AnonymousCredentials

        return AnonymousCredentials()
    import google.auth

    found, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    return found


def undisturbed(session: Any, address: str) -> None:
    """Let a session of `requests` send the header that Google's library makes, and reach this machine directly.

    Else it puts what a `.netrc` says in the header's place, and asks a proxy for an emulator's address.
    """
    session.auth = _as_it_is
    if host_of(address) in LOOPBACK:
        session.trust_env = False


def _as_it_is(request: R) -> R:
    return request


def made_once(make: Callable[P, R]) -> Callable[P, R]:
    """A function that makes a client: it holds connections, and threads may share it."""
    kept = lru_cache(maxsize=32)(make)
    _made.append(kept.cache_clear)

    def get(*args: P.args, **kwargs: P.kwargs) -> R:
        return kept(*args, **kwargs)  # type: ignore[arg-type]  # all of them are texts or None

    return get


def forget() -> None:
    """Make every client anew from now on: who signs in again must not have to start this process again."""
    for clear in _made:
        clear()
