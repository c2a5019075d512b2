"""Whose turn it is: takes jobs from the queue, hands out slots, and writes down what becomes of every step.

A step's token is on record before its process exists, and its end is on record before another takes its slot.
Longer than 300 lines, because every way of a step from waiting to its end is to be read in one piece.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from penstock_local import binding, database, failures, logs, moving, queue, recovery, steps
from penstock_local.attempts import Attempts
from penstock_local.clock import Clock
from penstock_local.events import Ended, Failed, Started
from penstock_local.intake import Intake, TakenIn
from penstock_local.jobs import Job, Step
from penstock_local.keepers import NoKeeper
from penstock_local.layout import Layout
from penstock_local.lending import Lending
from penstock_local.memory import Memory
from penstock_local.notes import Notes
from penstock_local.options import LocalOptions
from penstock_local.preparation import Preparation
from penstock_local.recovery import PATIENCE, Fate
from penstock_local.retrying import Retrying
from penstock_local.slots import INTERRUPTIONS, Slots
from penstock_local.steps import Prepared
from penstock_local.troubles import COMES_AS, is_machines


class Schedule:
    """The unfinished jobs of one root in memory, in step with the queue.

    `ring` wakes the engine's loop from another thread, which then calls `start_ready`. An engine that is to give way
    to another one takes no more runs (`takes`), and begins no more attempts (`begins`) before it does. `lock` is its
    open lock, by which it finds the root where that was moved.
    """

    def __init__(
        self, layout: Layout, connection: sqlite3.Connection, clock: Clock, ring: Callable[[], None], lock: int
    ) -> None:
        self.jobs: dict[int, Job] = {}
        self.attempts = Attempts(layout, clock, self)
        self.idle = LocalOptions().idle
        self.takes = self.begins = self.ready = True
        self._layout = layout
        self._lock = lock
        self._ring = ring
        self._clock = clock
        self.preparation = Preparation(layout, ring, self._on_prepared)
        self.notes = Notes(connection, self.preparation.forget, binding.engine_begins(layout, self.attempts.mine))
        self._intake = Intake(layout, self.notes)
        self._prepared: list[tuple[Step, Prepared]] = []
        self._noted: list[tuple[Step, Prepared]] = []
        self._memory = Memory(layout.root, clock)
        self.retrying = Retrying(layout, clock)
        self._slots = Slots()
        self._lending = Lending(layout, clock, self._slots)
        self._grace = LocalOptions().grace
        self._taken_over: tuple[list[Step], dict[str, Path]] = [], {}

    @property
    def busy(self) -> bool:
        """Whether there are unfinished jobs, folders to be removed, or something to be tried again."""
        return bool(self.jobs) or not self.preparation.done or self.retrying.any or not self.ready

    @property
    def quiet(self) -> bool:
        """Whether another engine would find everything in the queue and in journals, as after a kill.

        It may lack nothing of what this one waits for, whose limits are lower: then it is not waited for here.
        """
        begun = self._prepared or self._noted or self.notes.any or self.retrying.owes
        tidy = self.preparation.done or (self.retrying.any and not self.preparation.busy)
        return not begun and tidy and self.attempts.quiet

    # From the queue into memory

    def look(self) -> None:
        """Take in the jobs that are new and the cancellations that were asked for. Raises sqlite3.Error, OSError."""
        self.retrying.surely(self._look)

    def begin(self) -> None:
        """Look for the first time, and remove what attempts of an earlier engine left. Raises as `look`."""
        with contextlib.suppress(NoKeeper):  # it comes up while we look, and is tried again with the first step
            self.attempts.keepers.begin()
        self.retrying.surely(self._begin)

    def _begin(self) -> None:
        """Of an earlier engine's steps run those that were adopted, and of ours none yet."""
        self.ready = False
        self._look()
        if not queue.running(self.notes.database):
            self.attempts.keepers.sweep()
        self.preparation.clean_up(self.attempts.steps.values())
        self._memory.sweep()
        self.ready = True

    def _look(self) -> None:
        self._adopt(queue.settings(self.notes.database))
        begun, logs = self._taken_over
        met: Exception | None = None
        try:
            for taken in self._intake.new() if self.takes else ():
                begun += self._take_in(taken)
                logs |= taken.logs
        except COMES_AS as error:  # the jobs before it are taken in all the same
            met = error
        fates = recovery.recover(self.attempts, begun, logs) if logs else []
        self._taken_over = [], {}
        for seq in queue.cancel_asked(self.notes.database):
            if seq in self.jobs and not self.jobs[seq].canceled:
                self._cancel(self.jobs[seq])
        for step, fate in fates:
            if not step.ended:
                self.retrying.surely(functools.partial(self._go_on, step, fate))
        self._lending.look(self.attempts.steps)
        if met is not None:
            raise met

    def _take_in(self, taken: TakenIn) -> list[Step]:
        """Let the steps of a job wait whose turn it may be; returns those that an earlier engine left running."""
        if taken.job is None:
            return []
        self.jobs[taken.job.seq] = taken.job
        for step in taken.job.ready():
            self._line_up(step)
        for step in taken.running:
            if not step.token and step.failures:
                self._line_up_later(step, logs.age(self._layout.log_of(taken.job.id, step.name)))
            elif not step.token:
                self._line_up(step)
        return [step for step in taken.running if step.token]

    def _adopt(self, settings: queue.Settings | None) -> None:
        if settings is None:
            return
        self._grace, self.idle = settings.grace, settings.idle
        self._slots.resize(settings.slots)

    def _go_on(self, step: Step, fate: Fate) -> None:
        """Take up a step where an earlier engine left it."""
        timeout = step.plan["timeout"]
        step.moved = binding.has_moved_since(self._layout, self.notes.database, step.token)
        if isinstance(fate.event, Started):
            steps.find_outputs(self._layout, step)
            self._slots.take(step)
            if timeout is not None:
                self._limit(step, max(0.0, timeout - fate.seconds))
            return
        step.slots = 0
        if isinstance(fate.event, Ended) and fate.tries >= INTERRUPTIONS:
            message = f"ended, and {fate.tries} engines died before they had noted what it came to"
            self._end_step(step, "failed", error=failures.of(step, "step_interrupted", message))
        elif isinstance(fate.event, Ended):
            steps.find_outputs(self._layout, step)
            step.exit_code = fate.event.code
            if step.exit_code and timeout is not None and fate.seconds >= timeout:
                step.stopping = "step_timeout"
            self.over(step)
        elif isinstance(fate.event, Failed):
            self.not_started(step, fate.event.error)
        elif fate.event is None:
            self._wait_again(step)
        else:
            self.lost(step)

    def lost(self, step: Step) -> None:
        """A step was cut short, because its keeper was ended and so was the engine over that; it counts."""
        self._slots.give_back(step)
        if step.plan.get("memory"):
            self._memory.settle(step.token)
        self.preparation.clean(step, keep_work=True)
        step.interruptions += 1
        if step.interruptions >= INTERRUPTIONS:
            message = f"cut short {step.interruptions} times by the death of what runs it"
            self._end_step(step, "failed", error=failures.of(step, "step_interrupted", message))
        else:
            self._mark_again(step, "what ran it was killed")
            self._wait_again(step)

    def _mark_again(self, step: Step, why: str) -> None:
        place = moving.place_of(self._lock)
        if place is not None:
            steps.mark(place, step, why, counts=False)

    def _wait_again(self, step: Step) -> None:
        step.again()
        self.notes.waiting(step)
        self._line_up(step)

    # From waiting to running

    def start_ready(self) -> None:
        """Give slots to whose turn it is, write everything down, and only then start processes.

        Raises sqlite3.Error.
        """
        self.preparation.collect()
        while self.ready and not self.retrying.pauses:
            # What the machine does not let us prepare is lined up again, and would be the next for ever.
            while self.begins and not self.retrying.pauses and (step := self._slots.next(self.attempts.token)):
                self.preparation.start(step)
            for step, prepared in self._prepared:
                if step.ended:  # canceled while nothing was started
                    self._not_wanted(step)
                else:
                    self.notes.start(step)
                    self._noted.append((step, prepared))
            self._prepared = []
            if not self._flush():
                return
            noted, self._noted = self._noted, []
            for step, prepared in noted:
                self._spawn(step, prepared)
            if not self.notes.any:
                if not self.retrying.any and not self.preparation.busy:
                    self.retrying.went_well()
                return

    def spare_work(self) -> Iterator[Callable[[], None]]:
        """What may be done while nothing else is to be: steps that are likely to be the next are prepared, and what is
        over is cleared up after.
        """
        if self.retrying.any:
            return
        if self.ready and self.begins:
            running = list(self.attempts.steps.values())
            for step in itertools.chain(self._slots.first(), *(step.waited_for_alone() for step in running)):
                if self.preparation.can_look_ahead(step):
                    step.token = step.token or self.attempts.token()
                    yield functools.partial(self.preparation.look_ahead, step)
        while self.preparation.behind and not self.retrying.any:
            yield self.preparation.catch_up

    def _flush(self) -> bool:
        """Write down what is to be; False when the machine does not let us, and it is kept for the next try."""
        if self.notes.any:
            try:
                self.notes.write()
            except (MemoryError, sqlite3.Error) as error:
                if moving.has_moved(self._layout, self._lock):  # it is written down where the queue lies now
                    self._ring()
                    return False
                self.retrying.later(error)
                return False
        if self._knows_all:
            self.attempts.keepers.tidy(self.attempts.steps)
        return True

    @property
    def _knows_all(self) -> bool:
        """Whether no end is known to a journal alone: none is to be read yet, and none waits to be worked out."""
        return self.ready and not (self.retrying.any or self._taken_over[0])

    def _put_back(self, step: Step, error: Exception) -> None:
        """Let a step wait that the machine could not start: it has not begun, and nothing is counted."""
        self._slots.give_back(step)
        step.token = ""
        self._line_up(step)
        self.retrying.later(error)

    def _line_up(self, step: Step) -> None:
        self._slots.line_up(step)

    def _line_up_later(self, step: Step, waited: float = 0.0) -> None:
        self._clock.later(max(0.0, step.plan["delay"] - waited), lambda: self._line_up(step))

    def _on_prepared(self, step: Step, result: Prepared | Exception) -> None:
        """An attempt may start, and is on record from then on; or it may not, or is not wanted any more."""
        if isinstance(result, Prepared) and not step.ended:
            self._prepared.append((step, result))
            return
        if isinstance(result, Exception) and not step.ended and is_machines(result):
            self._put_back(step, result)
            return
        self._not_wanted(step)
        if isinstance(result, Exception) and not step.ended:
            self._attempt_failed(step, *failures.not_prepared(result))

    def _not_wanted(self, step: Step) -> None:
        self._slots.give_back(step)
        self.preparation.clean(step, keep_work=False)
        steps.remove_unused(self._layout, step)

    def _spawn(self, step: Step, start: Prepared) -> None:
        if step.ended:  # canceled while the machine had no room to note its start
            self._not_wanted(step)
            return
        step.command, step.environment = start.command, start.environment
        asked = step.plan.get("memory")
        door = self._memory.limit(step.token, asked) if asked else None
        try:
            self.attempts.start(step, start.request, door)
        except (OSError, ValueError) as error:
            self.not_started(step, error)
            return
        except NoKeeper as error:
            if not is_machines(error):
                raise
            self.notes.waiting(step)
            self._put_back(step, error)
            return
        if step.plan["timeout"] is not None:
            self._limit(step, step.plan["timeout"])

    def _limit(self, step: Step, seconds: float) -> None:
        token = step.token
        self._clock.later(seconds, lambda: self.attempts.stop(token, "step_timeout", self._grace))

    def not_started(self, step: Step, error: OSError | ValueError) -> None:
        """An attempt has no process and will have none."""
        if step.plan.get("memory"):
            self._memory.settle(step.token)
        if is_machines(error) and not step.job.canceled:
            self.notes.waiting(step)
            self._put_back(step, error)
            return
        self._slots.give_back(step)
        self.preparation.clean(step, keep_work=False)
        if step.job.canceled:
            self._end_step(step, "canceled")
        else:
            self._attempt_failed(step, "step_not_started", failures.not_started(step, error))

    # From running to ended

    def over(self, step: Step) -> None:
        """Say what an attempt came to, now that nothing of it is left."""
        outputs: dict[str, str] = {}
        if step.plan.get("memory"):
            step.out_of_memory = self._memory.settle(step.token)
        code, message = failures.of_exit(step)
        if not code and not step.ended:
            try:
                outputs = self._read_outputs(step)
            except steps.OutputWrong as error:
                if is_machines(error):
                    self.retrying.later(error, lambda: self.over(step))
                    return
                code, message = error.code, str(error)
        self._slots.give_back(step)
        self.preparation.clean(step, keep_work=bool(code))
        if step.ended:  # canceled while the machine did not let us read what it came to
            return
        if step.job.canceled:
            self._end_step(step, "canceled")
        elif code:
            self._attempt_failed(step, code, message)
        else:
            self._end_step(step, "succeeded", outputs=outputs)

    def _read_outputs(self, step: Step) -> dict[str, str]:
        """The step's outputs, where the root lies by now. Raises OutputWrong, OSError."""
        try:
            return steps.read_outputs(step)
        except steps.OutputWrong:
            # Where it is reached by a link, that may lead elsewhere by now, and its own path be the same.
            steps.find_outputs(moving.elsewhere(self._layout, self._lock) or self._layout, step)
            return steps.read_outputs(step)

    def _attempt_failed(self, step: Step, code: str, message: str) -> None:
        """An attempt came to nothing: try again later, or the step has failed.

        One that was given paths of a place where the root is no more may have failed for that, and does not count.
        """
        if moving.has_moved(self._layout, self._lock):  # the engine there begins another one
            step.again()
            self.notes.waiting(step)
            self._ring()
            return
        if step.moved and not step.stopping:
            self._wait_again(step)
            return
        step.failures += 1
        step.again()
        if step.failures >= step.plan["attempts"]:
            self._end_step(step, "failed", error=failures.of(step, code, message))
            return
        self.notes.waiting(step)
        steps.mark(self._layout, step, message)
        self._line_up_later(step)

    def _end_step(
        self,
        step: Step,
        state: str,
        *,
        error: Mapping[str, Any] | None = None,
        outputs: Mapping[str, str] | None = None,
    ) -> None:
        """A step came to its end: note it, line up what it frees, skip what it makes impossible."""
        job, now = step.job, time.time()
        self.notes.end(step, state, now, error, outputs)
        for freed in job.end(step, state, outputs):
            self._line_up(freed)
        if state == "failed":
            job.note_failure(step, error)
            for other in list(job.impossible(step)):
                self.notes.end(other, "skipped", now, None, None)
                job.end(other, "skipped")
        if not job.open:
            error = None if job.canceled else job.error
            self.notes.end_job(job.seq, job.id, job.result(), now, error, job.outputs())
            del self.jobs[job.seq]

    # Ending things early

    def _cancel(self, job: Job) -> None:
        """What has not started never will, what runs is told to stop."""
        job.canceled = True
        for step in list(job.steps.values()):
            if step.token in self.attempts.steps:
                self.attempts.stop(step.token, "canceled", self._grace)
            elif not step.ended:
                self._end_step(step, "canceled")

    def cut_short(self, step: Step) -> None:
        """Our own end cut it short, which does not count."""
        self._mark_again(step, "its engine was told to end")
        self.notes.waiting(step)

    def leave(self, orderly: bool) -> None:
        """End in order: end every child, and note that nothing is left of the attempts cut short; they do not count.

        At any other end steps stay with their keepers, for the next engine to adopt. Journals stay as long as they
        alone know of an end. Raises sqlite3.Error, OSError.
        """
        try:
            if orderly:
                self.attempts.reap()  # what has ended by now is not cut short
                self._flush()
                ended = self.attempts.end_all(PATIENCE)
                database.wait(self.notes.database, PATIENCE)
                if self._flush() and ended and self._knows_all:
                    self.attempts.keepers.remove_all()
        finally:
            self.attempts.keepers.close()
