"""A history of calls, played once for every trouble that an answer in it can have, and judged each time."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Generator
from itertools import count
from typing import TypeVar

from attrs import Factory, define, frozen

from penstock.contract.hooks import hookimpl
from penstock.contract.target import EndpointState
from penstock.errors import PenstockError, TargetUnavailable
from penstock.records import RunRecord
from penstock.testing.faults.answers import FAULTS, Answers, Fault, Trouble
from penstock.testing.faults.scenes import LATER, PAUSE, Scene
from penstock.testing.harness import Harness
from penstock.testing.laws import LawBroken, Untested, require
from penstock.testing.processes.subprocesses import in_subprocess, threads
from penstock.workspace import Workspace

T = TypeVar("T")

FEW = 5
"""Of so many answers one may be missed: what a target has done by then depends on its pace."""

AT_ONCE = 3
"""How many histories go on at the same time: they sleep for a part."""
TRIES = 3
"""How often a caller repeats a request that did not reach the target, and how often a trouble is sought."""


class Told:
    """A plugin that keeps what the target was last told of an endpoint."""

    def __init__(self) -> None:
        self.last: EndpointState | None = None

    @hookimpl(wrapper=True)
    def penstock_sync_endpoint(self, endpoint: EndpointState) -> Generator[None, bool, bool]:
        """Keep what has arrived."""
        answer = yield
        self.last = endpoint
        return answer


@define(kw_only=True)
class Recording:
    """One playing of a history. `slower` multiplies the seconds for which a step is to be seen running.

    `seen` is what callers were told of runs, in order; `told` is what the target was told of endpoints. `plugins` are
    those of the workspace in which it is played; `wrong` is what was found wrong while an answer was late.
    """

    scene: Scene
    slower: float = 1.0
    seen: list[RunRecord] = Factory(list)
    told: Told = Factory(Told)
    plugins: tuple[tuple[str, object], ...] = ()
    wrong: list[Exception] = Factory(list)

    def until_retired(self, workspace: Workspace) -> None:
        """Let commands come until the target has forgotten what it should, however slow all is and whoever publishes.

        Raises LawBroken when that is never done.
        """
        deadline = time.monotonic() + self.scene.patience
        for number in count(1):
            if self.wrong or not workspace.admin.status().pending_retires:
                return
            require(12, time.monotonic() < deadline, "what a target is owed to forget is never done")
            time.sleep(PAUSE)
            self.scene.catch_up(*self.plugins, after=number * LATER)


@frozen(kw_only=True)
class History:
    """`calls` are made, the answers of `hooks` being troubled; `meanwhile` is done by others while one is late, and
    `judge` looks at what came of it. Each of the hooks that the backend offers is called at least once.
    """

    calls: Callable[[Recording, Workspace], None]
    meanwhile: Callable[[Recording], None]
    judge: Callable[[Recording], None]
    hooks: tuple[str, ...]


def again(call: Callable[[], T]) -> T:
    """Repeat a call as a caller does whom the target did not answer."""
    for _ in range(TRIES - 1):
        try:
            return call()
        except TargetUnavailable:
            pass
    return call()


def trouble_each(harness: Harness, history: History) -> None:
    """Recording a history with every fault in every answer. Raises LawBroken, and Untested of what was missed."""
    harness.new_registry()  # the first one is not made twice at once

    def play(trouble: Trouble | None, slower: float = 1.0) -> tuple[Counter[str], bool]:
        scene = Scene.on(harness)
        try:
            return in_subprocess(plays, history, scene, trouble, slower, timeout=3 * scene.patience)
        except BaseException:
            scene.clear()
            raise

    calls = play(None)[0] | play(None)[0]
    hooks = [hook for hook in history.hooks if harness.has(hook)]
    deaf = [hook for hook in hooks if not calls[hook]]
    if deaf:
        raise Untested(f"no answer was there to be troubled: {', '.join(f'`{hook}`' for hook in deaf)}")
    troubles = [
        Trouble(hook=hook, number=number, fault=fault)
        for hook in hooks
        for number in range(calls[hook])
        for fault in FAULTS
        if _possible(hook, number, fault)
    ]
    missed = troubles
    for attempt in range(TRIES):
        with threads(AT_ONCE) as pool:
            waiting = [pool.submit(play, trouble, 4.0**attempt) for trouble in missed]
            missed = [trouble for trouble, one in zip(missed, waiting, strict=True) if not one.result()[1]]
    harness.tell(f"troubled {len(troubles) - len(missed)} of {len(troubles)} answers")
    if not missed:
        return
    names = ", ".join(map(str, missed))
    # Each try came to the history's end instead, and was judged there.
    harness.tell(f"not met again, as they depend on the target's pace: {names}")
    met = {trouble.hook for trouble in troubles if trouble not in missed}
    if FEW * len(missed) > len(troubles) or not met.issuperset(hooks):
        raise Untested(f"{len(missed)} of {len(troubles)} answers could not be troubled: {names}")


def plays(history: History, scene: Scene, trouble: Trouble | None, slower: float) -> tuple[Counter[str], bool]:
    """Play once, and judge. Answers how often each hook was called, and if the trouble came."""
    scene.subject.ready()
    recording = Recording(scene=scene, slower=slower)

    def meanwhile() -> None:
        try:
            history.meanwhile(recording)
        except Exception as error:
            recording.wrong.append(error)  # raised here it would be taken for a fault of the backend's

    answers = Answers(scene.subject.config, trouble, meanwhile)
    recording.plugins = (("answers", answers), ("told", recording.told))
    try:
        with scene.open(*recording.plugins) as workspace:
            history.calls(recording, workspace)
        for error in recording.wrong:
            raise error
        require(8, not answers.differing, f"the same request twice is answered differently: {answers.differing}")
        scene.catch_up(("told", recording.told))
        history.judge(recording)
    except LawBroken as error:
        raise LawBroken(error.law, f"{trouble or 'no trouble'}: {error.message}") from None
    except PenstockError as error:
        raise LawBroken(12, f"{trouble or 'no trouble'}: `{error.code}`: {error.message}") from None
    return answers.calls, answers.met


def _possible(hook: str, number: int, fault: Fault) -> bool:
    if fault == "stale":
        return hook == "penstock_get_run" and number > 0
    return fault != "absent"
