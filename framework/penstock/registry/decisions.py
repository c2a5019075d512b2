"""Whose turn it is to decide: one after the other in a process, and those that wait for it share a commit."""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from attrs import define

from penstock import log_mark
from penstock.errors import RegistryError
from penstock.registry.database import Database, Transaction
from penstock.registry.group_commit import GroupCommit
from penstock.registry.troubles import BUSY_SECONDS, busy, translated, undecided

LARGEST_GROUP = 64
"""How many decisions share one commit at the most: other processes want their turn too."""

T = TypeVar("T")


@define(eq=False)
class _Decision:
    """Something to decide in a transaction, and what came of it once it is `made`."""

    work: Callable[[Transaction], Any]
    made: bool = False
    answer: Any = None
    error: Exception | None = None


class _OfThread(threading.local):
    """The group whose commit the decisions of a thread are a part of."""

    group: GroupCommit | None = None


class Decisions:
    """Decisions on one registry file. Its writers take turns here rather than at SQLite's lock, which is asked by
    waiting and trying again. Threads may share it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._turn = threading.Lock()
        self._waiting: deque[_Decision] = deque()
        self._deciding: set[int] = set()
        self.of_thread = _OfThread()

    def make(self, work: Callable[[Transaction], T]) -> T:
        """What `work` decides: nobody else decides until it is committed, and then it survives power loss.

        Decisions that wait for their turn together are made in the order they came, in one transaction, by whoever has
        the turn, and each is answered after the commit. `work` may be done again when it was rolled back. Raises
        RegistryError `registry_read_only` or `registry_busy`; any exception leaves nothing behind, but for
        `registry_undecided`.
        """
        if self.of_thread.group is not None:
            return self.of_thread.group.decide(work)
        mine = _Decision(work)
        self._waiting.append(mine)
        thread = threading.get_ident()
        self._deciding.add(thread)
        try:
            self._take_turn(mine)
            try:
                while not mine.made:
                    self._make(self._next(mine))
            finally:
                self._turn.release()
        finally:
            self._deciding.discard(thread)
        if mine.error is not None:
            raise mine.error
        answer: T = mine.answer
        return answer

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """A decision as a block of its own, see `make`."""
        self._check_writable()
        if not self._turn.acquire(timeout=BUSY_SECONDS):
            raise busy(self._database.path)
        try:
            with self._database.begin("BEGIN IMMEDIATE") as connection:
                yield self._database.decision(connection, self._database.last_change(connection))
        finally:
            self._turn.release()

    def holds_up(self, thread: int | None) -> RegistryError | None:
        """Why a thread of this process waits, where that is for its turn to decide or for what it decides to be
        written; None where it is not.
        """
        return busy(self._database.path, so_far=True) if thread in self._deciding else None

    def rewrite(self) -> None:
        """Write nothing but a mark, which fails as every write would. Raises RegistryError."""
        with self.write() as tx:
            tx.run(log_mark.SAME)

    def group_commit(self) -> GroupCommit:
        """Decisions of this thread that share a commit; nothing is begun yet."""
        return GroupCommit(self._database, self)

    def begin(self) -> None:
        """Take this thread's turn now if its decisions share a commit, see `GroupCommit.begin`. Raises WouldBlock."""
        if self.of_thread.group is not None:
            self.of_thread.group.begin()

    def look(self, work: Callable[[Transaction], T]) -> T:
        """What one statement finds: in the state that this thread decides on, where it has begun to, else as it is."""
        group = self.of_thread.group
        return self._database.look(work) if group is None or not group.can_look else group.look(work)

    def after(self, work: Callable[[], None]) -> None:
        """Do something that raises nothing once what this thread has decided is committed, which it mostly is."""
        if self.of_thread.group is not None:
            self.of_thread.group.after(work)
        else:
            work()

    def try_turn(self) -> bool:
        """Take the turn to decide until `end_turn`, if nobody has it or waits for it."""
        if self._database.is_backup or self._waiting or not self._is_writable():
            return False
        return self._turn.acquire(blocking=False)

    def end_turn(self) -> None:
        """Leave the turn to others."""
        self._turn.release()

    def _take_turn(self, mine: _Decision) -> None:
        """Wait until it is our turn, or our decision was made. Raises RegistryError `registry_busy`."""
        try:
            if self._turn.acquire(timeout=BUSY_SECONDS):
                return
        except BaseException:  # Ctrl-C: who does not wait any more wants no decision
            with suppress(ValueError):
                self._waiting.remove(mine)
            raise
        try:
            self._waiting.remove(mine)
        except ValueError:  # somebody is making it just now, and says what came of it
            if not self._turn.acquire(timeout=BUSY_SECONDS):
                raise undecided(self._database.path, busy(self._database.path)) from None
        else:
            raise busy(self._database.path)

    def _next(self, mine: _Decision) -> list[_Decision]:
        """Those who have waited longest, or ours when it does not wait any more: who had taken it was interrupted."""
        if mine not in self._waiting:
            return [mine]
        return [self._waiting.popleft() for _ in range(min(len(self._waiting), LARGEST_GROUP))]

    def _make(self, decisions: Sequence[_Decision]) -> None:
        """Make decisions in one transaction; each has its outcome once that is committed."""
        try:
            self._check_writable()
            with self._database.begin("BEGIN IMMEDIATE") as connection:
                last = self._database.last_change(connection)
                for one in decisions:
                    one.answer, one.error = None, None
                    tx = self._database.decision(connection, last)
                    if len(decisions) == 1:
                        one.answer = one.work(tx)
                    else:
                        self._try(connection, one, tx)
                    last = tx.now
        except Exception as error:
            for one in decisions:
                one.answer, one.error = None, error
        for one in decisions:
            one.made = True

    def _try(self, connection: sqlite3.Connection, one: _Decision, tx: Transaction) -> None:
        """Make one decision of several; what it did is taken back when it fails, and the others' stays."""
        try:
            with translated(self._database.path), _savepoint(connection):
                one.answer = one.work(tx)
        except Exception as error:
            if not connection.in_transaction:  # SQLite took back all of it, on a full disk for one
                raise
            one.error = error

    def _check_writable(self) -> None:
        self._database.check_writable()
        self._database.take_into_use()

    def _is_writable(self) -> bool:
        try:
            self._database.check_writable()
        except RegistryError:
            return False
        return True


@contextmanager
def _savepoint(connection: sqlite3.Connection) -> Iterator[None]:
    """A part of a transaction that leaves nothing behind when it fails; the rest stays, unless SQLite took back all."""
    connection.execute("SAVEPOINT one")
    try:
        yield
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK TO one")
            connection.execute("RELEASE one")
        raise
    connection.execute("RELEASE one")
