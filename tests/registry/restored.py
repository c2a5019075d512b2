"""Histories of backup and restore for the kill points; other processes import them from here."""

from __future__ import annotations

from pathlib import Path

from penstock.callers import Caller
from penstock.contract.target import Publication
from penstock.records import FrozenSnapshot, Placement
from penstock.registry import PublishRequest, Registry, RunQuery
from penstock.testing.faults.points import Point, Points
from penstock.testing.laws import require, same

CALLER = Caller(actor="ada", door="python", request_id="request-1")


def publish(registry: Registry, digest: str) -> None:
    """One more version of the endpoint `digits`."""
    order = PublishRequest(
        name="digits",
        snapshot=FrozenSnapshot(digest=digest, spec="{}", archives="[]"),
        placement=Placement(target="laptop", backend="local", identity="{}", options="{}"),
        publication=Publication(external=digest),
        endpoint="digits",
    )
    registry.pipelines.publish(order, CALLER)


def made(folder: Path) -> Path:
    """A registry of three versions and a backup of its first two; that of a crashed one has its log beside it."""
    path = folder / "registry.db"
    with Registry.open(path) as registry:
        for digest in ("a", "b"):
            publish(registry, digest)
        registry.backup(folder / "good.db")
        publish(registry, "c")
        if folder.name.startswith("crashed"):
            log = path.with_name("registry.db-wal").read_bytes()
            main = path.read_bytes()
    if folder.name.startswith("crashed"):
        path.write_bytes(main)
        path.with_name("registry.db-wal").write_bytes(log)
    return path


def answers(path: Path) -> tuple[object, ...]:
    """All that a registry answers."""
    with Registry.open(path, create=False) as registry:
        require(12, registry.check().ok, "the registry is not sound")
        return (
            registry.endpoints.list().items,
            registry.pipelines.list().items,
            registry.runs.list(RunQuery()).items,
            registry.counts(),
        )


def versions(path: Path) -> int:
    """How many versions `digits` has in a sound registry."""
    with Registry.open(path, create=False) as registry:
        require(12, registry.check().ok, "the registry is not sound")
        return len(registry.endpoints.get("digits").versions)


def restore(folder: Path, points: Points) -> None:
    """Put the backup back."""
    with points.armed():
        Registry.restore(folder / "registry.db", folder / "good.db")


def backup(folder: Path, points: Points) -> None:
    """Save once more."""
    with Registry.open(folder / "registry.db") as registry, points.armed():
        registry.backup(folder / "more.db")


def one_of_both(folder: Path, point: Point) -> None:
    """One of the two is there, and a restore afterwards comes to its end and leaves no draft."""
    found = versions(folder / "registry.db")
    require(12, found in (2, 3), f"{found} versions after a restore that was killed")
    kept = Registry.restore(folder / "registry.db", folder / "good.db")
    same(12, versions(folder / "registry.db"), 2, "the versions after a restore")
    same(12, kept is not None and versions(kept), found, "the versions of the registry that is kept")
    require(12, kept is not None and kept.stat().st_nlink == 1, "the kept registry has another name")
    _no_drafts(folder)


def whole_or_not_there(folder: Path, point: Point) -> None:
    """The registry is as it was, the backup whole or not there, and the next one leaves no draft."""
    more = folder / "more.db"
    same(12, versions(folder / "registry.db"), 3, "the versions after a backup that was killed")
    if more.exists():
        same(12, versions(more), 3, "the versions in a backup")
    with Registry.open(folder / "registry.db") as registry:
        registry.backup(folder / "later.db")  # as who names each after its day
        _no_drafts(folder)
        more.unlink(missing_ok=True)
        registry.backup(more)
    _no_drafts(folder)


def _no_drafts(folder: Path) -> None:
    require(12, not list(folder.glob(".*.new*")), "a draft was left")
