"""What is measured: counters, histograms and gauges by name, in a collector registry of their own."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from penstock.workspace import Status

_WAITS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200)
_RUNS = (1, 5, 15, 60, 300, 900, 1800, 3600, 7200, 14400, 43200, 86400)
_REQUESTS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Meters:
    """Every meter. None has a label whose values a caller could make up, so that there are few time series."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.triggers = Counter(
            "penstock_triggers",
            "Triggers that reached the workspace, by door and by outcome: accepted, replayed or refused.",
            ("door", "outcome"),
            registry=registry,
        )
        self.refusals = Counter(
            "penstock_refusals",
            "Requests that were refused, by door and error code.",
            ("door", "code"),
            registry=registry,
        )
        self.hand_over_lag = Histogram(
            "penstock_hand_over_lag_seconds",
            "How long a run waited from its acceptance until its target had it.",
            ("target",),
            buckets=_WAITS,
            registry=registry,
        )
        self.run_duration = Histogram(
            "penstock_run_duration_seconds",
            "How long a run that ended took at its target.",
            ("target", "state"),
            buckets=_RUNS,
            registry=registry,
        )
        self.request_latency = Histogram(
            "penstock_request_latency_seconds",
            "How long a request took until its answer was sent; reading a log as it comes and long polls wait.",
            ("door", "method", "route"),
            buckets=_REQUESTS,
            registry=registry,
        )
        self._queue = Gauge(
            "penstock_queue_depth",
            "What targets are owed, by kind: hand_over, cancel, sync, retire.",
            ("kind",),
            registry=registry,
        )
        self._runs = Gauge("penstock_runs", "Runs in the registry, by state.", ("state",), registry=registry)

    def look(self, status: Status) -> None:
        """Set the gauges, which show what is in the registry, whichever process put it there."""
        self._queue.labels("hand_over").set(status.pending_hand_overs)
        self._queue.labels("cancel").set(status.pending_cancels)
        self._queue.labels("sync").set(status.pending_syncs)
        self._queue.labels("retire").set(status.pending_retires)
        for state, count in status.runs.items():
            self._runs.labels(state).set(count)
