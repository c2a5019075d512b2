"""What the rules of the state machine are made of: calls, and what is remembered of them to make others from."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine
from laws.asked import DoorHarness
from laws.recorder import Recorder
from laws.strategies import said

from penstock.testing.laws import LawBroken

SLOW = 600
"""Seconds that a slow run sleeps: longer than anybody waits, so that it ends by a cancel only."""


class MachineBase(RuleBasedStateMachine):
    """One history, without its rules. What is remembered of it never depends on how far a run is."""

    def __init__(self, harness: DoorHarness, told: Callable[[Recorder], None]) -> None:
        super().__init__()
        self.harness = harness
        self.recorder = Recorder(harness)
        self.told = told
        self.published: list[str] = []
        self.quick: list[str] = []
        self.slow: list[str] = []
        self.ended: list[str] = []
        self.keyed: list[dict[str, Any]] = []
        self.moments: list[str] = []
        self.whole = True

    @property
    def runs(self) -> list[str]:
        """The names of all runs."""
        return self.quick + self.slow + self.ended

    def call(self, verb: str, **arguments: Any) -> dict[str, Any]:
        """Make a call without the arguments that say nothing."""
        try:
            return self.recorder(verb, **said(arguments))
        except LawBroken:
            self.whole = False
            raise

    def teardown(self) -> None:
        """Look at everything once more, when nothing broke, and leave nothing running."""
        try:
            # The call that an interrupt came in between may have been made and not been judged.
            if self.whole and not isinstance(sys.exc_info()[1], KeyboardInterrupt):
                self.finish()
        finally:
            self.told(self.recorder)
            self.recorder.close()

    def finish(self) -> None:
        """Let every run end and look at all that there is."""
        self.settle()
        for run in self.runs[-3:]:
            self.read(run, "outputs")
            self.read(run, "logs")
        for verb in ("endpoints", "published"):
            self.call(verb)
            self.call(verb, all=True)
        self.call("runs")
        self.call("history", runs=True)
        self.recorder.require_sound()
        self.recorder.require_forgotten()
        for moment in self.moments:
            for endpoint in ("one", "two"):
                self.call("endpoint_at", endpoint=endpoint, moment=moment)

    def settle(self) -> None:
        """Let every run end."""
        self.make_room()
        for run in self.quick:
            self.call("wait", run=run)

    def make_room(self) -> None:
        """End the slow runs: a target may have no place for other runs beside them."""
        for run in self.slow:
            self.call("cancel", run=run)
            self.call("wait", run=run)
        self.ended += self.slow
        self.slow = []

    def read(self, run: str, what: str) -> None:
        """Look at a run, where the target offers that."""
        if what != "logs" or self.harness.has("penstock_read_logs"):
            self.call(what, run=run)

    def remember(self, answer: dict[str, Any]) -> None:
        """Keep how a published pipeline is called."""
        if "published" in answer:
            one = answer["published"]
            self.published.append(f"{one['name']}:{one['label']}@{one['target']}")

    def a_published(self, pick: int) -> str:
        """One of the published pipelines, now and then without its target."""
        whole = self.published[pick % len(self.published)]
        return whole if pick % 3 else whole.rpartition("@")[0]

    def submit(self, ref: str, seconds: int | None = None, depth: Any = None, **arguments: Any) -> None:
        """Trigger something, under the next name."""
        run = f"r{len(self.runs) + 1}"
        asked = {"ref": ref, "seconds": seconds, "depth": depth, **arguments}
        answer = self.call("submit", run=run, **asked)
        if "run" in answer:
            if asked.get("key"):
                self.keyed.append(asked)
            (self.slow if answer["run"]["parameters"]["seconds"] >= SLOW else self.quick).append(run)

    def gate(self, verb: str, ref: str | int, **asked: Any) -> None:
        """Move the gate of an endpoint, a version or a published pipeline."""
        if isinstance(ref, str) or self.published:
            self.call(verb, ref=ref if isinstance(ref, str) else self.a_published(ref), **asked)
