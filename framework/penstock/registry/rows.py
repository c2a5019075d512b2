"""Rows of the registry as the records that doors show: times, JSON, gates, runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from sqlite3 import Row
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from attrs import asdict

from penstock.contract.run import Failure
from penstock.contract.target import NativeTrigger, Publication
from penstock.records import (
    EndpointRecord,
    Gate,
    HistoryRecord,
    Placement,
    PublishedRecord,
    RunRecord,
    StepRecord,
    Unsynced,
    VersionRecord,
    Waiting,
)

T = TypeVar("T")

Columns = Row | Mapping[str, Any]
"""A row, or what would be one."""

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

_PLAIN = frozenset({str, int, float, bool, type(None)})
"""What is read from JSON as it was written."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

PUBLISHED = """SELECT p.*, b.backend, b.identity, b.options, b.external, b.native, b.gated, b.trigger_url, b.details
    FROM published p JOIN publications b ON b.seq = p.publication"""

VERSIONS = """SELECT v.*, p.id AS published_id, p.name AS pipeline, p.label, p.digest, p.target, p.publication,
    p.gate_since AS p_since, b.external, t.native_url, t.native_gated,
    coalesce(nullif(o.message, ''), k.message, o.message) AS unsynced
    FROM versions v JOIN published p ON p.seq = v.published JOIN publications b ON b.seq = p.publication
    LEFT JOIN endpoint_targets t ON t.endpoint = v.endpoint AND t.target = p.target
    LEFT JOIN outbox o ON o.kind = 'sync' AND o.subject = v.endpoint AND o.target = p.target
    LEFT JOIN breakers k ON k.target = o.target"""

RUNS = """SELECT r.*, b.digest, b.target, b.identity, e.id AS endpoint_id, p.id AS published_id,
    o.tries, o.due, o.message
    FROM runs r JOIN publications b ON b.seq = r.publication
    LEFT JOIN endpoints e ON e.seq = r.endpoint LEFT JOIN published p ON p.seq = r.published
    LEFT JOIN outbox o ON o.kind = 'submit' AND o.subject = r.seq AND o.target = b.target"""


BODY_SCOPE = "body:"
"""What the scope of a key begins with that is none of a caller's, but made from what was asked for."""

UNREADABLE = {"registry_corrupt": "what the registry keeps here is not readable; see `penstock registry check`"}
"""What a record says instead of a damaged object."""


def to_time(microseconds: int) -> datetime:
    """A stored time as UTC. One that somebody damaged is the beginning of 1970, and harms no other row."""
    try:
        return _EPOCH + timedelta(microseconds=microseconds)
    except (TypeError, OverflowError):
        return _EPOCH


def from_time(time: datetime) -> int:
    """A time as it is stored; one without a zone is UTC."""
    return ((time if time.tzinfo else time.replace(tzinfo=UTC)) - _EPOCH) // timedelta(microseconds=1)


def format_time(microseconds: int) -> str:
    """A stored time as messages say it."""
    return to_time(microseconds).strftime("%Y-%m-%d %H:%M:%S UTC")


def to_json(value: Any) -> str:
    """The stored text of a JSON value; integers and floats come back exactly as they went in."""
    return _encode(value)


def mapping_json(value: Mapping[str, Any]) -> str:
    """The stored text of a JSON object; most are empty."""
    return _encode(dict(value)) if value else "{}"


def as_read(value: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping as it is read once it was stored."""
    if all(type(one) in _PLAIN for one in value.values()):
        return dict(value)
    return read_mapping(mapping_json(value))


def read_mapping(text: str) -> dict[str, Any]:
    """A stored JSON object. One that somebody damaged says so in its only key, and harms no other row."""
    try:
        found = json.loads(text)
    except (ValueError, TypeError):
        found = None
    return found if isinstance(found, dict) else dict(UNREADABLE)


def gate_of(row: Row) -> Gate | None:
    """The closed gate of a row, or None when it is open."""
    since = row["gate_since"]
    return None if since is None else Gate(since=to_time(since), by=row["gate_by"], reason=row["gate_reason"])


def published_ref(row: Row) -> str:
    """How people name a published pipeline: `name:label@target`."""
    return f"{row['name']}:{row['label']}@{row['target']}"


def failure_json(failure: Failure | None) -> str | None:
    """The stored text of a failure."""
    return None if failure is None else to_json(asdict(failure))


def failure_of(text: str) -> Failure:
    """A failure from its stored text."""
    try:
        return Failure(**json.loads(text))
    except (ValueError, TypeError):
        return Failure(code="registry_corrupt", message=f"the failure is kept, but {UNREADABLE['registry_corrupt']}")


_READERS: dict[object, Callable[[Any], Any]] = {
    datetime: to_time,
    bool: bool,
    Mapping: read_mapping,
    Failure: failure_of,
}
"""How a field of a type is read from its column; every other one is stored as it is."""


@cache
def _columns(kind: type) -> tuple[tuple[str, Callable[[Any], Any] | None], ...]:
    """The fields of a class of records, each with its reader."""
    found = []
    for name, hint in get_type_hints(kind).items():
        type_ = get_args(hint)[0] if isinstance(hint, UnionType) else hint
        found.append((name, _READERS.get(get_origin(type_) or type_)))
    return tuple(found)


def _read(kind: type[T], row: Columns, **given: Any) -> T:
    """A record whose fields are the row's columns of the same name, but for those that are given."""
    for name, read in _columns(kind):  # type: ignore[arg-type]  # mypy holds that classes have no hash
        if name not in given:
            value = row[name]
            given[name] = value if value is None or read is None else read(value)
    return kind(**given)


def published_record(row: Row) -> PublishedRecord:
    """A row of PUBLISHED."""
    return _read(PublishedRecord, row, enabled=row["gate_since"] is None, gate=gate_of(row))


def version_record(row: Row) -> VersionRecord:
    """A row of VERSIONS."""
    return _read(
        VersionRecord,
        row,
        version=str(row["version"]),
        published=row["published_id"],
        published_enabled=row["p_since"] is None,
        enabled=row["gate_since"] is None,
        gate=gate_of(row),
    )


def endpoint_record(row: Row, versions: Sequence[Row], *, all: bool = True) -> EndpointRecord:
    """A row of `endpoints` and its rows of VERSIONS in order; closed versions are only counted without `all`."""
    shown = [version for version in versions if all or version["gate_since"] is None]
    gates = [("endpoint", row["gate_since"])]
    native = None
    for version in versions:
        if version["version"] == row["default_version"]:
            gates += [("version", version["gate_since"]), ("pipeline", version["p_since"])]
            if version["native_url"] is not None:
                native = NativeTrigger(url=version["native_url"], gated=bool(version["native_gated"]))
    unsynced = {one["target"]: one["unsynced"] for one in versions if one["unsynced"] is not None}
    return _read(
        EndpointRecord,
        row,
        default=str(row["default_version"]),
        versions=tuple(version_record(version) for version in shown),
        hidden_versions=len(versions) - len(shown),
        enabled=row["gate_since"] is None,
        gate=gate_of(row),
        native=native,
        unsynced=tuple(Unsynced(endpoint=row["name"], target=each, message=why) for each, why in unsynced.items()),
        refused=next((f"{kind}_disabled" for kind, since in gates if since is not None), None),
    )


def publication_of(row: Row) -> Publication:
    """A row of `publications`. Raises ValueError for one that was damaged: a backend must not get anything else."""
    return _read(Publication, row, details=json.loads(row["details"]))


def placement_of(row: Row) -> Placement:
    """Where a row of `publications` lies."""
    return _read(Placement, row)


def shown_key(scope: str | None, key: str | None) -> str | None:
    """The idempotency key of a run as its caller knows it: None where it was made from what was asked for."""
    return None if scope is not None and scope.startswith(BODY_SCOPE) else key


def run_record(row: Columns, steps: Iterable[Columns]) -> RunRecord:
    """A row of RUNS and its rows of `run_steps` in order."""
    waits = row["ended"] is None and row["due"] is not None
    return _read(
        RunRecord,
        row,
        endpoint=row["endpoint_name"],
        version=None if row["version"] is None else str(row["version"]),
        published=row["published_id"],
        idempotency_key=shown_key(row["scope"], row["key"]),
        cancel_requested=row["cancel_requested"] is not None,
        steps=tuple(_read(StepRecord, step) for step in steps),
        waiting=_read(Waiting, row) if waits else None,
        waits_for=row["waits_for"] if row["ended"] is None else None,
        stale=None,
    )


def history_record(row: Row) -> HistoryRecord:
    """A row of `history`."""
    happened = to_time(row["at"] if row["happened"] is None else row["happened"])
    return _read(HistoryRecord, row, from_=row["from"], happened=happened)
