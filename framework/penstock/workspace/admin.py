"""The verbs that look after the registry: status, history, check, backup, restore."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from attrs import asdict, frozen

from penstock.callers import Caller
from penstock.records import HistoryRecord, Page
from penstock.registry import CheckReport, Counts, HistoryQuery, Registry, Revived
from penstock.workspace.verbs import Group, placed, verb


@frozen(kw_only=True)
class Status:
    """A workspace at a glance. `runs` counts runs by state; the pending ones wait for a target."""

    config: Path | None
    registry: Path
    exists: bool
    target: str
    endpoints: int
    published: int
    runs: Mapping[str, int]
    pending_hand_overs: int
    pending_cancels: int
    pending_syncs: int
    pending_retires: int


@frozen(kw_only=True)
class Restored:
    """A backup that was put in the registry's place, and where the old registry is now, None where there was none.

    `active_again` are tokens that were revoked since the backup was made and `open_again` gates that were closed, as
    far as the old registry can be read (`compared`): they hold as they did then.
    Where not everybody can read it who could read the old one, `readers_kept` is false.
    """

    registry: Path
    backup: Path
    replaced: Path | None
    active_again: tuple[str, ...] = ()
    open_again: tuple[str, ...] = ()
    compared: bool = True
    readers_kept: bool = True


class Admin(Group):
    """Verbs of the workspace itself and its registry."""

    @verb("workspace.status", "read")
    def status(self, caller: Caller) -> Status:
        """Where this workspace is and what is in it, as far as it is known here: no target is asked."""
        config = self._services.config
        exists = self._services.can_be_listed
        counts = self._services.registry.counts() if exists else Counts()
        return Status(
            config=config.file,
            registry=config.registry.value,
            exists=exists,
            target=config.target.value,
            **asdict(counts),
        )

    @verb("history.list", "read")
    def history(
        self,
        caller: Caller,
        *,
        since: datetime | None = None,
        by: str | None = None,
        subject: str | None = None,
        limit: int = 50,
        before: str | None = None,
        runs: bool = False,
    ) -> Page[HistoryRecord]:
        """A page of what happened, newest first; rows of runs only with `runs`, or when the subject is one."""
        if not self._services.can_be_listed:
            return Page(items=())
        query = HistoryQuery(since=since, by=by, subject=subject, limit=limit, before=before, runs=runs)
        return self._services.registry.history(query)

    @verb("registry.check", "admin")
    def check(self, caller: Caller) -> CheckReport:
        """Check the registry file and the laws in it, and that all that was frozen is what it was: every archive is
        read, and targets on this machine look at what they keep. Raises RegistryError when it cannot be opened.
        """
        from penstock.workspace.checking import check  # once in a while

        return check(self._services)

    @verb("registry.backup", "admin")
    def backup(self, caller: Caller, destination: Path) -> Path:
        """Write a consistent copy of the registry while it is in use; returns where it is.

        Raises Conflict when the file exists, RegistryError `registry_corrupt` when the registry is so damaged that its
        copy could not be restored: then there is none.
        """
        place = placed(caller, destination)
        self._services.registry.backup(place)
        return place

    @verb("registry.restore", "admin")
    def restore(self, caller: Caller, backup: Path) -> Restored:
        """Put a backup in the registry's place, and keep the old registry beside it.

        Nobody else may have the registry open; what this workspace has open is closed first. Raises UsageError when
        the backup is the registry itself, RegistryError, see `penstock.registry.restoring`, and ConfigInvalid
        `not_trusted` where a registry would be made in a folder of somebody else, with nothing changed.
        """
        place = placed(caller, backup)
        self._services.close()
        path = self._services.config.registry.value
        if not path.exists():
            self._services.refuse_strange_place()
        replaced = Registry.restore(path, place)
        revived = Revived() if replaced is None else Registry.revived(path, replaced)
        again = revived or Revived()
        return Restored(
            registry=path,
            backup=place,
            replaced=replaced,
            active_again=again.tokens,
            open_again=again.gates,
            compared=revived is not None,
            readers_kept=replaced is None or not replaced.stat().st_mode & ~path.stat().st_mode & 0o044,
        )
