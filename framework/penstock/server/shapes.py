"""The shape that an error has where no route was found: that of the door whose paths lie around."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from penstock.contract.http import HttpAnswer, HttpRoute
from penstock.errors import PenstockError
from penstock.server.answers import problem

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
