"""`/healthz` and `/readyz`: whether the process lives, and whether what it needs is there."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from penstock.contract.http import HttpAnswer, HttpRequest, HttpRoute
from penstock.errors import PenstockError
from penstock.server.answers import problem, to_json
from penstock.workspace.services import Services

_FRESH = 1.0
"""Seconds for which an answer about the registry is good."""

_PATIENCE = 2.0
"""Seconds after which a try that others wait for means that the registry is busy."""


def health_routes(services: Services, is_dispatching: Callable[[], bool] | None) -> tuple[HttpRoute, ...]:
    """The routes. `is_dispatching` says whether this process's dispatcher goes round; None where it has none."""

    registry = _Writability(services)

    def live(_: HttpRequest) -> HttpAnswer:
        return HttpAnswer(body=to_json({"ok": True}))

    def ready(_: HttpRequest) -> HttpAnswer:
        checks = {"registry": registry.word()}
        if is_dispatching is not None:
            checks["dispatcher"] = "ok" if is_dispatching() else "it does not go round; the server's log says why"
        ok = all(word == "ok" for word in checks.values())
        return HttpAnswer(status=200 if ok else 503, body=to_json({"ok": ok, "checks": checks}))

    return tuple(
        HttpRoute(method="GET", path=path, handler=handler, refuse=problem, door="rest", open=True)
        for path, handler in (("/healthz", live), ("/readyz", ready))
    )


class _Writability:
    """Whether a decision can be written. Anybody may ask, so it is tried by one at a time and no more than once in a
    while; who asks meanwhile gets what was found last, and holds up neither a writer nor a thread.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._trying = threading.Lock()
        self._last = (0.0, "ok")
        self._begun = 0.0

    def word(self) -> str:
        """`ok`, or the code of what is wrong."""
        if not self._trying.acquire(blocking=False):
            late = time.monotonic() - self._begun > _PATIENCE
            return "registry_busy" if late else self._last[1]
        try:
            self._begun = time.monotonic()
            if self._begun - self._last[0] >= _FRESH:
                self._last = (self._begun, self._try())
            return self._last[1]
        finally:
            self._trying.release()

    def _try(self) -> str:
        try:
            self._services.registry.check_writable()
        except PenstockError as error:
            return error.code
        return "ok"
