"""A history of moves, in which the target is told of an endpoint while its answers are troubled."""

from __future__ import annotations

from collections.abc import Generator
from types import SimpleNamespace

from penstock.contract.hooks import hookimpl
from penstock.errors import TargetUnavailable
from penstock.testing.faults.answers import RETRY
from penstock.testing.faults.scenes import publishes
from penstock.testing.faults.troubles import History, Recording
from penstock.testing.laws import require, same
from penstock.testing.opened import endpoint_state
from penstock.testing.probes.pipelines import variant
from penstock.workspace import Workspace


def moves(recording: Recording, workspace: Workspace) -> None:
    """Publish two versions behind an endpoint, the second as default; close the endpoint, and roll back."""
    for default, which in enumerate("ab"):
        pipeline = variant(recording.scene.subject.python, which)
        publishes(workspace, recording.scene, pipeline, endpoint="one", default=bool(default))
    workspace.endpoints.disable("one", reason="the kit says so")
    workspace.endpoints.rollback("one")


def _closed_meanwhile(recording: Recording) -> None:
    """Others close a version, and cannot tell the target: it must not count as told with what was told before."""
    with recording.scene.open(("away", SimpleNamespace(penstock_sync_endpoint=_away))) as workspace:
        if any(len(endpoint.versions) > 1 for endpoint in workspace.endpoints.list(all=True).items):
            workspace.endpoints.disable("one@1", reason="others say so")


@hookimpl(wrapper=True)
def _away() -> Generator[None, bool, bool]:
    raise TargetUnavailable("the kit says that the target is not reached", retry_after=RETRY)
    yield


def moved(recording: Recording) -> None:
    """The endpoint is closed, its default is back, and the target knows all of that."""
    with recording.scene.open() as workspace:
        endpoint = workspace.endpoints.get("one")
        found = (endpoint.default, endpoint.enabled, len(endpoint.versions))
        same(12, found, ("0", False, 2), "the default, whether the endpoint is open, and how many versions it has")
        _sound(workspace)
    state = endpoint_state(recording.scene.file, endpoint.id, recording.scene.subject.target)
    same(12, recording.told.last, state, "what the target was last told of the endpoint")


def _sound(workspace: Workspace) -> None:
    report = workspace.admin.check()
    require(12, report.ok, f"the registry is not sound: {'; '.join(report.lines)}")


MOVE = History(calls=moves, meanwhile=_closed_meanwhile, judge=moved, hooks=("penstock_sync_endpoint",))
