"""What the model expects an answer to show of a thing, part by part, each by the law that promises it."""

from __future__ import annotations

from attrs import evolve
from laws.facts import Facts
from laws.model.expectations import Seen
from laws.model.state import ENDED, Endpoint, Gate, Published, Run, State, Version
from laws.player import GUARDED

from penstock.testing.laws import LawBroken, require

_RANK = {"queued": 0, "running": 1}


def published_is(seen: Seen, found: Facts, one: Published) -> None:
    """Hold that a published pipeline is shown as it is."""
    shown = {name: found[name] for name in ("id", "name", "label", "digest", "target", "by")}
    kept = {"id": one.id, "name": one.name, "label": one.label, "digest": one.digest, "target": one.target}
    seen.same(1, shown, kept | {"by": one.by}, "the published pipeline")
    gate_is(seen, found, one.gate, f"published pipeline {one.ref}")


def endpoint_is(state: State, seen: Seen, found: Facts, one: Endpoint, *, all: bool = True) -> None:
    """Hold that an endpoint is shown as it is, without closed versions unless `all`."""
    seen.same(2, (found["id"], found["name"]), (one.id, one.name), "the endpoint")
    shown = [(str(at), version) for at, version in enumerate(one.versions) if all or version.gate is None]
    versions = [(version["version"], version["published"]) for version in found["versions"]]
    if all:
        seen.same(2, versions, [(at, version.published) for at, version in shown], f"the versions of `{one.name}`")
    else:
        message = f"the open versions of `{one.name}` in a plain listing"
        seen.same(5, versions, [(at, version.published) for at, version in shown], message)
    seen.same(5, found["hidden"], len(one.versions) - len(shown), f"the number of hidden versions of `{one.name}`")
    seen.same(3, found["default"], str(one.default), f"the default of `{one.name}`")
    gate_is(seen, found, one.gate, f"endpoint `{one.name}`")
    seen.same(13, found["access"], one.access, f"who may trigger `{one.name}`")
    seen.same(8, found["window"], one.window, f"the deduplication window of `{one.name}`")
    for facts, (_, version) in zip(found["versions"], shown, strict=True):
        _version_is(state, seen, facts, version)


def _version_is(state: State, seen: Seen, found: Facts, version: Version) -> None:
    one = state.published[version.published]
    shown = {name: found[name] for name in ("pipeline", "label", "digest", "target")}
    kept = {"pipeline": one.name, "label": one.label, "digest": one.digest, "target": one.target}
    seen.same(1, shown, kept, f"what version {found['version']} is")
    gate_is(seen, found, version.gate, f"version {found['version']}")
    seen.same(5, found["published_enabled"], one.gate is None, f"the openness behind version {found['version']}")


def gate_is(seen: Seen, found: Facts, gate: Gate | None, what: str) -> None:
    """Hold that a gate is shown as it is: open, or closed since, by and why as the first closing said."""
    expected = None if gate is None else {"since": gate.since, "by": gate.by, "reason": gate.reason}
    seen.same(5, found["gate"], expected, f"the gate of {what}")
    seen.same(5, found["enabled"], gate is None, f"the openness of {what}")


def run_is(state: State, seen: Seen, found: Facts, run: Run) -> None:
    """Hold what never changes about a run: what it is, what it resolved to and who asked for it."""
    one = state.published[run.published]
    seen.same(8, found["id"], run.id, "the run")
    version = None if run.version is None else str(run.version)
    resolved = {name: found[name] for name in ("endpoint", "endpoint_id", "version", "from", "published")}
    expected = {"endpoint": run.endpoint_name, "endpoint_id": run.endpoint, "version": version}
    seen.same(4, resolved, expected | {"from": run.resolved_from, "published": run.published}, "what it resolved to")
    resolved = {name: found[name] for name in ("pipeline", "label", "digest", "target")}
    expected = {"pipeline": one.name, "label": one.label, "digest": one.digest, "target": one.target}
    seen.same(4, resolved, expected, "what it runs")
    parameters: Facts = {"depth": run.depth, "seconds": run.seconds, "marks": run.marks}
    if state.which(one.digest) == GUARDED:
        parameters["token"] = "***"
    seen.same(7, found["parameters"], parameters, "the parameters of the run")
    said = (found["by"], found["verified"], found["door"], found["rerun_of"])
    seen.same(
        10, said, (run.by, state.verified(run.by), state.door(found["door"]), run.rerun_of), "who asked for it, as what"
    )
    seen.same(8, found["key"], run.key, "the run's idempotency key")


def run_allowed(state: State, seen: Seen, found: Facts, run: Run) -> None:
    """Hold that a run can be in the state it is shown in."""
    told, error = found["state"], found["error"]
    if told == "failed":
        law = 12 if error == "run_lost" else 11
        raise LawBroken(law, f"{seen.call}: a run that cannot fail is failed, with `{error}`")
    if run.state in ("succeeded", "canceled"):
        seen.same(9, told, run.state, "the state of a run that has ended")
    before, after = (2 if state in ENDED else _RANK[state] for state in (run.state, told))
    require(9, before <= after, f"{seen.call}: a run that was {run.state} is {told}")
    if told == "canceled":
        require(9, run.cancel, f"{seen.call}: a run that nobody asked to end is canceled")
    if told == "succeeded":
        require(11, run.seconds < 60, f"{seen.call}: a run whose step sleeps for {run.seconds} s has succeeded already")
        outputs_are(state, seen, found["outputs"], run)


def outputs_are(state: State, seen: Seen, outputs: Facts, run: Run) -> None:
    """Hold that the outputs of a run that succeeded are those of what it resolved to, with its parameters."""
    which = state.which(state.published[run.published].digest)
    seen.same(4, outputs.get("which"), which, "what ran")
    seen.same(7, outputs.get("args"), [which, str(run.depth)], "the arguments that the step got")


def learn(state: State, seen: Seen, found: Facts) -> Run:
    """Hold everything about a run of which the answer shows one moment, and remember its state. Answers the run."""
    require(12, found["id"] in state.runs, f"{seen.call}: nobody asked for run {found['id']}")
    run = state.runs[found["id"]]
    run_is(state, seen, found, run)
    seen.same(9, found["cancel"], run.cancel, "whether the run was asked to end")
    run_allowed(state, seen, found, run)
    run = evolve(run, state=found["state"])
    state.put(run)
    return run
