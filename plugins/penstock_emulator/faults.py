"""Faults on request: an error on the nth call of a method, an answer that is lost after the work was done, slowness."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import MISSING, asdict, dataclass, fields
from fnmatch import fnmatchcase
from typing import Any

_LONGEST = 3600
"""Seconds that a number of them is less than."""


class Lost(Exception):
    """The work was done, and the answer is not to arrive."""


@dataclass(frozen=True)
class Fault:
    """What is to happen to the calls `call` to `call + times - 1` of a method, counted from when it was asked for.

    `method` may hold `*`. With `every`, each thing that is asked for is counted by itself, and of its calls from `call`
    on every so many-th is hit: 2 loses one answer and gives the next. `error` is a code that is answered instead of
    doing anything; `lose_answer` drops the connection once everything was done; `delay` are seconds before anything is
    done. `times` 0 is without end.
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
    """The faults that were asked for, and how often each method was called.

    `kind` is what a fault may say, `codes` are the errors that it may name, `refusal` makes the exception of one that
    is hit, and `invalid` that of a fault which cannot be read.
    """

    def __init__(
        self,
        codes: Collection[str],
        refusal: Callable[[Any], Exception],
        invalid: Callable[[str], Exception],
        kind: type[Fault] = Fault,
    ) -> None:
        self._codes, self._refusal, self._invalid, self._kind = codes, refusal, invalid, kind
        self._lock = threading.Lock()
        self._faults: list[tuple[Fault, Counter[str]]] = []
        self._calls: Counter[str] = Counter()

    def ask(self, body: bytes) -> dict[str, Any]:
        """Add a fault, as JSON has it. Raises what `invalid` makes."""
        try:
            fault = self._kind(**json.loads(body))
        except (ValueError, TypeError, RecursionError) as error:
            raise self._invalid(f"fault: {error}") from None
        if not all(_typed(getattr(fault, one.name), one.default) for one in fields(fault)) or (
            fault.error and fault.error not in self._codes
        ):
            raise self._invalid(
                f"fault: one of {asdict(fault)} is not of its type, or makes no sense; codes are "
                f"{', '.join(sorted(self._codes))}"
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

    def meet(self, method: str, subject: str) -> list[Any]:
        """Count a call, and do what was asked for: wait, or raise what `refusal` makes. The faults that hit it.

        `subject` is what the call is about, such as a job's name.
        """
        hit = []
        with self._lock:
            self._calls[method] += 1
            for fault, seen in self._faults:
                if not fnmatchcase(method, fault.method):
                    continue
                counted = f"{method} {subject}" if fault.every else ""
                seen[counted] += 1
                if fault.hits(seen[counted]):
                    hit.append(fault)
        time.sleep(sum(fault.delay for fault in hit))
        for fault in reversed(hit):
            if fault.error:
                raise self._refusal(fault)
        return hit


def _typed(value: Any, default: Any) -> bool:
    """Whether a value is of the type that its default has, and a sensible number; the method, without one, is text."""
    kind: Any = str if default is MISSING else type(default)
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _LONGEST
    return type(value) is kind and not (kind is int and value < 0)
