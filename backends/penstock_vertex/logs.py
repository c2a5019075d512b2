"""What a step wrote, byte by byte, from entries of Cloud Logging, which come late and out of order.

An offset must mean the same at each look, so a log that was begun only grows, in this process: entries are put in their
order as they become older than `log_settle`, and one that comes later still is put at the end. So whoever follows a log
misses nothing and sees nothing twice, and a log whose entries came in time has the same bytes in every process. It is
complete when all was asked for once more `log_settle` after the step's end; who asks before that waits.
"""

from __future__ import annotations

import heapq
import math
import threading
import time
from array import array
from bisect import bisect_right
from datetime import UTC, datetime

from penstock.contract.run import LogChunk, LogTime, RunRef
from penstock.contract.target import Target
from penstock.errors import NotFound, TargetRefused, TargetUnavailable, TargetUnsupported
from penstock_vertex import reading
from penstock_vertex.client import Vertex, connect
from penstock_vertex.cloud_logging import Entry, filter_of, is_installed, page_of
from penstock_vertex.jobs import job_id, need_job

_PIECE = 1 << 20
"""The most bytes of one answer."""

_FRESH = 60.0
"""Seconds for which a complete log is kept as it is; then whoever begins to read it asks Google again."""

_KEPT = 64 << 20
"""The bytes of logs that a process keeps; those that nobody asked for the longest time go first."""

_MOST = 1000
"""How many logs it keeps."""


def read(target: Target, run: RunRef, step: str, offset: int) -> LogChunk:
    """The next piece of a step's log, all attempts in sequence.

    Raises NotFound, TargetUnsupported without Google's library, TargetUnavailable and TargetRefused.
    """
    vertex = connect(target.options)
    if not is_installed():
        raise TargetUnsupported(_how_else(target, run))
    deadline = time.monotonic() + vertex.options.poll_timeout
    key = _key(vertex, run.id, step)
    log = _log_of(vertex, key, offset)
    while True:
        left = deadline - time.monotonic()
        if not log.lock.acquire(timeout=max(0.0, left)):
            raise TargetUnavailable(f"the log of step `{step}` is being read by others; ask again", retry_after=1)
        try:
            log.advance(vertex, offset + _PIECE, deadline)
            data = bytes(log.data[offset : offset + _PIECE])
            end = offset + len(data)
            times = log.times(offset, end) if data else ()
            complete, wait, reading_on = log.complete and end >= len(log.data), log.settles_in(), log.is_reading
        except TargetRefused:  # a page token that is too old, perhaps: it must not be asked for again
            _forget(key)
            raise
        finally:
            log.lock.release()
        left = deadline - time.monotonic()
        if data or complete or (not reading_on and (wait is None or left <= 0)):
            return LogChunk(data=data, next_offset=end, complete=complete, times=times)
        if reading_on:
            raise TargetUnavailable(
                f"the log of step `{step}` is long, and not read up to byte {offset} yet; ask again", retry_after=1
            )
        time.sleep(max(0.0, min(wait or 0.0, left)))


class StepLog:
    """The log of one step as far as it was read; whoever uses it holds its `lock`."""

    def __init__(self, run: str, step: str, settle: float) -> None:
        self.lock = threading.Lock()
        self.data = bytearray()
        self.complete = False
        self.completed = math.inf
        self._ends = array("Q")  # of entries in the data, with their times in milliseconds since 1970
        self._times = array("Q")
        self._run = run
        self._step = step
        self._settle = settle
        self._filter: str | None = None  # what is being asked for, page by page
        self._token = ""
        self._last = False  # whether nothing can come after these pages
        self._looked = -math.inf
        self._settled = math.inf  # by the clock of this process, once the step has ended
        self._newest: int | None = None
        self._seen: dict[tuple[int, str], int] = {}  # what came in lately, which is asked for twice
        self._waiting: list[Entry] = []

    @property
    def is_reading(self) -> bool:
        """Whether pages follow that nobody has asked for yet."""
        return self._filter is not None

    def settles_in(self) -> float | None:
        """Seconds until all that an ended step wrote is there; None while it runs, and when all of it was read."""
        return None if self.complete or self._settled == math.inf else self._settled - time.monotonic()

    def times(self, start: int, end: int) -> list[LogTime]:
        """The times of the bytes between two offsets: those that their entries say."""
        found = []
        for index in range(bisect_right(self._ends, start), len(self._ends)):
            moment = datetime.fromtimestamp(self._times[index] / 1000, UTC)
            found.append(LogTime(min(self._ends[index], end), moment))
            if self._ends[index] >= end:
                break
        return found

    def advance(self, vertex: Vertex, wanted: int, deadline: float) -> None:
        """Read on until there are so many bytes, or there are no more now, or the time (monotonic) has come."""
        now = time.monotonic()
        due = now >= self._settled if self._settled < math.inf else now >= self._looked + self._settle
        if not self.complete and self._filter is None and due:
            self._begin(vertex)
        while self._filter is not None and len(self.data) < wanted and time.monotonic() < deadline:
            self._page(vertex, self._filter)

    def _begin(self, vertex: Vertex) -> None:
        """Look how the step is, and what to ask for."""
        job = need_job(vertex, self._run)
        found = reading.step_jobs(job, self._step)
        if found is None:
            raise NotFound(f"the run `{self._run}` has no step `{self._step}` on this target", code="step_not_found")
        self._looked = time.monotonic()
        if not found.ids:
            self._last = found.ended is not None
            self._finish()
            return
        if found.ended is not None:
            # No longer than from now on, should this machine's clock be behind Google's.
            ago = max(0.0, (datetime.now(UTC) - found.ended).total_seconds())
            self._settled = min(self._settled, self._looked + self._settle - ago)
        self._last = self._looked >= self._settled
        # Google may show what came in together one after the other, so what came in lately is asked for again.
        since = None if self._newest is None else self._newest - 2 * self._settle_ns
        self._filter, self._token = filter_of(found.ids, since), ""

    def _page(self, vertex: Vertex, filter_: str) -> None:
        """Take one page, and serve what nothing can come before any more."""
        page = page_of(vertex.options, filter_, self._token)
        self._token = page.token
        for entry in page.entries:
            if (entry.time, entry.id) not in self._seen:
                self._seen[entry.time, entry.id] = entry.received
                self._newest = max(self._newest or 0, entry.received)
                heapq.heappush(self._waiting, entry)
        # Pages come in order, so the next has nothing that is older than this one's last.
        reached: float = page.entries[-1].time if page.entries else -math.inf
        self._serve(reached if page.token else math.inf)
        if not page.token:
            self._filter = None
            self._finish()
        oldest = (self._newest or 0) - 2 * self._settle_ns
        self._seen = {key: received for key, received in self._seen.items() if received >= oldest}

    def _serve(self, reached: float) -> None:
        until = reached if self._last else min(reached, time.time_ns() - self._settle_ns)
        while self._waiting and self._waiting[0].time <= until:
            entry = heapq.heappop(self._waiting)
            self.data += entry.text
            # What comes too late for its place was there at the time of what it stands behind, too.
            moment = max(entry.time // 1_000_000, self._times[-1] if self._times else 0)
            if self._times and self._times[-1] == moment:
                self._ends[-1] = len(self.data)
            else:
                self._ends.append(len(self.data))
                self._times.append(moment)

    def _finish(self) -> None:
        if self._last:
            self.complete, self.completed = True, time.monotonic()

    @property
    def _settle_ns(self) -> int:
        return round(self._settle * 1e9)


_Key = tuple[str | None, ...]
_logs: dict[_Key, StepLog] = {}
_logs_lock = threading.Lock()


def _key(vertex: Vertex, run: str, step: str) -> _Key:
    options = vertex.options
    where = (options.api_endpoint, options.logging_endpoint, options.project, options.location, options.credentials)
    return (*where, run, step)


def _log_of(vertex: Vertex, key: _Key, offset: int) -> StepLog:
    """The log of a step that this process keeps; a new one where there is none, or where it may be too old."""
    with _logs_lock:
        log = _logs.pop(key, None)
        if log is None or (offset == 0 and time.monotonic() > log.completed + _FRESH):
            log = StepLog(str(key[-2]), str(key[-1]), vertex.options.log_settle)
        _logs[key] = log  # the last one asked for is the last
        total = sum(len(one.data) for one in _logs.values())
        for other in list(_logs)[:-1]:
            if total <= _KEPT and len(_logs) <= _MOST:
                break
            total -= len(_logs.pop(other).data)
    return log


def _forget(key: _Key) -> None:
    with _logs_lock:
        _logs.pop(key, None)


def _how_else(target: Target, run: RunRef) -> str:
    """What to do without the library that reads logs."""
    return (
        f"logs of target `{target.name}` are read from Cloud Logging by a library that is not installed: "
        "`pip install 'penstock[vertex-logs]'`; the console shows them too, at each step of the pipeline run "
        f"`{job_id(run.id)}`"
    )
