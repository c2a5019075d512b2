"""Laws 8, 9 and 12: a process of ours killed before each of its durable steps, and nothing lost or doubled."""

from __future__ import annotations

from collections.abc import Generator
from types import SimpleNamespace

from attrs import evolve
from laws.interrupted import SLOW, History, around, ended_canceled, sound

from penstock.contract.hooks import hookimpl
from penstock.contract.run import Absent, Submission
from penstock.errors import ConfigInvalid
from penstock.records import RunRecord
from penstock.testing.faults.points import Point, Points
from penstock.testing.faults.scenes import LATER, Scene, publishes
from penstock.testing.harness import executions
from penstock.testing.laws import require, same
from penstock.testing.probes.pipelines import variant
from penstock.workspace import Workspace

KEY = "the intent"


def _first(workspace: Workspace, scene: Scene) -> str:
    found: str = publishes(workspace, scene, variant(scene.subject.python, "a"), endpoint="one").id
    return found


def _asks(workspace: Workspace, scene: Scene, seconds: float = 0) -> str:
    return _run(workspace, scene, seconds).id


def _run(workspace: Workspace, scene: Scene, seconds: float = 0) -> RunRecord:
    given = scene.parameters(seconds=seconds)
    return workspace.runs.submit("one", parameters=given, idempotency_key=KEY).run


def submits(scene: Scene, points: Points) -> None:
    """Submit under a key."""
    with scene.open() as workspace:
        _first(workspace, scene)
    with points.armed(), scene.open(("points", points.plugin)) as workspace:
        _asks(workspace, scene)


def submitted(scene: Scene, point: Point) -> None:
    """The request is repeated under its key: there is one run, and it runs once, to its end."""
    with scene.open() as workspace:
        sound(workspace)
        known = [run.id for run in workspace.runs.list().items]
        require(8, len(known) <= 1, f"one request made {len(known)} runs")
        run_id = _asks(workspace, scene)
        same(8, [run.id for run in workspace.runs.list().items], known or [run_id], "the runs after the repeat")
    scene.catch_up()
    with scene.open() as workspace:
        run = scene.ended(workspace, run_id)
        same(12, (run.state, run.error), ("succeeded", None), "the end of the run")
        same(12, run.outputs, {"which": "a", "args": ["a", "3"]}, "the outputs of the run")
        scene.executed({"tell": 1})
        scene.handed_over_again(run)
        scene.executed({"tell": 1})
        sound(workspace)


def hands_over(scene: Scene, points: Points) -> None:
    """Accept a run while its target cannot be used, and hand it over later."""
    with scene.open() as workspace:
        _first(workspace, scene)
    with scene.open(("away", SimpleNamespace(penstock_submit_run=_misconfigured))) as workspace:
        scene.acknowledge(_asks(workspace, scene))
    with points.armed():
        scene.catch_up(("points", points.plugin), after=LATER)


@hookimpl(wrapper=True)
def _misconfigured() -> Generator[None, Submission, Submission]:
    raise ConfigInvalid("the kit says that the target is not set up yet")
    yield


def handed_over(scene: Scene, point: Point) -> None:
    """As after a submit, and the run is the one that the caller was told; another run has ended since."""
    submitted(scene, point)
    with scene.open() as workspace:
        same(12, [run.id for run in workspace.runs.list().items], scene.acknowledged(), "the runs that were accepted")
        scene.ended(workspace, workspace.runs.submit("one").run.id)
    scene.executed({"tell": 1})


def submitted_then_canceled(scene: Scene, point: Point) -> None:
    """The run is canceled instead: what we say became of it is what became of it."""
    with scene.open() as workspace:
        sound(workspace)
        for run in workspace.runs.list().items:
            workspace.runs.cancel(run.id)
    scene.catch_up()
    with scene.open() as workspace:
        for listed in workspace.runs.list().items:
            run = scene.ended(workspace, listed.id)
            found = scene.reported(run)
            if run.state != "canceled" or not isinstance(found, Absent):
                said = "gone" if isinstance(found, Absent) else found.state
                same(12, said, run.state, "what the target says of a run that we say has ended")
            if run.state == "succeeded":
                scene.executed({"tell": 1})
        sound(workspace)


def cancels(scene: Scene, points: Points) -> None:
    """Cancel a run that is running."""
    with scene.open() as workspace:
        _first(workspace, scene)
        run = _run(workspace, scene, SLOW)
        scene.until_reported(run, "running", "tell")
        scene.acknowledge(run.id)
    with points.armed(), scene.open(("points", points.plugin)) as workspace:
        workspace.runs.cancel(run.id, reason="the kit says so")


def canceled(scene: Scene, point: Point) -> None:
    """The request is repeated: the run ends canceled, on the target too."""
    with scene.open() as workspace:
        sound(workspace)
        [run_id] = scene.acknowledged()
        same(8, _asks(workspace, scene, SLOW), run_id, "the run of the key")
        workspace.runs.cancel(run_id)
    scene.catch_up()
    with scene.open() as workspace:
        ended_canceled(scene, workspace, run_id)
        if scene.marks is not None:
            require(12, executions(scene.marks).get("tell", 0) <= 1, "a canceled step ran again")
        sound(workspace)


def refreshes(scene: Scene, points: Points) -> None:
    """Look at a run that has ended on its target."""
    with scene.open() as workspace:
        _first(workspace, scene)
        run = _run(workspace, scene)
        scene.until_reported(run, "succeeded")
        scene.acknowledge(run.id)
    with points.armed(), scene.open(("points", points.plugin)) as workspace:
        workspace.runs.get(run.id)


def refreshed(scene: Scene, point: Point) -> None:
    """Somebody looks again: the end and the outputs are there, and the history has them once."""
    with scene.open() as workspace:
        sound(workspace)
        [run_id] = scene.acknowledged()
        same(8, _asks(workspace, scene), run_id, "the run of the key")
        run = scene.ended(workspace, run_id)
        same(12, (run.state, run.error), ("succeeded", None), "the end of the run")
        same(12, run.outputs, {"which": "a", "args": ["a", "3"]}, "the outputs of the run")
        told = [entry.action for entry in workspace.admin.history(subject=run_id, runs=True).items]
        same(9, told.count("run_ended"), 1, "how often the history has the end of the run")
        scene.executed({"tell": 1})


def publishes_two(scene: Scene, points: Points) -> None:
    """Publish behind a new endpoint in a new registry, then a second version of it, which becomes the default."""
    with points.armed(), scene.open(("points", points.plugin)) as workspace:
        for default, which in enumerate("ab"):
            pipeline = variant(scene.subject.python, which)
            published = publishes(workspace, scene, pipeline, endpoint="one", default=bool(default))
            with points.aside():
                scene.acknowledge(published.id)


def published_two(scene: Scene, point: Point) -> None:
    """Both are published again: what callers were told is there, nothing is there twice, and it runs."""
    with scene.open() as workspace:
        if scene.file.exists():
            sound(workspace)
            published = workspace.pipelines.list(all=True).items
            behind = [one for endpoint in workspace.endpoints.list(all=True).items for one in endpoint.versions]
            same(12, len(behind), len(published), "of what was published behind an endpoint, how much is behind it")
        before = [workspace.pipelines.get(told).id for told in scene.acknowledged()]
        pipelines = [variant(scene.subject.python, which) for which in "ab"]
        ids = [
            publishes(workspace, scene, pipeline, endpoint="one", default=bool(default)).id
            for default, pipeline in enumerate(pipelines)
        ]
        same(12, ids[: len(before)], before, "what was published before the kill")
        sound(workspace)
        endpoint = workspace.endpoints.get("one")
        versions = [(one.version, one.published) for one in endpoint.versions]
        same(12, versions, [("0", ids[0]), ("1", ids[1])], "the versions after publishing again")
        same(12, endpoint.default, "1", "the default after publishing again")
        same(12, len(workspace.pipelines.list(all=True).items), 2, "the number of published pipelines")
        run = scene.ended(workspace, _asks(workspace, scene))
        same(12, (run.state, run.outputs.get("which")), ("succeeded", "b"), "a run of what was published")


PUBLISHED = around("penstock_publish_pipeline")
ACCEPTED = (": insert runs", "commit")
HANDED_OVER = (*around("penstock_submit_run"), ": update runs")

SUBMIT = History(calls=submits, judge=submitted, points=(*ACCEPTED, *HANDED_OVER), alone=True)
HAND_OVER = History(calls=hands_over, judge=handed_over, points=HANDED_OVER)
SUBMIT_AND_CANCEL = evolve(SUBMIT, judge=submitted_then_canceled, alone=False)
CANCEL = History(
    calls=cancels,
    judge=canceled,
    points=("commit", *around("penstock_cancel_run"), "commit", *around("penstock_get_run")),
)
REFRESH = History(
    calls=refreshes,
    judge=refreshed,
    points=(*around("penstock_get_run"), *around("penstock_get_outputs"), ": update runs"),
)
PUBLISH = History(
    calls=publishes_two,
    judge=published_two,
    points=(*PUBLISHED, "insert published", *PUBLISHED, "insert published"),
    made=False,
)
