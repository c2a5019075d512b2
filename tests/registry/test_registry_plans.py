"""The queries of every trigger and every listing go by an index, so that growth does not slow them down."""

import re
import sqlite3

import pytest

from penstock.contract.run import RunReport, StepReport
from penstock.registry import NewRun, TriggerRequest


class Recorder:
    """Remembers every statement that a connection runs, with its plan."""

    def __init__(self, registry):
        with registry._database.connection() as connection:
            self.connection = connection
        self.statements = set()

    def __enter__(self):
        self.connection.set_trace_callback(self.statements.add)
        return self

    def __exit__(self, *_):
        self.connection.set_trace_callback(None)

    def slow(self):
        """Statements that read a large table from end to end, or sort more than a page."""
        found = []
        for statement in self.statements:
            if not re.match(r"\s*(SELECT|INSERT|UPDATE|DELETE)", statement):
                continue
            try:
                plan = [row[3] for row in self.connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
            except sqlite3.Error:
                continue  # a statement of a trigger
            ordered = re.search(r"ORDER BY (r\.|p\.)?seq DESC LIMIT", statement)
            for step in plan:
                # Indexes over the few that are closed, unfinished or owed are read whole.
                few = re.search(r"INDEX (runs_unfinished|outbox_due|published_closed|endpoints_closed)", step)
                scan = step.startswith("SCAN") and step != "SCAN CONSTANT ROW" and "json_each" not in step
                if "TEMP B-TREE" in step or (scan and not ordered and not few):
                    found.append((step, statement))
        return found


@pytest.fixture
def used(registry, kit):
    """A registry with a little of everything, and what SQLite knows about its size."""
    for digest in "abc":
        kit.publish(registry, digest, endpoint="digits")
    for _ in range(5):
        kit.hand_over(registry, kit.submit(registry, key=None))
    kit.submit(registry, key="k")
    return registry


def test_a_trigger_goes_by_indexes(used, kit):
    order = TriggerRequest(kind="endpoint", ref="digits", version="1", key="new")
    direct = TriggerRequest(kind="published", ref="digits:1", key="new")
    with Recorder(used) as recorder:
        run = kit.hand_over(
            used, used.runs.accept(order, used.runs.resolve(order), NewRun(id="run-1", experiment="e"), kit.caller)[0]
        )
        used.runs.accept(direct, used.runs.resolve(direct), NewRun(id="run-2", experiment="e"), kit.caller)
        used.runs.request_cancel(run.id, kit.caller)
        used.runs.report("run-1", RunReport(state="running", steps=(StepReport(name="a", state="running"),)))
        used.runs.get("run-1")
        used.runs.ref("run-1")
        for owed in used.outbox.due():
            used.outbox.is_owed(owed)
            used.outbox.tries(owed)
            used.outbox.defer(owed, 0, "away")
        used.outbox.breaker("laptop")
        used.outbox.leave_alone("laptop", 1, "away")
        used.outbox.trouble("laptop")
        used.outbox.reached("laptop")
        used.runs.unfinished()
    assert len(recorder.statements) > 25
    assert recorder.slow() == []


def test_every_listing_goes_by_an_index(used, kit):
    with Recorder(used) as recorder:
        kit.runs(used)
        kit.runs(used, before="3")
        for wanted in ({"endpoint": "digits"}, {"experiment": "e"}, {"state": "queued"}, {"pipeline": "digits"}):
            kit.runs(used, **wanted)
        used.endpoints.list()
        used.pipelines.list()
        used.pipelines.list(name="digits")
        kit.history(used)
        kit.history(used, runs=True)
        kit.history(used, by="ada")
        kit.history(used, subject="digits")
    assert recorder.slow() == []


def test_pages_walk_the_numbers_backwards_and_filters_have_their_index(used):
    def plan(where):
        with used._database.connection() as connection:
            sql = f"EXPLAIN QUERY PLAN SELECT * FROM runs r WHERE r.seq < 9 {where} ORDER BY r.seq DESC LIMIT 50"
            return [row[3] for row in connection.execute(sql)]

    assert plan("") == ["SEARCH r USING INTEGER PRIMARY KEY (rowid<?)"]
    for column in ("endpoint", "experiment", "state", "pipeline"):
        assert plan(f"AND r.{column} = 'x'") == [f"SEARCH r USING INDEX runs_{column} ({column}=? AND rowid<?)"]


def test_changes_to_an_endpoint_do_not_look_at_all_runs(used, kit):
    with Recorder(used) as recorder:
        used.endpoints.set_default("digits", "1", kit.caller)
        used.endpoints.rollback("digits", kit.caller)
        used.set_gate("endpoint", "digits", open=False, caller=kit.caller, cancel_runs=True)
        kit.code(used.endpoints.delete, "digits", kit.caller)
        kit.code(used.pipelines.delete, "digits:1", kit.caller)
    touched = [statement for statement in recorder.statements if re.search(r"FROM runs", statement)]
    assert touched
    assert recorder.slow() == []
