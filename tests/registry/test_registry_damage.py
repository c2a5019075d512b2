"""One row that came to harm hides no other: listings show what can be shown, and a check names it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing

import pytest

from penstock.errors import RegistryError
from penstock.registry import HistoryQuery, Registry, RunQuery, schema

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


@pytest.mark.sampled(4)
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


@pytest.mark.sampled(1)
@pytest.mark.parametrize("harm", ["pages", "a law", "cut"])
def test_there_is_no_backup_that_could_not_be_restored(path, kit, tmp_path, harm):
    """A job that saves each night and throws older ones away would be left with none."""
    good, bad = tmp_path / "good.db", tmp_path / "bad.db"
    with Registry.open(path) as registry:
        for number in range(40):
            kit.publish(registry, f"d{number}", endpoint="digits")
        registry.backup(good)
    if harm == "a law":
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE endpoints SET next_version = 99")
    with Registry.open(path) as registry:
        if harm != "a law":  # while it is open: what is opened is looked at
            with path.open("r+b") as file:
                file.seek(4096)
                if harm == "cut":
                    file.truncate()
                else:
                    file.write(b"\x5a" * (os.stat(path).st_size - 8192))
        assert not registry.check().ok
        with pytest.raises(RegistryError, match=r"no backup of it: .*; keep the earlier ones") as refused:
            registry.backup(bad)
    assert refused.value.code == "registry_corrupt"
    assert "\n" not in str(refused.value) and str(path) in str(refused.value)
    assert [file.name for file in tmp_path.glob("*bad.db*")] == [], "nor a draft of it"
    Registry.restore(path, good)
    with Registry.open(path) as registry:
        registry.backup(bad)


@pytest.mark.parametrize(
    ("strange", "told"),
    [
        ("DROP TABLE sessions", "the table sessions is missing"),
        ("DROP TRIGGER history_no_update", "the trigger history_no_update is missing"),
        ("DROP INDEX runs_key", "the index runs_key is missing"),
        ("ALTER TABLE tokens ADD COLUMN more", "the table tokens is not what it was made as"),
        (
            "CREATE TRIGGER more AFTER INSERT ON runs BEGIN DELETE FROM outbox; END",
            "the trigger more is none of penstock's",
        ),
        ("CREATE VIEW more AS SELECT 1", "the view more is none of penstock's"),
        ("CREATE INDEX more ON runs (label)", ""),
    ],
)
def test_a_schema_that_is_not_ours_is_told_and_not_restored(path, kit, tmp_path, strange, told):
    with Registry.open(path) as registry:
        registry.backup(tmp_path / "saved.db")
    with closing(sqlite3.connect(tmp_path / "saved.db")) as connection:
        connection.execute(strange)
    with Registry.open(path) as registry, closing(sqlite3.connect(path)) as connection:
        connection.execute(strange)
        assert registry.check().lines[0] == told if told else registry.check().ok
    if told:
        with pytest.raises(RegistryError, match=f"not a whole backup: {told}.*; nothing was changed"):
            Registry.restore(path, tmp_path / "saved.db")
    else:
        Registry.restore(path, tmp_path / "saved.db")


@pytest.mark.parametrize("column", ["one", "other"])
def test_a_schema_is_held_against_the_steps_that_there_are(path, monkeypatch, column):
    """Both times as many steps, in one process."""

    def another(db):
        db.execute(f"ALTER TABLE snapshots ADD COLUMN {column} TEXT")

    monkeypatch.setattr(schema, "STEPS", (*schema.STEPS, another))
    with Registry.open(path) as registry:
        assert registry.check().ok


def test_another_programs_database_is_no_backup(path, tmp_path):
    with closing(sqlite3.connect(tmp_path / "another.db")) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    with pytest.raises(RegistryError, match="not a whole backup: it is a database of another program; nothing was"):
        Registry.restore(path, tmp_path / "another.db")
