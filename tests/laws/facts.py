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
        return self._fields(record, "id", "name", "label", "digest", "target", "enabled", "gate", "by")

    def endpoint(self, record: EndpointRecord) -> Facts:
        """An endpoint with the versions that the answer shows; `hidden` counts those that it leaves out."""
        return {
            **self._fields(record, "id", "name", "default", "enabled", "gate", "access"),
            "window": record.deduplication_window,
            "versions": [self._version(version) for version in record.versions],
            "hidden": record.hidden_versions,
        }

    def _version(self, record: VersionRecord) -> Facts:
        names = ("version", "published", "pipeline", "label", "digest", "target", "enabled", "gate")
        return self._fields(record, *names, "published_enabled")

    def run(self, record: RunRecord) -> Facts:
        """A run; `from` is how it was resolved, `cancel` whether it was asked to end."""
        resolved = ("endpoint", "endpoint_id", "version", "published", "pipeline", "label", "digest", "target")
        return {
            **self._fields(record, "id", *resolved, "by", "verified", "door", "rerun_of", "state"),
            "from": record.resolved_from,
            "parameters": dict(record.parameters),
            "key": record.idempotency_key,
            "cancel": record.cancel_requested,
            "outputs": dict(record.outputs),
            "error": None if record.error is None else record.error.code,
        }

    def row(self, record: HistoryRecord) -> Facts:
        """One row of the history."""
        names = ("seq", "action", "kind", "subject_id", "reason", "by", "verified", "door")
        return {
            **self._fields(record, *names),
            "at": time(record.at),
            "subject": self._told(record.subject),
            "from": self._told(record.from_),
            "to": self._told(record.to),
        }

    def _fields(self, record: object, *names: str) -> Facts:
        """Fields of a record under their own names, a target as its role and a gate as JSON data."""
        plain = {"target": self.role, "gate": gate}
        return {name: plain.get(name, lambda value: value)(getattr(record, name)) for name in names}

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
