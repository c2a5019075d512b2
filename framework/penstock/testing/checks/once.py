"""Law 8: one intent is one run, however often it is asked for or handed over, and whatever has changed since."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from operator import ne
from pathlib import Path
from typing import Any

from attrs import evolve

from penstock.contract.run import RunRef, RunReport, RunRequest, Submission
from penstock.errors import PenstockError
from penstock.targets.opened import OpenTargets
from penstock.testing.asking.directly import is_over, look, put, request, slow_run, start, until
from penstock.testing.asking.refusals import refusal
from penstock.testing.asking.ways import ENDPOINT, PIPELINE, VERSION, Stage, staged
from penstock.testing.bench import Bench, executions
from penstock.testing.checking import check
from penstock.testing.laws import LawBroken, hold, same
from penstock.testing.probes.pipelines import chain, variant
from penstock.testing.processes.apart import apart
from penstock.testing.subject import Subject
from penstock.workspace import Run, Workspace

_OTHERS = 25
"""How many runs come between a run and its repeat: more than anybody keeps by number."""


@check(8)
def handed_over_again(bench: Bench) -> None:
    """Is a run that is handed over again, before it runs, meanwhile and afterwards, the run that is there?"""
    marks = bench.counting()
    made = put(bench, chain(bench.subject.python))
    run = request(made, marks=str(marks or ""))
    receipt = bench.operations.submit(bench.place.target, run)
    ref = RunRef(id=run.id, publication=run.publication, external=receipt.external)
    seen = look(bench, ref, 8)
    while not is_over(seen):
        _repeat(bench, run, receipt)
        seen = until(bench, ref, partial(ne, seen), law=8, what="next state")[-1]
    _repeat(bench, run, receipt)
    same(8, look(bench, ref, 8), seen, "what is said of an ended run after it was handed over again")
    _started(bench, marks, {step.name: 1 for step in seen.steps})


@check(8, needs=("penstock_cancel_run",))
def handed_over_after_a_cancel(bench: Bench) -> None:
    """Does a run that is handed over again while it goes on go on, and one that was canceled stay so?"""
    marks = bench.counting()
    made = put(bench, variant(bench.subject.python, "a"))
    values = {"seconds": 600, "marks": str(marks or "")}
    with slow_run(bench, made, **values) as ref:
        run, receipt = evolve(request(made, **values), id=ref.id), Submission(external=ref.external)
        going = until(bench, ref, _step_runs, law=8, what="step")[-1]
        _repeat(bench, run, receipt)
        same(8, _progress(look(bench, ref, 8)), _progress(going), "what goes on after it was handed over again")
        bench.operations.cancel(bench.place.target, ref)
        ended = until(bench, ref, is_over, law=8)[-1]
        _repeat(bench, run, receipt)
        same(8, look(bench, ref, 8), ended, "what is said of a canceled run after it was handed over again")
    # A step that was ended may not have come to its mark.
    _started(bench, marks, {"tell": 1} if marks and executions(marks) else {})


@check(8)
def key_keeps_its_run(bench: Bench) -> None:
    """Does a key give its run on every way, whatever became of default, gates and names, and what it came through?"""
    marks = bench.counting()
    asked = {
        "parameters": {"marks": str(marks or ""), "depth": 5},
        "experiment": "once",
        "description": "asked for more than once",
        "tags": {"kit": "once"},
    }
    with staged(bench) as stage:
        runs: dict[str, Run] = {}
        _all_give(stage, runs, asked, "at first")
        stage.runs.update({"one": runs["the default"], "one@0": runs["a pinned version"]})
        stage.runs.update({"one@1": runs["another version"], stage.zero.id: runs["the published pipeline"]})
        _all_give(stage, runs, asked, "at the second time")
        ended = [bench.wait(stage.ws, run.id, 8) for run in runs.values()]
        stage.endpoint.set_default("1")
        _all_give(stage, runs, asked, "after the default moved")
        for gate in (ENDPOINT, VERSION, PIPELINE):
            stage.move(gate, open=False, reason="no more of this")
        _all_give(stage, runs, asked, "while gates are closed")
        stage.endpoint.rename("renamed")
        _all_give(stage, runs, asked, "after its endpoint was renamed")
        stage.endpoint.delete()
        stage.zero.delete()
        _all_give(stage, runs, asked, "after what it came through was deleted")
        for record in ended:
            same(8, stage.ws.runs.get(record.id), record, "a run after it was asked for again")
        found = {run.id for run in stage.ws.runs.list(limit=1000).items}
        same(8, found, {run.id for run in runs.values()}, "the runs of the registry")
    if marks is not None:
        same(8, executions(marks), {"tell": len(runs)}, f"what {len(runs)} runs executed")


@check(8)
def another_request_is_refused(bench: Bench) -> None:
    """Is a key refused to whoever asks for something else, and kept for who asks for the same?"""
    with staged(bench) as stage:
        ws, endpoint = stage.ws, stage.endpoint
        first: dict[str, Any] = {"parameters": {"depth": 5}, "experiment": "once", "idempotency_key": "k"}
        run = endpoint.submit(**first)
        others: dict[str, dict[str, Any]] = {
            "another value": {"parameters": {"depth": 6}},
            "a value more": {"parameters": {"depth": 5, "seconds": 0.5}},
            "no values": {"parameters": {}},
            "a value that is refused": {"parameters": {"depth": 99}},
            "a parameter that there is not": {"parameters": {"depth": 5, "depths": 5}},
            "a pinned version": {"version": "0"},
            "another version": {"version": "1"},
            "another experiment": {"experiment": "twice"},
            "a description": {"description": "asked for once"},
            "a tag": {"tags": {"kit": "once"}},
        }
        for closed in (False, True):
            if closed:
                stage.move(ENDPOINT, open=False)
            for what, other in others.items():
                told = f"a key with a request for {what}"
                refusal(8, "idempotency_conflict", told, endpoint.submit, **{**first, **other})
            refusal(8, "idempotency_conflict", "a key with a rerun", run.rerun, idempotency_key="k")
            _gives(run.id, "the run of a key after requests for something else", endpoint.submit, **first)
        same(8, [one.id for one in ws.runs.list(limit=1000).items], [run.id], "the runs after refused requests")


@check(8)
def the_same_in_other_words(bench: Bench) -> None:
    """Is a request the same in whatever order its parameters and tags come, and whoever makes it?"""
    with staged(bench) as stage:
        run = stage.ws.submit(
            "one", parameters={"depth": 5, "seconds": 0}, tags={"a": "1", "b": "2"}, idempotency_key="k"
        )
        for who, ws in (("its caller", stage.ws), ("another caller", stage.grace)):
            again = partial(ws.submit, "one", idempotency_key="k")
            other = {"parameters": {"seconds": 0, "depth": 5}, "tags": {"b": "2", "a": "1"}}
            _gives(run.id, f"the run of a key, asked for by {who} in another order,", again, **other)
        bench.wait(stage.ws, run.id, 8)


@check(8)
def remembered_for_long(bench: Bench) -> None:
    """Is a run that is handed over again the run that is there, when many others came since?"""
    marks = bench.counting()
    made = put(bench, variant(bench.subject.python, "a"))
    run = request(made, marks=str(marks or ""))
    receipt = bench.operations.submit(bench.place.target, run)
    others = [start(bench, made) for _ in range(_OTHERS)]
    _repeat(bench, run, receipt)
    for other in others:
        until(bench, other, is_over, law=8)
    _repeat(bench, run, receipt)
    _started(bench, marks, {"tell": 1})


@check(8)
def refused_keys_are_free(bench: Bench) -> None:
    """Is a key that came with a refused trigger as good as new?"""
    with staged(bench) as stage:
        submit = stage.ws.runs.submit
        refused: dict[str, tuple[str, str, dict[str, Any]]] = {
            "closed": (ENDPOINT, "one", {}),
            "pinned": (ENDPOINT, "one@0", {}),
            "wrong": ("parameter_invalid", "one", {"parameters": {"depth": 99, "depths": 1}}),
            "unknown": ("version_not_found", "one@7", {}),
        }
        for key, (code, ref, asked) in refused.items():
            if code == ENDPOINT:
                stage.move(ENDPOINT, open=False)
            told = f"a trigger of `{ref}` with a key"
            for _ in range(2):
                refusal(8, code, told, submit, ref, idempotency_key=key, **asked)
            if code == ENDPOINT:
                stage.move(ENDPOINT, open=True)
            given_first = submit("one", parameters={"depth": 4}, idempotency_key=key)
            same(8, given_first.replayed, False, f"whether a key that was refused with `{code}` had a run already")
            again = submit("one", parameters={"depth": 4}, idempotency_key=key)
            same(8, (again.run.id, again.replayed), (given_first.run.id, True), "the run of the key then")
        same(8, len(stage.ws.runs.list(limit=1000).items), len(refused), "the number of runs")


@check(8)
def key_of_what_is_addressed(bench: Bench) -> None:
    """Is a key one for each endpoint and each published pipeline, and exactly what was written?"""
    with staged(bench) as stage:
        ws, runs = stage.ws, dict[str, str]()
        two = ws.create_endpoint("two", stage.zero)
        addressed = {"endpoint one": stage.endpoint.id, "endpoint two": two.id}
        addressed |= {"what version 0 is": stage.zero.id, "what version 1 is": stage.one.id}
        for what, ref in addressed.items():
            runs[what] = _new(ws, runs, f"the key at {what}", ref, "k")
        for key in ("K", "k ", " k", "kk", "caf\u00e9", "cafe\u0301", "k" * 200, "k" * 201):
            runs[key] = _new(ws, runs, f"the key {key!r}", "one", key)
        for run in runs.values():
            bench.wait(ws, run, 8)
        stage.endpoint.rename("three")
        two.rename("one")
        again = partial(ws.submit, idempotency_key="k")
        _gives(runs["endpoint two"], "the run of the key at a name that was another's", again, "one")
        _gives(runs["endpoint one"], "the run of the key at the new name", again, "three")
        two.delete()
        ws.create_endpoint("one", stage.zero)
        runs["a successor"] = _new(ws, runs, "the key at an endpoint that has the name of another", "one", "k")
        _gives(runs["endpoint two"], "the run of the key at a deleted endpoint", again, two.id)


CHECKS = (
    the_same_in_other_words,
    handed_over_again,
    remembered_for_long,
    handed_over_after_a_cancel,
    key_keeps_its_run,
    another_request_is_refused,
    refused_keys_are_free,
    key_of_what_is_addressed,
)
"""What is asked here."""


def _all_give(stage: Stage, runs: dict[str, Run], asked: Mapping[str, Any], when: str) -> None:
    """Trigger on every way, with one key for all the ways that come to the same; reruns too, once there are runs."""
    ways = [(what.partition(" by ")[0], what, submit) for what, _, submit in stage.ways()]
    calls = [(key, what, partial(submit, idempotency_key=key, **asked)) for key, what, submit in ways]
    if stage.runs:
        calls += [(what, what, partial(rerun, idempotency_key=what)) for what, _, rerun in stage.reruns()]
    for key, what, call in calls:
        if key in runs:
            _gives(runs[key].id, f"the run of the key of {what}, {when},", call)
        else:
            runs[key] = call()


def _gives(run: str, told: str, submit: Callable[..., Run], *arguments: Any, **named: Any) -> None:
    """Hold that a trigger is not refused and gives this run."""
    try:
        found = submit(*arguments, **named)
    except PenstockError as error:
        raise LawBroken(8, f"{told} is not given: `{error.code}`, {error.message}") from None
    same(8, found.id, run, told)


def _new(ws: Workspace, runs: Mapping[str, str], what: str, ref: str, key: str) -> str:
    """The run that a key starts, which must be a new one."""
    done = ws.runs.submit(ref, idempotency_key=key)
    fresh = not done.replayed and done.run.id not in runs.values()
    hold(8, fresh, f"{what} gives run {done.run.id}, which somebody else has, and not a new one")
    return done.run.id


def _repeat(bench: Bench, run: RunRequest, receipt: Submission) -> None:
    """Hand a run over twice more, and once in another process."""
    here = partial(bench.operations.submit, bench.place.target, run)
    for again in (here(), here(), apart(_hand_over, bench.subject, run, timeout=bench.profile.patience)):
        same(8, again, receipt, "the receipt for a run that is handed over again")


def _hand_over(subject: Subject, run: RunRequest) -> Submission:
    subject.ready()
    place = OpenTargets(subject.config).open(subject.target)
    return place.operations.submit(place.target, run)


def _started(bench: Bench, marks: Path | None, expected: dict[str, int]) -> None:
    """Hold that each step was started so often, by the time when another run, handed over later, has ended.

    Where that cannot be counted the check has left it out.
    """
    if marks is None:
        return
    until(bench, start(bench, put(bench, chain(bench.subject.python))), is_over, law=8)
    same(8, executions(marks), expected, "how often each step of one run was started")


def _step_runs(report: RunReport) -> bool:
    return any(step.state == "running" for step in report.steps)


def _progress(report: RunReport) -> tuple[object, ...]:
    """How far a run is, without what may be told of it more and more exactly."""
    return report.state, [(step.name, step.state, step.attempt) for step in report.steps]
