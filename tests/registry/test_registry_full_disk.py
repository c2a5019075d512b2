"""What a registry answers when its disk fails as it commits: never that nothing was changed when something was."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from tests.faulty_disk import fill, small_disk

from penstock.errors import RegistryError
from penstock.registry import Registry
from penstock.registry.troubles import BUSY_SECONDS, busy, explain

# A run is accepted on a disk that takes everything and cannot be synced, and then the process is gone.
FAILING = """\
import os, sys
from pathlib import Path
from penstock.registry import Registry
from tests.faulty_disk import break_syncs
from tests.registry.conftest import Kit

registry, kit = Registry.open(Path(sys.argv[1])), Kit()
registry.check_writable()  # the log has begun
try:
    break_syncs()
except (KeyError, OSError) as error:
    print("skip", error)
    sys.exit()
print(kit.code(kit.submit, registry, key="k"))
sys.stdout.flush()
os._exit(0)
"""


def test_who_cannot_be_told_whether_a_decision_holds_is_told_so_and_its_key_has_one_run(path, kit):
    with Registry.open(path) as registry:
        kit.publish(registry, "a", endpoint="digits")
    done = subprocess.run(
        [sys.executable, "-c", FAILING, path], check=True, capture_output=True, text=True, cwd=os.curdir
    )
    if done.stdout.startswith("skip"):
        pytest.skip(f"this machine cannot break syncs: {done.stdout}")
    assert done.stdout.strip() == "registry_undecided", done.stderr
    with Registry.open(path) as registry:
        # What lay in the log was written over, so that nobody takes it for committed any more.
        assert kit.runs(registry).items == ()
        first = kit.submit(registry, key="k")
        assert kit.submit(registry, key="k").id == first.id
        assert registry.check().ok


def test_a_decision_that_lies_in_the_log_whole_and_failed_all_the_same_does_not_come_back(tmp_path, kit):
    """The index beside the log grows after 4062 pages; a reader keeps the log from beginning anew before that."""
    with small_disk(tmp_path / "disk", "40m") as disk, Registry.open(disk / "r.db") as registry:
        kit.publish(registry, "a", endpoint="digits")
        log = disk / "r.db-wal"
        with closing(sqlite3.connect(disk / "r.db", isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM runs").fetchone()
            with registry.write() as tx:
                tx.insert("outbox", kind="retire", subject=0, target="x", due=0, message="x" * 4000 * 3900)
                small = tx.insert("outbox", kind="retire", subject=1, target="x", due=0)
            while log.stat().st_size < 4058 * 4120:
                with registry.write() as tx:
                    tx.run("UPDATE outbox SET due = due + 1 WHERE seq = ?", small)
            fill(disk, leave=20 * 4096)  # room for the decision, and none for the index
            with pytest.raises(RegistryError) as failed:
                kit.submit(registry, key="k")
            assert failed.value.code in ("registry_disk_full", "registry_undecided")
            assert failed.value.__cause__.sqlite_errorname == "SQLITE_IOERR_SHMSIZE"
            # As whoever comes after the last process has gone: without the index, from what the log holds.
            for name in ("r.db", "r.db-wal"):
                shutil.copy(disk / name, tmp_path / name)
            with closing(sqlite3.connect(tmp_path / "r.db")) as later:
                assert later.execute("SELECT count(*) FROM runs").fetchone() == (0,)
            fill(disk, leave=1 << 20)
            assert kit.submit(registry, key="k").id == kit.submit(registry, key="k").id
        assert registry.check().ok


def test_a_disk_without_inodes_is_told_as_full(tmp_path, kit):
    with small_disk(tmp_path / "disk", "10m", inodes=20) as disk:
        path = disk / "r.db"
        with Registry.open(path) as registry:
            kit.publish(registry, "a", endpoint="digits")
        taken = []
        with pytest.raises(OSError, match="No space left"):
            while True:
                taken.append(disk / str(len(taken)))
                taken[-1].touch()
        with pytest.raises(RegistryError) as failed, Registry.open(path) as registry:
            kit.submit(registry, key="k")
        assert failed.value.code == "registry_disk_full"
        assert "the disk is full: it has no inodes left; nothing was changed, make room" in str(failed.value)
        for file in taken:
            file.unlink(missing_ok=True)
        with Registry.open(path) as registry:
            kit.submit(registry, key="k")
            assert registry.check().ok


def test_what_cannot_be_opened_for_another_reason_is_not_told_as_a_full_disk(tmp_path):
    error = sqlite3.OperationalError("unable to open database file")
    error.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
    with small_disk(tmp_path / "disk", "1m") as disk:  # one that does not count its inodes
        assert explain(disk / "r.db", error).code == "registry_error"
        fill(disk, leave=0)
        assert explain(disk / "r.db", error).code == "registry_disk_full"
    assert explain(tmp_path / "none/r.db", error).code == "registry_error"


def test_who_waits_in_vain_for_a_stopped_process_learns_which(path, kit):
    with Registry.open(path):
        pass
    holding = (
        "import os, signal, sqlite3, sys\n"
        "db = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "db.execute('BEGIN IMMEDIATE')\n"
        "os.kill(os.getpid(), signal.SIGSTOP)\n"
    )
    with subprocess.Popen([sys.executable, "-c", holding, path]) as other:
        try:
            os.waitid(os.P_PID, other.pid, os.WSTOPPED | os.WNOWAIT)
            told = busy(path)
        finally:
            other.kill()
    assert isinstance(told, RegistryError)
    assert f"process {other.pid} (" in str(told)
    assert f"which is stopped (`kill -CONT {other.pid}` lets it go on) has kept" in str(told)
    assert f"for {BUSY_SECONDS:g} seconds; nothing was changed" in str(told)
