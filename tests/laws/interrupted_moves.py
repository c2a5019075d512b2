"""Laws 3, 5 and 12: a process of ours killed before each durable step of moving a default or closing a gate."""

from __future__ import annotations

from collections.abc import Generator

from laws.interrupted import SLOW, History, around, ended_canceled, sound

from penstock.contract.hooks import hookimpl
from penstock.contract.target import EndpointState
from penstock.errors import GateClosed
from penstock.testing.faults.points import Point, Points
from penstock.testing.faults.scenes import Scene, publishes
from penstock.testing.faults.troubles import Told
from penstock.testing.laws import require, same
from penstock.testing.probes.pipelines import variant


class _Noted:
    """A plugin that notes in the scene which revision of an endpoint has reached the target."""

    def __init__(self, scene: Scene, points: Points) -> None:
        self._scene = scene
        self._points = points

    @hookimpl(wrapper=True)
    def penstock_sync_endpoint(self, endpoint: EndpointState) -> Generator[None, bool, bool]:
        """Note it before anybody hears of the answer."""
        answer = yield
        with self._points.aside():
            self._scene.acknowledge(str(endpoint.revision))
        return answer


def closes(scene: Scene, points: Points) -> None:
    """Close an endpoint and cancel its run, which is running."""
    with scene.open() as workspace:
        publishes(workspace, scene, variant(scene.subject.python, "a"), endpoint="one")
        run = workspace.runs.submit("one", parameters=scene.parameters(seconds=SLOW)).run
        scene.until_reported(run, "running", "tell")
        scene.acknowledge(run.id)
    with points.armed(), scene.open(("points", points.plugin)) as workspace:
        workspace.endpoints.disable("one", reason="the kit says so", cancel_runs=True)


def closed(scene: Scene, point: Point) -> None:
    """If the gate is closed the run was asked to end; when the request is repeated both are so, on the target too."""
    [run_id] = scene.acknowledged()
    scene.catch_up()
    with scene.open() as workspace:
        sound(workspace)
        if not workspace.endpoints.get("one").enabled:
            same(12, scene.ended(workspace, run_id).state, "canceled", "the run that was canceled with the gate")
        workspace.endpoints.disable("one", reason="the kit says so", cancel_runs=True)
    scene.catch_up()
    with scene.open() as workspace:
        ended_canceled(scene, workspace, run_id)
        try:
            more = workspace.runs.submit("one", parameters=scene.parameters()).run.id
        except GateClosed:
            more = None
        same(5, more, None, "the run that a closed endpoint let through")
        same(12, [one.id for one in workspace.runs.list().items], [run_id], "the runs that there are")
        sound(workspace)


def moves(scene: Scene, points: Points) -> None:
    """Move the default of an endpoint, and roll back."""
    with scene.open() as workspace:
        for which in "ab":
            publishes(workspace, scene, variant(scene.subject.python, which), endpoint="one")
    with points.armed(), scene.open(("points", points.plugin), ("noted", _Noted(scene, points))) as workspace:
        workspace.endpoints.set_default("one", "1")
        workspace.endpoints.rollback("one")


def moved(scene: Scene, point: Point) -> None:
    """Pointer and history agree, and the target knows the newest state, or hears of it; then both can be repeated."""
    told = Told()
    with scene.open(("told", told)) as workspace:
        sound(workspace)
        endpoint = workspace.endpoints.get("one")
        entries = workspace.endpoints.history("one").items
        last = next((entry.to for entry in entries if entry.action.startswith("default_")), "0")
        same(3, endpoint.default, last, "the default, as the history has its last move,")
    scene.catch_up(("told", told))
    _known(scene, told, endpoint.id)
    with scene.open(("told", told)) as workspace:
        workspace.endpoints.set_default("one", "1")
        same(3, workspace.endpoints.rollback("one").endpoint.default, "0", "the default after rolling back")
        sound(workspace)
    scene.catch_up(("told", told))
    _known(scene, told, endpoint.id)


def _known(scene: Scene, told: Told, endpoint: str) -> None:
    from penstock.registry import Registry

    with Registry.open(scene.file, create=False, read_only=True) as registry:
        state = registry.outbox.endpoint_state(endpoint, scene.subject.target)
    if told.last is not None:
        same(12, told.last, state, "what the target was told of the endpoint")
    else:
        known = scene.acknowledged()
        require(12, not known or known[-1] == str(state.revision), "the target was never told of the last change")


SYNCED = around("penstock_sync_endpoint")
CLOSE = History(
    calls=closes,
    judge=closed,
    points=(": update endpoints", *around("penstock_cancel_run"), "commit"),
)
MOVE = History(calls=moves, judge=moved, points=("commit", *SYNCED, "commit", "commit", *SYNCED, "commit"))
