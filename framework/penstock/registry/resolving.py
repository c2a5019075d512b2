"""What a trigger resolves to: a publication, by the default, a version, a published pipeline or a trial (laws 4, 5)."""

from __future__ import annotations

from sqlite3 import Row

from penstock.errors import NotFound
from penstock.records import FrozenSnapshot
from penstock.registry import snapshots
from penstock.registry.database import Transaction
from penstock.registry.gates import refuse_endpoint, refuse_pipeline, refuse_version
from penstock.registry.lookup import endpoint_missing, need_published, need_version
from penstock.registry.messages import Resolution, TriggerRequest
from penstock.registry.rows import placement_of, publication_of


def resolve(
    tx: Transaction, request: TriggerRequest, addressed: Row | None, known: FrozenSnapshot | None
) -> Resolution:
    """What a request resolves to; a snapshot that is `known` is not read again. Raises NotFound, GateClosed, Conflict
    `ambiguous`.
    """
    if request.kind == "file":
        place, digest = request.placement, request.digest
        trial = None if place is None or digest is None else snapshots.find_for_trial(tx, digest, place)
        if trial is None:
            raise NotFound(
                f"the snapshot {digest} of `{request.ref}` is not on its target any more; submit the file again",
                code="snapshot_not_found",
            )
        return _resolution(tx, "file", trial, known, pipeline=request.ref)
    if request.kind == "published":
        published = need_published(tx, request.ref)
        refuse_pipeline(published)
        return _resolution(tx, "published", _publication(tx, published), known, published=published)
    if addressed is None or addressed["deleted"] is not None:
        raise endpoint_missing(tx, request.ref)
    wanted = str(addressed["default_version"]) if request.version is None else request.version
    version = need_version(tx, addressed, wanted)
    refuse_endpoint(addressed)
    published = refuse_version(tx, addressed, version)
    how = "default" if request.version is None else "pinned"
    return _resolution(
        tx, how, _publication(tx, published), known, published=published, endpoint=addressed, version=version["version"]
    )


def still_holds(
    tx: Transaction, request: TriggerRequest, before: Resolution, token: str | None, scope: str | None
) -> bool:
    """Whether an endpoint certainly resolves to what it did before, every gate being open, for a caller whose `token`
    holds, and nothing is known yet of the key in its `scope`: most do, and then nothing is asked again.
    """
    endpoint, version, published, publication = before.rows
    if request.version not in (None, before.version) or request.name not in (None, before.endpoint):
        return False
    found = tx.one(
        _STILL_HOLDS,
        endpoint,
        version,
        published,
        publication,
        before.endpoint,
        request.version is not None,
        request.public,
        token is None,
        token,
        request.key is not None,
        scope,
        request.key,
    )
    return found is not None


_STILL_HOLDS = """SELECT 1 FROM endpoints e
    JOIN versions v ON v.endpoint = e.seq JOIN published p ON p.seq = v.published
    WHERE e.seq = ? AND e.deleted IS NULL AND e.gate_since IS NULL AND v.version = ?
        AND v.gate_since IS NULL AND p.gate_since IS NULL AND p.seq = ? AND p.publication = ?
        AND e.name = ? AND (? OR e.default_version = v.version)
        AND (NOT ? OR e.access = 'public')
        AND (? OR EXISTS (SELECT 1 FROM tokens t WHERE t.id = ? AND t.revoked IS NULL))
        AND (? OR e.deduplication_window IS NULL)
        AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.scope = ? AND r.key = ? AND r.key IS NOT NULL)"""


def _resolution(
    tx: Transaction,
    resolved_from: str,
    publication: Row,
    known: FrozenSnapshot | None,
    *,
    pipeline: str = "",
    published: Row | None = None,
    endpoint: Row | None = None,
    version: int | None = None,
) -> Resolution:
    if known is None or known.digest != publication["digest"]:
        known = snapshots.get(tx, publication["digest"])
    return Resolution(
        endpoint_id=None if endpoint is None else endpoint["id"],
        endpoint=None if endpoint is None else endpoint["name"],
        version=None if version is None else str(version),
        resolved_from=resolved_from,
        published=None if published is None else published["id"],
        pipeline=pipeline if published is None else published["name"],
        label=None if published is None else published["label"],
        snapshot=known,
        placement=placement_of(publication),
        publication=publication_of(publication),
        rows=(
            None if endpoint is None else endpoint["seq"],
            version,
            None if published is None else published["seq"],
            publication["seq"],
        ),
    )


def _publication(tx: Transaction, published: Row) -> Row:
    return tx.need("SELECT * FROM publications WHERE seq = ?", published["publication"])
