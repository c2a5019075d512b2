"""Laws 8, 9 and 12: every answer of the target lost, late, twice or stale, one at a time."""

from __future__ import annotations

from collections.abc import Generator
from types import SimpleNamespace

from penstock.contract.hooks import hookimpl
from penstock.contract.run import ENDED, Absent
from penstock.errors import NotFound, TargetUnavailable
from penstock.records import RunRecord
from penstock.targets.opened import OpenTargets
from penstock.testing.bench import Bench
from penstock.testing.checking import check
from penstock.testing.faults.answers import RETRY, Answers, Trouble
from penstock.testing.faults.scenes import Scene, publishes
from penstock.testing.faults.troubles import History, Play, again, trouble_each
from penstock.testing.laws import hold, same
from penstock.testing.probes.pipelines import variant
from penstock.testing.processes.apart import apart
from penstock.workspace import Workspace

KEY = "the intent"
SECONDS = 0.2
"""How long a step sleeps that is looked at while it runs."""
SLOW = 600.0
"""Seconds that a step sleeps which is canceled."""


def _first(play: Play, workspace: Workspace) -> None:
    again(lambda: publishes(workspace, play.scene, variant(play.scene.subject.python, "a"), endpoint="one"))


def _asks(play: Play, workspace: Workspace, seconds: float) -> RunRecord:
    given = play.scene.parameters(seconds=seconds)
    return workspace.runs.submit("one", parameters=given, idempotency_key=KEY).run


def triggers(play: Play, workspace: Workspace) -> None:
    """Publish behind an endpoint, submit under a key, look while it runs, and look at the end."""
    scene, seen, seconds = play.scene, play.seen, SECONDS * play.slower
    _first(play, workspace)
    run = _asks(play, workspace, seconds)
    seen.append(run)
    if run.external is not None:
        scene.until_reported(run, "running", "tell")
    seen.append(workspace.runs.get(run.id))
    if seen[-1].external is not None and not seen[-1].finished:
        scene.until_reported(run, "succeeded")
    seen.extend(workspace.runs.get(run.id) for _ in range(2))
    seen.append(_asks(play, workspace, seconds))


def cancels(play: Play, workspace: Workspace) -> None:
    """Submit under a key, and cancel while it runs."""
    _first(play, workspace)
    run = _asks(play, workspace, SLOW)
    play.seen.append(run)
    play.scene.until_reported(run, "running", "tell")
    play.seen.append(workspace.runs.cancel(run.id).run)
    play.seen.append(workspace.runs.get(run.id))
    play.seen.append(_asks(play, workspace, SLOW))


def reads(play: Play, workspace: Workspace) -> None:
    """Read the logs of a run that has ended."""
    _first(play, workspace)
    run = _asks(play, workspace, 0)
    play.scene.until_reported(run, "succeeded")
    play.seen.append(workspace.runs.get(run.id))
    logs = again(lambda: b"".join(part.data for part in workspace.runs.logs(run.id)))
    same(12, logs, b"I am a\n", "the log of a run that has ended")


def deletes(play: Play, workspace: Workspace) -> None:
    """Publish what nobody else does, and delete it."""
    published = publishes(workspace, play.scene, variant(play.scene.subject.python, play.scene.folder.name))
    play.scene.acknowledge(published.id)
    play.scene.acknowledge(published.record.external)
    workspace.pipelines.delete(published.id)


def moves(play: Play, workspace: Workspace) -> None:
    """Publish two versions behind an endpoint, the second as default; close the endpoint, and roll back."""
    for default, which in enumerate("ab"):
        pipeline = variant(play.scene.subject.python, which)
        publishes(workspace, play.scene, pipeline, endpoint="one", default=bool(default))
    workspace.endpoints.disable("one", reason="the kit says so")
    workspace.endpoints.rollback("one")


def _repeats(play: Play, seconds: float) -> None:
    """Others repeat the request, do what is due, and see the end."""
    with play.scene.open() as workspace:
        known = workspace.runs.list().items
        if known:
            same(8, _asks(play, workspace, seconds).id, known[0].id, "the run of the key, asked by somebody else")
        play.scene.catch_up()
        if known and (seconds != SLOW or known[0].cancel_requested):
            play.seen.append(play.scene.ended(workspace, known[0].id))


def _triggered_meanwhile(play: Play) -> None:
    _repeats(play, SECONDS * play.slower)


def _canceled_meanwhile(play: Play) -> None:
    _repeats(play, SLOW)


def _read_meanwhile(play: Play) -> None:
    _repeats(play, 0)


def _looked_meanwhile(play: Play) -> None:
    with play.scene.open() as workspace:
        same(12, workspace.pipelines.list(all=True).items, (), "what is published while its end waits for an answer")


def _closed_meanwhile(play: Play) -> None:
    """Others close a version, and cannot tell the target: it must not count as told with what was told before."""
    with play.scene.open(("away", SimpleNamespace(penstock_sync_endpoint=_away))) as workspace:
        if any(len(endpoint.versions) > 1 for endpoint in workspace.endpoints.list(all=True).items):
            workspace.endpoints.disable("one@1", reason="others say so")


@hookimpl(wrapper=True)
def _away() -> Generator[None, bool, bool]:
    raise TargetUnavailable("the kit says that the target is not reached", retry_after=RETRY)
    yield


def _sound(workspace: Workspace) -> None:
    report = workspace.admin.check()
    hold(12, report.ok, f"the registry is not sound: {'; '.join(report.lines)}")


def _one(play: Play, end: str) -> RunRecord:
    """There is one run, it went forward, and came to this end."""
    with play.scene.open() as workspace:
        same(8, [run.id for run in workspace.runs.list().items], [play.seen[0].id], "the runs of one key")
        run = play.scene.ended(workspace, play.seen[0].id)
        _forward([*play.seen, run])
        same(12, (run.state, run.error and run.error.code), (end, None), "the end of the run")
        _sound(workspace)
    return run


def succeeded(play: Play) -> None:
    """The one run succeeded with its outputs, having run once."""
    run = _one(play, "succeeded")
    same(12, run.outputs, {"which": "a", "args": ["a", "3"]}, "the outputs of the run")
    play.scene.executed({"tell": 1})
    play.scene.handed_over_again(run)


def canceled(play: Play) -> None:
    """The one run is canceled, on the target too."""
    found = play.scene.reported(_one(play, "canceled"))
    same(12, "gone" if isinstance(found, Absent) else found.state, "canceled", "what the target says of it")


def _forward(seen: list[RunRecord]) -> None:
    ranks = [2 if run.state in ENDED else 1 if run.state == "running" else 0 for run in seen]
    states = [run.state for run in seen]
    hold(9, ranks == sorted(ranks), f"a run went back: {states}")
    hold(9, len({run.state for run in seen if run.finished}) <= 1, f"a run ended twice: {states}")


def deleted(play: Play) -> None:
    """It is gone; published again it has another label, the same name on the target, and runs."""
    scene = play.scene
    gone, external = scene.acknowledged()
    with scene.open() as workspace:
        try:
            there = workspace.pipelines.get(gone).id
        except NotFound:
            there = ""
        same(12, there, "", "what was deleted")
        again = publishes(workspace, scene, variant(scene.subject.python, scene.folder.name))
        same(12, (again.record.label, again.record.external), ("2", external), "the label and name of what comes back")
        run = scene.ended(workspace, workspace.runs.submit(again.id).run.id)
        same(12, (run.state, run.outputs.get("which")), ("succeeded", scene.folder.name), "a run of what came back")
        _sound(workspace)


def moved(play: Play) -> None:
    """The endpoint is closed, its default is back, and the target knows all of that."""
    from penstock.registry import Registry

    with play.scene.open() as workspace:
        endpoint = workspace.endpoints.get("one")
        found = (endpoint.default, endpoint.enabled, len(endpoint.versions))
        same(12, found, ("0", False, 2), "the default, whether the endpoint is open, and how many versions it has")
        _sound(workspace)
    with Registry.open(play.scene.file, create=False, read_only=True) as registry:
        state = registry.endpoint_state(endpoint.id, play.scene.subject.target)
    same(12, play.told.last, state, "what the target was last told of the endpoint")


TRIGGER = History(
    calls=triggers,
    meanwhile=_triggered_meanwhile,
    judge=succeeded,
    hooks=("penstock_publish_pipeline", "penstock_submit_run", "penstock_get_run", "penstock_get_outputs"),
)
CANCEL = History(
    calls=cancels,
    meanwhile=_canceled_meanwhile,
    judge=canceled,
    hooks=("penstock_submit_run", "penstock_get_run", "penstock_cancel_run"),
)
READ = History(calls=reads, meanwhile=_read_meanwhile, judge=succeeded, hooks=("penstock_read_logs",))
DELETE = History(calls=deletes, meanwhile=_looked_meanwhile, judge=deleted, hooks=("penstock_retire_pipeline",))
MOVE = History(calls=moves, meanwhile=_closed_meanwhile, judge=moved, hooks=("penstock_sync_endpoint",))
HISTORIES = (TRIGGER, CANCEL, READ, DELETE, MOVE)


@check(8, 9, 12)
def troubled_answers_change_nothing(bench: Bench) -> None:
    """Is one intent one run, with its outputs, when any answer of the target is lost, late, twice or old news?"""
    trouble_each(bench, TRIGGER)


@check(8, 9, 12, needs=("penstock_cancel_run",))
def troubled_answers_to_cancel_change_nothing(bench: Bench) -> None:
    """Does a canceled run end canceled, once, when any answer of the target is lost, late, twice or old news?"""
    trouble_each(bench, CANCEL)


@check(12, needs=("penstock_read_logs",))
def troubled_logs_are_whole(bench: Bench) -> None:
    """Are the logs of a run whole when an answer with a part of them is lost, late or twice?"""
    trouble_each(bench, READ)


@check(12, needs=("penstock_retire_pipeline",))
def troubled_deletes_take_nothing_else(bench: Bench) -> None:
    """Is what was deleted gone, and can it come back, when the target's answer to its end is lost, late or twice?"""
    trouble_each(bench, DELETE)


@check(12, needs=("penstock_sync_endpoint",))
def troubled_targets_are_told_the_rest(bench: Bench) -> None:
    """Does the target know an endpoint's default and gates when any answer to being told is lost, late or twice?"""
    trouble_each(bench, MOVE)


@check(9)
def a_lost_run_fails(bench: Bench) -> str | None:
    """Does a run that its target does not know any more end failed, and stay so?"""
    apart(_loses, Scene.on(bench), timeout=3 * bench.profile.patience)
    return None


def _loses(scene: Scene) -> None:
    scene.subject.ready()
    places = OpenTargets(scene.subject.config)
    answers = Answers(places, Trouble(hook="penstock_get_run", number=0, fault="absent"))
    with scene.open(("answers", answers)) as workspace:
        publishes(workspace, scene, variant(scene.subject.python, "a"), endpoint="one")
        run = workspace.runs.get(_asks(Play(scene=scene), workspace, 0).id)
        same(9, (run.state, run.error and run.error.code), ("failed", "run_lost"), "a run that its target has lost")
    scene.until_reported(run, "succeeded")
    with scene.open() as workspace:
        again = workspace.runs.get(run.id)
        same(9, again, run, "a run that was lost, when its target knows it again")
        hold(9, not isinstance(scene.reported(run), Absent), "the target knows the run again")


CHECKS = (
    a_lost_run_fails,
    troubled_logs_are_whole,
    troubled_deletes_take_nothing_else,
    troubled_targets_are_told_the_rest,
    troubled_answers_change_nothing,
    troubled_answers_to_cancel_change_nothing,
)
