"""The keepers of one engine: its own, which it starts and hands steps to, and those that an earlier one left behind.

What a keeper of ours says comes by a socket; when it dies its children are ours, and its journal says which step is
which. Of a keeper that an earlier engine started there is the journal alone.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import socket
from collections.abc import Iterable
from pathlib import Path

from attrs import define, frozen

from penstock_local import journal, places, processes, removal
from penstock_local.handover import OwnKeeper, Request
from penstock_local.journal import PATIENCE, Trace
from penstock_local.layout import Layout
from penstock_local.watching import Watching

_STILLBORN = 3
"""How many keepers in sequence may die before they say a word."""


class NoKeeper(Exception):
    """No keeper comes up, so no step can be started; it is not the step's fault."""


@frozen
class Started:
    """A step's process runs; `parent` is the keeper that will note its end, or this engine."""

    token: str
    pid: int
    parent: int


@frozen
class Failed:
    """A step could not be started."""

    token: str
    error: OSError


@frozen
class Ended:
    """A step's process has ended with this exit code (negative: the signal)."""

    token: str
    code: int


@frozen
class Lost:
    """A step whose keeper died as the engine before us had: nobody can know how it ends."""

    token: str


Event = Started | Failed | Ended | Lost


@define(eq=False)
class _Left:
    """A keeper of an earlier engine, or what is left of one. Of its steps, `open` are those that have not ended."""

    journal: Path
    tokens: set[str]
    open: set[str]


class Keepers:
    """Hands steps to keepers and tells what becomes of them. `poll` is readable when there is something to hear."""

    def __init__(self, layout: Layout, watching: Watching) -> None:
        self._layout = layout
        self._watching = watching
        self._own: list[OwnKeeper] = []
        self._left: list[_Left] = []
        self._events: list[Event] = []
        self._stillborn = 0
        self.poll = select.epoll()
        places.make_folder(layout.keepers)
        self._folder = os.open(layout.keepers, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        self._place = Path(f"/proc/self/fd/{self._folder}")  # wherever the root is moved

    @property
    def pids(self) -> set[int]:
        """The keepers that are children of ours."""
        return {own.process.pid for own in self._own}

    @property
    def waits_for_left(self) -> bool:
        """Whether a keeper of an earlier engine has steps, whose death nobody tells us."""
        return any(left.open for left in self._left)

    def begin(self) -> None:
        """Start a keeper, so that it is there when the first step comes. Raises NoKeeper."""
        self._current()

    def _current(self) -> OwnKeeper:
        for own in self._own:
            if not own.retired:
                return own
        try:
            own = OwnKeeper.start(self._layout.root, self._place / secrets.token_hex(4))
        except OSError as error:
            raise NoKeeper(f"cannot start the keeper of steps: {error}") from None
        self.poll.register(own.connection, select.EPOLLIN)
        self._own.append(own)
        return own

    def spawn(self, request: Request) -> None:
        """Have a step started. Raises OSError when its log cannot be opened, NoKeeper."""
        self._current().spawn(request, self._watching)

    def gentle(self, token: str) -> None:
        """Have a step's pid told, and let what is left of its group have its time of grace when it has ended."""
        for own in self._own:
            own.gentle(token)

    # Hearing of them

    def hear(self) -> list[Event]:
        """What happened to steps since the last time. Raises OSError, TimeoutError, NoKeeper."""
        for own in list(self._own):
            said, lives = own.listen()
            self._take_in(own, said)
            if not lives:
                self._bury(own)
            elif own.retired and not own.open:
                with contextlib.suppress(OSError):
                    own.connection.shutdown(socket.SHUT_WR)  # it ends, which is heard as any other end of one
        for left in self._left:
            if left.open:
                self._look_at(left)
        events, self._events = self._events, []
        return events

    @property
    def live(self) -> bool:
        """Whether every keeper of ours does."""
        return not any(own.has_died() for own in self._own)

    def bury_the_dead(self) -> None:
        """Take over the children of keepers that have died, which may be among ours already. Raises as `hear`."""
        for own in list(self._own):
            if own.has_died():
                self._bury(own)

    def _take_in(self, own: OwnKeeper, said: Iterable[tuple[str, str, int, str]]) -> None:
        for word, token, number, *where in said:
            self._stillborn = 0
            if word == "started":
                self._events.append(Started(token, number, own.process.pid))
            elif own.open.pop(token, None) is not None:
                self._events.append(Ended(token, number) if word == "ended" else Failed(token, _error(number, *where)))

    def _bury(self, own: OwnKeeper) -> None:
        """A keeper of ours has died: what it was the parent of is ours now, what it never started goes to another."""
        self.poll.unregister(own.connection)
        said, found = own.last_words()
        self._take_in(own, said)
        self._own.remove(own)
        self._left.append(_Left(own.journal, own.tokens, set()))
        if not found.keeper:
            self._stillborn += 1
            if self._stillborn >= _STILLBORN:
                raise NoKeeper("the keeper of steps does not start")
        self.begin()
        known = {trace.pid for trace in found.traces.values()} | self.pids
        for token, request in own.open.items():
            trace = found.traces.get(token)
            if trace is not None and trace.starting:
                trace.pid = processes.inherited(token, known)
            if trace is not None and not trace.starting:
                self._events.append(event_of(token, trace, os.getpid()))
                continue
            try:
                self.spawn(request)
            except OSError as error:
                self._events.append(Failed(token, error))

    def _look_at(self, left: _Left) -> None:
        try:
            kept = journal.is_kept(left.journal)
            traces = journal.read(left.journal).traces
        except FileNotFoundError:  # somebody cleared it away
            kept, traces = False, {}
        for token in sorted(left.open):
            event = event_of(token, traces.get(token, Trace()), -1 if kept else 0)
            if not isinstance(event, Started):
                left.open.remove(token)
                self._events.append(event)

    # What is left of them

    def recover(self) -> dict[str, tuple[Trace, int]]:
        """What became of steps under earlier engines, and the pid of the keeper that still has them, else 0.

        Raises OSError, TimeoutError.
        """
        known = {own.journal for own in self._own}
        traces: dict[str, tuple[Trace, int]] = {}
        for path in places.small_files(self._place):
            if path in known:
                continue
            found, kept = journal.settled(path, PATIENCE)
            for token, trace in found.traces.items():
                if token not in traces or traces[token][0].starting:  # what it did not begin another may have
                    traces[token] = trace, found.keeper if kept else 0
            runs = {token for token, trace in found.traces.items() if trace.runs}
            self._left.append(_Left(path, set(found.traces), runs if kept else set()))
        return traces

    def note_end(self, token: str, code: int) -> None:
        """Note the end of a step that came to us from a keeper, before it is reaped."""
        self._note(token, journal.ended(token, code))

    def note_try(self, token: str) -> None:
        """Note that we work out what a step came to that has ended."""
        self._note(token, journal.tried(token))

    def _note(self, token: str, entry: bytes) -> None:
        for left in self._left:
            if token in left.tokens:
                with contextlib.suppress(OSError):
                    journal.append(left.journal, entry)

    def tidy(self, needed: Iterable[str]) -> None:
        """Remove the journals of keepers that are gone and of which no step is `needed` any more.

        Call it when everything else is in the queue.
        """
        if self._left:
            tokens = set(needed)
            for left in [left for left in self._left if not left.open and not left.tokens & tokens]:
                removal.remove(os.fspath(left.journal))
                self._left.remove(left)

    def remove_all(self) -> None:
        """Remove every journal, wherever the root lies now: nothing runs any more, and the queue says so."""
        for path in (*(own.journal for own in self._own), *(left.journal for left in self._left)):
            removal.remove(os.fspath(path))

    def close(self) -> None:
        """Let go of every keeper: it goes on alone while it has children."""
        for own in self._own:
            own.let_go()
        self.poll.close()
        os.close(self._folder)


def event_of(token: str, trace: Trace, parent: int) -> Event:
    """What a journal says of a step whose process, if it runs, is a child of `parent`; nobody's when that is 0."""
    if trace.error is not None:
        return Failed(token, _error(trace.error, trace.where))
    if trace.code is not None:
        return Ended(token, trace.code)
    return Started(token, trace.pid, parent) if parent else Lost(token)


def _error(number: int, where: str) -> OSError:
    """What went wrong at the start of a step. `where` is what it was about: command, folder, log, journal, fork."""
    error = OSError(number, os.strerror(number))
    error.filename = None if where in ("command", "fork") else where
    return error
