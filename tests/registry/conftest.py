"""A registry to test, and the few calls that every test of it makes."""

import sqlite3
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.contract.run import Submission
from penstock.contract.target import Publication
from penstock.errors import PenstockError
from penstock.records import Caller, RunRecord
from penstock.registry import NewRun, PublishOutcome, PublishRequest, Registry, TriggerRequest


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
        values: dict[str, Any] = {
            "name": "digits",
            "digest": digest,
            "target": "laptop",
            "backend": "local",
            "identity": "{}",
            "options": "{}",
            "publication": Publication(external=f"x-{digest}", details={"digest": digest}),
            "spec": f'{{"digest":"{digest}"}}',
            "archives": "[]",
        }
        return PublishRequest(**values | changes)

    def publish(self, registry: Registry, digest: str, **changes: Any) -> PublishOutcome:
        return registry.publish(self.order(digest, **changes), self.caller)

    def submit(self, registry: Registry, ref: str = "digits", *, kind: str = "endpoint", **order: Any) -> RunRecord:
        parameters = order.pop("parameters", {})
        trigger = TriggerRequest(kind=kind, ref=ref, **order)
        found = registry.resolve(trigger)
        if isinstance(found, RunRecord):
            return found
        accepted = NewRun(id=str(uuid.uuid4()), experiment="trials", parameters=parameters)
        return registry.accept(trigger, found, accepted, self.caller)[0]

    def hand_over(self, registry: Registry, run: RunRecord) -> RunRecord:
        assert registry.start_handover(run.id) is not None
        return registry.finish_handover(run.id, Submission(external=f"job-{run.id}"))

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
