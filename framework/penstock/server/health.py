"""`/healthz` and `/readyz`: whether the process lives, and whether what it needs is there."""

from __future__ import annotations

from collections.abc import Callable

from penstock.contract.http import HttpAnswer, HttpRequest, HttpRoute
from penstock.errors import PenstockError
from penstock.server.answers import problem, to_json
from penstock.workspace.services import Services


def health_routes(services: Services, is_dispatching: Callable[[], bool] | None) -> tuple[HttpRoute, ...]:
    """The routes. `is_dispatching` says whether this process's dispatcher goes round; None where it has none."""

    def live(_: HttpRequest) -> HttpAnswer:
        return HttpAnswer(body=to_json({"ok": True}))

    def ready(_: HttpRequest) -> HttpAnswer:
        checks = {"registry": _registry(services)}
        if is_dispatching is not None:
            checks["dispatcher"] = "ok" if is_dispatching() else "it does not go round; the server's log says why"
        ok = all(word == "ok" for word in checks.values())
        return HttpAnswer(status=200 if ok else 503, body=to_json({"ok": ok, "checks": checks}))

    return tuple(
        HttpRoute(method="GET", path=path, handler=handler, refuse=problem, door="rest", open=True)
        for path, handler in (("/healthz", live), ("/readyz", ready))
    )


def _registry(services: Services) -> str:
    """Whether a decision can be written: a transaction that decides nothing."""
    try:
        with services.registry.write():
            return "ok"
    except PenstockError as error:
        return error.code
