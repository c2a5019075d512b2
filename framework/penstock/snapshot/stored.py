"""Snapshots as the registry keeps them: to plain data, back again, and whether the archives are still right."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from penstock.codec.canonical_form import to_json
from penstock.codec.canonical_reader import from_canonical
from penstock.snapshot.members import check_archive
from penstock.snapshot.types import Archive, Snapshot


def snapshot_digest(canonical: str, archives: Mapping[str, Archive]) -> str:
    """The digest of a snapshot: over the spec's canonical form and the digest of everything that travels."""
    content = {"archives": {path: archive.normal for path, archive in archives.items()}, "spec": json.loads(canonical)}
    return f"sha256:{hashlib.sha256(to_json(content).encode()).hexdigest()}"


def archive_data(snapshot: Snapshot) -> list[dict[str, Any]]:
    """What to keep of a snapshot's archives besides the store: path, kind, digest and size of each."""
    return [
        {
            "path": archive.path,
            "kind": archive.kind,
            "digest": archive.digest,
            "size": archive.size,
            **({"normal": archive.normal} if archive.normal != archive.digest else {}),
        }
        for _, archive in sorted(snapshot.archives.items())
    ]


def archives_of(archives: Sequence[Mapping[str, Any]], store: Path = Path()) -> dict[str, Archive]:
    """The archives again from `archive_data`, by path. Raises TypeError, KeyError, AttributeError for other data."""
    return {
        data["path"]: Archive(**data, location=store / f"{data['digest'].removeprefix('sha256:')}.tar")
        for data in archives
    }


def load(canonical: str, archives: Sequence[Mapping[str, Any]], store: Path) -> Snapshot:
    """The snapshot again from what was kept: its canonical JSON and `archive_data`. Archives are not read."""
    found = archives_of(archives, store)
    return Snapshot(
        pipeline=from_canonical(canonical),
        archives=found,
        digest=snapshot_digest(canonical, found),
        canonical=canonical,
    )


def verify(snapshot: Snapshot) -> None:
    """Read every archive and compare. Raises RegistryError: `archive_missing`, `archive_corrupt`."""
    for archive in snapshot.archives.values():
        check_archive(archive)
