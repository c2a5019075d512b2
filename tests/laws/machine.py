"""Any history of calls, as a hypothesis state machine: rules make calls, and the model judges every answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule, run_state_machine_as_test
from laws.asked import DoorHarness
from laws.doors import ANYBODY
from laws.machine_base import SLOW, MachineBase
from laws.player import GUARDED
from laws.recorder import Call
from laws.sensitive_values import SECRETS, SHORT
from laws.strategies import (
    ACCESSES,
    BEHIND,
    DEPTHS,
    ENDPOINTS,
    EXPECTATIONS,
    GATES,
    KEYS,
    LABELS,
    REASONS,
    TARGETS,
    TOKENS,
    VARIANTS,
    VERSIONS,
    WINDOWS,
)

from penstock.testing.helpers.refusals import Refusals
from penstock.testing.laws import LawBroken

_MOST_SLOW = 2
"""Slow runs of one history: each is a process on the target."""

_actors = st.sampled_from([None, None, "bob"])
_callers = st.sampled_from([None, None, "bob", ANYBODY])
_tokens = st.sampled_from([*SECRETS, *SECRETS, SHORT, None])
_picks = st.integers(0, 99)


class Histories(MachineBase):
    """The rules. What they draw never depends on how far a run is, so that the same choices are the same calls."""

    @initialize(order=st.permutations("abc"), defaults=st.tuples(st.booleans(), st.booleans()), more=st.booleans())
    def begin(self, order: Sequence[str], defaults: tuple[bool, bool], more: bool) -> None:
        """Most calls are about an endpoint with versions: there is one, and now and then another."""
        for variant, default in zip(order, (False, *defaults), strict=True):
            self.remember(self.call("publish", variant=variant, endpoint="one", default=default))
        if more and self.published:
            self.call("create_endpoint", endpoint="two", published=self.published[0])

    @rule(
        variant=VARIANTS,
        name=st.sampled_from([None, None, "tool"]),
        label=LABELS,
        place=TARGETS,
        endpoint=BEHIND,
        default=st.booleans(),
        expect=EXPECTATIONS,
        by=_actors,
    )
    def publish(self, place: str, endpoint: str | None, default: bool, expect: str | None, **asked: Any) -> None:
        """Publish a spec, behind an endpoint or not."""
        behind = {"endpoint": endpoint, "default": default, "expect": expect} if endpoint else {}
        self.remember(self.call("publish", target=place, **asked, **behind))

    @rule(
        ref=st.sampled_from(["one", "one@0", "one@1", "two", "r1", "r2"]) | _picks,
        label=LABELS,
        place=TARGETS,
        endpoint=BEHIND,
        by=_actors,
    )
    def publish_from(self, ref: str | int, place: str, **asked: Any) -> None:
        """Publish what is there already again."""
        if ref in ("r1", "r2") and ref not in self.runs:
            ref = "one"
        if isinstance(ref, str) or self.published:
            source = ref if isinstance(ref, str) else self.a_published(ref)
            self.remember(self.call("publish_from", ref=source, target=place, **asked))

    @precondition(lambda self: self.published)
    @rule(endpoint=ENDPOINTS, pick=_picks, default=st.booleans(), expect=EXPECTATIONS, by=_actors)
    def add_version(self, endpoint: str, pick: int, **asked: Any) -> None:
        """Another version."""
        self.call("add_version", endpoint=endpoint, published=self.a_published(pick), **asked)

    @precondition(lambda self: self.published)
    @rule(endpoint=st.sampled_from(["two", "two", "one"]), pick=_picks, by=_actors)
    def create_endpoint(self, endpoint: str, pick: int, by: str | None) -> None:
        """Another endpoint, or a name that is taken."""
        self.call("create_endpoint", endpoint=endpoint, published=self.a_published(pick), by=by)

    @rule(endpoint=ENDPOINTS, version=VERSIONS, expect=EXPECTATIONS, by=_actors)
    def set_default(self, **asked: Any) -> None:
        """Move the default."""
        self.call("set_default", **asked)

    @rule(endpoint=ENDPOINTS, expect=EXPECTATIONS, by=_actors)
    def rollback(self, **asked: Any) -> None:
        """Take a move back."""
        self.call("rollback", **asked)

    @rule(there=VERSIONS, and_there=VERSIONS, back=st.integers(1, 3))
    def move_and_go_back(self, there: str, and_there: str, back: int) -> None:
        """Move the default twice and take so many moves back."""
        for version in (there, and_there):
            self.call("set_default", endpoint="one", version=version)
        for _ in range(back):
            self.call("rollback", endpoint="one")

    @rule(ref=GATES | _picks, reason=REASONS, cancel=st.booleans(), by=_actors)
    def disable(self, ref: str | int, reason: str, cancel: bool, by: str | None) -> None:
        """Close a gate."""
        cancel = cancel and self.harness.has("penstock_cancel_run")
        self.gate("disable", ref, reason=reason, cancel_runs=cancel, by=by)

    @rule(ref=GATES | _picks, by=_actors)
    def enable(self, ref: str | int, by: str | None) -> None:
        """Open a gate."""
        self.gate("enable", ref, by=by)

    @rule(ref=GATES, depth=DEPTHS, key=st.sampled_from(["k", "l"]), keep=st.sampled_from([False, False, True]))
    def close_and_try(self, ref: str, depth: Any, key: str, keep: bool) -> None:
        """Close a gate, by two callers, and try to pass it, with a key that has its run and without one."""
        self.submit(ref, key=key)
        self.gate("disable", ref, reason="first")
        self.gate("disable", ref, reason="second", by="bob")
        self.submit(ref, key=key)
        self.submit(ref, depth=depth)
        if not keep:
            self.gate("enable", ref)

    @rule(endpoint=ENDPOINTS, access=ACCESSES, by=_actors)
    def access(self, **asked: Any) -> None:
        """Say who may trigger an endpoint."""
        self.call("access", **asked)

    @rule(endpoint=ENDPOINTS, key=KEYS, depth=DEPTHS, keep=st.booleans())
    def open_and_close(self, endpoint: str, key: str | None, depth: Any, keep: bool) -> None:
        """Open an endpoint to everybody, trigger it as who is known and as who is not, and close it again."""
        self.call("access", endpoint=endpoint, access="public")
        for by in (ANYBODY, None, ANYBODY):
            self.submit(endpoint, key=key, depth=depth, by=by)
        if not keep:
            self.call("access", endpoint=endpoint, access="private")
            self.submit(endpoint, key=key, depth=depth, by=ANYBODY)

    @rule(verb=st.sampled_from(["endpoint", "endpoints", "runs", "history", "rollback", "disable", "get", "rerun"]))
    def knock(self, verb: str) -> None:
        """Ask for something as a caller of whom nothing is known."""
        said: dict[str, dict[str, Any]] = {"endpoint": {"endpoint": "one"}, "rollback": {"endpoint": "one"}}
        if self.runs:
            said |= {"get": {"run": self.runs[-1]}, "rerun": {"run": "r0", "of": self.runs[-1]}}
        elif verb in ("get", "rerun"):
            return
        self.call(verb, by=ANYBODY, **said.get(verb, {"ref": "one"} if verb == "disable" else {}))

    @rule(endpoint=ENDPOINTS, window=WINDOWS, by=_actors)
    def deduplicate(self, endpoint: str, window: int | None, by: str | None) -> None:
        """Let the same request be the same run for a while, or not."""
        self.call("deduplicate", endpoint=endpoint, window=window, by=by)

    @rule(depth=st.sampled_from([None, 1, 4, 12]), version=st.sampled_from([None, None, "0", "1"]))
    def ask_again(self, **asked: Any) -> None:
        """The same request twice within a window, by two callers, and once more when there is none."""
        self.call("deduplicate", endpoint="one", window=3600)
        for by in (None, "bob"):
            self.submit("one", by=by, **asked)
        self.call("deduplicate", endpoint="one")
        self.submit("one", **asked)

    @rule(token=_tokens, key=KEYS, again=_tokens, by=_callers)
    def submit_secret(self, token: str | None, key: str | None, again: str | None, by: str | None) -> None:
        """Put a version with a sensitive parameter in front, trigger it, and trigger that run again."""
        self.remember(self.call("publish", variant=GUARDED, endpoint="one", default=True))
        self.submit("one", token=token, key=key, by=by)
        if self.quick:
            self.rerun_one(-1, token=again)

    @rule(endpoint=ENDPOINTS, depth=DEPTHS, key=KEYS, by=_callers)
    def submit_default(self, endpoint: str, **asked: Any) -> None:
        """Trigger the default."""
        self.submit(endpoint, **asked)

    @rule(endpoint=ENDPOINTS, version=VERSIONS, written=st.booleans(), depth=DEPTHS, key=KEYS)
    def submit_pinned(self, endpoint: str, version: str, written: bool, depth: Any, key: str | None) -> None:
        """Trigger a version, said in one of the two ways."""
        if written:
            self.submit(f"{endpoint}@{version}", depth=depth, key=key)
        else:
            self.submit(endpoint, version=version, depth=depth, key=key)

    @precondition(lambda self: self.published)
    @rule(pick=_picks, depth=DEPTHS, key=KEYS, unknown=st.booleans())
    def submit_direct(self, pick: int, **asked: Any) -> None:
        """Trigger a published pipeline by itself."""
        self.submit(self.a_published(pick), **asked)

    @precondition(lambda self: len(self.slow) < _MOST_SLOW and self.harness.has("penstock_cancel_run"))
    @rule(endpoint=ENDPOINTS, key=KEYS)
    def submit_slow(self, endpoint: str, key: str | None) -> None:
        """Trigger something that goes on until it is canceled."""
        self.submit(endpoint, seconds=SLOW, key=key)

    @precondition(lambda self: self.keyed)
    @rule(pick=_picks, altered=st.sampled_from([{}, {}, {}, {"depth": 7}, {"version": "0"}]), by=_actors)
    def repeat(self, pick: int, altered: dict[str, Any], by: str | None) -> None:
        """Ask again under a key that has been used, for the same or for something else."""
        asked = self.keyed[pick % len(self.keyed)]
        if "version" not in altered or asked["ref"].isalpha():  # another reference says its version, or has none
            self.submit(**asked | altered | {"by": by})

    @precondition(lambda self: self.quick)
    @rule(pick=_picks, key=KEYS, token=TOKENS)
    def rerun(self, pick: int, **asked: Any) -> None:
        """Run something again."""
        self.rerun_one(pick, **asked)

    def rerun_one(self, pick: int, **asked: Any) -> None:
        """Run one of the quick runs again."""
        run = f"r{len(self.runs) + 1}"
        if "run" in self.call("rerun", run=run, of=self.quick[pick % len(self.quick)], **asked):
            self.quick.append(run)

    @precondition(lambda self: self.quick)
    @rule(pick=_picks, what=st.sampled_from(["outputs", "logs", "get"]))
    def wait(self, pick: int, what: str) -> None:
        """Wait for a run and look at it."""
        self.make_room()
        run = self.quick[pick % len(self.quick)]
        self.call("wait", run=run)
        self.read(run, what)

    @precondition(lambda self: self.runs)
    @rule(pick=_picks, what=st.sampled_from(["outputs", "logs", "get"]))
    def peek(self, pick: int, what: str) -> None:
        """Look at a run, however far it is."""
        self.read(self.runs[pick % len(self.runs)], what)

    @precondition(lambda self: self.runs and self.harness.has("penstock_cancel_run"))
    @rule(pick=_picks, reason=REASONS, by=_actors)
    def cancel(self, pick: int, reason: str, by: str | None) -> None:
        """Ask a run to end."""
        runs = self.slow or self.runs
        run = runs[pick % len(runs)]
        self.call("cancel", run=run, reason=reason, by=by)

    @rule(endpoint=ENDPOINTS, to=st.sampled_from(["three", "three", "one", "two"]), back=st.booleans(), by=_actors)
    def rename(self, endpoint: str, to: str, back: bool, by: str | None) -> None:
        """Give an endpoint another name; most calls are about its first one, so it may get that back."""
        self.call("rename", endpoint=endpoint, to=to, by=by)
        if self.runs:
            self.call("get", run=self.runs[-1])
        if back:
            self.submit(to)
            self.call("rename", endpoint=to, to=endpoint)

    @rule(endpoint=st.sampled_from(["two", "two", "two", "one"]), by=_actors)
    def delete_endpoint(self, endpoint: str, by: str | None) -> None:
        """Delete an endpoint, whose past stays."""
        self.settle()
        self.moment()
        self.call("delete_endpoint", endpoint=endpoint, by=by)

    @precondition(lambda self: self.published)
    @rule(pick=_picks, by=_actors)
    def delete_published(self, pick: int, by: str | None) -> None:
        """Delete a published pipeline."""
        self.settle()
        self.call("delete_published", published=self.a_published(pick), by=by)

    @precondition(lambda self: self.recorder.model.in_use())
    @rule(pick=_picks, which=st.booleans())
    def delete_what_is_in_use(self, pick: int, which: bool) -> None:
        """Delete what an unfinished run came through."""
        used = self.recorder.model.in_use()
        endpoint, published = used[pick % len(used)]
        if endpoint is not None and which:
            self.call("delete_endpoint", endpoint=endpoint)
        else:
            self.call("delete_published", published=published)

    @rule(verb=st.sampled_from(["endpoints", "published", "history"]), all=st.booleans())
    def look(self, verb: str, all: bool) -> None:
        """Look at everything."""
        self.call(verb, **{"runs" if verb == "history" else "all": all})

    @rule()
    def remember_now(self) -> None:
        """Remember the present."""
        self.moment()

    def moment(self) -> None:
        """Give the present the next name."""
        moment = f"m{len(self.moments) + 1}"
        self.call("moment", moment=moment)
        self.moments.append(moment)

    @precondition(lambda self: self.moments)
    @rule(endpoint=ENDPOINTS, pick=_picks)
    def endpoint_at(self, endpoint: str, pick: int) -> None:
        """Ask what was so then."""
        self.call("endpoint_at", endpoint=endpoint, moment=self.moments[pick % len(self.moments)])

    @rule()
    def reopen(self) -> None:
        """Forget everything but what is on the disk."""
        self.call("reopen")


def explore(harness: DoorHarness, examples: int, refusals: Refusals) -> tuple[LawBroken, list[Call]] | None:
    """Recorder so many histories (times the profile's thoroughness): the first law that broke and the calls up to it.

    `refusals` counts what the targets took and refused.
    """
    broken: list[tuple[LawBroken, list[Call]]] = []

    class Seeded(Histories):
        def __init__(self) -> None:
            super().__init__(harness, lambda recorder: refusals.add(recorder.refusals))

        def call(self, verb: str, **arguments: Any) -> dict[str, Any]:
            try:
                return super().call(verb, **arguments)
            except LawBroken as law:
                broken.append((law, list(self.recorder.history)))
                raise

    limits = settings(
        max_examples=harness.profile.examples(examples),
        stateful_step_count=harness.profile.steps,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    try:
        run_state_machine_as_test(seed(harness.seed)(Seeded), settings=limits)
    except Exception:
        if not broken:
            raise
    return broken[0] if broken else None
