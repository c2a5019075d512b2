"""Whose turn it is: takes jobs from the queue, hands out slots, and writes down what becomes of every step.

A step's token is on record before its process exists, and its end is on record before another takes its slot.
"""

from __future__ import annotations

import heapq
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from penstock.errors import PenstockError
from penstock_local import failures, processes, queue, steps, troubles
from penstock_local.attempts import Attempts
from penstock_local.clock import Clock
from penstock_local.intake import JobUnreadable, read_job
from penstock_local.jobs import Job, Step
from penstock_local.layout import Layout
from penstock_local.options import LocalOptions
from penstock_local.preparation import Preparation
from penstock_local.steps import Prepared

INTERRUPTIONS = 3
"""How often a step may be cut short by the death of its engine before it is given up."""
PATIENCE = 10.0
"""Seconds that killed processes have to disappear."""


class Schedule:
    """The unfinished jobs of one root in memory, in step with the queue.

    `ring` wakes the engine's loop from another thread, which then calls `start_ready`.
    """

    def __init__(
        self, layout: Layout, database: sqlite3.Connection, clock: Clock, ring: Callable[[], None] = lambda: None
    ) -> None:
        self.jobs: dict[int, Job] = {}
        self.attempts = Attempts(clock, self._over)
        self.idle = LocalOptions().idle
        self._layout = layout
        self.database = database
        self._clock = clock
        self.preparation = Preparation(layout, ring, self._on_prepared)
        self._last = 0
        self._ready: list[tuple[tuple[int, int], Step]] = []
        self._prepared: list[tuple[Step, Prepared]] = []
        self._noted: list[tuple[Step, Prepared]] = []
        self._pause = troubles.Pause(layout)
        self._writes: list[queue.Write] = []
        self._durable = False
        self._gone: list[str] = []
        self._slots = self._free = os.cpu_count() or 1
        self._grace = LocalOptions().grace

    @property
    def busy(self) -> bool:
        """Whether there are unfinished jobs, or folders that are still being removed."""
        return bool(self.jobs) or self.preparation.busy

    # From the queue into memory

    def look(self) -> None:
        """Take in the jobs that are new and the cancellations that were asked for. Raises sqlite3.Error, OSError."""
        try:
            self._look()
        except (OSError, PenstockError, sqlite3.Error) as error:
            self._pause_for(error, self.look)

    def _look(self) -> None:
        self._adopt(queue.settings(self.database))
        interrupted: list[Step] = []
        left: dict[str, Path] = {}
        met: Exception | None = None
        for row in queue.jobs_after(self.database, self._last):
            try:
                rows = queue.steps(self.database, row["seq"]) if row["started"] is not None else []
                interrupted += self._add(row, rows)
            except (OSError, PenstockError, sqlite3.Error) as error:  # the jobs before it are taken in all the same
                met = error
                break
            self._last = row["seq"]
            left |= {item["token"]: self._layout.log_of(row["id"], item["name"]) for item in rows if item["token"]}
        if left:
            processes.end_leftovers(set(left), left.values(), PATIENCE)
        for step in interrupted:
            self._resume(step)
        for seq in queue.cancel_asked(self.database):
            if seq in self.jobs and not self.jobs[seq].canceled:
                self._cancel(self.jobs[seq])
        if met is not None:
            raise met

    def _add(self, row: sqlite3.Row, rows: Sequence[sqlite3.Row]) -> list[Step]:
        """Take in one job; returns its steps that an earlier engine left running.

        Whatever is wrong with a job is its own trouble: it fails, and the others go on.
        """
        try:
            job, running = read_job(self._layout, row, rows)
        except JobUnreadable as error:
            self._give_up(row, error.code, str(error))
            return []
        self.jobs[job.seq] = job
        for step in job.ready():
            self._line_up(step)
        for step in running:
            if not step.token and step.failures:
                self._line_up_later(step)
            elif not step.token:
                self._line_up(step)
        return [step for step in running if step.token]

    def _adopt(self, settings: queue.Settings | None) -> None:
        if settings is None:
            return
        slots = settings.slots or os.cpu_count() or 1
        self._grace, self.idle = settings.grace, settings.idle
        self._free += slots - self._slots
        self._slots = slots

    def _give_up(self, row: sqlite3.Row, code: str, message: str) -> None:
        seq, now = row["seq"], time.time()
        for step in queue.steps(self.database, seq):
            if step["ended"] is None:
                began = step["started"] is not None
                error = {"code": code, "message": message, "step": step["name"]} if began else None
                state = "failed" if began else "skipped"
                self._writes.append(queue.step_ended(seq, step["position"], state, now, None, error, None))
        self._end_job(seq, row["id"], "failed", now, {"code": code, "message": message}, {})

    def _resume(self, step: Step) -> None:
        step.token = ""
        step.interruptions += 1
        if step.interruptions >= INTERRUPTIONS:
            message = f"cut short {step.interruptions} times by the death of its engine"
            self._end_step(step, "failed", error=failures.of(step, "step_interrupted", message))
        else:
            self._note_waiting(step)
            self._line_up(step)

    # From waiting to running

    def start_ready(self) -> None:
        """Give slots to whose turn it is, write everything down, and only then start processes.

        Raises sqlite3.Error.
        """
        self.preparation.collect()
        while not self._pause.left:
            self._choose()
            for step, _ in self._prepared:
                self._note_start(step)
            self._noted, self._prepared = self._noted + self._prepared, []
            if not self._flush():
                return
            noted, self._noted = self._noted, []
            for step, prepared in noted:
                self._spawn(step, prepared)
            if not self._writes:
                return

    def _flush(self) -> bool:
        """Write down what is to be; False when the machine does not let us, and it is kept for the next try."""
        if self._writes:
            try:
                queue.write(self.database, self._writes, self._durable)
            except sqlite3.Error as error:
                self._pause_for(error)
                return False
            self._writes, self._durable = [], False
            self._pause.over()
        while self._gone:
            self.preparation.forget(self._gone.pop())
        return True

    def _pause_for(self, error: Exception, then: Callable[[], None] = lambda: None) -> None:
        """Start nothing for a while for trouble of the machine, and then do something. Raises any other error."""
        if not troubles.is_machines(error):
            raise error
        self._clock.later(self._pause.begin(error), then)

    def _put_back(self, step: Step, error: Exception) -> None:
        """Let a step wait that the machine could not start: it has not begun, and nothing is counted."""
        self._free += step.slots
        step.attempt, step.token = step.attempt - 1, ""
        self._line_up(step)
        self._pause_for(error)

    def _line_up(self, step: Step) -> None:
        heapq.heappush(self._ready, (step.rank, step))

    def _line_up_later(self, step: Step) -> None:
        self._clock.later(step.plan["delay"], lambda: self._line_up(step))

    def _choose(self) -> None:
        while self._ready:
            step = self._ready[0][1]
            # A step that may be what kills engines gets its last chance alone, or others would take the blame too.
            last_chance = step.interruptions >= INTERRUPTIONS - 1
            slots = self._slots if last_chance else min(step.plan["slots"], self._slots)
            if step.ended:
                heapq.heappop(self._ready)
                continue
            if slots > self._free:
                break  # nobody overtakes: a wide step would wait for ever
            heapq.heappop(self._ready)
            step.begin(secrets.token_hex(16), slots)
            self._free -= slots
            self.preparation.start(step)

    def _on_prepared(self, step: Step, result: Prepared | Exception) -> None:
        """An attempt may start, and is on record from then on; or it may not, or is not wanted any more."""
        if isinstance(result, Prepared) and not step.ended:
            self._prepared.append((step, result))
            return
        if isinstance(result, Exception) and not step.ended and troubles.is_machines(result):
            self._put_back(step, result)
            return
        self._free += step.slots
        self.preparation.clean(step, keep_work=False)
        if isinstance(result, Exception) and not step.ended:
            self._attempt_failed(step, *failures.not_prepared(result))

    def _note_start(self, step: Step) -> None:
        now = time.time()
        if not step.job.started:
            step.job.started = True
            self._writes.append(queue.job_started(step.job.seq, now))
        self._writes.append(queue.step_started(step.job.seq, step.position, step.attempt, step.token, now))

    def _spawn(self, step: Step, start: Prepared) -> None:
        log = self._layout.log_of(step.job.id, step.name)
        if step.ended:  # canceled while the machine had no room to note its start
            self._free += step.slots
            self.preparation.clean(step, keep_work=False)
            return
        try:
            self.attempts.start(step, start.command, start.folder, start.environment, log)
        except (OSError, ValueError) as error:
            if troubles.is_machines(error):
                self._note_waiting(step)
                self._put_back(step, error)
                return
            self._free += step.slots
            self.preparation.clean(step, keep_work=False)
            message = failures.not_started(step, start.command, start.environment, error)
            self._attempt_failed(step, "step_not_started", message)
            return
        if step.plan["timeout"] is not None:
            token = step.token
            self._clock.later(step.plan["timeout"], lambda: self.attempts.stop(token, "step_timeout", self._grace))

    # From running to ended

    def _over(self, step: Step) -> None:
        """Say what an attempt came to, now that nothing of it is left."""
        outputs: dict[str, str] = {}
        code, message = failures.of_exit(step)
        if not code and not step.ended:
            try:
                outputs = steps.read_outputs(step)
            except steps.OutputWrong as error:
                if troubles.is_machines(error):
                    self._pause_for(error, lambda: self._over(step))
                    return
                code, message = error.code, str(error)
        self._free += step.slots
        self.preparation.clean(step, keep_work=bool(code))
        if step.ended:  # canceled while the machine did not let us read what it came to
            return
        if step.job.canceled:
            self._end_step(step, "canceled")
        elif code:
            self._attempt_failed(step, code, message)
        else:
            self._end_step(step, "succeeded", outputs=outputs)

    def _attempt_failed(self, step: Step, code: str, message: str) -> None:
        """An attempt came to nothing: try again later, or the step has failed."""
        step.failures += 1
        step.token = ""
        if step.failures >= step.plan["attempts"]:
            self._end_step(step, "failed", error=failures.of(step, code, message))
            return
        self._note_waiting(step)
        steps.mark(self._layout, step, message)
        self._line_up_later(step)

    def _note_waiting(self, step: Step) -> None:
        self._writes.append(queue.step_waits(step.job.seq, step.position, step.failures, step.interruptions))

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
        exit_code = failures.shown_exit_code(step.exit_code)
        self._writes.append(queue.step_ended(job.seq, step.position, state, now, exit_code, error, outputs))
        for freed in job.end(step, state, outputs):
            self._line_up(freed)
        if state == "failed":
            job.note_failure(step, error)
            for other in list(job.impossible(step)):
                self._writes.append(queue.step_ended(job.seq, other.position, "skipped", now, None, None, None))
                job.end(other, "skipped")
        if not job.open:
            error = None if job.canceled else job.error
            self._end_job(job.seq, job.id, job.result(), now, error, job.outputs())
            del self.jobs[job.seq]

    def _end_job(
        self, seq: int, run: str, state: str, now: float, error: Mapping[str, Any] | None, outputs: Mapping[str, str]
    ) -> None:
        """A job came to its end, which is on disk before its environment goes."""
        self._writes.append(queue.job_ended(seq, state, now, error, outputs))
        self._durable = True
        self._gone.append(run)

    # Ending things early

    def _cancel(self, job: Job) -> None:
        """What has not started never will, what runs is told to stop."""
        job.canceled = True
        for step in list(job.steps.values()):
            if step.token in self.attempts.steps:
                self.attempts.stop(step.token, "canceled", self._grace)
            elif not step.ended:
                self._end_step(step, "canceled")

    def leave(self, orderly: bool) -> None:
        """End every child. After an orderly end note that nothing is left of the attempts cut short: they do not count.

        After any other end they stay on record as running, for the next engine to count. Raises sqlite3.Error.
        """
        cut = list(self.attempts.steps.values())
        if self.attempts.end_all(PATIENCE) and orderly:
            for step in cut:
                self._note_waiting(step)
            self._flush()
