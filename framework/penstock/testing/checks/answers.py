"""Laws 8, 9 and 12: every answer of the target lost, late, twice or stale, one at a time."""

from __future__ import annotations

from penstock.contract.run import ENDED, Absent
from penstock.errors import NotFound
from penstock.records import RunRecord
from penstock.testing.checking import check
from penstock.testing.faults.scenes import publishes
from penstock.testing.faults.troubles import History, Recording, again, trouble_each
from penstock.testing.harness import Harness
from penstock.testing.laws import require, same
from penstock.testing.probes.pipelines import variant
from penstock.workspace import Workspace

KEY = "the intent"
SECONDS = 0.2
"""How long a step sleeps that is looked at while it runs."""
SLOW = 600.0
"""Seconds that a step sleeps which is canceled."""


def _first(recording: Recording, workspace: Workspace) -> None:
    again(lambda: publishes(workspace, recording.scene, variant(recording.scene.subject.python, "a"), endpoint="one"))


def _asks(recording: Recording, workspace: Workspace, seconds: float) -> RunRecord:
    given = recording.scene.parameters(seconds=seconds)
    return workspace.runs.submit("one", parameters=given, idempotency_key=KEY).run


def triggers(recording: Recording, workspace: Workspace) -> None:
    """Publish behind an endpoint, submit under a key, look while it runs, and look at the end."""
    scene, seen, seconds = recording.scene, recording.seen, SECONDS * recording.slower
    _first(recording, workspace)
    run = _asks(recording, workspace, seconds)
    seen.append(run)
    if run.external is not None:
        scene.until_reported(run, "running", "tell")
    seen.append(workspace.runs.get(run.id))
    if seen[-1].external is not None and not seen[-1].finished:
        scene.until_reported(run, "succeeded")
    seen.extend(workspace.runs.get(run.id) for _ in range(2))
    seen.append(_asks(recording, workspace, seconds))


def cancels(recording: Recording, workspace: Workspace) -> None:
    """Submit under a key, and cancel while it runs."""
    _first(recording, workspace)
    run = _asks(recording, workspace, SLOW)
    recording.seen.append(run)
    recording.scene.until_reported(run, "running", "tell")
    recording.seen.append(workspace.runs.cancel(run.id).run)
    recording.seen.append(workspace.runs.get(run.id))
    recording.seen.append(_asks(recording, workspace, SLOW))


def reads(recording: Recording, workspace: Workspace) -> None:
    """Read the logs of a run that has ended."""
    _first(recording, workspace)
    run = _asks(recording, workspace, 0)
    recording.scene.until_reported(run, "succeeded")
    recording.seen.append(workspace.runs.get(run.id))
    logs = again(lambda: b"".join(part.data for part in workspace.runs.logs(run.id)))
    same(12, logs, b"I am a\n", "the log of a run that has ended")


def deletes(recording: Recording, workspace: Workspace) -> None:
    """Publish what nobody else does, and delete it."""
    published = publishes(
        workspace, recording.scene, variant(recording.scene.subject.python, recording.scene.folder.name)
    )
    recording.scene.acknowledge(published.id)
    recording.scene.acknowledge(published.record.external)
    workspace.pipelines.delete(published.id)
    recording.until_retired(workspace)


def _repeats(recording: Recording, seconds: float) -> None:
    """Others repeat the request, do what is due, and see the end."""
    with recording.scene.open() as workspace:
        known = workspace.runs.list().items
        if known:
            same(8, _asks(recording, workspace, seconds).id, known[0].id, "the run of the key, asked by somebody else")
        recording.scene.catch_up()
        if known and (seconds != SLOW or known[0].cancel_requested):
            recording.seen.append(recording.scene.ended(workspace, known[0].id))


def _triggered_meanwhile(recording: Recording) -> None:
    _repeats(recording, SECONDS * recording.slower)


def _canceled_meanwhile(recording: Recording) -> None:
    _repeats(recording, SLOW)


def _read_meanwhile(recording: Recording) -> None:
    _repeats(recording, 0)


def _looked_meanwhile(recording: Recording) -> None:
    with recording.scene.open() as workspace:
        same(12, workspace.pipelines.list(all=True).items, (), "what is published while its end waits for an answer")


def _sound(workspace: Workspace) -> None:
    report = workspace.admin.check()
    require(12, report.ok, f"the registry is not sound: {'; '.join(report.lines)}")


def _one(recording: Recording, end: str) -> RunRecord:
    """There is one run, it went forward, and came to this end."""
    with recording.scene.open() as workspace:
        same(8, [run.id for run in workspace.runs.list().items], [recording.seen[0].id], "the runs of one key")
        run = recording.scene.ended(workspace, recording.seen[0].id)
        _forward([*recording.seen, run])
        same(12, (run.state, run.error and run.error.code), (end, None), "the end of the run")
        _sound(workspace)
    return run


def succeeded(recording: Recording) -> None:
    """The one run succeeded with its outputs, having run once."""
    run = _one(recording, "succeeded")
    same(12, run.outputs, {"which": "a", "args": ["a", "3"]}, "the outputs of the run")
    recording.scene.executed({"tell": 1})
    recording.scene.handed_over_again(run)


def canceled(recording: Recording) -> None:
    """The one run is canceled, on the target too."""
    found = recording.scene.reported(_one(recording, "canceled"))
    same(12, "gone" if isinstance(found, Absent) else found.state, "canceled", "what the target says of it")


def _forward(seen: list[RunRecord]) -> None:
    ranks = [2 if run.state in ENDED else 1 if run.state == "running" else 0 for run in seen]
    states = [run.state for run in seen]
    require(9, ranks == sorted(ranks), f"a run went back: {states}")
    require(9, len({run.state for run in seen if run.finished}) <= 1, f"a run ended twice: {states}")


def deleted(recording: Recording) -> None:
    """It is gone; published again it has another label, the same name on the target, and runs."""
    scene = recording.scene
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
HISTORIES = (TRIGGER, CANCEL, READ, DELETE)


@check(8, 9, 12)
def troubled_answers_change_nothing(harness: Harness) -> None:
    """Is one intent one run, with its outputs, when any answer of the target is lost, late, twice or old news?"""
    trouble_each(harness, TRIGGER)


@check(8, 9, 12, needs=("penstock_cancel_run",))
def troubled_answers_to_cancel_change_nothing(harness: Harness) -> None:
    """Does a canceled run end canceled, once, when any answer of the target is lost, late, twice or old news?"""
    trouble_each(harness, CANCEL)


@check(12, needs=("penstock_read_logs",))
def troubled_logs_are_whole(harness: Harness) -> None:
    """Are the logs of a run whole when an answer with a part of them is lost, late or twice?"""
    trouble_each(harness, READ)


@check(12, needs=("penstock_retire_pipeline",))
def troubled_deletes_take_nothing_else(harness: Harness) -> None:
    """Is what was deleted gone, and can it come back, when the target's answer to its end is lost, late or twice?"""
    trouble_each(harness, DELETE)


CHECKS = (
    troubled_logs_are_whole,
    troubled_deletes_take_nothing_else,
    troubled_answers_change_nothing,
    troubled_answers_to_cancel_change_nothing,
)
