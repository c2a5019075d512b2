"""Whose turn it is: takes jobs from the queue, hands out slots, and writes down what becomes of every step.

A step's token is on record before its process exists, and its end is on record before another takes its slot.
"""

from __future__ import annotations

import heapq
import json
import os
import secrets
import sqlite3
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from penstock.errors import PenstockError, one_line
from penstock_local import failures, processes, queue, steps, store, wake
from penstock_local.attempts import Attempts
from penstock_local.clock import Clock
from penstock_local.jobs import Job, Step, checked_request
from penstock_local.layout import Layout
from penstock_local.options import LocalOptions

INTERRUPTIONS = 3
"""How often a step may be cut short by the death of its engine before it is given up."""
PATIENCE = 10.0
"""Seconds that killed processes have to disappear."""

_Prepared = tuple[Step, list[str], str, dict[str, str]]


class Schedule:
    """The unfinished jobs of one root in memory, in step with the queue."""

    def __init__(self, layout: Layout, database: sqlite3.Connection, clock: Clock) -> None:
        self.jobs: dict[int, Job] = {}
        self.attempts = Attempts(clock, self._over)
        self.idle = LocalOptions().idle
        self._layout = layout
        self._database = database
        self._clock = clock
        self._last = 0
        self._ready: list[tuple[tuple[int, int], Step]] = []
        self._writes: list[queue.Write] = []
        self._durable = False
        self._plain = wake.plain_environment()
        self._slots = self._free = os.cpu_count() or 1
        self._grace = LocalOptions().grace

    # From the queue into memory

    def look(self) -> None:
        """Take in the jobs that are new and the cancellations that were asked for. Raises sqlite3.Error, OSError."""
        interrupted: list[Step] = []
        left: dict[str, Path] = {}
        for row in queue.jobs_after(self._database, self._last):
            self._last = row["seq"]
            rows = queue.steps(self._database, row["seq"]) if row["started"] is not None else []
            left |= {item["token"]: self._layout.log_of(row["id"], item["name"]) for item in rows if item["token"]}
            interrupted += self._take(row, rows)
        if left:
            processes.end_leftovers(set(left), left.values(), PATIENCE)
        for step in interrupted:
            self._resume(step)
        for seq in queue.cancel_asked(self._database):
            if seq in self.jobs and not self.jobs[seq].canceled:
                self._cancel(self.jobs[seq])

    def _take(self, row: sqlite3.Row, rows: Sequence[sqlite3.Row]) -> list[Step]:
        """Take in one job; answers its steps that an earlier engine left running.

        Whatever is wrong with a job is its own trouble: it fails, and the others go on.
        """
        try:
            plan = store.read_plan(self._layout, row["publication"])
            request = checked_request(json.loads(row["request"]))
            job = Job.of(row["seq"], row["id"], plan, request)
            job.started = row["started"] is not None
            running = _restore(job, rows)
            self._adopt(request["settings"])
        except PenstockError as error:
            self._give_up(row["seq"], error.code, str(error))
            return []
        except Exception as error:
            why = f"what the queue holds of the run is damaged ({one_line(error)}); trigger it again"
            self._give_up(row["seq"], "run_damaged", why)
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

    def _adopt(self, settings: Mapping[str, Any]) -> None:
        """Go by the settings of the run submitted last."""
        slots = int(settings["slots"] or os.cpu_count() or 1)
        self._grace, self.idle = float(settings["grace"]), float(settings["idle"])
        self._free += slots - self._slots
        self._slots = slots

    def _give_up(self, seq: int, code: str, message: str) -> None:
        now = time.time()
        for row in queue.steps(self._database, seq):
            if row["ended"] is None:
                self._writes.append(queue.step_ended(seq, row["position"], "skipped", now, None, None, None))
        self._writes.append(queue.job_ended(seq, "failed", now, {"code": code, "message": message}, {}))
        self._durable = True

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

    def settle(self) -> None:
        """Give slots to whose turn it is, write everything down, and only then start processes.

        Raises sqlite3.Error.
        """
        while True:
            chosen = self._choose()
            self._flush()
            for prepared in chosen:
                self._spawn(*prepared)
            if not self._writes:
                return

    def _flush(self) -> None:
        if self._writes:
            queue.write(self._database, self._writes, self._durable)
            self._writes, self._durable = [], False

    def _line_up(self, step: Step) -> None:
        heapq.heappush(self._ready, (step.rank, step))

    def _line_up_later(self, step: Step) -> None:
        self._clock.later(step.plan["delay"], lambda: self._line_up(step))

    def _choose(self) -> list[_Prepared]:
        chosen: list[_Prepared] = []
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
            try:
                chosen.append((step, *steps.prepare(self._layout, step, self._plain)))
            except Exception as error:  # whatever is wrong with one step is not everybody's trouble
                steps.clean(self._layout, step, keep_work=False)
                self._attempt_failed(step, "step_not_started", f"could not be prepared: {error}")
                continue
            self._free -= slots
            self._note_start(step)
        return chosen

    def _note_start(self, step: Step) -> None:
        now = time.time()
        if not step.job.started:
            step.job.started = True
            self._writes.append(queue.job_started(step.job.seq, now))
        self._writes.append(queue.step_started(step.job.seq, step.position, step.attempt, step.token, now))

    def _spawn(self, step: Step, command: list[str], folder: str, environment: dict[str, str]) -> None:
        try:
            self.attempts.start(step, command, folder, environment, self._layout.log_of(step.job.id, step.name))
        except (OSError, ValueError) as error:
            self._free += step.slots
            steps.clean(self._layout, step, keep_work=False)
            self._attempt_failed(step, "step_not_started", failures.not_started(command, environment, error))
            return
        if step.plan["timeout"] is not None:
            token = step.token
            self._clock.later(step.plan["timeout"], lambda: self.attempts.stop(token, "step_timeout", self._grace))

    # From running to ended

    def _over(self, step: Step) -> None:
        """Say what an attempt came to, now that nothing of it is left."""
        self._free += step.slots
        outputs: dict[str, str] = {}
        code, message = failures.of_exit(step)
        if not code:
            try:
                outputs = steps.read_outputs(step)
            except steps.OutputWrong as error:
                code, message = error.code, str(error)
        steps.clean(self._layout, step, keep_work=bool(code))
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
            job.error = job.error or error
            for other in list(job.impossible(step)):
                self._writes.append(queue.step_ended(job.seq, other.position, "skipped", now, None, None, None))
                job.end(other, "skipped")
        if not job.open:
            error = None if job.canceled else job.error
            self._writes.append(queue.job_ended(job.seq, job.result(), now, error, job.outputs()))
            self._durable = True
            del self.jobs[job.seq]

    # Ending things early

    def _cancel(self, job: Job) -> None:
        """What has not started never will, what runs is told to stop."""
        job.canceled = True
        for step in list(job.steps.values()):
            if step.token:
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


def _restore(job: Job, rows: Sequence[sqlite3.Row]) -> list[Step]:
    """Bring a job to where an earlier engine left it; answers its steps that were running then."""
    running = []
    for row in rows:
        step = job.steps[row["name"]]
        step.attempt, step.failures, step.interruptions = row["attempt"], row["failures"], row["interruptions"]
        if row["ended"] is not None:
            job.end(step, row["state"], json.loads(row["outputs"] or "{}"))
            if row["error"] and job.error is None:
                job.error = json.loads(row["error"])
        elif row["state"] == "running":
            step.state, step.token = "running", row["token"] or ""
            running.append(step)
    return running
