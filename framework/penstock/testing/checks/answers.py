"""Laws 8, 9 and 12: every answer of the target lost, late, twice or stale, one at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from penstock.errors import PenstockError, TargetUnavailable
from penstock.places import Places
from penstock.records import RunRecord
from penstock.runs import ENDED, Absent
from penstock.testing.bench import Bench
from penstock.testing.checking import check
from penstock.testing.faults.answers import FAULTS, Answers, Fault, Trouble
from penstock.testing.faults.scenes import Scene, publishes
from penstock.testing.laws import LawBroken, hold, same
from penstock.testing.probes.pipelines import variant
from penstock.testing.processes.apart import apart
from penstock.workspace import Workspace

T = TypeVar("T")

AT_ONCE = 3
"""How many histories go on at the same time: they sleep for a part."""
KEY = "the intent"
SECONDS = 0.2
"""How long a step sleeps that is looked at while it runs."""
SLOW = 600.0
"""Seconds that a step sleeps which is canceled."""
TRIES = 3
"""How often a caller repeats a request that did not reach the target."""

History = Callable[[Scene, Workspace, "list[RunRecord]"], None]


def triggers(scene: Scene, workspace: Workspace, seen: list[RunRecord]) -> None:
    """Publish behind an endpoint, submit under a key, look while it runs, and look at the end."""
    _again(lambda: publishes(workspace, scene, variant(scene.subject.python, "a"), endpoint="one"))
    run = _asks(scene, workspace, SECONDS)
    seen.append(run)
    if run.external is not None:
        scene.until_reported(run, "running", "tell")
    seen.append(workspace.runs.get(run.id))
    if seen[-1].external is not None and not seen[-1].finished:
        scene.until_reported(run, "succeeded")
    seen.extend(workspace.runs.get(run.id) for _ in range(2))


def cancels(scene: Scene, workspace: Workspace, seen: list[RunRecord]) -> None:
    """Submit under a key, and cancel while it runs."""
    _again(lambda: publishes(workspace, scene, variant(scene.subject.python, "a"), endpoint="one"))
    run = _asks(scene, workspace, SLOW)
    seen.append(run)
    scene.until_reported(run, "running", "tell")
    seen.append(workspace.runs.cancel(run.id).run)
    seen.append(workspace.runs.get(run.id))


def _again(call: Callable[[], T]) -> T:
    """Repeat a call as a caller does whom the target did not answer."""
    for _ in range(TRIES - 1):
        try:
            return call()
        except TargetUnavailable:
            pass
    return call()


def _asks(scene: Scene, workspace: Workspace, seconds: float) -> RunRecord:
    given = scene.parameters(seconds=seconds)
    return workspace.runs.submit("one", parameters=given, idempotency_key=KEY).run


def _meanwhile(scene: Scene, seconds: float, seen: list[RunRecord]) -> None:
    """What others may do while an answer is on its way: repeat the request, do what is due, see the end."""
    with scene.open() as workspace:
        known = workspace.runs.list().items
        if known:
            same(8, _asks(scene, workspace, seconds).id, known[0].id, "the run of the key, asked by somebody else")
        scene.catch_up()
        if known and (seconds != SLOW or known[0].cancel_requested):
            seen.append(scene.ended(workspace, known[0].id))


def _plays(scene: Scene, history: History, seconds: float, trouble: Trouble | None) -> tuple[Counter[str], bool]:
    """Play a history with one trouble in it, and judge. Answers how often each hook was called, and if trouble came."""
    scene.subject.ready()
    seen: list[RunRecord] = []
    answers = Answers(Places(scene.subject.config), trouble, lambda: _meanwhile(scene, seconds, seen))
    try:
        with scene.open(("answers", answers)) as workspace:
            history(scene, workspace, seen)
            seen.append(_asks(scene, workspace, seconds))
        hold(8, not answers.differing, f"the same request twice is answered differently: {answers.differing}")
        _judge(scene, seen, "canceled" if seconds == SLOW else "succeeded")
    except LawBroken as error:
        raise LawBroken(error.law, f"{trouble or 'no trouble'}: {error.message}") from None
    except PenstockError as error:
        raise LawBroken(12, f"{trouble or 'no trouble'}: `{error.code}`: {error.message}") from None
    return answers.calls, answers.met


def _judge(scene: Scene, seen: list[RunRecord], end: str) -> None:
    scene.catch_up()
    with scene.open() as workspace:
        same(8, [run.id for run in workspace.runs.list().items], [seen[0].id], "the runs of one key")
        run = scene.ended(workspace, seen[0].id)
        _forward([*seen, run])
        same(12, (run.state, run.error and run.error.code), (end, None), "the end of the run")
        report = workspace.care.check()
        hold(12, report.ok, f"the registry is not sound: {'; '.join(report.lines)}")
        if end == "succeeded":
            same(12, run.outputs, {"which": "a", "args": ["a", "3"]}, "the outputs of the run")
            scene.executed({"tell": 1})
            scene.handed_over_again(run)


def _forward(seen: list[RunRecord]) -> None:
    ranks = [2 if run.state in ENDED else 1 if run.state == "running" else 0 for run in seen]
    states = [run.state for run in seen]
    hold(9, ranks == sorted(ranks), f"a run went back: {states}")
    hold(9, len({run.state for run in seen if run.finished}) <= 1, f"a run ended twice: {states}")


def _every(bench: Bench, history: History, seconds: float) -> None:
    """Play a history with every fault in every answer."""
    bench.new_registry()  # the first one is not made twice at once

    def play(trouble: Trouble | None) -> tuple[Counter[str], bool]:
        scene = Scene.on(bench)
        try:
            return apart(_plays, scene, history, seconds, trouble, timeout=3 * scene.patience)
        except BaseException:
            scene.clear()
            raise

    calls, _ = play(None)
    troubles = [
        Trouble(hook=hook, number=number, fault=fault)
        for hook, count in calls.items()
        for number in range(count)
        for fault in FAULTS
        if _possible(hook, number, fault)
    ]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        waiting = [pool.submit(play, trouble) for trouble in troubles]
        try:
            met = sum(future.result()[1] for future in waiting)
        finally:
            pool.shutdown(cancel_futures=True)
    bench.tell(f"{met} answers troubled")


def _possible(hook: str, number: int, fault: Fault) -> bool:
    if fault == "stale":
        return hook == "penstock_get_run" and number > 0
    return fault != "absent"


@check(8, 9, 12)
def troubled_answers_change_nothing(bench: Bench) -> None:
    """Is one intent one run, with its outputs, when any answer of the target is lost, late, twice or old news?"""
    _every(bench, triggers, SECONDS)


@check(8, 9, 12, needs=("penstock_cancel_run",))
def troubled_answers_to_cancel_change_nothing(bench: Bench) -> None:
    """Does a canceled run end canceled, once, when any answer of the target is lost, late, twice or old news?"""
    _every(bench, cancels, SLOW)


@check(9)
def a_lost_run_fails(bench: Bench) -> str | None:
    """Does a run that its target does not know any more end failed, and stay so?"""
    apart(_loses, Scene.on(bench))
    return None


def _loses(scene: Scene) -> None:
    scene.subject.ready()
    places = Places(scene.subject.config)
    answers = Answers(places, Trouble(hook="penstock_get_run", number=0, fault="absent"))
    with scene.open(("answers", answers)) as workspace:
        publishes(workspace, scene, variant(scene.subject.python, "a"), endpoint="one")
        run = workspace.runs.get(_asks(scene, workspace, 0).id)
        same(9, (run.state, run.error and run.error.code), ("failed", "run_lost"), "a run that its target has lost")
    scene.until_reported(run, "succeeded")
    with scene.open() as workspace:
        again = workspace.runs.get(run.id)
        same(9, again, run, "a run that was lost, when its target knows it again")
        hold(9, not isinstance(scene.reported(run), Absent), "the target knows the run again")


CHECKS = (a_lost_run_fails, troubled_answers_change_nothing, troubled_answers_to_cancel_change_nothing)
