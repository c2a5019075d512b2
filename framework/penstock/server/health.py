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
    """Whether a decision can be written. Anybody may ask, so it is tried by one thread at a time and not more often
    than once in a while. Who began that waits a little, and who asks meanwhile gets what was found last, so that a
    locked registry holds up neither a writer nor who asks.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lock = threading.Lock()
        self._last = (0.0, "ok")
        self._begun: float | None = None

    def word(self) -> str:
        """`ok`, or the code of what is wrong."""
        done = threading.Event()
        with self._lock:
            now = time.monotonic()
            begins = self._begun is None and now - self._last[0] >= _FRESH
            if begins:
                self._begun = now
                try:
                    threading.Thread(target=self._try, args=(done,), name="penstock-health", daemon=True).start()
                except RuntimeError:  # too many threads
                    self._begun = None
                    return "system_error"
        if begins:
            done.wait(_PATIENCE)
        with self._lock:
            late = self._begun is not None and time.monotonic() - self._begun >= _PATIENCE
            return "registry_busy" if late else self._last[1]

    def _try(self, done: threading.Event) -> None:
        word = "ok"
        try:
            self._services.registry.check_writable()
        except PenstockError as error:
            word = error.code
        finally:
            with self._lock:
                assert self._begun is not None
                self._last, self._begun = (self._begun, word), None
            done.set()
