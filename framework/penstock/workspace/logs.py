"""Reading the logs of a run's steps, once or for as long as the run goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from attrs import frozen

from penstock.contract.run import LogChunk
from penstock.errors import NotFound, RegistryError, TargetUnsupported, did_you_mean
from penstock.records import RunRecord
from penstock.workspace.clearing import refuse_cleared, told_as_gone
from penstock.workspace.services import Services
from penstock.workspace.timestamps import Late, Timestamps

_PAUSE = 0.1
"""Seconds between two looks at logs in which nothing is new."""


@frozen(kw_only=True)
class LogPart:
    """A piece of one step's log: the bytes that the step wrote, with the times of lines among them where asked for."""

    step: str
    data: bytes


class LogParts(Iterator[LogPart]):
    """What steps wrote, piece by piece, waiting for what is still to come when the run is followed.

    Who must not wait asks by `look`. `on_untimed` is called once, as soon as times are asked for where there are none.
    """

    def __init__(
        self, services: Services, run: RunRecord, step: str | None, follow: bool, timestamps: bool = False
    ) -> None:
        self.on_untimed: Callable[[], None] = lambda: None
        self._services = services
        self._run = run
        self._step = step
        self._follow = follow
        self._offsets: dict[str, int] = {}
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
        """How many bytes the one step's log has now, and whether that is all it ever will have.

        A target says where a piece ends and not how much there is, so this asks it a few times.
        """
        assert self._step is not None
        if self._run.external is None or self._step not in [one.name for one in self._run.steps]:
            return 0, self._run.finished
        low, high, probe, complete = 0, -1, 0, False
        while high < 0 or low < high:
            chunk = self._chunk(self._step, probe)
            if chunk.data:
                low, high = chunk.next_offset, high if chunk.next_offset <= high else -1
                if chunk.complete:
                    return low, True
                # Mostly the first piece is all there is; after that the guess doubles.
                probe = low if probe == 0 else low * 2
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
                yield None
                continue
            run = self._run = found.run
            wanted = [one.name for one in run.steps if self._step in (None, one.name) and one.name not in complete]
            if self._late.steps and not self._follow:  # a second look, at these alone
                wanted = [name for name in wanted if name in self._late.steps]
            quiet = True
            for name in wanted if run.external is not None else ():
                while True:
                    offset = self._offsets.get(name, 0)
                    chunk = self._timed(name, offset, self._chunk(name, offset))
                    self._offsets[name] = chunk.next_offset
                    if chunk.data:
                        quiet = False
                        yield from self._parts(name, offset, chunk)
                    if chunk.complete:
                        complete.add(name)
                    if chunk.complete or not chunk.data:
                        break
            if not self._late.steps and (not self._follow or (run.finished and quiet)):
                return
            if found.hopeless and found.trouble is not None:
                raise found.trouble
            if quiet:
                yield None

    def _parts(self, step: str, offset: int, chunk: LogChunk) -> Iterator[LogPart]:
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
