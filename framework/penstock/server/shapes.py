"""What went wrong as an error of ours, and the shape that it has where no route was found: that of the door whose paths
lie around.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from starlette.exceptions import HTTPException

from penstock.contract.http import HttpAnswer, HttpRoute
from penstock.errors import NotFound, PenstockError, RegistryError, TooManyRequests, UsageError
from penstock.machine import lacked
from penstock.server.answers import problem

_log = logging.getLogger("penstock.server")

Refuse = Callable[[PenstockError, str], HttpAnswer]


class Shapes:
    """The doors by their paths."""

    def __init__(self, routes: Iterable[HttpRoute]) -> None:
        self._routes = [(route.path.split("/"), route.refuse) for route in routes]

    def at(self, path: str) -> Refuse:
        """How errors are written at a path: as at the route that shares most with it, from the beginning on."""
        asked = path.split("/")
        found: tuple[int, Refuse] = (0, problem)
        for parts, refuse in self._routes:
            shared = _shared(parts, asked)
            if shared > found[0]:
                found = shared, refuse
        return found[1]


def to_penstock_error(error: Exception) -> PenstockError:
    """The error of ours that an exception means; of a bug nothing is told but that it is one."""
    if getattr(error, "code", "") != "registry_undecided" and (lacking := lacked(error)):
        _log.warning("a request was refused: %s", lacking)
        return TooManyRequests(f"the server lacks something for it just now ({lacking}); try again")
    if isinstance(error, PenstockError):
        if isinstance(error, RegistryError):
            # Where the file lies is nobody's business who comes in by HTTP; the log has it.
            _log.error("%s", error)
            return RegistryError("the registry cannot be used; the server's log says why", code=error.code)
        return error
    if isinstance(error, HTTPException):
        if error.status_code == 405:
            allow = (error.headers or {}).get("Allow", "")
            return UsageError(f"this path takes {allow}", code="method_not_allowed")
        if error.status_code == 404:
            return NotFound("nothing is served at this path; `/openapi.json` lists what is", code="route_not_found")
        return UsageError(error.detail)
    _log.error("unexpected %s", type(error).__name__, exc_info=error)
    return PenstockError(f"unexpected {type(error).__name__}; this is a bug, the server's log has the details")


def _shared(parts: list[str], asked: list[str]) -> int:
    """How many parts of a route's path a path begins with; what any path has counts for nothing."""
    count = 0
    for part, given in zip(parts[1:], asked[1:], strict=False):
        if part.startswith("{"):
            continue
        if part != given:
            break
        count += 1
    return count
