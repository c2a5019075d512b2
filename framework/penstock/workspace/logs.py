"""Reading the logs of a run's steps, once or for as long as the run goes on."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator

from attrs import evolve, frozen

from penstock.contract.run import LogChunk
from penstock.errors import NotFound, RegistryError, TargetUnavailable, TargetUnsupported, did_you_mean
from penstock.records import RunRecord
from penstock.workspace.clearing import refuse_cleared, told_as_gone
from penstock.workspace.services import Services
from penstock.workspace.timestamps import Late, Timestamps

_PAUSE = 0.1
"""Seconds between two looks at logs in which nothing is new."""

_TURN = 8
"""Pieces of one step's log that are shown before those of the others: a step that writes all the time has no last."""

_MOST_OTHERS = 8
"""How often a log may have become another one: where each look finds another, as where numbers of files change, that
says nothing.
"""

_BEGINNING = 4096
"""Bytes of a log that are kept, to tell whether another one in its place goes on with them."""


@frozen(kw_only=True)
class LogPart:
    """A piece of one step's log: the bytes that the step wrote, with the times of lines among them where asked for."""

    step: str
    data: bytes


class LogParts(Iterator[LogPart]):
    """What steps wrote, piece by piece, waiting for what is still to come when the run is followed.

    Who must not wait asks by `look`. `on_untimed` is called once, as soon as times are asked for where there are none,
    and `on_shorter` with a step whose log has fewer bytes now than were read of it, or is another one. With `follow`
    `on_stale` is told why nothing newer is known of the run, once for each reason that follows another; without it each
    step comes in one stretch, up to the end that its log had when it was found first.
    """

    def __init__(
        self, services: Services, run: RunRecord, step: str | None, follow: bool, timestamps: bool = False
    ) -> None:
        self.on_untimed: Callable[[], None] = lambda: None
        self.on_shorter: Callable[[str], None] = lambda step: None
        self.on_stale: Callable[[str], None] = lambda why: None
        self._stale: str | None = None
        self._services = services
        self._run = run
        self._step = step
        self._follow = follow
        self._offsets: dict[str, int] = {}
        self._identities: dict[str, str | None] = {}
        self._others: dict[str, int] = {}
        self._beginnings: dict[str, bytes] = {}
        """What was read of logs of which that is little."""
        self._timestamps = Timestamps() if timestamps else None
        self._is_untimed = False
        self._late = Late(follow)
        self._pieces = self._read()

    def __next__(self) -> LogPart:
        """The next piece, waiting for it. Raises what `look` raises."""
        while True:
            piece = self.look()
            if piece is not None:
                return piece
            time.sleep(_PAUSE)

    def look(self) -> LogPart | None:
        """The next piece, or None when there is none just now.

        Raises StopIteration at the end, and as `Runs.wait` when the end can never be seen.
        """
        return next(self._pieces)

    def start_at(self, offset: int) -> None:
        """Leave out so many bytes of the one step's log; before anything of it was read."""
        if self._step is not None:
            self._offsets[self._step] = offset

    def length(self) -> tuple[int, bool]:
        """How many bytes the one step's log has now, and whether that is all it ever will have."""
        assert self._step is not None
        if self._run.external is None or self._step not in [one.name for one in self._run.steps]:
            return 0, self._run.finished
        chunk = self._chunk(self._step, 0)
        if chunk.complete or not chunk.data:
            return chunk.next_offset, chunk.complete
        return self._end(self._step, chunk.next_offset)

    def _end(self, step: str, low: int) -> tuple[int, bool]:
        """Where a log ends that has so many bytes at least, and whether it stays there.

        A target says where a piece ends and not how much there is, so this asks it a few times. What grows meanwhile
        has an end, too: one that it had, and none before that which it had at first.
        """
        high, probe, complete = -1, low, False
        while high < 0 or low < high:
            chunk = self._chunk(step, probe)
            if chunk.data:
                low = chunk.next_offset
                if chunk.complete:
                    return low, True
                probe = low * 2
            else:
                high, complete = probe, chunk.complete
            if high >= 0:
                probe = (low + high) // 2
        return low, complete

    def _chunk(self, step: str, offset: int) -> LogChunk:
        ref, placement = self._services.registry.runs.ref(self._run.id)
        with told_as_gone():
            return self._services.targets.open_frozen(placement).read_logs(ref, step, offset)

    def _read(self) -> Iterator[LogPart | None]:
        complete: set[str] = set()
        while True:
            try:
                found = self._services.follower.one(self._run)
            except RegistryError as error:
                if not (self._follow and error.is_passing):
                    raise
                self._tell_stale(error.cause)
                yield None
                continue
            run = self._run = found.run
            self._tell_stale(run.stale)
            wanted = [one.name for one in run.steps if self._step in (None, one.name) and one.name not in complete]
            if run.external is None:
                wanted = []
            if not self._follow:
                for name in wanted:
                    yield from self._once(name)
                return
            quiet = True
            for name in wanted:
                # The steps of a run that has ended come in their order: each log has an end.
                for _ in itertools.count() if run.finished else range(_TURN):
                    offset = self._offsets.get(name, 0)
                    chunk = self._chunk(name, offset)
                    if self._is_another(name, offset, chunk):
                        quiet = False
                        yield from self._begin_again(name)
                        continue
                    chunk = self._timed(name, offset, chunk)
                    if chunk.data:
                        quiet = False
                    yield from self._parts(name, offset, chunk)
                    if chunk.complete:
                        complete.add(name)
                    if chunk.complete or not chunk.data:
                        break
            if not self._late.steps and run.finished and quiet:
                return
            if found.hopeless and found.trouble is not None:
                raise found.trouble
            if quiet:
                yield None

    def _tell_stale(self, why: str | None) -> None:
        if self._follow and why not in (None, self._stale):
            self.on_stale(str(why))
        self._stale = why

    def _once(self, step: str) -> Iterator[LogPart | None]:
        """A step's log up to the end that is found first, because one that grows all the time has no other."""
        end: int | None = None
        while end is None or self._offsets.get(step, 0) < end:
            offset = self._offsets.get(step, 0)
            chunk = self._chunk(step, offset)
            if self._is_another(step, offset, chunk):
                self.on_shorter(step)
                return
            if end is None and (chunk.complete or not chunk.data):
                end = chunk.next_offset
            elif end is None:
                with contextlib.suppress(TargetUnavailable):  # it may have to read for long to know; the next may do
                    end, _ = self._end(step, chunk.next_offset)
            if end is not None and chunk.next_offset > end:
                chunk = evolve(chunk, data=chunk.data[: end - offset], next_offset=end)
            chunk = self._timed(step, offset, chunk)
            yield from self._parts(step, offset, chunk)
            if step in self._late.steps:
                yield None
            elif not chunk.data:
                return

    def _begin_again(self, step: str) -> Iterator[LogPart]:
        """Go on at the beginning of a log that was cut or replaced: what was read of it is there no more."""
        self._offsets[step] = 0
        self._beginnings.pop(step, None)
        self._late.steps.pop(step, None)
        self.on_shorter(step)
        if self._timestamps is not None and self._timestamps.begin_again(step):
            yield LogPart(step=step, data=b"\n")

    def _is_another(self, step: str, offset: int, chunk: LogChunk) -> bool:
        """Whether what was read of a log is not what lies before this piece: it was cut, or is another log by now."""
        if not chunk.data and chunk.next_offset < offset:
            return True
        known, found = self._identities.get(step), chunk.identity
        if offset and None not in (known, found) and found != known and not self._begins_alike(step, offset):
            self._others[step] = self._others.get(step, 0) + 1
            return self._others[step] <= _MOST_OTHERS
        if found is not None or not offset:
            self._identities[step] = found
        return False

    def _begins_alike(self, step: str, offset: int) -> bool:
        """Whether a log begins with what was read of the one before, as that of a next attempt does, or a copy."""
        kept = self._beginnings.get(step, b"")
        return len(kept) == offset and self._chunk(step, 0).data.startswith(kept)

    def _parts(self, step: str, offset: int, chunk: LogChunk) -> Iterator[LogPart]:
        self._offsets[step] = chunk.next_offset
        if not chunk.data:
            return
        kept = self._beginnings.get(step, b"")
        if len(kept) == offset and chunk.next_offset <= _BEGINNING:
            self._beginnings[step] = kept + chunk.data
        if self._timestamps is None:
            yield LogPart(step=step, data=chunk.data)
            return
        for data in self._timestamps.add(step, offset, chunk):
            yield LogPart(step=step, data=data)

    def _timed(self, step: str, offset: int, chunk: LogChunk) -> LogChunk:
        """What of a piece may be shown now: where times are asked for, what has none yet waits for a while."""
        if self._timestamps is None:
            return chunk
        if chunk.data and chunk.times is None and not self._is_untimed:
            self._is_untimed = True
            self.on_untimed()
        return self._late.shown(step, offset, chunk)


def read_logs(services: Services, run: RunRecord, step: str | None, follow: bool, timestamps: bool = False) -> LogParts:
    """The logs of one step or of all in the order of the graph. Raises NotFound, TargetUnsupported at once."""
    steps = [one.name for one in run.steps]
    if step is not None and run.steps and step not in steps:
        raise NotFound(f"run {run.id} has no step `{step}` ({did_you_mean(step, steps)})", code="step_not_found")
    if not services.targets.open(run.target).has("penstock_read_logs"):
        raise TargetUnsupported(f"target `{run.target}` keeps no logs that can be read from here")
    if run.finished:
        refuse_cleared(services, run.id)
    return LogParts(services, run, step, follow, timestamps)
