"""A log is taken for a queue's own when it is: a copy that is put over a crashed queue is refused with its log."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.local import queue_files
from tests.local.queue_files import checkpoint, count, counted, marks_in, older, refused, root_in, write
from tests.registry.crashes import TORN, WAYS, beside

import penstock_local
from penstock.contract.run import Absent
from penstock.errors import TargetUnavailable
from penstock_local import database, hooks, ownership, queue, transactions
from penstock_local.layout import Layout

WRITER = """\
import sys
from pathlib import Path
from tests.local.queue_files import write
from penstock_local import database
from penstock_local.layout import Layout
number = int(sys.argv[2])
while True:
    connection = database.connect(Layout(Path(sys.argv[1])))
    for _ in range(40):
        write(connection, number)
        number += 1
        print(number, flush=True)
    connection.close()
"""


def whole(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("queue.db*")}


def crashed(place, copy_by=None, copy=None):
    """A run that ended, a copy of its queue, and another run, whose engine and keeper were killed; the latter run."""
    first = place.submit({"one": "true"})
    place.wait(first)
    place.kill_both()
    with contextlib.closing(sqlite3.connect(place.layout.queue)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()  # and who closes it last takes the log away
    if copy is not None:
        copy_by(place.layout.queue, copy)
    second = place.submit({"one": "sleep 300"})
    place.until(lambda: place.get(second).state == "running", "the run does not start")
    place.kill_both()
    return first, second


@pytest.mark.sampled(1)
@pytest.mark.parametrize("way", WAYS)
def test_a_copy_over_the_queue_of_a_killed_engine_is_refused(place, tmp_path, way):
    first, second = crashed(place, WAYS[way], tmp_path / "copy.db")
    own = place.layout.queue.read_bytes()
    shutil.copyfile(tmp_path / "copy.db", place.layout.queue)
    before = whole(place.layout.root)
    assert before["queue.db-wal"]
    said = f"the queue `{place.layout.queue}` is not the file that was written here last: the log `queue.db-wal`"
    for call in (
        lambda: place.get(first),
        lambda: place.start(first.publication, run="another"),
        lambda: place.cancel(second),
        lambda: place.outputs(first),
        lambda: place.log(first, "one"),
        lambda: hooks.penstock_clear_run(place.target, first),
    ):
        with pytest.raises(TargetUnavailable, match=said) as caught:
            call()
        assert caught.value.code == "queue_log_foreign"
    health = hooks.penstock_check_target(place.target)
    assert not health.ok and said in health.lines[-1]
    by_hand = [sys.executable, "-P", "-m", "penstock_local.engine", str(place.layout.root)]
    done = subprocess.run(by_hand, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and said in done.stderr
    assert whole(place.layout.root) == before
    if way == "cp":  # the right file again
        place.layout.queue.write_bytes(own)
        assert place.get(second).state == "running"
    else:
        for more in ("-wal", "-shm"):
            beside(place.layout.queue, more).unlink()
        assert place.get(first).state == "succeeded"
        assert isinstance(place.get(second), Absent)
        assert place.wait(place.submit({"one": "true"})).state == "succeeded"


@pytest.mark.thorough
def test_a_queue_of_another_user_is_refused_to_readers_too(place, tmp_path, monkeypatch):
    first, _ = crashed(place, WAYS["sqlite"], tmp_path / "copy.db")
    shutil.copyfile(tmp_path / "copy.db", place.layout.queue)
    before = whole(place.layout.root)
    monkeypatch.setattr(ownership, "is_guest", lambda layout: True)
    with pytest.raises(TargetUnavailable, match="not the file that was written here last"):
        place.get(first)
    assert whole(place.layout.root) == before


@pytest.mark.thorough
def test_its_own_log_after_a_kill_goes_on(place):
    first, second = crashed(place)
    assert beside(place.layout.queue, "-wal").stat().st_size
    assert place.get(first).state == "succeeded"
    assert place.cancel(second)
    assert place.wait(second).state == "canceled"


def test_everything_that_writes_leaves_one_mark(place):
    """And one page more than without; the engine has the queue open, so that its log is whole."""
    run = place.submit({f"step-{number}": "true" for number in range(20)})
    place.wait(run)
    place.wait(place.submit({"one": "false"}))
    place.submit({"one": "sleep 300"}, run="long")
    place.cancel(place.start(run.publication))
    hooks.penstock_retire_pipeline(place.target, place.publish({"none": "true"}))
    database.write_over(place.layout)
    marks = marks_in(beside(place.layout.queue, "-wal"))
    assert len(marks) > 8
    assert set(marks) == {1}


def test_who_only_reads_cannot_write(tmp_path):
    layout = root_in(tmp_path)
    with pytest.raises(TargetUnavailable, match="cannot be written"), database.opened(layout) as connection:
        connection.execute("DELETE FROM jobs")


def test_only_one_place_begins_what_writes():
    """Elsewhere it might leave no mark."""
    folder = Path(penstock_local.__file__).parent
    assert [file.name for file in folder.glob("*.py") if "BEGIN IMMEDIATE" in file.read_text()] == ["transactions.py"]


def test_what_writes_nothing_leaves_no_mark(tmp_path):
    layout = root_in(tmp_path)
    with database.opened(layout):
        before = len(marks_in(beside(layout.queue, "-wal")))
        with database.deciding(layout):
            pass
        assert len(marks_in(beside(layout.queue, "-wal"))) == before


@pytest.mark.parametrize("size", [0, 3000, 3200, 3300, 3400, 3500, 9000])
def test_what_reads_like_a_mark_is_none(tmp_path, size):
    layout = root_in(tmp_path)
    forged = f"\x6a\x01\x03\x81\x5bpenstock log {'a' * 32} {'b' * 32} {'c' * 24}"
    for text in (f"{forged} {'x' * size}", f"{'x' * size} {forged}"):
        with contextlib.closing(database.connect(layout)) as connection:
            before = count(layout)
            with transactions.writing(connection):
                queue.add_job(connection, text, "publication", text, [text])
            assert counted(layout.queue, beside(layout.queue, "-wal")) == before + 1


@pytest.mark.parametrize("ended", [False, True])
def test_a_queue_of_the_version_before_is_opened_with_its_log(tmp_path, ended):
    """And an engine of then that goes on beside us, `ended` or not, leaves no marks."""
    layout = root_in(tmp_path)
    with contextlib.closing(older(layout, 3)) as engine:
        for number in range(3, 6):
            assert counted(layout.queue, beside(layout.queue, "-wal")) == number
            if number == 4:
                with contextlib.closing(database.connect(layout)):  # it is migrated
                    assert counted(layout.queue, beside(layout.queue, "-wal")) == 4
            if ended:
                checkpoint(layout, "RESTART")
            queue_files.write_unmarked(engine, number)
        with contextlib.closing(database.connect(layout)) as connection:
            write(connection, 6)
            queue_files.write_unmarked(engine, 7)
            assert counted(layout.queue, beside(layout.queue, "-wal")) == 8
            checkpoint(layout)
            assert counted(layout.queue, beside(layout.queue, "-wal")) == 8
    assert count(layout) == 8


@pytest.mark.parametrize("way", WAYS)
def test_a_copy_of_the_version_before_is_refused_with_a_later_log(tmp_path, way):
    layout = root_in(tmp_path)
    older(layout, 50).close()
    WAYS[way](layout.queue, tmp_path / "copy.db")
    database.connect(layout).close()
    with contextlib.closing(database.connect(layout)) as connection:
        write(connection, 50)
        refused(tmp_path / "copy.db", beside(layout.queue, "-wal"))
        assert counted(layout.queue, beside(layout.queue, "-wal")) == 51
    assert counted(tmp_path / "copy.db", None) == 50


@pytest.mark.sampled(1)
@pytest.mark.parametrize("logged", [False, True])
@pytest.mark.parametrize("version", [1, 2])
def test_a_migration_that_was_killed_anywhere_keeps_its_own_log(tmp_path, monkeypatch, version, logged):
    layout = root_in(tmp_path)
    before = older(layout, 5, version)
    if not logged:
        before.close()
    real, moments = sqlite3.connect, []

    def look(statement: str) -> None:
        moments.append(tmp_path / f"{len(moments)}.db")
        shutil.copyfile(layout.queue, moments[-1])
        if beside(layout.queue, "-wal").exists():
            shutil.copyfile(beside(layout.queue, "-wal"), beside(moments[-1], "-wal"))

    def connect(*where, **how):
        connection = real(*where, **how)
        connection.set_trace_callback(look)
        return connection

    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", connect)
        database.connect(layout).close()
    before.close()
    assert len(moments) > 10
    for moment in moments:
        assert counted(moment, beside(moment, "-wal")) == 5


@pytest.mark.parametrize("way", WAYS)
def test_a_copy_of_a_moment_within_the_log_is_refused_unless_it_is_the_file_itself(tmp_path, way):
    layout = root_in(tmp_path)
    with contextlib.closing(database.connect(layout)) as connection:
        for number in range(20):
            write(connection, number)
    with contextlib.closing(database.connect(layout)) as connection:
        for number in range(20, 40):
            write(connection, number)
            if number == 30:
                with transactions.writing(connection):
                    connection.execute("DELETE FROM jobs WHERE seq BETWEEN 3 AND 6")
                WAYS[way](layout.queue, tmp_path / "copy.db")
        if way == "cp":
            assert counted(tmp_path / "copy.db", beside(layout.queue, "-wal")) == 36
        else:
            refused(tmp_path / "copy.db", beside(layout.queue, "-wal"))


@pytest.mark.parametrize("way", WAYS)
def test_a_copy_in_the_place_of_a_queue_has_a_log_again(tmp_path, way):
    layout = root_in(tmp_path)
    database.connect(layout).close()
    WAYS[way](layout.queue, tmp_path / "copy.db")
    shutil.copyfile(tmp_path / "copy.db", layout.queue)
    with database.deciding(layout) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


@pytest.mark.parametrize("version", [2, 3])
def test_who_only_reads_leaves_a_queue_as_it_is(tmp_path, version):
    """However full its disk is, or on a read-only mount: a log mode is asked for and marks are laid by who writes."""
    layout = root_in(tmp_path)
    with contextlib.closing(older(layout, 3) if version == 2 else database.connect(layout)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    before = whole(layout.root)
    assert count(layout) == (3 if version == 2 else 0)
    assert whole(layout.root) == before
    with database.deciding(layout) as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] == database.VERSION
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


def test_an_empty_file_is_a_new_queue_beside_whatever_log(tmp_path):
    """As when somebody moved a damaged queue away and left the log: SQLite throws that away itself."""
    layout = root_in(tmp_path)
    with contextlib.closing(database.connect(layout)) as connection:
        write(connection, 0)
        log = beside(layout.queue, "-wal").read_bytes()
    layout.queue.unlink()
    beside(layout.queue, "-wal").write_bytes(log)
    assert count(layout) == 0


@pytest.mark.thorough
def test_a_writer_that_is_killed_loses_nothing_and_is_never_refused(tmp_path):
    layout = root_in(tmp_path)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(Path(__file__).parents[2])])}
    done = 0
    for lines in (1, 17, 40, 63, 90):
        command = [sys.executable, "-c", WRITER, layout.root, str(done)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as writer:
            for _ in range(lines):
                writer.stdout.readline()
                if lines == 90:
                    count(layout)  # and so is nobody who looks meanwhile
            writer.send_signal(signal.SIGKILL)
            said = writer.stdout.read().split()
        done = count(layout)
        assert not said or done - int(said[-1]) in (0, 1)  # killed in between it has written a job, and not said so


@pytest.mark.thorough
@settings(max_examples=25)
@given(st.sampled_from([1, 60]), st.sampled_from([1, 25]), st.sampled_from([0, 0, 3]), TORN)
def test_any_part_of_a_checkpoint_that_a_disk_kept_goes_with_its_log(earlier, logged, more, torn):
    with tempfile.TemporaryDirectory() as folder:
        layout = root_in(Path(folder))
        with contextlib.closing(database.connect(layout)) as connection:
            for number in range(earlier):
                write(connection, number)
        with contextlib.closing(database.connect(layout)) as connection:
            for number in range(earlier, earlier + logged):
                write(connection, number)
            before = layout.queue.read_bytes()
            checkpoint(layout)
            for number in range(earlier + logged, earlier + logged + more):
                write(connection, number)
            if more:  # the log began anew, for the file was synced
                before = layout.queue.read_bytes()
                checkpoint(layout)
            kept = Path(folder) / "torn.db"
            kept.write_bytes(torn.of(before, layout.queue.read_bytes()))
            assert counted(kept, beside(layout.queue, "-wal")) == earlier + logged + more


ACTS = ["write", "write", "close", "PASSIVE", "RESTART", "TRUNCATE", "read", "copy", "crash", "VACUUM", "ANALYZE"]


@pytest.mark.thorough
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(ACTS), max_size=16), st.sampled_from(sorted(WAYS)))
def test_its_own_log_is_never_refused_and_another_never_taken(acts, way):
    """File and log of one moment go together. An older file goes with the log or is refused, and is never mixed up."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as held:
        layout = root_in(Path(folder))
        engine = database.connect(layout)
        held.callback(lambda: engine.close())
        write(engine, 0)
        jobs = 1
        copies: list[Path] = []
        marked = True  # of what others change in a log nothing is known until we write
        for act in (*acts, "crash"):
            if act == "write":
                write(engine, jobs)
                jobs, marked = jobs + 1, True
            elif act == "close":
                held.close()
                engine = database.connect(layout)
                held.callback(lambda last=engine: last.close())
            elif act == "read":  # it holds up checkpoints
                reader = held.enter_context(contextlib.closing(sqlite3.connect(layout.queue)))
                reader.execute("BEGIN")
                reader.execute("SELECT count(*) FROM jobs").fetchone()
            elif act in ("VACUUM", "ANALYZE"):
                with contextlib.closing(sqlite3.connect(layout.queue, timeout=0)) as connection:
                    connection.execute(act)
                marked = False
            elif act == "copy":
                copy = Path(folder) / f"copy{len(copies)}.db"
                WAYS[way](layout.queue, copy)
                with contextlib.suppress(TargetUnavailable):  # a file half way to the state of its log is no copy
                    counted(copy, None)
                    copies.append(copy)
            elif act != "crash":
                checkpoint(layout, act)
            else:
                _crash(layout, layout.queue, jobs, exact=True)
                for copy in copies if marked else ():
                    _crash(layout, copy, jobs, exact=False)


def _crash(layout: Layout, file: Path, jobs: int, *, exact: bool) -> None:
    """What somebody finds who has that file, and the log as it is now."""
    log = beside(layout.queue, "-wal")
    logged = log.exists() and log.stat().st_size > 0
    try:
        found = counted(file, log)
    except TargetUnavailable as error:
        assert not exact
        assert logged
        assert error.code == "queue_log_foreign"
    else:
        assert found == jobs or not (exact or logged)
