"""A history of calls, killed at each of its points, and judged each time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from attrs import evolve, frozen

from penstock.contract.run import Absent
from penstock.testing.faults.points import Point, Points, kill_at_each, points_of
from penstock.testing.faults.scenes import Scene
from penstock.testing.harness import Harness
from penstock.testing.laws import Untested, require, same
from penstock.testing.processes.killing import kill_naming
from penstock.workspace import Workspace

END = Point("its end")
"""The moment after everything: a history that is told to stop there is not killed."""
TRIES = 4
"""How often a point is sought that the history does not come by every time."""
SLOW = 600.0
"""Seconds that a step sleeps which is canceled."""
FEW = 5
"""Of so many points one may be missed: what a target has done by then depends on its pace."""


@frozen(kw_only=True)
class History:
    """`calls` are made and interrupted, `judge` looks at what is left. `alone` and `made` are as in `Scene.on`.

    `points` are parts of the names of points that it comes by on any target, in this order.
    """

    calls: Callable[[Scene, Points], None]
    judge: Callable[[Scene, Point], None]
    points: tuple[str, ...]
    alone: bool = False
    made: bool = True

    def scene(self, harness: Harness) -> Scene:
        """A new scene for it, with code of its own where the publishing itself is looked at."""
        scene = Scene.on(harness, alone=self.alone, made=self.made)
        return scene if self.made else scene.with_own_code()


def around(hook: str) -> tuple[str, str]:
    """The points at which a hook is called, and has answered."""
    return f"call of {hook}", f"answer of {hook}"


def interrupt_each(harness: Harness, history: History) -> None:
    """Kill the history at each of its points, and let it come to its end once.

    Raises LawBroken, and Untested when it did not come by the points that must be there, or was not killed at them or
    at nearly all of the others that were found.
    """
    harness.new_registry()  # the first one is not made twice at once
    scenes: list[Scene] = []

    def scene(alone: bool) -> Scene:
        scenes.append(evolve(history, alone=history.alone or alone).scene(harness))
        return scenes[-1]

    try:
        timeout = 3 * harness.profile.patience
        passes = [points_of(history.calls, scene(False), timeout=timeout, inside=False) for _ in range(2)]
        for one in passes:
            _comes_by(one, history.points)
        points = list(dict.fromkeys(point for one in passes for point in one))
        missed = [*points, END]
        for attempt in range(TRIES):
            # What a target on this machine does but once, it does again in a home of its own.
            new = partial(scene, attempt > 0)
            died = kill_at_each(missed, history.calls, history.judge, new, timeout=timeout, inside=False)
            missed = [point for point in missed if point not in died and point != END]
    except BaseException:
        for used in scenes:
            used.clear()
        raise
    for used in scenes:
        if used.subject.config.home != harness.subject.config.home:
            kill_naming(used.folder)
    harness.tell(f"killed at {len(points) - len(missed)} of {len(points)} points")
    if not missed:
        return
    names = ", ".join(f"`{point}`" for point in missed)
    # Each try came to the history's end instead, and was judged there.
    harness.tell(f"not met again, as they depend on the target's pace: {names}")
    telling = [name for name in history.points if name != "commit"]
    needed = [point for point in missed if any(name in str(point) for name in telling)]
    if needed or FEW * len(missed) > len(points):
        raise Untested(f"{len(missed)} of {len(points)} points were not reached: {names}")


def _comes_by(points: list[Point], names: tuple[str, ...]) -> None:
    rest = iter(points)
    for name in names:
        if not any(name in str(point) for point in rest):
            raise Untested(f"the moment before `{name}` was not seen, so nothing can be interrupted there")


def sound(workspace: Workspace) -> None:
    """The registry holds together. Raises LawBroken."""
    report = workspace.admin.check()
    require(12, report.ok, f"the registry is not sound: {'; '.join(report.lines)}")


def ended_canceled(scene: Scene, workspace: Workspace, run_id: str) -> None:
    """The run ends canceled, on the target too. Raises LawBroken."""
    run = scene.ended(workspace, run_id)
    same(12, run.state, "canceled", "the end of a canceled run")
    found = scene.reported(run)
    same(12, "gone" if isinstance(found, Absent) else found.state, "canceled", "what the target says of it")
