"""Snapshots and what backends call them: written once per digest and target, retired when nothing uses them."""

from __future__ import annotations

from sqlite3 import Row

from penstock.contract.target import Publication
from penstock.errors import NotFound
from penstock.records import FrozenSnapshot, Placement
from penstock.registry import outbox
from penstock.registry.database import Transaction
from penstock.registry.rows import placement_of, publication_of, to_json

_NAMED = "p.name || ':' || p.label || '@' || p.target"
_TRIAL = "a trial"
_WHERE = "target = ? AND digest = ? AND identity = ? AND options = ?"


def put(tx: Transaction, snapshot: FrozenSnapshot, placement: Placement, publication: Publication) -> Row:
    """Keep a snapshot and its publication; what is there stays, what was retired is there again.

    The caller holds retiring off since before the target was told (see `penstock.dispatch.retire`).
    """
    tx.run(
        "INSERT OR IGNORE INTO snapshots (digest, spec, archives) VALUES (?, ?, ?)",
        snapshot.digest,
        snapshot.spec,
        snapshot.archives,
    )
    key = (placement.target, snapshot.digest, placement.identity, placement.options)
    tx.run(
        """INSERT INTO publications
            (target, digest, identity, options, backend, external, native, gated, trigger_url, details)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (target, digest, identity, options) DO UPDATE SET
                retired = 0, backend = excluded.backend, external = excluded.external,
                native = excluded.native, gated = excluded.gated, trigger_url = excluded.trigger_url,
                details = excluded.details
            WHERE retired""",
        *key,
        placement.backend,
        publication.external,
        publication.native,
        publication.gated,
        publication.trigger_url,
        to_json(dict(publication.details)),
    )
    row = tx.need(f"SELECT * FROM publications WHERE {_WHERE}", *key)
    outbox.forget(tx, "retire", row["seq"], placement.target)
    return row


def record(tx: Transaction, snapshot: FrozenSnapshot, placement: Placement, publication: Publication) -> Publication:
    """Keep the snapshot and publication of a trial run; returns the publication that is kept."""
    return publication_of(put(tx, snapshot, placement, publication))


def find_for_trial(tx: Transaction, digest: str, placement: Placement) -> Row | None:
    """The row of the publication of a trial that is being accepted, which was put on the target a moment ago.

    The end of an earlier run may have had it retired since; the caller holds retiring off, so it is still there.
    """
    return tx.one(
        f"""SELECT * FROM publications b WHERE {_WHERE}
            AND (NOT retired OR EXISTS (SELECT 1 FROM outbox o WHERE o.kind = 'retire' AND o.subject = b.seq))""",
        placement.target,
        digest,
        placement.identity,
        placement.options,
    )


def keep(tx: Transaction, publication: int, target: str) -> None:
    """Take back that a publication is to be retired: it is used again before it was."""
    if outbox.forget(tx, "retire", publication, target):
        tx.run("UPDATE publications SET retired = 0 WHERE seq = ?", publication)


def get(tx: Transaction, digest: str) -> FrozenSnapshot:
    """The snapshot of a digest. Raises NotFound `snapshot_not_found`."""
    row = tx.one("SELECT * FROM snapshots WHERE digest = ?", digest)
    if row is None:
        raise NotFound(f"no snapshot with the digest {digest}", code="snapshot_not_found")
    return FrozenSnapshot(digest=row["digest"], spec=row["spec"], archives=row["archives"])


def every(tx: Transaction) -> tuple[tuple[FrozenSnapshot, str], ...]:
    """Every snapshot that is kept, each with what was published from it, as people name it."""
    rows = tx.all(
        f"""SELECT s.*, (SELECT {_NAMED} FROM published p WHERE p.digest = s.digest ORDER BY p.seq LIMIT 1) AS used
            FROM snapshots s ORDER BY used IS NULL, used, s.digest"""
    )
    return tuple(
        (FrozenSnapshot(digest=row["digest"], spec=row["spec"], archives=row["archives"]), row["used"] or _TRIAL)
        for row in rows
    )


def publications(tx: Transaction) -> tuple[tuple[Placement, Publication, str], ...]:
    """Every publication that was not retired, its details left out, each with what was published as it."""
    rows = tx.all(
        f"""SELECT b.*, (SELECT {_NAMED} FROM published p WHERE p.publication = b.seq ORDER BY p.seq LIMIT 1) AS used
            FROM publications b WHERE NOT b.retired ORDER BY b.seq"""
    )
    return tuple((placement_of(row), Publication(external=row["external"]), row["used"] or _TRIAL) for row in rows)


def retire_if_unused(tx: Transaction, publication: int) -> None:
    """Owe a target to forget a publication when no published pipeline and no unfinished run uses it."""
    used = tx.one("SELECT 1 FROM published WHERE publication = ? AND deleted IS NULL LIMIT 1", publication) or tx.one(
        "SELECT 1 FROM runs INDEXED BY runs_unfinished WHERE ended IS NULL AND publication = ? LIMIT 1", publication
    )
    if used:
        return
    row = tx.one("UPDATE publications SET retired = 1 WHERE seq = ? AND NOT retired RETURNING target", publication)
    if row is not None:
        outbox.owe(tx, "retire", publication, row["target"])
