"""Whoever was stopped in the middle of something blocks nobody: no wait for a lock without a limit and a line."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest

from penstock.contract.target import EndpointState
from penstock.errors import TargetUnavailable
from penstock.workspace import Workspace
from penstock_local import database, hooks, queue, store

# `penstock publish` that is stopped while it puts an archive down; what follows a plain one.
PUBLISHING = """\
import os, signal, sys
from penstock_local import store

put = store._put


def stop(*given):
    os.kill(os.getpid(), signal.SIGSTOP)
    put(*given)


store._put = stop
from penstock.cli.root import run
sys.exit(run(sys.argv[1:]))
"""


@contextmanager
def stopped(code: str, *arguments: object, cwd=None):
    """A process that has stopped itself; it goes on and ends with the block."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    with subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            found = os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
            assert found.si_code == os.CLD_STOPPED, process.communicate()[0]
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            process.communicate(timeout=60)


def in_time(work):
    """What some work answers that is not to hang."""
    done = []
    thread = threading.Thread(target=lambda: done.append(work()), daemon=True)
    thread.start()
    thread.join(60)
    assert done, "it hangs"
    return done[0]


@pytest.mark.thorough
def test_a_stopped_publisher_hangs_nothing(workspace, project):
    (project / "greet.yaml").write_text((project / "greet.yaml").read_text() + "defaults: {code: ./src}\n")
    (project / "src").mkdir()
    (project / "src" / "a.txt").write_text("1")
    workspace.publish(project / "greet.yaml", endpoint="hello")
    (project / "src" / "a.txt").write_text("2")
    with stopped(PUBLISHING, "publish", "greet.yaml", cwd=project) as publisher, Workspace.open(project) as ws:
        outcome = in_time(lambda: ws.endpoints.disable("hello"))
        assert (outcome.changed, outcome.unsynced) == (True, ()), "and its target knows"
        in_time(lambda: ws.endpoints.enable("hello"))
        run = in_time(lambda: ws.submit("hello").wait(timeout=60))
        assert run.record.state == "succeeded"
        assert len(in_time(lambda: ws.endpoints.list()).items) == 1
        assert len(in_time(lambda: ws.runs.list()).items) == 1
        assert in_time(lambda: ws.runs.get(run.id)).state == "succeeded"
        (project / "src" / "a.txt").write_text("3")
        assert in_time(lambda: ws.publish(project / "greet.yaml")).label == "2"
        assert in_time(lambda: ws.admin.status()).endpoints == 1
    assert publisher.returncode == 0, "it goes on where it was"


def test_what_is_to_be_retired_waits_for_who_publishes_and_says_for_whom(places, monkeypatch):
    monkeypatch.setattr(store, "_RETIRE_PATIENCE", 0.05)
    place = places()
    publication = place.publish({"one": "true"})
    with _holding(place.layout.publishing, fcntl.LOCK_SH) as holder, pytest.raises(TargetUnavailable) as waits:
        hooks.penstock_retire_pipeline(place.target, publication)
    assert waits.value.code == "publishing_elsewhere"
    assert f"process {holder} (" in str(waits.value)
    assert hooks.penstock_retire_pipeline(place.target, publication)


@pytest.mark.parametrize("what", ["publishing", "syncing"])
def test_who_holds_a_lock_for_too_long_is_named(places, monkeypatch, what):
    monkeypatch.setattr(store, "_PATIENCE", 0.05)
    monkeypatch.setattr(store, "_SYNC_PATIENCE", 0.05)
    place = places()
    endpoint = EndpointState(
        id="e", name="e", description="", enabled=True, default=None, versions=(), revision=1, deleted=False, tags={}
    )
    place.publish({"one": "true"})
    call = {
        "publishing": lambda: place.publish({"two": "true"}),
        "syncing": lambda: hooks.penstock_sync_endpoint(place.target, endpoint),
    }[what]
    path = getattr(place.layout, what)
    with _holding(path, fcntl.LOCK_EX) as holder, pytest.raises(TargetUnavailable) as waits:
        call()
    assert waits.value.code == "lock_held"
    assert str(waits.value).startswith(f"`{path}` has been locked for 0.05 s: process {holder} (")
    assert f"which is stopped (`kill -CONT {holder}` lets it go on)" in str(waits.value)
    call()


@contextmanager
def _holding(path, how):
    code = (
        "import fcntl, os, signal, sys\n"
        "fcntl.flock(os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600), int(sys.argv[2]))\n"
        "os.kill(os.getpid(), signal.SIGSTOP)\n"
    )
    with stopped(code, path, int(how)) as process:
        yield process.pid


# A job is put into a queue whose disk cannot be synced, and then the process is gone.
FAILING = """\
import os, sys
from pathlib import Path
from penstock.errors import TargetUnavailable
from penstock_local import database, queue
from penstock_local.layout import Layout
from tests.faulty_disk import break_syncs

layout = Layout(Path(sys.argv[1]))
other = database.connect(layout)  # else whoever closes the queue last takes the log away
database.write_over(layout)  # the log has begun
try:
    break_syncs()
except (KeyError, OSError) as error:
    print("skip", error)
    sys.exit()
try:
    with database.deciding(layout) as connection:
        queue.add_job(connection, "run", "publication", "{}", ["one"])
except TargetUnavailable:
    print("failed")
    sys.stdout.flush()
os._exit(0)
"""


def test_a_job_whose_commit_failed_does_not_come_back_from_the_log(places):
    place = places()
    place.layout.make()
    with database.opened(place.layout):
        pass
    command = [sys.executable, "-c", FAILING, str(place.layout.root)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    if done.stdout.startswith("skip"):
        pytest.skip(f"this machine cannot break syncs: {done.stdout}")
    assert done.stdout == "failed\n"
    with database.opened(place.layout) as connection:
        assert not queue.knows(connection, "run")
