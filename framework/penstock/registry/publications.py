"""Snapshots and what backends call them: written once per digest and target, found again by everybody."""

from __future__ import annotations

from sqlite3 import Row

from penstock.contract.target import Publication
from penstock.errors import NotFound
from penstock.registry.database import Transaction
from penstock.registry.rows import publication_of, to_json


def put(
    tx: Transaction,
    *,
    target: str,
    backend: str,
    digest: str,
    identity: str,
    options: str,
    publication: Publication,
    spec: str,
    archives: str,
) -> Row:
    """Keep a snapshot and its publication; what is there stays, what was retired is there again."""
    tx.run("INSERT OR IGNORE INTO snapshots (digest, spec, archives) VALUES (?, ?, ?)", digest, spec, archives)
    tx.run(
        """INSERT INTO publications
            (target, backend, digest, identity, options, external, native, gated, trigger_url, details)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (target, digest, identity) DO UPDATE SET
                retired = 0, backend = excluded.backend, options = excluded.options, external = excluded.external,
                native = excluded.native, gated = excluded.gated, trigger_url = excluded.trigger_url,
                details = excluded.details
            WHERE retired""",
        target,
        backend,
        digest,
        identity,
        options,
        publication.external,
        publication.native,
        publication.gated,
        publication.trigger_url,
        to_json(dict(publication.details)),
    )
    row = find(tx, target, digest, identity)
    assert row is not None
    return row


def record(
    tx: Transaction,
    *,
    target: str,
    backend: str,
    digest: str,
    identity: str,
    options: str,
    publication: Publication,
    spec: str,
    archives: str,
) -> Publication:
    """Keep the snapshot and publication of a trial run; answers the publication that is kept."""
    row = put(
        tx,
        target=target,
        backend=backend,
        digest=digest,
        identity=identity,
        options=options,
        publication=publication,
        spec=spec,
        archives=archives,
    )
    return publication_of(row)


def find(tx: Transaction, target: str, digest: str, identity: str) -> Row | None:
    """The row of a publication that was not retired."""
    return tx.one(
        "SELECT * FROM publications WHERE target = ? AND digest = ? AND identity = ? AND NOT retired",
        target,
        digest,
        identity,
    )


def find_publication(tx: Transaction, target: str, digest: str, identity: str) -> Publication | None:
    """The publication of a digest on a target of this identity, or None."""
    row = find(tx, target, digest, identity)
    return None if row is None else publication_of(row)


def snapshot_data(tx: Transaction, digest: str) -> tuple[str, str]:
    """A snapshot's canonical JSON and the JSON text of its archives. Raises NotFound `snapshot_not_found`."""
    row = tx.one("SELECT spec, archives FROM snapshots WHERE digest = ?", digest)
    if row is None:
        raise NotFound(f"no snapshot with the digest {digest}", code="snapshot_not_found")
    return row["spec"], row["archives"]


def retire_if_unused(tx: Transaction, publication: int) -> tuple[str, Publication] | None:
    """Mark a publication retired when no published pipeline and no unfinished run uses it; then answer it."""
    used = tx.one("SELECT 1 FROM published WHERE publication = ? AND deleted IS NULL LIMIT 1", publication) or tx.one(
        "SELECT 1 FROM runs INDEXED BY runs_unfinished WHERE ended IS NULL AND publication = ? LIMIT 1", publication
    )
    if used:
        return None
    tx.run("UPDATE publications SET retired = 1 WHERE seq = ?", publication)
    row = tx.one("SELECT * FROM publications WHERE seq = ?", publication)
    assert row is not None
    return row["target"], publication_of(row)
