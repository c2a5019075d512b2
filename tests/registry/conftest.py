"""A registry to test, and the few calls that every test of it makes."""

import sqlite3
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.callers import Caller
from penstock.contract.run import BoundParameters, Submission
from penstock.contract.target import Publication
from penstock.errors import PenstockError
from penstock.records import FrozenSnapshot, HistoryRecord, Page, Placement, RunRecord
from penstock.registry import HistoryQuery, NewRun, PublishOutcome, PublishRequest, Registry, RunQuery, TriggerRequest

# Histories that are killed are imported by processes of their own.
if str(Path(__file__).parent) not in sys.path:
    sys.path.insert(0, str(Path(__file__).parent))


class Clock:
    """A clock that stands still until it is set, in microseconds."""

    def __init__(self, now: int = 1_800_000_000_000_000) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now

    def pass_seconds(self, seconds: float) -> None:
        self.now += round(seconds * 1e6)


class Kit:
    """Orders with everything a test does not care about filled in."""

    caller = Caller(actor="ada", door="python", request_id="request-1")

    @staticmethod
    def order(digest: str, **changes: Any) -> PublishRequest:
        where = {"target": "laptop", "backend": "local", "identity": "{}", "options": "{}"}
        where |= {key: changes.pop(key) for key in list(changes) if key in where}
        values: dict[str, Any] = {
            "name": "digits",
            "snapshot": FrozenSnapshot(digest=digest, spec=f'{{"digest":"{digest}"}}', archives="[]"),
            "placement": Placement(**where),
            "publication": Publication(external=f"x-{digest}", details={"digest": digest}),
        }
        return PublishRequest(**values | changes)

    def publish(self, registry: Registry, digest: str, **changes: Any) -> PublishOutcome:
        return registry.pipelines.publish(self.order(digest, **changes), self.caller)

    def submit(self, registry: Registry, ref: str = "digits", *, kind: str = "endpoint", **order: Any) -> RunRecord:
        if "target" in order:
            where = {
                "target": order.pop("target"),
                "backend": "local",
                "identity": order.pop("identity"),
                "options": "{}",
            }
            order["placement"] = Placement(**where)
        parameters = order.pop("parameters", {})
        trigger = TriggerRequest(kind=kind, ref=ref, **order)
        found = registry.runs.resolve(trigger)
        if isinstance(found, RunRecord):
            return found
        bound = BoundParameters(typed=parameters)
        accepted = NewRun(id=str(uuid.uuid4()), experiment="trials", parameters=bound)
        return registry.runs.accept(trigger, found, accepted, self.caller)[0]

    @staticmethod
    def due(registry: Registry, kind: str = "submit", **options: Any) -> list[str]:
        """What is due of one kind, by its subject."""
        return [owed.subject for owed in registry.outbox.due(**options) if owed.kind == kind]

    @staticmethod
    def syncs(registry: Registry) -> list[tuple[str, str]]:
        """Which targets are owed the state of which endpoint now."""
        return [(owed.subject, owed.target) for owed in registry.outbox.due(limit=1000) if owed.kind == "sync"]

    @staticmethod
    def history(registry: Registry, **query: Any) -> Page[HistoryRecord]:
        return registry.history(HistoryQuery(**query))

    @staticmethod
    def runs(registry: Registry, **query: Any) -> Page[RunRecord]:
        return registry.runs.list(RunQuery(**query))

    def hand_over(self, registry: Registry, run: RunRecord) -> RunRecord:
        assert registry.runs.start_handover(run.id) is not None
        return registry.runs.finish_handover(run.id, Submission(external=f"job-{run.id}"))

    @staticmethod
    def sql(registry: Registry, statement: str) -> list[sqlite3.Row]:
        with registry._database.connection() as connection:
            return connection.execute(statement).fetchall()

    @staticmethod
    def code(call: Any, *args: Any, **kwargs: Any) -> str | None:
        """The code that a call is refused with, or None."""
        try:
            call(*args, **kwargs)
        except PenstockError as error:
            return error.code
        return None


@pytest.fixture
def kit() -> Kit:
    return Kit()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".penstock" / "registry.db"


@pytest.fixture
def registry(path: Path, clock: Clock) -> Iterator[Registry]:
    with Registry.open(path, clock=clock) as opened:
        yield opened
        report = opened.check()
        assert report.ok, report.lines
