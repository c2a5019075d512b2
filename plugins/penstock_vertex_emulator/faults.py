"""Faults on request: an error on the nth call of a method, an answer that is lost after the work was done, slowness."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any

from penstock_vertex_emulator.errors import CODES, ApiError, invalid


class Lost(Exception):
    """The work was done, and the answer is not to arrive."""


@dataclass(frozen=True)
class Fault:
    """What is to happen to the calls `call` to `call + times - 1` of a method, counted from when it was asked for.

    `method` may hold `*`. With `every`, each thing that is asked for is counted by itself, and of its calls from `call`
    on every so many-th is hit: 2 loses one answer and gives the next. `error` is a code such as UNAVAILABLE, answered
    instead of doing anything; `lose_answer` drops the connection once everything was done; `delay` are seconds before
    anything is done. `times` 0 is without end.
    """

    method: str
    call: int = 1
    times: int = 1
    every: int = 0
    error: str = ""
    message: str = "a fault that was asked for"
    lose_answer: bool = False
    delay: float = 0.0

    def hits(self, number: int) -> bool:
        """Whether it happens to the call with this number, from 1 on."""
        since = number - self.call
        if self.every:
            return since >= 0 and since % self.every == 0
        return since >= 0 and (not self.times or since < self.times)


class Faults:
    """The faults that were asked for, and how often each method was called."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[tuple[Fault, Counter[str]]] = []
        self._calls: Counter[str] = Counter()

    def ask(self, body: bytes) -> dict[str, Any]:
        """Add a fault, as JSON has it. Raises ApiError."""
        try:
            fault = Fault(**json.loads(body))
        except (ValueError, TypeError, RecursionError) as error:
            raise invalid(f"fault: {error}") from None
        right = (
            all(isinstance(one, str) for one in (fault.method, fault.error, fault.message))
            and all(isinstance(one, int) and one >= 0 for one in (fault.call, fault.times, fault.every))
            and isinstance(fault.lose_answer, bool)
            and isinstance(fault.delay, int | float)
            and 0 <= fault.delay < 3600
            and (fault.error == "" or fault.error in CODES)
        )
        if not right:
            raise invalid(
                f"fault: one of {asdict(fault)} is not of its type, or makes no sense; codes are {', '.join(CODES)}"
            )
        with self._lock:
            self._faults.append((fault, Counter()))
        return self.shown()

    def forget(self) -> dict[str, Any]:
        """No faults any more, and all counts at zero."""
        with self._lock:
            self._faults.clear()
            self._calls.clear()
        return self.shown()

    def shown(self) -> dict[str, Any]:
        """The faults and the counts."""
        with self._lock:
            return {"faults": [asdict(one) for one, _ in self._faults], "calls": dict(self._calls)}

    def meet(self, method: str, subject: str) -> bool:
        """Count a call, and do what was asked for: wait, or raise ApiError. Whether its answer is to be lost.

        `subject` is what the call is about, such as a job's name.
        """
        lost, delay, refused = False, 0.0, None
        with self._lock:
            self._calls[method] += 1
            for fault, seen in self._faults:
                if not fnmatchcase(method, fault.method):
                    continue
                counted = f"{method} {subject}" if fault.every else ""
                seen[counted] += 1
                if not fault.hits(seen[counted]):
                    continue
                delay += fault.delay
                lost = lost or fault.lose_answer
                if fault.error:
                    refused = ApiError(fault.error, fault.message)
        if delay:
            time.sleep(delay)
        if refused is not None:
            raise refused
        return lost
