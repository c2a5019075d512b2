"""Looking at a root where nothing can be made beside its queue: on a read-only mount, or without inodes."""

from __future__ import annotations

import sqlite3

import pytest
from tests.faulty_disk import read_only

from penstock.contract.run import RunRef
from penstock.contract.target import Publication
from penstock.errors import TargetUnavailable
from penstock_local import database, hooks, queue


@pytest.fixture
def ended(places, small_disk):
    """A place whose run has ended, with nothing beside its queue: on a file system of its own."""
    place = places(root=small_disk(nr_inodes=120).folder / "root", idle=0.0)
    run = place.submit({"one": "echo said"})
    assert place.wait(run).state == "succeeded"
    place.until(lambda: not place.engines(), "the engine does not end")
    assert not place.layout.queue.with_name("queue.db-wal").exists()
    return place, run


def looks(place, run):
    assert place.log(run, "one") == b"said\n"
    assert place.get(run).state == "succeeded"
    assert place.outputs(run) == {}


def test_what_ended_is_shown_on_a_read_only_mount(ended):
    place, run = ended
    with read_only(place.layout.root):
        looks(place, run)
        assert not hooks.penstock_check_target(place.target).ok
    looks(place, run)


def test_what_ended_is_shown_where_there_are_no_inodes(ended, tmp_path):
    place, run = ended
    (tmp_path / "small" / "ballast").mkdir()
    with pytest.raises(OSError, match="space"):
        for number in range(1000):
            (tmp_path / "small" / "ballast" / f"{number}").touch()
    looks(place, run)
    with (
        pytest.raises(TargetUnavailable, match="the disk is full: it has no inodes left; free some space"),
        database.deciding(place.layout),
    ):
        pass


def test_who_cannot_write_is_told_so_and_nothing_is_said_to_be_cleared_away(ended):
    place, run = ended
    with read_only(place.layout.root):
        for call in (lambda: hooks.penstock_clear_run(place.target, run), lambda: place.cancel(run)):
            with pytest.raises(TargetUnavailable, match=r"(?i)read-only") as caught:
                call()
            assert "free some space" not in str(caught.value)
    assert place.log(run, "one") == b"said\n"
    assert hooks.penstock_clear_run(place.target, run) > 0


@pytest.mark.parametrize("index", [False, True], ids=["without", "with"])
def test_a_log_that_a_killed_process_left_is_read_or_told(ended, index):
    """What it holds is never left out: the run that stands in it alone is there, or it is said why not."""
    place, _ = ended
    writer = database.connect(place.layout)
    with database.transactions.writing(writer):
        queue.add_job(writer, "late", "publication", "{}", ["one"])
        writer.execute("UPDATE jobs SET state = 'canceled', ended = 1 WHERE id = 'late'")
    beside = [place.layout.queue.with_name(f"queue.db-{more}") for more in ("wal", "shm")[: 1 + index]]
    kept = {path: path.read_bytes() for path in beside}
    whole = place.layout.queue.read_bytes()
    writer.close()
    place.layout.queue.write_bytes(whole)
    for path, data in kept.items():
        path.write_bytes(data)
    late = RunRef(id="late", publication=Publication(external="none"))
    with read_only(place.layout.root):
        if index:
            assert place.get(late).state == "canceled"
        else:
            with pytest.raises(TargetUnavailable, match=r"a process that died left a log.* read-only; mount it"):
                place.get(late)
    assert place.get(late).state == "canceled"


@pytest.mark.parametrize("end", ["-journal"])
def test_a_journal_is_never_left_out(ended, end):
    """It takes back what a killed process had written half: without it the file is no state that ever was."""
    place, run = ended
    with sqlite3.connect(place.layout.queue, isolation_level=None) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()
    place.layout.queue.with_name(f"queue.db{end}").write_bytes(b"x" * 512)
    with read_only(place.layout.root), pytest.raises(TargetUnavailable):
        place.get(run)
