"""The keepers of one engine: its own, which it starts and hands steps to, and those that an earlier one left behind.

What a keeper of ours says comes by a socket; when it dies its children are ours, and its journal says which step is
which. Of a keeper that an earlier engine started there is the journal alone.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import select
import signal
import socket
from collections.abc import Iterable
from pathlib import Path

from attrs import define, evolve

from penstock_local import journal, neighbours, places, processes, removal
from penstock_local.events import Ended, Event, Failed, Lost, Started, error_of, event_of
from penstock_local.journal import PATIENCE, Trace
from penstock_local.layout import Layout
from penstock_local.own_keeper import OwnKeeper, Request
from penstock_local.troubles import is_machines
from penstock_local.watching import Watching

_STILLBORN = 3
"""How many keepers in sequence may die before they say a word; then it is the machine's trouble."""
TRIES = 3
"""How many keepers may die while they start one step; then it is that step's failure."""


class NoKeeper(Exception):
    """No keeper comes up, so no step can be started, for a reason; it is not the step's fault."""

    def __init__(self, reason: OSError) -> None:
        super().__init__(f"cannot start the keeper of steps: {reason}")
        self.reason = reason


@define(eq=False)
class _Left:
    """A keeper of an earlier engine, or what is left of one. Of its steps, `open` are those that have not ended.

    `tokens` are of the steps of which its journal alone knows.
    """

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
        self._ends = False
        self.poll = select.epoll()
        places.make_folder(layout.keepers)
        self._folder = os.open(layout.keepers, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        self._place = Path(f"/proc/self/fd/{self._folder}")  # wherever the root is moved

    @property
    def pids(self) -> set[int]:
        """The keepers that are children of ours."""
        return {own.process.pid for own in self._own}

    @property
    def stopped(self) -> set[int]:
        """Those of them that a signal holds up."""
        return {own.process.pid for own in self._own if own.stopped}

    @property
    def waits_for_left(self) -> bool:
        """Whether a keeper of an earlier engine has steps, whose death nobody tells us."""
        return any(left.open for left in self._left)

    def begin(self) -> None:
        """Start a keeper, so that it is there when the first step comes. Raises NoKeeper."""
        self._current()

    def _current(self) -> OwnKeeper:
        for own in self._own:
            if own.takes_more:
                return own
        try:
            own = OwnKeeper.start(self._layout.root, self._place / secrets.token_hex(4))
        except OSError as error:
            raise NoKeeper(error) from None
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
        """What happened to steps since the last time. Raises OSError, TimeoutError; then ask again, nothing is lost."""
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
                self._events.append(
                    Ended(token, number) if word == "ended" else Failed(token, error_of(number, *where))
                )

    def _bury(self, own: OwnKeeper) -> None:
        """A keeper of ours has died: what it was the parent of is ours now, what it never started goes to another.

        Raises OSError, TimeoutError; it is then as good as not buried, and is to be buried later.
        """
        if not own.gone:
            own.gone = True
            self.poll.unregister(own.connection)  # it would wake us until it is buried
        self._take_in(own, own.last_words())
        found = own.last_entries()
        known = {trace.pid for trace in found.traces.values()} | self.pids
        for token, trace in found.traces.items():
            if trace.starting and token in own.open:
                trace.pid = processes.inherited(token, known)
        own.close()
        self._own.remove(own)
        self._stillborn += not found.keeper
        begun = {token for token, trace in found.traces.items() if not trace.starting}
        self._left.append(_Left(own.journal, own.tokens - (own.open.keys() - begun), set()))
        self._events += [event_of(token, found.traces[token], os.getpid()) for token in own.open if token in begun]
        for number, request in enumerate(one for token, one in own.open.items() if token not in begun):
            self._hand_on(evolve(request, tries=request.tries + (number == 0)))  # it went about the first

    def _hand_on(self, request: Request) -> None:
        """Have another keeper start what one never started that has died."""
        error: OSError | ValueError
        if self._ends:
            self._events.append(Lost(request.token))
            return
        if request.tries >= TRIES:
            error = ValueError(f"what starts steps died {request.tries} times before it had started this one")
        elif self._stillborn >= _STILLBORN:
            error = OSError(errno.ENOMEM, "what starts steps ends before it says a word")
        else:
            try:
                self.spawn(request)
            except NoKeeper as no:
                error = no.reason
            except OSError as own:
                error = own
            else:
                return
        self._events.append(Failed(request.token, error))

    def _look_at(self, left: _Left) -> None:
        try:
            kept = journal.is_kept(left.journal)
            found = journal.read(left.journal)
            traces = found.traces
            if kept:
                _rouse(found.keeper)
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
        found_left: list[_Left] = []
        for path in places.small_files(self._place):
            if path in known:
                continue
            _rouse(journal.read(path).keeper)
            found, kept = journal.settled(path, PATIENCE)
            for token, trace in found.traces.items():
                if token not in traces or traces[token][0].starting:  # what it did not begin another may have
                    traces[token] = trace, found.keeper if kept else 0
            runs = {token for token, trace in found.traces.items() if trace.runs}
            found_left.append(_Left(path, set(found.traces), runs if kept else set()))
        seen = {left.journal for left in found_left}
        self._left = [left for left in self._left if left.journal not in seen] + found_left
        return traces

    def note_end(self, token: str, code: int) -> None:
        """Note the end of a step that came to us from a keeper, before it is reaped. Raises OSError of the machine."""
        try:
            self._note(token, journal.ended(token, code))
        except OSError as error:
            if is_machines(error):  # it is reaped when it has been noted
                raise

    def note_try(self, token: str) -> None:
        """Note that we work out what a step came to that has ended."""
        with contextlib.suppress(OSError):
            self._note(token, journal.tried(token))

    def _note(self, token: str, entry: bytes) -> None:
        for left in self._left:
            if token in left.tokens:
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

    def sweep(self) -> None:
        """Remove the journals of keepers that are gone, of which no step is on record as running. Raises OSError."""
        known = {own.journal for own in self._own} | {left.journal for left in self._left}
        for path in places.small_files(self._place):
            if path not in known and not journal.is_kept(path):
                removal.remove(os.fspath(path))

    def end(self) -> None:
        """KILL every keeper of ours, and start no other."""
        self._ends = True
        for pid in self.pids:
            processes.signal_child(pid, signal.SIGKILL)

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


def _rouse(pid: int) -> None:
    """Let a keeper of an earlier engine go on that a signal holds up: it is nobody's who would."""
    if pid and processes.is_stopped(pid) and neighbours.is_one(pid):
        processes.signal_child(pid, signal.SIGCONT)
