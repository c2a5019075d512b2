"""The registry: each group of it binds the functions that say the rules to one transaction of the file."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from penstock.errors import RegistryError
from penstock.registry import (
    clearing,
    default_version,
    endpoints,
    gates,
    handover,
    history,
    listing,
    lookup,
    maintenance,
    mirrors,
    outbox,
    pipelines,
    run_state,
    runs,
    sensitive,
    snapshots,
    tokens,
)
from penstock.registry.copying import copy_whole
from penstock.registry.database import Clock, Database, Transaction, system_clock
from penstock.registry.decisions import Decisions
from penstock.registry.file import open_database
from penstock.registry.group_commit import GroupCommit
from penstock.registry.messages import CheckReport, Revived

P = ParamSpec("P")
T = TypeVar("T")


class _Group:
    """Functions of the registry that belong together, over one database."""

    def __init__(self, database: Database, decisions: Decisions) -> None:
        self._database = database
        self._decisions = decisions


def reads(function: Callable[Concatenate[Transaction, P], T]) -> Callable[Concatenate[_Group, P], T]:
    """A function of a transaction as a method that gives it a consistent view."""

    @wraps(function)
    def method(self: _Group, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with self._database.read() as tx:
            return function(tx, *args, **kwargs)

    return method


def looks(function: Callable[Concatenate[Transaction, P], T]) -> Callable[Concatenate[_Group, P], T]:
    """A function of a transaction that reads one statement, as a method."""

    @wraps(function)
    def method(self: _Group, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._decisions.look(lambda tx: function(tx, *args, **kwargs))

    return method


def writes(function: Callable[Concatenate[Transaction, P], T]) -> Callable[Concatenate[_Group, P], T]:
    """A function of a transaction as a method that gives it a decision of its own."""

    @wraps(function)
    def method(self: _Group, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._decisions.make(lambda tx: function(tx, *args, **kwargs))

    return method


class Pipelines(_Group):
    """Published pipelines, and the snapshots behind them."""

    plan = reads(pipelines.plan)
    publish = writes(pipelines.publish)
    get = reads(pipelines.get)
    placement = reads(pipelines.placement)
    known = reads(pipelines.known)
    list = reads(listing.list_published)
    delete = writes(pipelines.delete)
    snapshot = reads(snapshots.get)
    every_snapshot = reads(snapshots.every)
    every_publication = reads(snapshots.publications)
    record_trial = writes(snapshots.record)


class Endpoints(_Group):
    """Endpoints: versions, the default, names."""

    create = writes(endpoints.create)
    add_version = writes(endpoints.add_version)
    set_default = writes(default_version.set_default)
    rollback = writes(default_version.rollback)
    update = writes(endpoints.update)
    rename = writes(endpoints.rename)
    set_access = writes(endpoints.set_access)
    set_deduplication = writes(endpoints.set_deduplication)
    delete = writes(endpoints.delete)
    get = reads(lookup.get_endpoint)
    identify = reads(endpoints.identify)
    within = reads(endpoints.within)
    is_public = reads(endpoints.is_public)
    list = reads(listing.list_endpoints)
    at = reads(history.endpoint_at)


class Runs(_Group):
    """Runs: acceptance, hand-over, state."""

    get = reads(lookup.get_run)
    list = reads(listing.list_runs)
    is_within = reads(lookup.run_is_within)
    unfinished = reads(listing.unfinished)
    targets_running = reads(listing.targets_running)
    to_clear = reads(clearing.to_clear)
    cleared = reads(clearing.cleared)
    note_cleared = writes(clearing.note)
    list_unfinished = reads(listing.list_unfinished)
    ref = reads(handover.ref)
    start_handover = writes(handover.start)
    finish_handover = writes(handover.finish)
    refuse_handover = writes(handover.refuse)
    give_up = writes(handover.give_up)
    request_cancel = writes(run_state.request_cancel)
    is_news = reads(run_state.is_news)
    report = writes(run_state.report)
    preview = reads(run_state.preview)
    replay = reads(runs.replay)
    is_known = looks(runs.is_known)
    resolve = reads(runs.resolve)
    accept = writes(runs.accept)
    without_need = reads(sensitive.unneeded)
    sweep_values = writes(sensitive.sweep)


class Outbox(_Group):
    """What targets are owed."""

    due = reads(outbox.due)
    take = writes(outbox.take)
    due_targets = reads(outbox.due_targets)
    is_owed = reads(outbox.is_owed)
    is_due = reads(outbox.is_due)
    is_stuck = reads(outbox.is_stuck)
    begin = writes(outbox.begin)
    tries = reads(outbox.tries)
    done = writes(outbox.done)
    defer = writes(outbox.defer)
    breaker = reads(outbox.breaker)
    trouble = reads(outbox.trouble)
    failures = reads(outbox.failures)
    leave_alone = writes(outbox.leave_alone)
    reached = writes(outbox.reached)
    endpoint_state = reads(mirrors.endpoint_state)
    synced = writes(mirrors.synced)
    unsynced = reads(mirrors.unsynced)
    to_retire = writes(outbox.to_retire)
    namesakes = reads(outbox.namesakes)


class Tokens(_Group):
    """Who may come in by HTTP."""

    create = writes(tokens.create)
    list = reads(tokens.list_all)
    revoke = writes(tokens.revoke)
    verify = looks(tokens.verify)
    exchange = writes(tokens.exchange)


class Registry(_Group):
    """One registry file, open in this process. Threads may share it; a fork opens its own.

    References: an endpoint by name or id, a published pipeline by id, `name:label` or `name:label@target`, a run by
    id or its first characters. Everything may raise RegistryError.
    """

    set_gate = writes(gates.set_gate)
    history = reads(history.page)
    counts = reads(maintenance.counts)
    is_empty = reads(maintenance.is_empty)

    def __init__(self, database: Database) -> None:
        super().__init__(database, Decisions(database))
        self.holds_up = self._decisions.holds_up
        self.pipelines = Pipelines(database, self._decisions)
        self.endpoints = Endpoints(database, self._decisions)
        self.runs = Runs(database, self._decisions)
        self.outbox = Outbox(database, self._decisions)
        self.tokens = Tokens(database, self._decisions)

    @classmethod
    def open(cls, path: Path, *, create: bool = True, read_only: bool = False, clock: Clock = system_clock) -> Registry:
        """Open a registry file; a missing one is made, an older one migrated with a copy beside it.

        What cannot be written can still be read. `clock` returns microseconds since 1970 UTC. Raises RegistryError:
        `registry_missing`, `registry_newer`, `registry_older`, `registry_corrupt`, `registry_network_fs`,
        `registry_read_only`, `registry_disk_full`, `registry_busy`, `registry_log_foreign`, `registry_linked`.
        """
        return cls(open_database(path, create=create, read_only=read_only, clock=clock))

    @property
    def is_backup(self) -> bool:
        """Whether this is a backup in which nothing was decided yet; the first decision takes it into use."""
        return self._database.is_backup

    def group_commit(self) -> GroupCommit:
        """Decisions of this thread that share a commit; nothing is begun yet."""
        return self._decisions.group_commit()

    @property
    def must_not_block(self) -> bool:
        """Whether this thread must not wait for anything: its decisions are part of a group commit."""
        return self._decisions.of_thread.group is not None

    def begin_joined(self) -> None:
        """Take this thread's turn now if its decisions are part of a group commit. Raises WouldBlock."""
        self._decisions.begin()

    def after_commit(self, work: Callable[[], None]) -> None:
        """Do something that raises nothing once what this thread has decided is committed."""
        self._decisions.after(work)

    def write(self) -> AbstractContextManager[Transaction]:
        """One decision for several changes: pass it to functions of `penstock.registry`; all of them hold, or none."""
        return self._decisions.write()

    def check_writable(self) -> None:
        """Write something that changes nothing, as durably as a decision. Raises RegistryError when that cannot be."""
        self._decisions.rewrite()

    @property
    def owner(self) -> int | None:
        """The user whose file it is, who alone writes it; None when that is this one."""
        return self._database.owner

    def refuse_guest(self) -> None:
        """Raise RegistryError `registry_not_owned` when the file is another user's, who alone writes it."""
        if self._database.owner is not None:
            raise self._database.refusal()

    def refuse_reader(self) -> None:
        """Raise RegistryError when nothing can be written here: `registry_not_owned`, `registry_read_only`."""
        if self._database.read_only:
            raise self._database.refusal()

    def refuse_linked(self) -> None:
        """Raise RegistryError `registry_linked` when the file has another name, by which somebody else may write it."""
        self._database.refuse_linked()

    def only_look(self, refusal: Callable[[], RegistryError]) -> None:
        """Refuse every decision from now on with this error."""
        self._database.refusal = refusal
        self._database.read_only = True

    @staticmethod
    def restore(path: Path, backup: Path) -> Path | None:
        """Put a backup in a registry's place, see `penstock.registry.restoring`; answers where the old one is now."""
        from penstock.registry.restoring import restore  # once in a registry's life

        return restore(path, backup)

    @staticmethod
    def revived(path: Path, replaced: Path) -> Revived | None:
        """See `penstock.registry.reviving`."""
        from penstock.registry.reviving import revived  # once in a registry's life

        return revived(path, replaced)

    def check(self) -> CheckReport:
        """Check the whole file: SQLite's structures, references, and the laws."""
        with self._database.connection() as connection:
            return maintenance.check(connection)

    def backup(self, destination: Path) -> None:
        """Write a consistent copy while others write. Raises Conflict when the destination exists, UsageError when
        its folder does not, RegistryError when the copy could not be restored, because the registry is damaged.
        """
        with self._database.connection() as connection:
            copy_whole(self._database.path, connection, destination)

    def close(self) -> None:
        """Close the file; closing twice is closing once."""
        self._database.close()

    def __enter__(self) -> Registry:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
