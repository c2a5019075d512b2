"""An endpoint and every way in to it, each with the gates that it passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from attrs import field, frozen

from penstock.records import Gate
from penstock.registry import GateOutcome
from penstock.testing.harness import Harness
from penstock.testing.helpers.setup import set_up, unique
from penstock.testing.laws import require
from penstock.workspace import Endpoint, PublishedPipeline, Run, Workspace

ENDPOINT, VERSION, PIPELINE = "endpoint_disabled", "version_disabled", "pipeline_disabled"
"""The gates, by the codes with which they refuse."""

Ways = Iterator[tuple[str, tuple[str, ...], Callable[..., Run]]]


@frozen(kw_only=True)
class Stage:
    """An endpoint `one` of two versions, `a` and `b`. `grace` moves its gates, which are known by the codes with which
    they refuse; `runs` are those to repeat, by what they came through.
    """

    ws: Workspace
    grace: Workspace
    endpoint: Endpoint
    zero: PublishedPipeline
    one: PublishedPipeline
    runs: dict[str, Run] = field(factory=dict)

    def ways(self) -> Ways:
        """Every way in: what it is in words, the gates of the endpoint, of version 0 and of what that publishes that
        it passes, and the call.
        """
        all_three, submit = (ENDPOINT, VERSION, PIPELINE), self.ws.submit
        name, by_id, published = self.endpoint.name, self.endpoint.id, self.zero
        yield "the default", all_three, partial(submit, name)
        yield "the default by the endpoint's id", all_three, partial(submit, by_id)
        yield "a pinned version", all_three, partial(submit, f"{name}@0")
        yield "a pinned version by the endpoint's id", all_three, partial(submit, f"{by_id}@0")
        yield "a pinned version by its number", all_three, partial(submit, name, version=0)
        yield "another version", (ENDPOINT,), partial(submit, f"{name}@1")
        yield "the published pipeline", (PIPELINE,), partial(submit, published.id)
        by_label = f"{published.name}:{published.label}"
        yield "the published pipeline by its label", (PIPELINE,), partial(submit, by_label)
        yield "the published pipeline by its place", (PIPELINE,), partial(submit, f"{by_label}@{published.target}")

    def reruns(self) -> Ways:
        """The ways in that repeat a run; each call that is not refused is another run."""
        all_three = (ENDPOINT, VERSION, PIPELINE)
        yield "a rerun of the default", all_three, self.runs["one"].rerun
        yield "a rerun of a pinned version", all_three, self.runs["one@0"].rerun
        yield "a rerun of another version", (ENDPOINT,), self.runs["one@1"].rerun
        yield "a rerun of the published pipeline", (PIPELINE,), self.runs[self.zero.id].rerun

    def move(self, gate: str, *, open: bool, reason: str = "", cancel_runs: bool = False) -> None:
        """Close or open one gate."""
        done = self.open(gate) if open else self.close(gate, reason, cancel_runs)
        require(5, done.changed, f"moving a gate (`{gate}`) is said to have changed nothing")

    def open(self, gate: str) -> GateOutcome:
        """Open one gate: of the endpoint, of its version 0, or of what that publishes."""
        if gate == PIPELINE:
            return self.grace.pipelines.enable(self.zero.id)
        return self.grace.endpoints.enable("one" if gate == ENDPOINT else "one@0")

    def close(self, gate: str, reason: str = "", cancel_runs: bool = False) -> GateOutcome:
        """Close one gate."""
        if gate == PIPELINE:
            return self.grace.pipelines.disable(self.zero.id, reason=reason, cancel_runs=cancel_runs)
        ref = "one" if gate == ENDPOINT else "one@0"
        return self.grace.endpoints.disable(ref, reason=reason, cancel_runs=cancel_runs)

    def gate(self, gate: str) -> Gate | None:
        """What is said of one gate when it is closed."""
        if gate == PIPELINE:
            return self.ws.pipelines.get(self.zero.id).gate
        endpoint = self.ws.endpoints.get("one")
        return endpoint.gate if gate == ENDPOINT else endpoint.versions[0].gate


@contextmanager
def staged(harness: Harness, *plugins: object) -> Iterator[Stage]:
    """The stage, on a new registry; the plugins are those of the workspace that submits."""
    registry = harness.new_registry()
    named = [(f"plugin{number}", plugin) for number, plugin in enumerate(plugins)]
    with harness.workspace(registry, plugins=named) as ws, harness.workspace(registry, actor="grace") as grace:
        # Of content that no other stage has: what one before this deleted may be retired only now.
        zero, one = (set_up(harness, ws, word, name=word) for word in map(unique, "ab"))
        endpoint = ws.create_endpoint("one", zero)
        endpoint.add_version(one)
        yield Stage(ws=ws, grace=grace, endpoint=endpoint, zero=zero, one=one)
