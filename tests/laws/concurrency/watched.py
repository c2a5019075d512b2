"""A registry that a group calls on, watched: what was answered there must be explained by some order of the calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from attrs import field, frozen
from laws.asked import DoorHarness
from laws.concurrency.clients import Round, call_at_once, moments, observed
from laws.concurrency.linearizability import Observed, explain
from laws.doors import ANYBODY, BY_HTTP, RECORDED
from laws.model import Model
from laws.player import Answer, Player
from laws.refusals import MAIN, OTHER, Refusals
from laws.strategies import Call

from penstock.contract.run import ENDED
from penstock.testing.harness import Harness
from penstock.testing.laws import Untested, require, same

Parts: TypeAlias = tuple[Sequence[Call], ...]
"""The calls of each process of a group on one registry."""


@frozen(kw_only=True)
class Watched:
    """One registry with versions 0, 1 and 2 of an endpoint `one`; what the kit calls there, and what was observed."""

    player: Player
    registry: str
    seen: list[Observed] = field(factory=list)
    refusals: Refusals = field(factory=lambda: Refusals(MAIN, OTHER))

    @classmethod
    def set(cls, harness: DoorHarness) -> Watched:
        """A new one. Raises Untested when the target refuses what it takes."""
        registry = harness.new_registry()
        player = Player(
            harness.subject,
            registry,
            spec_folder=harness.spec_folder,
            patience=harness.profile.patience,
            door=harness.door,
        )
        watched = cls(player=player, registry=registry)
        for which in "abc":
            if watched.ask("publish", variant=which, endpoint="one").get("refused") == "target_unsupported":
                player.close()
                raise Untested("the target refuses the kit's smallest pipeline")
        return watched

    def ask(self, verb: str, **arguments: Any) -> Answer:
        """Make one call, in front of or behind those of the group."""
        self.seen.append(observed(self.player, "ada", verb, arguments))
        answer: Answer = self.seen[-1].answer
        self.refusals.hear(verb, arguments, answer)
        return answer

    def take(self, calls: Sequence[Observed]) -> None:
        """Take in what the group observed, and which runs it started."""
        for call in calls:
            if not self.refusals.hear(call.verb, call.arguments, call.answer):
                continue
            self.seen.extend(moments(call))
            if call.verb in ("submit", "rerun") and "run" in call.answer:
                self.player.runs[call.arguments["run"]] = call.answer["run"]["id"]

    def finish_runs(self) -> None:
        """Wait for every run, so that it is seen what it ran."""
        for run in list(self.player.runs):
            self.ask("wait", run=run)

    def versions_given_once(self) -> None:
        """Hold that no version was given twice: either of two such answers could be true, and no order says which."""
        given = set[tuple[str, str]]()
        for call in self.seen:
            if call.answer.get("added"):
                endpoint = call.answer["endpoint"]
                version = endpoint["id"], call.answer["version"]
                told = (
                    f"version {version[1]} of `{endpoint['name']}` was given twice, the second time to {call.process}"
                )
                require(2, version not in given, told)
                given.add(version)

    def triggers_passed(self) -> None:
        """Hold that every trigger passed open gates and took the default, in the order that the history itself has."""
        triggers_passed(self.player.call("history", runs=True)["rows"])

    def leave(self, harness: Harness) -> None:
        """End what still runs, and close."""
        if harness.has("penstock_cancel_run"):
            for run in self.player.call("runs").get("items", ()):
                if run["state"] not in ENDED:
                    self.player.call("cancel", run=run["id"])
        self.player.close()


def triggers_passed(rows: Sequence[dict[str, Any]]) -> None:
    """Hold of a whole history, oldest first, that each trigger passed what was open and took the default of then."""
    closed, public, defaults, behind = set[str](), set[str](), dict[str, str](), dict[str, str]()
    for row in rows:
        subject, to = row["subject"], row["to"]
        if row["action"] in ("gate_closed", "gate_opened"):
            (closed.add if row["action"] == "gate_closed" else closed.discard)(subject)
        elif row["action"] == "access_changed":
            (public.add if to == "public" else public.discard)(subject)
        elif row["action"] == "version_added":
            behind[subject] = to
        elif row["kind"] == "endpoint" and row["action"].startswith("default_"):
            defaults[subject] = f"{subject}@{to}"
        elif row["action"] == "endpoint_deleted":
            closed = {gate for gate in closed if gate.partition("@")[0] != subject}
            public.discard(subject)
        elif row["action"] == "run_accepted":
            endpoint = to.partition("@")[0]
            passed = {endpoint, to, behind[to]} if to in behind else {to}
            shut = ", ".join(f"`{gate}`" for gate in sorted(passed & closed))
            require(5, not shut, f"run {row['subject_id']} was accepted through {shut} after that was closed")
            is_open = row["by"] != ANYBODY or endpoint in public
            require(13, is_open, f"run {row['subject_id']} of who is not known was accepted when it was private")
            if row["from"] == "default":
                same(
                    4,
                    to,
                    defaults[endpoint],
                    f"what run {row['subject_id']} took for the default when it was accepted",
                )


def explained(harness: DoorHarness, groups: Sequence[Parts], after: Callable[[Watched], None]) -> list[Watched]:
    """Let groups make their calls, each on a registry of its own; `after` asks the kit's own questions when it is done.

    Raises LawBroken unless what was seen of each can be put in order, and Untested as `Watched.set`.
    """
    all_watched: list[Watched] = []
    try:
        all_watched.extend(Watched.set(harness) for _ in groups)
        rounds = [
            Round(registry=one.registry, parts=tuple(tuple(part) for part in parts))
            for one, parts in zip(all_watched, groups, strict=True)
        ]
        called = call_at_once(
            harness.subject,
            rounds,
            spec_folder=harness.spec_folder,
            patience=harness.profile.patience,
            door=harness.door,
        )
        for one, calls in zip(all_watched, called, strict=True):
            one.take(calls)
            one.versions_given_once()
            one.triggers_passed()
            after(one)
            explain(one.seen, Model(doors=RECORDED[harness.door], by_http=harness.door in BY_HTTP, remember=False))
    finally:
        for one in all_watched:
            one.leave(harness)
    return all_watched


def refused(all_watched: Sequence[Watched]) -> str | None:
    """What the targets refused of all the calls, in a line, or None. Raises Untested when one took nothing at all."""
    refusals = Refusals(MAIN, OTHER)
    for one in all_watched:
        refusals.add(one.refusals)
    return refusals.done()
