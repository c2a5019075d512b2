"""What calls answer as plain JSON data: ids stay, target names become roles, times become text."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, TypeAlias

from attrs import frozen

from penstock.records import EndpointRecord, Gate, HistoryRecord, PublishedRecord, RunRecord, VersionRecord

Facts: TypeAlias = dict[str, Any]
"""A thing as JSON data."""

ROLES = ("main", "other")
"""The two targets of a subject: the one examined, and the one where versions can move to."""


@frozen
class Reader:
    """Reads records for two targets, which are called `main` and `other` whatever their names are."""

    main: str
    other: str

    def role(self, target: str) -> str:
        """The role of a target; one that has none keeps its name."""
        return {self.main: "main", self.other: "other"}.get(target, target)

    def target(self, role: str) -> str:
        """The name of the target that has a role."""
        return {"main": self.main, "other": self.other}[role]

    def to_real(self, ref: str) -> str:
        """A reference with the target's name where it has a role: `probe:1@main` becomes `probe:1@first`."""
        found = re.fullmatch(r"(.+:.+)@(main|other)", ref)
        return f"{found[1]}@{self.target(found[2])}" if found else ref

    def published(self, record: PublishedRecord) -> Facts:
        """A published pipeline."""
        return {
            "id": record.id,
            "name": record.name,
            "label": record.label,
            "digest": record.digest,
            "target": self.role(record.target),
            "enabled": record.enabled,
            "gate": gate(record.gate),
            "by": record.by,
        }

    def endpoint(self, record: EndpointRecord) -> Facts:
        """An endpoint with the versions that the answer shows; `hidden` counts those that it leaves out."""
        return {
            "id": record.id,
            "name": record.name,
            "default": record.default,
            "enabled": record.enabled,
            "gate": gate(record.gate),
            "versions": [self.version(version) for version in record.versions],
            "hidden": record.hidden_versions,
        }

    def version(self, record: VersionRecord) -> Facts:
        """One version of an endpoint."""
        return {
            "version": record.version,
            "published": record.published,
            "pipeline": record.pipeline,
            "label": record.label,
            "digest": record.digest,
            "target": self.role(record.target),
            "enabled": record.enabled,
            "gate": gate(record.gate),
            "published_enabled": record.published_enabled,
        }

    def run(self, record: RunRecord) -> Facts:
        """A run; `from` is how it was resolved, `cancel` whether it was asked to end."""
        return {
            "id": record.id,
            "endpoint": record.endpoint,
            "endpoint_id": record.endpoint_id,
            "version": record.version,
            "from": record.resolved_from,
            "published": record.published,
            "pipeline": record.pipeline,
            "label": record.label,
            "digest": record.digest,
            "target": self.role(record.target),
            "parameters": dict(record.parameters),
            "by": record.by,
            "verified": record.verified,
            "door": record.door,
            "key": record.idempotency_key,
            "rerun_of": record.rerun_of,
            "state": record.state,
            "cancel": record.cancel_requested,
            "outputs": dict(record.outputs),
            "error": None if record.error is None else record.error.code,
        }

    def row(self, record: HistoryRecord) -> Facts:
        """One row of the history."""
        return {
            "seq": record.seq,
            "at": time(record.at),
            "action": record.action,
            "kind": record.kind,
            "subject_id": record.subject_id,
            "subject": self._told(record.subject),
            "from": self._told(record.from_),
            "to": self._told(record.to),
            "reason": record.reason,
            "by": record.by,
            "verified": record.verified,
            "door": record.door,
        }

    def _told(self, text: str | None) -> str | None:
        """A published pipeline as the history names it, with a role in place of the target's name."""
        name, sign, target = (text or "").rpartition("@")
        return f"{name}@{self.role(target)}" if sign and ":" in name else text


def gate(found: Gate | None) -> Facts | None:
    """A closed gate, or None when it is open."""
    return None if found is None else {"since": time(found.since), "by": found.by, "reason": found.reason}


def time(when: datetime) -> str:
    """A time as text."""
    return when.isoformat()
