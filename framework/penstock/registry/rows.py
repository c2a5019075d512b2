"""Rows of the registry as the records that doors show: times, JSON, gates, runs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from sqlite3 import Row
from typing import Any

from penstock.contract.run import Failure
from penstock.contract.target import Publication
from penstock.records import (
    EndpointRecord,
    Gate,
    HistoryRecord,
    Placement,
    PublishedRecord,
    RunRecord,
    StepRecord,
    VersionRecord,
    Waiting,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

PUBLISHED = """SELECT p.*, b.backend, b.identity, b.external, b.native, b.gated, b.trigger_url
    FROM published p JOIN publications b ON b.seq = p.publication"""

VERSIONS = """SELECT v.*, p.id AS published_id, p.name AS pipeline, p.label, p.digest, p.target, p.publication,
    p.gate_since AS p_since, p.gate_by AS p_by, p.gate_reason AS p_reason, b.external
    FROM versions v JOIN published p ON p.seq = v.published JOIN publications b ON b.seq = p.publication"""

RUNS = """SELECT r.*, b.digest, b.target, b.identity, e.id AS endpoint_id, p.id AS published_id,
    o.tries, o.due, o.message
    FROM runs r JOIN publications b ON b.seq = r.publication
    LEFT JOIN endpoints e ON e.seq = r.endpoint LEFT JOIN published p ON p.seq = r.published
    LEFT JOIN outbox o ON o.kind = 'submit' AND o.subject = r.seq AND o.target = b.target"""


def to_time(microseconds: int) -> datetime:
    """A stored time as UTC."""
    return _EPOCH + timedelta(microseconds=microseconds)


def to_time_or_none(microseconds: int | None) -> datetime | None:
    """A stored time as UTC; None stays None."""
    return None if microseconds is None else to_time(microseconds)


def from_time(time: datetime) -> int:
    """A time as it is stored; one without a zone is UTC."""
    return ((time if time.tzinfo else time.replace(tzinfo=UTC)) - _EPOCH) // timedelta(microseconds=1)


def format_time(microseconds: int) -> str:
    """A stored time as messages say it."""
    return to_time(microseconds).strftime("%Y-%m-%d %H:%M:%S UTC")


def to_json(value: Any) -> str:
    """The stored text of a JSON value; integers and floats come back exactly as they went in."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def tags_json(tags: Mapping[str, str]) -> str:
    """The stored text of tags."""
    return to_json(dict(tags))


def gate_of(since: int | None, by: str, reason: str) -> Gate | None:
    """A closed gate, or None when it is open."""
    return None if since is None else Gate(since=to_time(since), by=by, reason=reason)


def published_ref(row: Row) -> str:
    """How people name a published pipeline: `name:label@target`."""
    return f"{row['name']}:{row['label']}@{row['target']}"


def published_record(row: Row) -> PublishedRecord:
    """A row of PUBLISHED."""
    return PublishedRecord(
        id=row["id"],
        name=row["name"],
        label=row["label"],
        digest=row["digest"],
        target=row["target"],
        backend=row["backend"],
        description=row["description"],
        tags=json.loads(row["tags"]),
        enabled=row["gate_since"] is None,
        gate=gate_of(row["gate_since"], row["gate_by"], row["gate_reason"]),
        external=row["external"],
        native=bool(row["native"]),
        gated=bool(row["gated"]),
        trigger_url=row["trigger_url"],
        by=row["by"],
        created=to_time(row["created"]),
        modified=to_time(row["modified"]),
        revision=row["revision"],
    )


def version_record(row: Row) -> VersionRecord:
    """A row of VERSIONS."""
    return VersionRecord(
        version=str(row["version"]),
        published=row["published_id"],
        pipeline=row["pipeline"],
        label=row["label"],
        digest=row["digest"],
        target=row["target"],
        enabled=row["gate_since"] is None,
        gate=gate_of(row["gate_since"], row["gate_by"], row["gate_reason"]),
        published_enabled=row["p_since"] is None,
        created=to_time(row["created"]),
    )


def endpoint_record(row: Row, versions: Iterable[Row], *, all: bool) -> EndpointRecord:
    """A row of `endpoints` and its rows of VERSIONS in order; closed versions are only counted without `all`."""
    every = tuple(versions)
    shown = every if all else tuple(version for version in every if version["gate_since"] is None)
    return EndpointRecord(
        id=row["id"],
        name=row["name"],
        description=row["description"],
        tags=json.loads(row["tags"]),
        default=str(row["default_version"]),
        enabled=row["gate_since"] is None,
        gate=gate_of(row["gate_since"], row["gate_by"], row["gate_reason"]),
        versions=tuple(version_record(version) for version in shown),
        created=to_time(row["created"]),
        modified=to_time(row["modified"]),
        revision=row["revision"],
        hidden_versions=len(every) - len(shown),
    )


def publication_of(row: Row) -> Publication:
    """A row of `publications`."""
    return Publication(
        external=row["external"],
        native=bool(row["native"]),
        gated=bool(row["gated"]),
        trigger_url=row["trigger_url"],
        details=json.loads(row["details"]),
    )


def placement_of(row: Row) -> Placement:
    """Where a row of `publications` lies."""
    return Placement(target=row["target"], backend=row["backend"], identity=row["identity"], options=row["options"])


def failure_json(failure: Failure | None) -> str | None:
    """The stored text of a failure."""
    if failure is None:
        return None
    return to_json({"code": failure.code, "message": failure.message, "step": failure.step})


def failure_of(text: str | None) -> Failure | None:
    """A failure from its stored text."""
    return None if text is None else Failure(**json.loads(text))


def step_record(row: Row) -> StepRecord:
    """A row of `run_steps`."""
    return StepRecord(
        name=row["name"],
        state=row["state"],
        attempt=row["attempt"],
        started=to_time_or_none(row["started"]),
        ended=to_time_or_none(row["ended"]),
        exit_code=row["exit_code"],
        error=failure_of(row["error"]),
        outputs=json.loads(row["outputs"]),
    )


def run_record(row: Row, steps: Iterable[Row]) -> RunRecord:
    """A row of RUNS and its rows of `run_steps` in order."""
    waits = row["ended"] is None and row["due"] is not None
    return RunRecord(
        id=row["id"],
        endpoint=row["endpoint_name"],
        endpoint_id=row["endpoint_id"],
        version=None if row["version"] is None else str(row["version"]),
        resolved_from=row["resolved_from"],
        published=row["published_id"],
        pipeline=row["pipeline"],
        label=row["label"],
        digest=row["digest"],
        target=row["target"],
        experiment=row["experiment"],
        description=row["description"],
        tags=json.loads(row["tags"]),
        state=row["state"],
        parameters=json.loads(row["parameters"]),
        by=row["by"],
        verified=bool(row["verified"]),
        door=row["door"],
        idempotency_key=row["key"],
        rerun_of=row["rerun_of"],
        cancel_requested=row["cancel_requested"] is not None,
        cancel_reason=row["cancel_reason"],
        created=to_time(row["created"]),
        started=to_time_or_none(row["started"]),
        ended=to_time_or_none(row["ended"]),
        steps=tuple(step_record(step) for step in steps),
        outputs=json.loads(row["outputs"]),
        error=failure_of(row["error"]),
        external=row["external"],
        details=json.loads(row["details"]),
        waiting=Waiting(tries=row["tries"], due=to_time(row["due"]), message=row["message"]) if waits else None,
    )


def history_record(row: Row) -> HistoryRecord:
    """A row of `history`."""
    return HistoryRecord(
        seq=row["seq"],
        at=to_time(row["at"]),
        happened=to_time(row["at"] if row["happened"] is None else row["happened"]),
        action=row["action"],
        kind=row["kind"],
        subject_id=row["subject_id"],
        subject=row["subject"],
        from_=row["from"],
        to=row["to"],
        reason=row["reason"],
        by=row["by"],
        verified=bool(row["verified"]),
        door=row["door"],
        request_id=row["request_id"],
    )
