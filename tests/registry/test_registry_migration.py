"""A registry of an older penstock: migrated behind a copy or left as it was, and refused when it is too old."""

import sqlite3
import stat
from contextlib import closing

import pytest

from penstock.contract.target import NativeTrigger
from penstock.errors import RegistryError
from penstock.registry import Registry, schema

LAST = schema.latest()
"""The version that today's penstock makes."""


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def version(path):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("PRAGMA user_version").fetchone()[0]


def columns(path):
    with closing(sqlite3.connect(path)) as connection:
        return {row[1] for row in connection.execute("PRAGMA table_info(snapshots)")}


def refusal(path, **options):
    """The error that opening is refused with: one line that names the file or its folder."""
    with pytest.raises(RegistryError) as refused:
        Registry.open(path, **options)
    assert "\n" not in str(refused.value)
    assert str(path.parent) in str(refused.value)
    return refused.value


def a_second_step(db):
    db.execute("ALTER TABLE snapshots ADD COLUMN size INTEGER NOT NULL DEFAULT 7")


def a_third_step(db):
    db.execute("UPDATE snapshots SET size = size + 1")


def a_step_that_fails(db):
    db.execute("CREATE TABLE half (x)")
    raise sqlite3.OperationalError("no")


@pytest.fixture
def older(path, kit):
    """A closed registry with something in it, as today's penstock leaves it: old for one with more steps."""
    with Registry.open(path) as registry:
        kit.publish(registry, "a", endpoint="digits")
    assert version(path) == LAST
    return path


@pytest.fixture
def steps(monkeypatch):
    """Let penstock have more steps than it has."""

    def add(*more):
        monkeypatch.setattr(schema, "STEPS", (*schema.STEPS, *more))

    return add


def test_a_missing_registry_is_only_made_when_asked(path):
    assert refusal(path, create=False).code == "registry_missing"
    assert refusal(path, read_only=True).code == "registry_missing"
    assert not path.parent.exists()


def test_an_older_registry_is_migrated_with_a_copy_beside_it(older, kit, steps):
    steps(a_second_step)
    with Registry.open(older) as registry:
        assert [row["size"] for row in kit.sql(registry, "SELECT size FROM snapshots")] == [7]
        assert [each.version for each in registry.endpoints.get("digits").versions] == ["0"]
        kit.publish(registry, "b", endpoint="digits")
        assert registry.check().lines[0].endswith(f"schema version {LAST + 1}")
    assert version(older) == LAST + 1
    copy = older.with_name(f"registry.db.v{LAST}.bak")
    assert mode(copy) == 0o600
    assert (version(copy), "size" in columns(copy)) == (LAST, False)
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT digest FROM snapshots").fetchall() == [("a",)]
    assert {file.name for file in older.parent.iterdir() if "-" not in file.name} == {
        "registry.db",
        copy.name,
        ".gitignore",
    }


def test_each_step_is_applied_once_in_order_whenever_it_comes(older, kit, steps):
    steps(a_second_step)
    Registry.open(older).close()
    steps(a_third_step)
    for _ in range(2):
        with Registry.open(older) as registry:
            assert [row["size"] for row in kit.sql(registry, "SELECT size FROM snapshots")] == [8]
    assert version(older) == LAST + 2
    assert {file.name for file in older.parent.glob("*.bak")} == {
        f"registry.db.v{LAST}.bak",
        f"registry.db.v{LAST + 1}.bak",
    }


def test_a_new_registry_has_every_step(path, kit, steps):
    steps(a_second_step, a_third_step)
    with Registry.open(path) as registry:
        kit.publish(registry, "a")
        assert [row["size"] for row in kit.sql(registry, "SELECT size FROM snapshots")] == [7]
    assert version(path) == LAST + 2
    assert list(path.parent.glob("*.bak")) == []


def test_the_copy_of_an_earlier_migration_is_never_overwritten(older, steps):
    older.with_name(f"registry.db.v{LAST}.bak").write_text("earlier")
    steps(a_second_step)
    Registry.open(older).close()
    assert older.with_name(f"registry.db.v{LAST}.bak").read_text() == "earlier"
    assert version(older.with_name(f"registry.db.v{LAST}.1.bak")) == LAST


def test_a_migration_that_fails_leaves_the_registry_as_it_was(older, monkeypatch, kit, steps):
    with monkeypatch.context():
        steps(a_second_step, a_step_that_fails)
        assert refusal(older).code == "registry_error"
    assert version(older) == LAST
    assert "size" not in columns(older)
    with closing(sqlite3.connect(older)) as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    assert "half" not in tables
    monkeypatch.undo()
    with Registry.open(older) as registry:
        assert registry.check().ok
        kit.publish(registry, "b", endpoint="digits")


def test_a_registry_of_a_newer_penstock_is_refused_and_left_alone(older, steps, monkeypatch):
    steps(a_second_step)
    Registry.open(older).close()
    monkeypatch.undo()
    error = refusal(older)
    assert error.code == "registry_newer"
    assert f"version {LAST + 1}; this one knows {LAST}" in str(error)
    assert version(older) == LAST + 1


@pytest.mark.parametrize("draft", [0, 1, 5, schema.DRAFTS])
@pytest.mark.parametrize("read_only", [False, True])
def test_a_registry_of_a_draft_is_refused_and_left_alone(older, draft, read_only):
    with closing(sqlite3.connect(older)) as connection:
        connection.execute(f"PRAGMA user_version = {draft}")
    before = {file.name for file in older.parent.iterdir()}
    error = refusal(older, read_only=read_only)
    assert error.code == "registry_older"
    assert f"from before the first release (version {draft})" in str(error)
    assert version(older) == draft
    assert {file.name for file in older.parent.iterdir()} == before


def test_a_registry_of_the_first_release_learns_of_native_triggers(path, kit):
    with Registry.open(path) as registry:
        kit.publish(registry, "a", endpoint="digits")
    with closing(sqlite3.connect(path)) as connection, connection:
        for column in ("native_url", "native_gated"):
            connection.execute(f"ALTER TABLE endpoint_targets DROP COLUMN {column}")
        connection.execute("DELETE FROM _sqlite_migrations WHERE name = 'native_triggers'")
        connection.execute(f"PRAGMA user_version = {schema.DRAFTS + 1}")
    with Registry.open(path) as registry:
        one = registry.endpoints.get("digits")
        assert one.native is None
        there = NativeTrigger(url="https://elsewhere/jobs")
        registry.outbox.synced(one.id, one.versions[0].target, one.revision - 1, there)
        assert registry.endpoints.get("digits").native is None, "that is of an older state"
        registry.outbox.synced(one.id, one.versions[0].target, one.revision, there)
        assert registry.endpoints.get("digits").native == there
    assert version(path) == LAST
