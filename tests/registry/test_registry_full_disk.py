"""What a registry answers when its disk fails as it commits: never that nothing was changed when something was."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, closing

import pytest
from tests.faulty_disk import fill, small_disk

from penstock.errors import RegistryError
from penstock.registry import Registry
from penstock.registry.group_commit import WouldBlock
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


# A reader that looks at the registry again and again, and says how many versions it saw.
LOOKING = """\
import sys, time
from pathlib import Path
from penstock.registry import Registry

for _ in range(int(sys.argv[2])):
    with Registry.open(Path(sys.argv[1]), create=False) as registry:
        print(len(registry.endpoints.get("digits").versions), registry.counts().endpoints, flush=True)
    time.sleep(0.02)
"""


@pytest.mark.parametrize("left", ["nothing", "a log"])
def test_what_only_reads_reads_on_a_full_disk(tmp_path, kit, left):
    with small_disk(tmp_path / "disk", "8m") as disk:
        path = disk / "r.db"
        with Registry.open(path) as registry:
            for digest in "abc":
                kit.publish(registry, digest, endpoint="digits")
            files = {more: path.with_name(f"r.db{more}").read_bytes() for more in ("", "-wal")}
        if left == "a log":  # as `kill -9` leaves it
            for more, content in files.items():
                path.with_name(f"r.db{more}").write_bytes(content)
        fill(disk, leave=0)
        with Registry.open(path) as registry:
            assert [version.label for version in registry.endpoints.get("digits").versions] == ["1", "2", "3"]
            assert registry.check().ok
            registry.backup(tmp_path / "saved.db")
            if left == "a log":  # which was taken in meanwhile, so that there is room again
                return
            assert kit.code(kit.submit, registry) == "registry_disk_full"
            assert kit.code(registry.check_writable) == "registry_disk_full"
            with registry.group_commit() as together, together.joined(), pytest.raises(WouldBlock):
                kit.publish(registry, "d", endpoint="digits")
            # Between two looks others get in, and whoever looks within a look is told and does not wait for itself.
            with Registry.open(path) as other:
                assert kit.runs(other).items == ()
            with registry._database.read():
                assert kit.code(registry.counts) == "registry_disk_full"
            assert len(kit.runs(registry).items) == 0
            (disk / "ballast").unlink()
            run = kit.submit(registry)
            fill(disk, leave=0)
            assert kit.runs(registry).items[0].id == run.id
        (disk / "ballast").unlink()
        with Registry.open(path) as registry:
            assert registry.check().ok and kit.runs(registry).items[0].id == run.id


@pytest.mark.thorough
def test_readers_of_a_full_disk_let_each_other_and_writers_in(tmp_path, kit):
    """Each is alone for a moment; killed at any time they leave it whole, and who writes finds room when there is."""
    looks, errors = [], []

    def look():
        try:
            for _ in range(10):
                looks.append(registry.counts().endpoints)
                time.sleep(0.02)
        except RegistryError as error:
            errors.append(error)

    with ExitStack() as stack:
        disk = stack.enter_context(small_disk(tmp_path / "disk", "8m"))
        path = disk / "r.db"
        with Registry.open(path) as registry:
            kit.publish(registry, "a", endpoint="digits")
        fill(disk, leave=0)
        readers = []
        for count in (100_000, 20, 20):
            command = [sys.executable, "-c", LOOKING, path, str(count)]
            readers.append(stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True)))
            stack.callback(readers[-1].kill)
            assert readers[-1].stdout.readline() == "1 1\n"
        with Registry.open(path) as registry:
            threads = [threading.Thread(target=look) for _ in range(3)]
            for thread in threads:
                thread.start()
            readers[0].kill()
            (disk / "ballast").unlink()
            kit.publish(registry, "b", endpoint="digits")
            for thread in threads:
                thread.join()
            assert (looks, errors) == ([1] * 30, [])
            for reader in readers[1:]:
                said = reader.communicate()[0].splitlines()
                assert reader.returncode == 0 and len(said) == 19 and set(said) <= {"1 1", "2 1"}
            assert registry.check().ok
            assert len(registry.endpoints.get("digits").versions) == 2
