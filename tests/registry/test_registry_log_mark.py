"""A log is taken for a file's own when it is: whatever a copy was made with, and whatever was running meanwhile."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.registry.crashes import WAYS, beside, by_hand, by_sqlite, checkpoint, count, crash, crashed, refused
from tests.registry.restored import publish

from penstock import wal
from penstock.errors import RegistryError
from penstock.registry import Registry, restoring, schema

_WRITER = """\
import sys
from pathlib import Path
from penstock.registry import Registry
from tests.registry.restored import publish
path, name = Path(sys.argv[1]), sys.argv[2]
number = 0
while True:
    with Registry.open(path) as registry:
        for _ in range(7):
            publish(registry, f"{name}-{number}")
            number += 1
            print(number, flush=True)
"""


@pytest.mark.sampled(1)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("more", [1, 60])
def test_a_copy_over_a_crashed_registry_is_refused(path, tmp_path, kit, way, more):
    """However it was made: it is no backup of ours, and fits the log in nothing but its schema."""
    with Registry.open(path) as registry:
        publish(registry, "a")
    WAYS[way](path, tmp_path / "copy.db")
    with Registry.open(path) as registry:
        publish(registry, "b")
    with Registry.open(path) as registry:
        for number in range(more):
            publish(registry, f"c{number}")
        log = beside(path, "-wal").read_bytes()
    shutil.copyfile(tmp_path / "copy.db", path)
    beside(path, "-wal").write_bytes(log)
    before = path.read_bytes()
    for read_only in (True, False):
        with pytest.raises(RegistryError, match="is not the file that was written here last") as refused:
            Registry.open(path, read_only=read_only)
        assert refused.value.code == "registry_log_foreign"
    assert (path.read_bytes(), beside(path, "-wal").read_bytes()) == (before, log)
    if way != "vacuum":
        return  # what is done then is the same
    saved = tmp_path / "saved.db"
    with Registry.open(tmp_path / "copy.db") as registry:
        registry.backup(saved)
    kept = restoring.restore(path, saved)
    assert count(path) == 1
    assert beside(kept, "-wal").read_bytes() == log


@pytest.mark.parametrize("new", [True, False])
def test_another_registrys_log_is_refused(path, tmp_path, new):
    other = tmp_path / "other" / "registry.db"
    for each in (path, other):
        with Registry.open(each) as registry:
            if not new:
                publish(registry, "a")
    with Registry.open(other) as registry:
        publish(registry, "b")
        log = beside(other, "-wal").read_bytes()
    beside(path, "-wal").write_bytes(log)
    with pytest.raises(RegistryError, match="belongs to another file"):
        Registry.open(path)
    beside(path, "-wal").unlink()
    if not new:
        assert count(path) == 1


def test_a_restore_by_sqlite_is_no_foreign_log(path, tmp_path):
    """It writes every page into the log, and marks that the file does not know."""
    with Registry.open(path) as registry:
        publish(registry, "a")
    by_sqlite(path, tmp_path / "copy.db")
    with Registry.open(path) as registry:
        publish(registry, "b")
    with closing(sqlite3.connect(path)) as target, closing(sqlite3.connect(tmp_path / "copy.db")) as source:
        target.execute("SELECT count(*) FROM log_mark").fetchone()
        source.backup(target)
        assert beside(path, "-wal").stat().st_size > 0
        assert count(path) == 1
        with Registry.open(path) as registry:
            publish(registry, "c")
            files = {file: file.read_bytes() for file in (path, beside(path, "-wal"))}
    for file, content in files.items():
        file.write_bytes(content)
    assert count(path) == 2


def test_a_file_of_before_there_were_marks_is_opened_with_its_log(path, monkeypatch):
    with monkeypatch.context() as before:
        before.setattr(schema, "STEPS", schema.STEPS[:3])
        before.setattr("penstock.log_mark.mark", lambda connection, began: None)
        with Registry.open(path) as registry:
            publish(registry, "a")
        with Registry.open(path) as registry:
            publish(registry, "b")
            files = {file: file.read_bytes() for file in (path, beside(path, "-wal"))}
    for file, content in files.items():
        file.write_bytes(content)
    with Registry.open(path) as registry:
        publish(registry, "c")
    assert count(path) == 3


def schema_of(path: Path) -> int:
    """The version in a file without its log."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
        return connection.execute("PRAGMA user_version").fetchone()[0]


@pytest.mark.sampled(2)
@pytest.mark.parametrize("checkpointed", [False, True])
@pytest.mark.parametrize("versions", [3, 4])
def test_a_migration_that_was_killed_keeps_its_own_log(path, tmp_path, monkeypatch, versions, checkpointed):
    """Before or after its checkpoint, and whether the registry had marks or a log before."""
    with monkeypatch.context() as before:
        before.setattr(schema, "STEPS", schema.STEPS[:versions])
        if versions == 3:
            before.setattr("penstock.log_mark.mark", lambda connection, began: None)
        with Registry.open(path) as registry:
            publish(registry, "a")
        with Registry.open(path) as registry:
            publish(registry, "b")
            crash(path)
    crashed(path)
    with Registry.open(path):  # it is migrated
        crash(path)
        checkpoint(path)
        shutil.copyfile(path, tmp_path / "checkpointed.db")
    crashed(path, tmp_path / "checkpointed.db" if checkpointed else None)
    assert schema_of(path) == (schema.latest() if checkpointed else schema.DRAFTS + versions)
    assert count(path) == 2
    with Registry.open(path) as registry:
        publish(registry, "c")
        checkpoint(path)
        crash(path)
    crashed(path)
    assert count(path) == 3


@pytest.mark.sampled(1)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("versions", [3, 4])
def test_a_copy_from_before_a_migration_is_refused(path, tmp_path, monkeypatch, versions, way):
    with monkeypatch.context() as before:
        before.setattr(schema, "STEPS", schema.STEPS[:versions])
        if versions == 3:
            before.setattr("penstock.log_mark.mark", lambda connection, began: None)
        with Registry.open(path) as registry:
            for number in range(50):
                publish(registry, f"a{number}")
    WAYS[way](path, tmp_path / "copy.db")
    with Registry.open(path):
        pass
    with Registry.open(path) as registry:
        publish(registry, "b")
        crash(path)
    refused(crashed(path, tmp_path / "copy.db"))


@pytest.mark.sampled(3)
@pytest.mark.parametrize("change", ["VACUUM", "ANALYZE", "CREATE INDEX more ON history (door)", "REINDEX"])
@pytest.mark.parametrize("when", ["before the log", "in it", "in it and checkpointed"])
def test_what_others_change_is_part_of_the_file(path, change, when):
    with Registry.open(path) as registry:
        for number in range(20):
            publish(registry, f"a{number}")
        if when != "before the log":
            checkpoint(path, "truncate")
            by_hand(path, change)
            if when == "in it and checkpointed":
                checkpoint(path)
            crash(path)
    if when != "before the log":
        assert count(crashed(path)) == 20
    by_hand(path, change.replace("more", "again"))
    with Registry.open(path) as registry:
        publish(registry, "b")
        crash(path)
    assert count(crashed(path)) == 21


@pytest.mark.sampled(1)
@pytest.mark.parametrize(("way", "change"), [("cp", "VACUUM"), ("vacuum", "ANALYZE"), ("cp", "ANALYZE")])
def test_a_copy_from_before_others_changed_the_file_is_refused(path, tmp_path, way, change):
    with Registry.open(path) as registry:
        for number in range(100):
            publish(registry, f"a{number}")
    by_hand(path, "VACUUM")
    with Registry.open(path) as registry:
        for number in range(30):
            publish(registry, f"b{number}")
    WAYS[way](path, tmp_path / "copy.db")
    by_hand(path, change)
    with Registry.open(path) as registry:
        publish(registry, "c")
        crash(path)
    refused(crashed(path, tmp_path / "copy.db"))


def test_what_was_begun_and_not_committed_is_no_part_of_a_log(path):
    """A header with the page of an earlier log behind it: the two are written one after the other."""
    with Registry.open(path) as registry:
        for number in range(3):
            publish(registry, f"a{number}")
            publish(registry, f"b{number}")
            checkpoint(path)
        before = beside(path, "-wal").read_bytes()
        publish(registry, "c")
        after = beside(path, "-wal").read_bytes()
        main = path.read_bytes()
    frame = 24 + 4096
    first = next(
        place for place in range(32, len(after), frame) if after[place : place + 24] != before[place : place + 24]
    )
    ends = next(place for place in range(first, len(after), frame) if after[place + 4 : place + 8] != b"\0" * 4)
    torn = 0
    for place in range(first, ends + frame, frame):
        for cut in (place, place + 24):
            path.write_bytes(main)
            beside(path, "-shm").unlink(missing_ok=True)
            beside(path, "-wal").write_bytes(after[:cut] + before[cut:])
            assert count(path) == 6
            torn += 1
    assert torn > 10


def test_a_registry_that_is_a_link_has_the_log_of_its_file(path, tmp_path):
    other = tmp_path / "other.db"
    for each in (path, other):
        with Registry.open(each) as registry:
            publish(registry, "a")
    shutil.copyfile(path, tmp_path / "copy.db")
    link = tmp_path / "linked" / "registry.db"
    link.parent.mkdir()
    link.symlink_to(path)
    with Registry.open(other) as registry:  # what lies beside the link is nobody's
        publish(registry, "b")
        shutil.copyfile(beside(other, "-wal"), beside(link, "-wal"))
    with Registry.open(path) as registry:
        publish(registry, "b")
    with Registry.open(path) as registry:
        publish(registry, "c")
        crash(path)
    assert count(link) == 3
    beside(link, "-wal").unlink()
    crashed(path, tmp_path / "copy.db")
    refused(link)


@pytest.mark.parametrize("size", [0, 1, 1000, 2**31, 2**32 - 1])
def test_a_log_of_no_size_that_pages_have_says_nothing(path, size):
    with Registry.open(path) as registry:
        publish(registry, "a")
        crash(path)
    crashed(path)
    log = bytearray(beside(path, "-wal").read_bytes())
    log[8:12] = size.to_bytes(4, "big")
    beside(path, "-wal").write_bytes(log)
    assert list(wal.frames(beside(path, "-wal"))) == []


@pytest.mark.thorough
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.sampled_from(
            ["write", "write", "close", "passive", "restart", "truncate", "read", "copy", "crash", "VACUUM", "ANALYZE"]
        ),
        max_size=16,
    ),
    st.sampled_from(sorted(WAYS)),
)
def test_its_own_log_is_never_refused_and_another_never_taken(acts, way):
    """File and log of one moment go together. An older file goes with the log or is refused, and is never mixed up."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as held:
        path = Path(folder) / "registry.db"
        registry = held.enter_context(Registry.open(path))
        publish(registry, "0")
        number = 1
        older: list[Path] = []
        marked = True  # of what others change in a log nothing is known until we write
        for act in acts:
            if act == "write":
                publish(registry, str(number))
                number, marked = number + 1, True
            elif act == "close":
                held.close()
                registry = held.enter_context(Registry.open(path))
            elif act == "read":  # it holds up checkpoints
                reader = held.enter_context(closing(sqlite3.connect(path)))
                reader.execute("BEGIN")
                reader.execute("SELECT count(*) FROM history").fetchone()
            elif act in ("passive", "restart", "truncate"):
                with closing(sqlite3.connect(path, timeout=0)) as connection:
                    connection.execute(f"PRAGMA wal_checkpoint({act})").fetchone()
            elif act in ("VACUUM", "ANALYZE"):
                with closing(sqlite3.connect(path, timeout=0)) as connection:
                    connection.execute(act)
                marked = False
            elif act == "copy":
                older.append(Path(folder) / f"copy{len(older)}.db")
                WAYS[way](path, older[-1])
            else:
                _crash(path, Path(folder), path, number, exact=True)
                for copy in older if marked else ():
                    _crash(path, Path(folder), copy, number, exact=False)
        _crash(path, Path(folder), path, number, exact=True)
        for copy in older if marked else ():
            _crash(path, Path(folder), copy, number, exact=False)


def _crash(path: Path, folder: Path, file: Path, versions: int, *, exact: bool) -> None:
    """What somebody finds who has that file, and the log as it is now."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        crashed = Path(place) / "registry.db"
        shutil.copyfile(file, crashed)
        if beside(path, "-wal").exists():
            shutil.copyfile(beside(path, "-wal"), beside(crashed, "-wal"))
        logged = beside(crashed, "-wal").exists() and beside(crashed, "-wal").stat().st_size > 0
        try:
            found = count(crashed)
        except RegistryError as error:
            assert not exact
            assert logged
            assert error.code == "registry_log_foreign"
        else:
            assert found == versions or not (exact or logged)


@pytest.mark.thorough
def test_nobody_is_refused_while_others_write_and_are_killed(path, tmp_path):
    """Two write and close, so that logs come and go and are checkpointed; they are killed; and we look all the time."""
    with Registry.open(path) as registry:
        publish(registry, "first")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    looked = 0
    for turn in range(5):
        writers = [
            subprocess.Popen([sys.executable, "-c", _WRITER, path, f"{turn}-{one}"], stdout=subprocess.PIPE,
                             env=environment)
            for one in range(2)
        ]  # fmt: skip
        try:
            for writer in writers:
                writer.stdout.readline()
            until = time.monotonic() + 0.5
            while time.monotonic() < until:
                assert count(path) > 0
                looked += 1
        finally:
            for writer in writers:
                writer.kill()
                writer.communicate()
        assert count(path) > 0
    assert looked > 5
