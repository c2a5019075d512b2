"""Whether all that was frozen is still what it was: specs in the registry, archives beside it, what targets keep.

Each thing is looked at by itself, so that one which is damaged hides no other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from penstock.errors import PenstockError, RegistryError, one_line
from penstock.records import FrozenSnapshot
from penstock.registry import CheckReport
from penstock.snapshot import Archive
from penstock.snapshot.members import check_archive
from penstock.snapshot.stored import archives_of, snapshot_digest
from penstock.text import count_text
from penstock.workspace.services import Services


def check(services: Services) -> CheckReport:
    """Check the registry file, the laws in it, every archive, and what targets on this machine keep of publications.

    A target that is not to be reached is said to be left out. Raises RegistryError when the registry cannot be opened.
    """
    report = services.registry.check()
    broken = [] if report.ok else [*report.lines]
    told: list[str] = []
    try:
        snapshots = services.registry.pipelines.every_snapshot()
        broken += _specs(snapshots)
        if services.store.is_dir():
            archives = _archives(services, snapshots)
            damaged = list(_damaged(archives))
            broken += damaged
            sound = len(archives) - len(damaged)
            told.append(f"{count_text(sound, 'archive')} {'is' if sound == 1 else 'are'} what was published")
            for line, is_damage in _publications(services):
                (broken if is_damage else told).append(line)
        else:  # its targets are not the ones of the registry that it is a copy of
            told.append(f"archives and plans were left out: this is a copy, apart from its state in {services.store}")
    except RegistryError as error:  # what is damaged there is among the lines already, or the reason for this one
        broken.append(str(error))
    if broken:
        return CheckReport(ok=False, lines=tuple(dict.fromkeys(broken)))
    return CheckReport(ok=True, lines=(*report.lines, *told))


def _specs(snapshots: tuple[tuple[FrozenSnapshot, str], ...]) -> Iterator[str]:
    for kept, used in snapshots:
        try:
            found = snapshot_digest(kept.spec, archives_of(json.loads(kept.archives)))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            yield f"the snapshot {kept.digest} of {used} cannot be read ({one_line(error)}); put a backup in its place"
            continue
        if found != kept.digest:
            yield f"the snapshot {kept.digest} of {used} is not what was published; put a backup in its place"


def _archives(services: Services, snapshots: tuple[tuple[FrozenSnapshot, str], ...]) -> dict[str, tuple[Archive, str]]:
    """Every archive by its digest, each with one of those who use it."""
    found: dict[str, tuple[Archive, str]] = {}
    for kept, used in snapshots:
        try:
            known = archives_of(json.loads(kept.archives), services.store)
        except (ValueError, TypeError, KeyError, AttributeError):
            continue  # said of the snapshot
        for archive in known.values():
            found.setdefault(archive.digest, (archive, used))
    return found


def _damaged(archives: dict[str, tuple[Archive, str]]) -> Iterator[str]:
    for archive, used in archives.values():
        try:
            check_archive(archive)
        except RegistryError as error:
            yield f"{error} ({used}); publish it again"


def _publications(services: Services) -> Iterator[tuple[str, bool]]:
    """What targets that can look for themselves say of their publications, and whether it is damage."""
    away: set[str] = set()
    looked = 0
    for placement, publication, used in services.registry.pipelines.every_publication():
        try:
            target = services.targets.open_frozen(placement)
            if not target.has("penstock_check_publication"):
                continue
            for line in target.check_publication(publication):
                yield f"{line} ({used})", True
            looked += 1
        except PenstockError as error:
            if placement.target not in away:
                away.add(placement.target)
                yield f"target `{placement.target}` was left out: {error}", False
    were = "was" if looked == 1 else "were"
    yield f"{count_text(looked, 'publication')} on targets of this machine {were} looked at", False
