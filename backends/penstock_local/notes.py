"""What the engine has to write down: gathered, written as one, and only then is anything made of it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from penstock_local import failures, queue
from penstock_local.jobs import Step


class Notes:
    """Changes of jobs and steps that are not in the queue yet. `database` is the queue, and may be opened anew.

    `forget` is told of each run whose end is on disk. What is `first` is written with the first start, if there is one.
    """

    def __init__(
        self, database: sqlite3.Connection, forget: Callable[[str], None], first: Iterable[queue.Write] = ()
    ) -> None:
        self.database = database
        self._forget = forget
        self._first = list(first)
        self._writes: list[queue.Write] = []
        self._durable = False
        self._gone: list[str] = []

    @property
    def any(self) -> bool:
        """Whether there is something to write."""
        return bool(self._writes)

    def start(self, step: Step) -> None:
        """An attempt is about to have a process."""
        now = time.time()
        self._writes += self._first
        self._first = []
        if not step.job.started:
            step.job.started = True
            self._writes.append(queue.job_started(step.job.seq, now))
        self._writes.append(queue.step_started(step.job.seq, step.position, step.attempt, step.token, now))

    def waiting(self, step: Step) -> None:
        """An attempt is over, and the step is to be tried again."""
        self._writes.append(queue.step_waits(step.job.seq, step.position, step.failures, step.interruptions))

    def end(
        self, step: Step, state: str, now: float, error: Mapping[str, Any] | None, outputs: Mapping[str, str] | None
    ) -> None:
        """A step came to its end."""
        code = failures.shown_exit_code(step.exit_code)
        ended = queue.step_ended(step.job.seq, step.position, state, now, code, error, outputs)
        self._writes.append(ended)

    def give_up(self, seq: int, position: int, state: str, now: float, error: Mapping[str, Any] | None) -> None:
        """A step of a job that cannot be read came to its end."""
        self._writes.append(queue.step_ended(seq, position, state, now, None, error, None))

    def end_job(
        self, seq: int, run: str, state: str, now: float, error: Mapping[str, Any] | None, outputs: Mapping[str, str]
    ) -> None:
        """A job came to its end, which is on disk before its environment goes."""
        self._writes.append(queue.job_ended(seq, state, now, error, outputs))
        self._durable = True
        self._gone.append(run)

    def write(self) -> None:
        """Write everything, as one. Raises sqlite3.Error; then it is kept for the next try."""
        if self._writes:
            queue.write(self.database, self._writes, self._durable)
            self._writes, self._durable = [], False
        while self._gone:
            self._forget(self._gone.pop())
