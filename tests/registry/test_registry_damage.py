"""One row that came to harm hides no other: listings show what can be shown, and a check names it."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from penstock.registry import HistoryQuery, Registry, RunQuery

PLACES = [
    ("runs", "created"),
    ("runs", "experiment"),
    ("run_steps", "started"),
    ("endpoints", "modified"),
    ("endpoints", "description"),
    ("published", "created"),
    ("published", "description"),
    ("versions", "created"),
    ("versions", "gate_reason"),
    ("history", "happened"),
    ("history", "reason"),
]
HARM = {"bytes": "x'ff'", "text": "CAST(x'41ff42' AS TEXT)", "words": "'nonsense'", "far": "9e18"}


@pytest.mark.parametrize("harm", HARM)
@pytest.mark.parametrize(("table", "column"), PLACES)
def test_a_damaged_row_hides_no_other(path, kit, table, column, harm):
    with Registry.open(path) as registry:
        for name in ("one", "two"):
            kit.publish(registry, name, endpoint=name)
            kit.submit(registry, name)
        count = len(registry.history(HistoryQuery(runs=True)).items)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TRIGGER history_no_update")
        if table == "run_steps":
            connection.execute("INSERT INTO run_steps VALUES (1, 0, 'a', 'queued', 0, 1, NULL, NULL, NULL, '{}')")
        row = {"versions": "endpoint = 1", "run_steps": "run = 1"}.get(table, "seq = 1")
        connection.execute(f"UPDATE {table} SET {column} = {HARM[harm]} WHERE {row}")
    is_time = column in ("created", "started", "modified", "happened")
    with Registry.open(path) as registry:
        assert len(registry.runs.list(RunQuery()).items) == 2
        assert {one.name for one in registry.endpoints.list().items} == {"one", "two"}
        assert len(registry.pipelines.list().items) == 2
        assert len(registry.history(HistoryQuery(runs=True)).items) == count
        lines = [line for line in registry.check().lines if f"a row of {table} whose {column}" in line]
        assert bool(lines) is (is_time or harm in ("bytes", "text")), registry.check()
