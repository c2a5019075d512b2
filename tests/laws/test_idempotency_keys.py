"""Law 8 for keys: one key is one run, whatever has changed since, and whoever asks for something else is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from laws.error_codes import refusal
from laws.trigger_paths import ENDPOINT, PIPELINE, VERSION, Stage, staged

from penstock.errors import PenstockError
from penstock.testing.checks.failed_runs import failing
from penstock.testing.harness import executions
from penstock.testing.helpers.setup import set_up
from penstock.testing.laws import LawBroken, require, same
from penstock.workspace import Run, Workspace


def test_key_keeps_its_run(harness):
    """Does a key give its run on every way, whatever became of default, gates and names, and what it came through?"""
    marks = harness.counting()
    asked = {
        "parameters": {"marks": str(marks or ""), "depth": 5},
        "experiment": "once",
        "description": "asked for more than once",
        "tags": {"kit": "once"},
    }
    with staged(harness) as stage:
        runs: dict[str, Run] = {}
        _all_give(stage, runs, asked, "at first")
        stage.runs.update({"one": runs["the default"], "one@0": runs["a pinned version"]})
        stage.runs.update({"one@1": runs["another version"], stage.zero.id: runs["the published pipeline"]})
        _all_give(stage, runs, asked, "at the second time")
        ended = [harness.wait(stage.ws, run.id, 8) for run in runs.values()]
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


def test_another_request_is_refused(harness):
    """Is a key refused to whoever asks for something else, and kept for who asks for the same?"""
    with staged(harness) as stage:
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


def test_the_same_in_other_words(harness):
    """Is a request the same in whatever order its parameters and tags come, and whoever makes it?"""
    with staged(harness) as stage:
        run = stage.ws.submit(
            "one", parameters={"depth": 5, "seconds": 0}, tags={"a": "1", "b": "2"}, idempotency_key="k"
        )
        for who, ws in (("its caller", stage.ws), ("another caller", stage.grace)):
            again = partial(ws.submit, "one", idempotency_key="k")
            other = {"parameters": {"seconds": 0, "depth": 5}, "tags": {"b": "2", "a": "1"}}
            _gives(run.id, f"the run of a key, asked for by {who} in another order,", again, **other)
        harness.wait(stage.ws, run.id, 8)


def test_refused_keys_are_free(harness):
    """Is a key that came with a refused trigger as good as new?"""
    with staged(harness) as stage:
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


def test_key_of_what_is_addressed(harness):
    """Is a key one for each endpoint and each published pipeline, and exactly what was written?"""
    with staged(harness) as stage:
        ws, runs = stage.ws, dict[str, str]()
        two = ws.create_endpoint("two", stage.zero)
        addressed = {"endpoint one": stage.endpoint.id, "endpoint two": two.id}
        addressed |= {"what version 0 is": stage.zero.id, "what version 1 is": stage.one.id}
        for what, ref in addressed.items():
            runs[what] = _new(ws, runs, f"the key at {what}", ref, "k")
        for key in ("K", "k ", " k", "kk", "caf\u00e9", "cafe\u0301", "k" * 200, "k" * 201):
            if key != key.strip() and harness.door not in ("python", "cli"):
                continue  # there is no space around what a header says
            runs[key] = _new(ws, runs, f"the key {key!r}", "one", key)
        for run in runs.values():
            harness.wait(ws, run, 8)
        stage.endpoint.rename("three")
        two.rename("one")
        again = partial(ws.submit, idempotency_key="k")
        _gives(runs["endpoint two"], "the run of the key at a name that was another's", again, "one")
        _gives(runs["endpoint one"], "the run of the key at the new name", again, "three")
        two.delete()
        ws.create_endpoint("one", stage.zero)
        runs["a successor"] = _new(ws, runs, "the key at an endpoint that has the name of another", "one", "k")
        _gives(runs["endpoint two"], "the run of the key at a deleted endpoint", again, two.id)


def test_failed_keeps_its_key(harness):
    """Does the key of a run that failed give that run, and does the history say why it failed?"""
    with harness.workspace() as ws:
        published = set_up(harness, ws, failing(harness.subject.python))
        submit = partial(ws.runs.submit, published.id, idempotency_key="k")
        run = harness.wait(ws, submit().run.id, 8)
        same(8, run.state, "failed", "a run whose step exits with 3")
        again = submit()
        same(8, (again.run, again.replayed), (run, True), "the run of a key whose run failed")
        last = ws.admin.history(subject=run.id).items[0]
        same(10, (last.action, last.to), ("run_ended", "failed"), "the last row of a run that failed")
        told = "" if run.error is None else run.error.message
        require(10, told and told in last.reason, f"the history says of a run that failed only {last.reason!r}: {told}")


def test_canceled_keeps_its_key(harness):
    """Does the key of a run that was canceled give that run?"""
    with harness.workspace() as ws:
        published = set_up(harness, ws, "a")
        submit = partial(ws.runs.submit, published.id, parameters={"seconds": 600.0}, idempotency_key="k")
        first = submit().run
        ws.runs.cancel(first.id)
        run = harness.wait(ws, first.id, 8)
        again = submit()
        if not again.replayed:
            ws.runs.cancel(again.run.id)
        same(8, (again.run.id, again.replayed), (run.id, True), "the run of a key whose run was canceled")
        same(8, again.run.state, "canceled", "the run of a key whose run was canceled")


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
    same(8, done.run.idempotency_key, key, f"the key that the run of {what} shows")
    fresh = not done.replayed and done.run.id not in runs.values()
    require(8, fresh, f"{what} gives run {done.run.id}, which somebody else has, and not a new one")
    return done.run.id
