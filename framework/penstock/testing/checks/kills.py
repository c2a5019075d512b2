"""Law 12: the target's own processes killed in the middle of runs, and whoever waits for a run."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from signal import SIGKILL

from attrs import frozen

from penstock.contract.run import ENDED, Absent
from penstock.errors import PenstockError
from penstock.records import RunRecord
from penstock.spec import Defaults, Parameter, Pipeline, Step
from penstock.testing.checking import check
from penstock.testing.faults.scenes import PAUSE, Scene, publishes
from penstock.testing.harness import Harness, executions
from penstock.testing.laws import LawBroken, Untested, require, same
from penstock.testing.probes.pipelines import probe, variant
from penstock.testing.processes.killing import kill_naming, naming
from penstock.testing.processes.subprocesses import Died, Subprocess, in_subprocess, threads

AT_ONCE = 3
"""How many histories go on at the same time: they sleep for the most part."""
STEPS = ("s0", "s1", "s2")
_LONG = 1.0
"""Seconds that a step sleeps in which something is killed: on a busy machine it is to be there still by then."""


@frozen(kw_only=True)
class Moment:
    """When the target's processes are killed: once a step has come to a state, or right after the submit.

    With `orphans` the processes of steps are left alive. With `only` one process alone is killed, and no step's: the
    one that comes at this place when they are counted from 0.
    """

    step: str | None = None
    state: str = ""
    orphans: bool = False
    only: int | None = None

    def __str__(self) -> str:
        when = "right after the submit" if self.step is None else f"when step {self.step} was {self.state}"
        if self.only is not None:
            return f"{when}, one of them alone"
        return when + (", but for the steps' own" if self.orphans else "")


MOMENTS = (
    Moment(),
    Moment(step="s0", state="running"),
    Moment(step="s0", state="running", orphans=True),
    Moment(step="s0", state="succeeded"),
    Moment(step="s2", state="running"),
    Moment(step="s2", state="running", orphans=True),
    Moment(step="s1", state="running", only=0),
    Moment(step="s1", state="running", only=1),
)
"""Before, during and between the steps of a chain, and one process at a time."""


def slow_chain(python: str, longest: str | None = None) -> Pipeline:
    """Steps `s0`, `s1`, `s2` in a row that mark themselves in the folder `marks`, and in the folder `alone` when they
    run twice at once, and then sleep for the number of `seconds`, but the `longest` for `_LONG`.
    """
    steps = {
        name: Step(
            command=probe(
                python,
                *("mark", "${{ parameters.marks }}", name, "alone", "${{ parameters.alone }}", name),
                *("say", name, "sleep", str(_LONG) if name == longest else "${{ parameters.seconds }}"),
                *("put", "${{ outputs.name }}", name),
            ),
            outputs={"name": "string"},
            after=STEPS[number - 1 : number] if number else (),
        )
        for number, name in enumerate(STEPS)
    }
    return Pipeline(
        name="slow chain",
        parameters={name: Parameter("string", default="") for name in ("marks", "alone")}
        | {"seconds": Parameter("number", default=0.3, minimum=0)},
        defaults=Defaults(code="./src"),
        steps=steps,
        outputs={name: f"${{{{ steps.{name}.outputs.name }}}}" for name in STEPS},
    )


@check(12)
def killed_targets_go_on(harness: Harness) -> str | None:
    """Is a run resumed or reported, and no step of it doubled, when processes of its target are killed, all or one?"""
    harness.new_registry()  # the first one is not made twice at once
    with threads(AT_ONCE) as pool:
        found = list(pool.map(partial(_alone, harness, _survives), MOMENTS))
    if not any(found):
        return _none_found(harness)
    harness.tell(f"{sum(found)} of its processes killed at {sum(map(bool, found))} moments")
    return None


@check(12, needs=("penstock_cancel_run",))
def a_cancel_outlives_the_target(harness: Harness) -> str | None:
    """Does a run end canceled that was asked to, when every process of its target is killed before it has ended?"""
    return None if _alone(harness, _canceled_and_killed) else _none_found(harness)


def _none_found(harness: Harness) -> str:
    """What is said where nothing could be killed. Raises Untested when the target runs on this machine all the same."""
    why = "the target has no processes on this machine that could be killed"
    if harness.counting() is not None:
        raise Untested(f"{why} were found, although its steps run here")
    return why


def _alone(harness: Harness, killing: Callable[..., int], *more: object) -> int:
    """Kill in a process of its own, on a scene with a home of its own; answers how many processes were killed."""
    scene = Scene.on(harness, alone=True)
    try:
        return in_subprocess(killing, scene, *more, timeout=3 * scene.patience)
    finally:
        kill_naming(scene.folder)


def _canceled_and_killed(scene: Scene) -> int:
    """Kill while a step goes on that will not end because it is asked to."""
    words = ("deaf", "${{ parameters.marks }}", "sleep", "20")
    pipeline = Pipeline(
        name="deaf",
        parameters={"marks": Parameter("string", default="")},
        defaults=Defaults(code="./src"),
        steps={"deaf": Step(command=probe(scene.subject.python, *words))},
    )
    with scene.open() as workspace:
        run = workspace.runs.submit(publishes(workspace, scene, pipeline).id, parameters=scene.parameters()).run
        scene.until_reported(run, "running", "deaf")
        _until_marked(scene, "deaf")
        workspace.runs.cancel(run.id)
        killed = kill_naming(scene.folder)
    with scene.open() as workspace:
        ended = scene.ended(workspace, run.id)
        same(12, ended.state, "canceled", "a run that was asked to end before its target's processes were killed")
    _nothing_left(scene)
    return killed


def _survives(scene: Scene, moment: Moment) -> int:
    """Kill at one moment; answers how many processes were killed."""
    alone = scene.folder / "alone"
    alone.mkdir()
    killed_in = moment.step if moment.state == "running" else None
    try:
        with scene.open() as workspace:
            published = publishes(workspace, scene, slow_chain(scene.subject.python, killed_in))
            given = scene.parameters(alone=str(alone) if scene.marks else "")
            run = workspace.runs.submit(published.id, parameters=given).run
            if moment.step is not None:
                scene.until_reported(run, moment.state, moment.step)
            if killed_in is not None:
                _until_marked(scene, killed_in)
            before, hooks, ref = _succeeded(scene, run), scene.hooks, scene.ref(run)
            killed, lives = _kill(scene, moment)
            with suppress(PenstockError):  # whoever looks at once finds nobody there yet who goes on
                hooks.get_run(ref)
        with scene.open() as workspace:
            after = scene.ended(workspace, run.id)
            _judge(scene, after, before, lives)
            for name in before if scene.hooks.has("penstock_read_logs") else ():
                log = b"".join(part.data for part in workspace.runs.logs(run.id, step=name))
                same(12, log, name.encode(), f"the log of {name}, which had succeeded")
        _nothing_left(scene)
    except LawBroken as error:
        raise LawBroken(error.law, f"the target's processes killed {moment}: {error.message}") from None
    return killed


def _until_marked(scene: Scene, step: str) -> None:
    """Wait until a step that is said to run really does: its process may be on its way, and is no step's until then."""
    deadline = time.monotonic() + scene.patience
    while scene.marks is not None and step not in executions(scene.marks) and time.monotonic() < deadline:
        time.sleep(PAUSE)


def _kill(scene: Scene, moment: Moment) -> tuple[int, bool]:
    """Kill at one moment; answers how many processes were killed, and whether a step outlived one that was alone."""
    alone = moment.only is not None
    steps = set(naming(scene.marks)) if (moment.orphans or alone) and scene.marks else set()
    if moment.only is None:
        return kill_naming(scene.folder, spare=steps.__contains__), False
    seen = set(naming(scene.folder)) - steps
    time.sleep(10 * PAUSE)
    others = [pid for pid in naming(scene.folder) if pid in seen]  # what is gone in a moment has no place
    if len(others) <= moment.only:
        return 0, False
    killed = kill_naming(scene.folder, spare=others[moment.only].__ne__)
    return killed, scene.marks is not None and not steps.isdisjoint(naming(scene.marks))


def _succeeded(scene: Scene, run: RunRecord) -> set[str]:
    """The steps that the target says have succeeded."""
    report = scene.reported(run)
    return set() if isinstance(report, Absent) else {step.name for step in report.steps if step.state == "succeeded"}


def _judge(scene: Scene, run: RunRecord, before: set[str], lives: bool) -> None:
    require(
        12, run.state == "succeeded" or (run.state == "failed" and run.error), f"it is {run.state} without a reason"
    )
    states = {step.name: step.state for step in run.steps}
    if run.state == "succeeded":
        same(12, run.outputs, {name: name for name in STEPS}, "the outputs of the run")
    for name in before:
        same(12, states.get(name), "succeeded", f"what became of {name}, which had succeeded")
    if scene.marks is None:
        return
    ran = executions(scene.marks)
    for name in STEPS:
        times = ran.get(name, 0)
        if name in before:
            same(12, times, 1, f"how often {name} ran, which had succeeded")
        require(12, times <= 2, f"{name} was cut short once and ran {times} times")
        require(12, times <= 1 or not lives, f"{name} ran {times} times, although the steps outlived what was killed")
        require(12, times >= 1 or states.get(name) != "succeeded", f"{name} is said to have succeeded and never ran")
    twice = [file.name for file in (scene.folder / "alone").iterdir() if file.suffix != ".lock"]
    require(12, not twice, f"ran twice at once: {twice}")


def _nothing_left(scene: Scene) -> None:
    """No process of a step outlives its run."""
    deadline = time.monotonic() + scene.patience
    while scene.marks is not None and naming(scene.marks):
        require(12, time.monotonic() < deadline, "processes of steps are left after the end of their run")
        time.sleep(PAUSE)


@check(8, 12)
def runs_need_nobody_to_wait(harness: Harness) -> str | None:
    """Do runs go on, once, when whoever waits for them is killed, and when everybody has left?"""
    for seconds in (0.3, 1.0, 4.0):
        if _left_alone(harness, seconds):
            return None
    raise Untested("nobody could be killed while waiting: the runs had ended before anybody looked")


def _left_alone(harness: Harness, seconds: float) -> bool:
    """Kill whoever waits for a run of so many seconds; answers whether that was before the run had ended."""
    scene = Scene.on(harness)
    with scene.open() as workspace:
        published = publishes(workspace, scene, variant(scene.subject.python, "a"))
        run = workspace.runs.submit(published.id, parameters=scene.parameters(seconds=seconds)).run
    waiting: Subprocess[RunRecord] = Subprocess(_wait, scene, run.id)
    deadline = time.monotonic() + scene.patience
    while not scene.acknowledged() and waiting.process.is_alive() and time.monotonic() < deadline:
        time.sleep(PAUSE)
    waiting.process.kill()
    try:
        waiting.result(scene.patience)
    except Died as death:
        same(12, death.signal, SIGKILL, "what ended the process that waits")
    in_time = not set(scene.acknowledged()) & ENDED
    with scene.open() as workspace:
        after = scene.ended(workspace, run.id)
        same(12, after.state, "succeeded", "the end of a run whose waiting process was killed")
        report = workspace.admin.check()
        require(12, report.ok, f"the registry is not sound: {'; '.join(report.lines)}")
    scene.executed({"tell": 1})
    return in_time


def _wait(scene: Scene, run: str) -> RunRecord:
    with scene.open() as workspace:
        return workspace.runs.wait(run, timeout=scene.patience, watch=lambda record: scene.acknowledge(record.state))


CHECKS = (runs_need_nobody_to_wait, a_cancel_outlives_the_target, killed_targets_go_on)
