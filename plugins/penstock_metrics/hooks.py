"""The plugin: what it hears and wraps, and the route where Prometheus reads the numbers."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from attrs import define

from penstock.contract.hooks import Event, VerbRequest, hookimpl
from penstock.errors import ConfigInvalid

if TYPE_CHECKING:
    from penstock.contract.http import AnsweredRequest, HttpRoute
    from penstock.workspace import Workspace
    from penstock_metrics.meters import Meters

_TRIGGERS = ("run.submit", "run.rerun")


@define(kw_only=True, slots=False)
class Metrics:
    """Counts what this server process does and shows it at `GET /metrics`; elsewhere it does nothing.

    Who reads it needs a token that reads everything, unless `open` is true. Several servers each count their own; only
    the queue is read from the registry, which they share.
    """

    open: bool = False

    def __attrs_post_init__(self) -> None:
        """Measure nothing until there is a server."""
        self._meters: Meters | None = None  # no field, for those are options

    @hookimpl
    def penstock_register_routes(self, workspace: Workspace) -> Sequence[HttpRoute]:
        """`/metrics`, and from now on everything is counted. Raises ConfigInvalid `extra_missing`."""
        if find_spec("prometheus_client") is None:
            raise ConfigInvalid(
                "plugin `metrics` needs prometheus_client, not installed here. "
                "Install it with: pip install 'penstock[metrics]'",
                code="extra_missing",
            )
        from penstock_metrics.meters import Meters
        from penstock_metrics.routes import routes

        self._meters = Meters()
        return routes(self._meters, open=self.open)

    @hookimpl(wrapper=True)
    def penstock_execute_verb(self, request: VerbRequest) -> Generator[None, Any, Any]:
        """Count triggers by what became of them."""
        outcome = "refused"
        try:
            answer = yield
            outcome = "replayed" if getattr(answer, "replayed", False) else "accepted"
            return answer
        finally:
            if self._meters is not None and request.verb in _TRIGGERS:
                self._meters.triggers.labels(request.door, outcome).inc()

    @hookimpl
    def penstock_run_handed_over(self, event: Event) -> None:
        """Note how long a run waited for its target."""
        if self._meters is not None:
            self._meters.hand_over_lag.labels(event.data["target"]).observe(event.data["seconds"])

    @hookimpl
    def penstock_run_changed(self, event: Event) -> None:
        """Note how long a run took that has ended; one that never began took no time."""
        began, ended = event.data["started"], event.data["ended"]
        if self._meters is not None and began is not None and ended is not None:
            seconds = max(0.0, (ended - began).total_seconds())
            self._meters.run_duration.labels(event.data["target"], event.data["state"]).observe(seconds)

    @hookimpl
    def penstock_request_answered(self, event: AnsweredRequest) -> None:
        """Note how long a request took, and why it was refused if it was."""
        if self._meters is not None:
            self._meters.request_latency.labels(event.door, event.method, event.route).observe(event.seconds)
            if event.code:
                self._meters.refusals.labels(event.door, event.code).inc()
