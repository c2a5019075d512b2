"""Google's credentials, and the clients that hold them, which are made once for each address."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, ParamSpec, TypeVar

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
