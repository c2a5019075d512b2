"""Endpoints and their versions (law 2): numbers given in one transaction, never twice, never with a gap."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from sqlite3 import Row

from penstock.callers import Caller
from penstock.errors import Conflict, UsageError
from penstock.records import Access, EndpointRecord
from penstock.registry import default_version, gates, outbox
from penstock.registry.database import Transaction
from penstock.registry.gates import refuse_pipeline, refuse_version
from penstock.registry.history import record
from penstock.registry.lookup import (
    check_endpoint_name,
    check_revision,
    find_endpoint,
    get_endpoint,
    need_endpoint,
    need_published,
    refuse_unfinished,
)
from penstock.registry.messages import VersionOutcome
from penstock.registry.rows import published_ref, to_json
from penstock.spec.names import normal
from penstock.spec.quantity import duration_text

LONGEST_WINDOW = 7 * 86_400
"""How long, in seconds, a deduplication window may be."""


def identify(tx: Transaction, ref: str, *, deleted: bool = False) -> str | None:
    """The id of the live endpoint that a name or id names, or None; with `deleted` of one that is no more, too."""
    row = find_endpoint(tx, ref, deleted=deleted)
    return None if row is None else str(row["id"])


def within(tx: Transaction, ref: str, ids: Collection[str]) -> str | None:
    """The id of the endpoint that a name or id names, there or deleted, when it is one of these; else None."""
    row = find_endpoint(tx, ref, deleted=True)
    return str(row["id"]) if row is not None and row["id"] in ids else None


def is_public(tx: Transaction, ref: str) -> bool:
    """Whether a name or id names a live endpoint whose triggers are taken from everybody."""
    row = find_endpoint(tx, ref)
    return row is not None and row["access"] == "public"


def create(
    tx: Transaction,
    name: str,
    published: str,
    caller: Caller,
    *,
    description: str = "",
    tags: Mapping[str, str] | None = None,
) -> EndpointRecord:
    """A new endpoint with a published pipeline as version 0, its default.

    Raises Conflict `name_taken`, NotFound, GateClosed when the published pipeline is closed, UsageError for the name.
    """
    name = normal(name)
    check_endpoint_name(name)
    _refuse_taken(tx, name)
    row = _insert(tx, name, need_published(tx, published), caller, description=description, tags=tags or {})
    return get_endpoint(tx, row["id"])


def add_version(
    tx: Transaction, ref: str, published: str, caller: Caller, *, default: bool = False, expect: str | None = None
) -> VersionOutcome:
    """A published pipeline as the endpoint's next version; what it has already is not added again.

    Raises NotFound, Conflict `default_changed`, GateClosed when the default would move onto something closed.
    """
    endpoint = need_endpoint(tx, ref)
    row = need_published(tx, published)
    return ensure_version(tx, endpoint["id"], row, caller, default=default, expect=expect)[0]


def ensure_version(
    tx: Transaction, ref: str, published: Row, caller: Caller, *, default: bool, expect: str | None
) -> tuple[VersionOutcome, bool]:
    """The version that a published pipeline has behind an endpoint; true when the endpoint was made for it."""
    ref = normal(ref)
    check_can_add(tx, ref, published, default=default, expect=expect)
    endpoint = find_endpoint(tx, ref)
    if endpoint is None:
        endpoint = _insert(tx, ref, published, caller, description="", tags={})
        after = get_endpoint(tx, endpoint["id"])
        return VersionOutcome(endpoint=after, version="0", added=True, default_moved=True), True
    version = _version_of(tx, endpoint, published)
    added = version is None
    if version is None:
        version = _append(tx, endpoint, published, caller)
    moved = default and default_version.move(tx, endpoint, version, caller)
    after = get_endpoint(tx, endpoint["id"])
    return VersionOutcome(endpoint=after, version=str(version["version"]), added=added, default_moved=moved), False


def check_can_add(tx: Transaction, ref: str, published: Row | None, *, default: bool, expect: str | None) -> None:
    """Raise what putting a published pipeline (None: a new one) behind an endpoint would raise."""
    ref = normal(ref)
    endpoint = find_endpoint(tx, ref)
    if endpoint is None:
        check_endpoint_name(ref)
        _refuse_taken(tx, ref)
        if expect is not None:
            raise Conflict(f"endpoint `{ref}` does not exist, so its default is not {expect}", code="default_changed")
        if published is not None:
            refuse_pipeline(published)
        return
    default_version.check_expected(endpoint, expect)
    if not default or published is None:
        return
    known = _version_of(tx, endpoint, published)
    if known is None:
        refuse_pipeline(published)
    elif known["version"] != endpoint["default_version"]:
        refuse_version(tx, endpoint, known)


def update(
    tx: Transaction,
    ref: str,
    caller: Caller,
    *,
    name: str | None = None,
    description: str | None = None,
    tags: Mapping[str, str] | None = None,
    add_versions: Sequence[str] = (),
    default: str | None = None,
    enabled: bool | None = None,
    reason: str = "",
    expect_revision: int | None = None,
) -> EndpointRecord:
    """Several changes of an endpoint at once: all of them or none. What is not given stays.

    `add_versions` are published pipelines to add, in order. Opening comes first, closing last. Raises Conflict
    `revision_changed`, and what each change raises.
    """
    endpoint = need_endpoint(tx, ref)
    check_revision(f"endpoint `{endpoint['name']}`", endpoint, expect_revision)
    if enabled:
        gates.set_gate(tx, "endpoint", endpoint["id"], open=True, caller=caller, reason=reason)
    if name is not None:
        rename(tx, endpoint["id"], name, caller)
    if description is not None or tags is not None:
        _describe(tx, need_endpoint(tx, endpoint["id"]), caller, description, tags)
    for ref in add_versions:
        ensure_version(tx, endpoint["id"], need_published(tx, ref), caller, default=False, expect=None)
    if default is not None:
        default_version.set_default(tx, endpoint["id"], default, caller)
    if enabled is False:
        gates.set_gate(tx, "endpoint", endpoint["id"], open=False, caller=caller, reason=reason)
    return get_endpoint(tx, endpoint["id"])


def _describe(
    tx: Transaction, endpoint: Row, caller: Caller, description: str | None, tags: Mapping[str, str] | None
) -> None:
    words = endpoint["description"] if description is None else description
    tagged = endpoint["tags"] if tags is None else to_json(dict(tags))
    if (words, tagged) == (endpoint["description"], endpoint["tags"]):
        return
    tx.run("UPDATE endpoints SET description = ?, tags = ? WHERE seq = ?", words, tagged, endpoint["seq"])
    outbox.endpoint_changed(tx, endpoint["seq"])
    record(tx, caller, "endpoint_described", "endpoint", endpoint["id"], endpoint["name"])


def rename(tx: Transaction, ref: str, name: str, caller: Caller) -> EndpointRecord:
    """Give an endpoint another name; its id stays. Raises Conflict `name_taken`, NotFound, UsageError."""
    endpoint, name = need_endpoint(tx, ref), normal(name)
    if name != endpoint["name"]:
        check_endpoint_name(name)
        _refuse_taken(tx, name, "take another name")
        tx.run("UPDATE endpoints SET name = ? WHERE seq = ?", name, endpoint["seq"])
        outbox.endpoint_changed(tx, endpoint["seq"])
        record(tx, caller, "endpoint_renamed", "endpoint", endpoint["id"], name, from_=endpoint["name"], to=name)
    return get_endpoint(tx, endpoint["id"])


def set_access(
    tx: Transaction, ref: str, access: Access, caller: Caller, *, expect_revision: int | None = None
) -> EndpointRecord:
    """Take the triggers of an endpoint from everybody, or from who has a token again.

    Raises NotFound, UsageError `value_invalid`, Conflict `revision_changed`.
    """
    endpoint = need_endpoint(tx, ref)
    if access not in ("private", "public"):
        raise UsageError(f"the access of an endpoint is `private` or `public`, got `{access}`", code="value_invalid")
    check_revision(f"endpoint `{endpoint['name']}`", endpoint, expect_revision)
    if access != endpoint["access"]:
        tx.run("UPDATE endpoints SET access = ? WHERE seq = ?", access, endpoint["seq"])
        outbox.endpoint_changed(tx, endpoint["seq"])
        was, about = endpoint["access"], (endpoint["id"], endpoint["name"])
        record(tx, caller, "access_changed", "endpoint", *about, from_=was, to=access)
    return get_endpoint(tx, endpoint["id"])


def set_deduplication(
    tx: Transaction, ref: str, window: float | None, caller: Caller, *, expect_revision: int | None = None
) -> EndpointRecord:
    """The window, in seconds, in which the same request without a key is the same run; None for none.

    Raises NotFound, UsageError `value_invalid`, Conflict `revision_changed`.
    """
    endpoint = need_endpoint(tx, ref)
    if window is not None and not (1 <= window <= LONGEST_WINDOW and window == int(window)):
        raise UsageError("a deduplication window is whole seconds, from 1s to 7d", code="value_invalid")
    check_revision(f"endpoint `{endpoint['name']}`", endpoint, expect_revision)
    before, after = endpoint["deduplication_window"], None if window is None else int(window)
    if after != before:
        tx.run("UPDATE endpoints SET deduplication_window = ? WHERE seq = ?", after, endpoint["seq"])
        outbox.endpoint_changed(tx, endpoint["seq"])
        was, is_ = ("off" if one is None else duration_text(one) for one in (before, after))
        about = (endpoint["id"], endpoint["name"])
        record(tx, caller, "deduplication_changed", "endpoint", *about, from_=was, to=is_)
    return get_endpoint(tx, endpoint["id"])


def delete(tx: Transaction, ref: str, caller: Caller) -> EndpointRecord:
    """Delete an endpoint; its name is free again. Raises Conflict `in_use` while a run of it is unfinished."""
    endpoint = need_endpoint(tx, ref)
    refuse_unfinished(tx, "endpoint", endpoint, f"endpoint `{endpoint['name']}`")
    last = get_endpoint(tx, endpoint["id"])
    tx.run("UPDATE endpoints SET deleted = ? WHERE seq = ?", tx.now, endpoint["seq"])
    outbox.endpoint_changed(tx, endpoint["seq"])
    record(tx, caller, "endpoint_deleted", "endpoint", endpoint["id"], endpoint["name"])
    return last


def _refuse_taken(tx: Transaction, name: str, advice: str = "add a version to it, or take another name") -> None:
    # An id as a name would make a reference mean two endpoints.
    if tx.one("SELECT 1 FROM endpoints WHERE name = ? AND deleted IS NULL", name) or tx.one(
        "SELECT 1 FROM endpoints WHERE id = ?", name
    ):
        raise Conflict(f"there is an endpoint `{name}` already; {advice}", code="name_taken")


def _version_of(tx: Transaction, endpoint: Row, published: Row) -> Row | None:
    return tx.one("SELECT * FROM versions WHERE published = ? AND endpoint = ?", published["seq"], endpoint["seq"])


def _insert(
    tx: Transaction, name: str, published: Row, caller: Caller, *, description: str, tags: Mapping[str, str]
) -> Row:
    # The pointer never comes to stand on something closed, not even at birth.
    refuse_pipeline(published)
    number = tx.insert(
        "endpoints",
        id=str(uuid.uuid4()),
        name=name,
        description=description,
        tags=to_json(dict(tags)),
        created=tx.now,
        modified=tx.now,
    )
    row = tx.need("SELECT * FROM endpoints WHERE seq = ?", number)
    record(tx, caller, "endpoint_created", "endpoint", row["id"], name)
    _append(tx, row, published, caller)
    record(tx, caller, "default_moved", "endpoint", row["id"], name, to="0")
    return row


def _append(tx: Transaction, endpoint: Row, published: Row, caller: Caller) -> Row:
    """The row of the version that it gets."""
    version = endpoint["next_version"]
    tx.run("UPDATE endpoints SET next_version = next_version + 1 WHERE seq = ?", endpoint["seq"])
    tx.insert("versions", endpoint=endpoint["seq"], version=version, published=published["seq"], created=tx.now)
    outbox.add_target(tx, endpoint["seq"], published["target"])
    outbox.endpoint_changed(tx, endpoint["seq"])
    subject = f"{endpoint['name']}@{version}"
    record(tx, caller, "version_added", "version", endpoint["id"], subject, to=published_ref(published))
    return tx.need("SELECT * FROM versions WHERE endpoint = ? AND version = ?", endpoint["seq"], version)
