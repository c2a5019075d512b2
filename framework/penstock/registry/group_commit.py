"""Decisions of one thread that share a commit: made as they come, without waiting for anybody, answered after it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, Self, TypeVar

from penstock import log_mark
from penstock.errors import RegistryError
from penstock.registry.database import Database, Transaction
from penstock.registry.troubles import Alone

if TYPE_CHECKING:
    from penstock.registry.decisions import Decisions

T = TypeVar("T")


class WouldBlock(BaseException):
    """What is asked for may have to wait, so nothing was decided: let a thread do all of it that may.

    No `Exception`, so that nobody takes it for an outcome.
    """


class GroupCommit:
    """Decisions that share a commit. Inside `joined` the registry makes this thread's decisions a part of it.

    Nobody else decides from the first of them until `commit`, which another thread may call.
    """

    def __init__(self, database: Database, decisions: Decisions) -> None:
        self._database = database
        self._decisions = decisions
        self._connection: sqlite3.Connection | None = None
        self._lost: RegistryError | WouldBlock | None = None
        self._changes = 0
        self._last = 0
        self._began = ""
        self._after: list[Callable[[], None]] = []
        self._committing = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Take back what was not committed, and leave the turn to others."""
        if not self._committing:
            self._end()

    def joined(self) -> _Joined:
        """Make what this thread decides a part of it, in a `with`."""
        return _Joined(self, self._decisions)

    def decide(self, work: Callable[[Transaction], T]) -> T:
        """Make a decision, which holds once all are committed; one that fails leaves nothing behind.

        Raises WouldBlock when it is not our turn to decide, and RegistryError, as do all after it and the commit when
        SQLite took back all of it, on a full disk for one: what comes then would be a decision of its own. One that
        fails after it has written takes the others with it: all after it and the commit raise WouldBlock, and whoever
        asked does it again. Decisions look first and write then, so hardly any does; a savepoint for each, of which
        SQLite keeps every page as it was before, would be a fifth of what a decision costs.
        """
        connection = self.begin()
        if self._lost is not None:
            raise self._lost
        tx = self._database.decision(connection, self._last)
        before = connection.total_changes
        try:
            with self._database.translated:
                answer = work(tx)
        except BaseException as error:
            if not connection.in_transaction:
                self._lost = error if isinstance(error, RegistryError) else WouldBlock()
            elif connection.total_changes != before:
                connection.execute("ROLLBACK")
                self._lost = WouldBlock()
            raise
        self._last = tx.now
        return answer

    @property
    def can_look(self) -> bool:
        """Whether something is begun, in which `look` looks."""
        return self._connection is not None and self._lost is None

    def look(self, work: Callable[[Transaction], T]) -> T:
        """What one statement finds in the state that is decided on. Raises RegistryError, WouldBlock."""
        connection, now = self.begin(), self._database.time()
        with self._database.translated:
            return work(Transaction(connection, now, now))

    def after(self, work: Callable[[], None]) -> None:
        """Do something once all are committed; it raises nothing. `commit` does it, unless it is taken before."""
        self._after.append(work)

    def take_after(self) -> list[Callable[[], None]]:
        """What was to be done after the commit: whoever takes it does it, and `commit` does not."""
        taken, self._after = self._after, []
        return taken

    def commit(self) -> bool:
        """Make what was decided last, if anything was. Answers whether anything had to be written.

        Raises RegistryError and WouldBlock, and then nothing of it holds, unless it is `registry_undecided`.
        """
        connection = self._connection
        if connection is None:
            return False
        self._committing = True
        try:
            if self._lost is not None:
                raise self._lost
            wrote = connection.total_changes != self._changes
            with self._database.translated:
                self._database.commit(connection, self._began if wrote else "")
        finally:
            self._end()
        for work in self._after:
            work()
        return wrote

    def begin(self) -> sqlite3.Connection:
        """Take the turn, unless it is ours, if it can be had at once. Raises WouldBlock."""
        if self._connection is not None:
            return self._connection
        if not self._decisions.try_turn():
            raise WouldBlock
        connection = None
        try:
            connection = self._database.take(nonblocking=True)
            with self._database.translated:
                self._begin_on(connection)
        except BaseException:
            self._give_back(connection)
            raise
        self._connection = connection
        return connection

    def _begin_on(self, connection: sqlite3.Connection) -> None:
        if isinstance(connection, Alone):  # nobody else would get in meanwhile
            raise WouldBlock
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:  # another process decides
            raise WouldBlock from None
        self._began = log_mark.first_page(connection)
        self._last = self._database.last_change(connection)
        self._changes = connection.total_changes

    def _end(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._give_back(connection)

    def _give_back(self, connection: sqlite3.Connection | None) -> None:
        """Take back what was not committed, and leave the turn to others."""
        try:
            if connection is not None:
                try:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                finally:
                    self._database.give_back(connection, nonblocking=True)
        finally:
            self._decisions.end_turn()


class _Joined:
    """While it lasts, what a thread decides is a part of a group; a generator would take several times as long."""

    def __init__(self, group: GroupCommit, decisions: Decisions) -> None:
        self._group, self._decisions = group, decisions

    def __enter__(self) -> None:
        self._decisions.of_thread.group = self._group

    def __exit__(self, *_: object) -> None:
        self._decisions.of_thread.group = None
