"""A root of another user, whom `PENSTOCK_TRUST` names: it is read, and nothing is written, woken or started there."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys

import pytest
from tests.local.conftest import Place
from tests.users import place_of_both

from penstock.contract.target import EndpointState
from penstock.errors import ConfigInvalid, PenstockError
from penstock_local import database, hooks, queue, wake

NOBODY = 65534
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user: needs root")


def give(place, user: int = NOBODY) -> None:
    for path in (place.layout.root, *place.layout.root.rglob("*")):
        os.chown(path, user, user, follow_symlinks=False)


def there(place) -> dict[str, tuple[int, int]]:
    return {str(path): (path.lstat().st_uid, path.lstat().st_mtime_ns) for path in place.layout.root.rglob("*")}


@pytest.fixture
def theirs(places, monkeypatch):
    """A target with a run that ended and one that nobody has begun, in a root that was given to another user."""
    place = places(idle=0.0)
    ended = place.submit({"one": "true"})
    place.wait(ended)
    place.until(lambda: not place.engines(), "the engine does not leave")
    with monkeypatch.context() as patch:
        patch.setattr(wake, "wake", lambda layout: None)
        waiting = place.submit({"one": "true"})
    give(place)
    with pytest.raises(ConfigInvalid, match=r"belongs to .*, not to you, so it is not used") as refused:
        place.get(ended)
    assert refused.value.code == "not_trusted"
    monkeypatch.setenv("PENSTOCK_TRUST", str(place.layout.root))
    return place, ended, waiting


def test_what_ended_is_shown_and_nothing_is_written_or_started(theirs):
    place, ended, waiting = theirs
    before = there(place)
    assert place.get(ended).state == "succeeded"
    assert place.log(ended, "one") == b"" and place.outputs(ended) == {}
    with pytest.raises(ConfigInvalid, match=r"who alone starts its engine, and none runs") as refused:
        place.get(waiting)
    assert refused.value.code == "not_owned"
    endpoint = EndpointState(id="e", name="e", description="", enabled=True, default=None, versions=(), revision=1)
    for change in (
        lambda: place.start(ended.publication),
        lambda: place.start(waiting.publication, run=waiting.id),
        lambda: place.publish({"one": "false"}),
        lambda: place.cancel(waiting),
        lambda: hooks.penstock_retire_pipeline(place.target, ended.publication),
        lambda: hooks.penstock_sync_endpoint(place.target, endpoint),
    ):
        with pytest.raises(PenstockError) as refused:
            change()
        assert refused.value.code == "not_owned" and "\n" not in str(refused.value)
    assert not hooks.penstock_check_target(place.target).ok
    assert there(place) == before
    assert place.engines() == []


def test_what_runs_is_shown_while_its_owner_s_engine_listens(theirs):
    place, _, waiting = theirs
    lock, pipe = wake.claim(place.layout)
    try:
        assert place.get(waiting).state == "queued"
    finally:
        os.close(pipe)
        os.close(lock)


def test_what_a_killed_process_left_is_for_the_owner_to_take_in(theirs, tmp_path):
    place, ended, _ = theirs
    give(place, 0)
    with contextlib.closing(database.connect(place.layout)) as connection:
        connection.execute("CREATE TABLE more (x)")
        for name in ("queue.db", "queue.db-wal"):
            shutil.copy(place.layout.root / name, tmp_path / name)
    for name in ("queue.db", "queue.db-wal"):
        shutil.copy(tmp_path / name, place.layout.root / name)
    give(place)
    before = there(place)
    with pytest.raises(ConfigInvalid, match="has to look first"):
        place.get(ended)
    assert there(place) == before


def test_nothing_is_made_in_a_state_folder_of_another_user(places, monkeypatch):
    place = places()
    home = place.target.home
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    for trusted in ("", str(home)):
        monkeypatch.setenv("PENSTOCK_TRUST", trusted)
        with pytest.raises(ConfigInvalid) as refused:
            place.publish({"one": "true"})
        assert refused.value.code == "not_owned"
        assert list(home.iterdir()) == []


@pytest.mark.parametrize("whose", ["the root", "the state folder"])
def test_no_interpreter_is_asked_for_its_version_in_the_name_of_another_user(places, tmp_path, monkeypatch, whose):
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\ntouch {tmp_path}/ran; exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    place = places(python=python)
    pipeline = place.pipeline({"one": "true"})
    place.target.home.mkdir()
    if whose == "the root":
        place.layout.root.mkdir(parents=True)
    folder = place.layout.root if whose == "the root" else place.target.home
    os.chown(folder, NOBODY, NOBODY)
    monkeypatch.setenv("PENSTOCK_TRUST", str(folder))
    assert hooks.penstock_validate_pipeline(place.target, pipeline) == []
    assert not (tmp_path / "ran").exists()
    os.chown(folder, 0, 0)
    assert hooks.penstock_validate_pipeline(place.target, pipeline) == []
    assert (tmp_path / "ran").exists()


@pytest.mark.thorough
def test_an_engine_serves_no_root_of_another_user(theirs):
    place, _, _ = theirs
    with pytest.raises(PenstockError, match=r"belongs to .*, who alone writes there and starts its engine"):
        wake.wake(place.layout)
    by_hand = [sys.executable, "-P", "-m", "penstock_local.engine", str(place.layout.root)]
    done = subprocess.run(by_hand, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "who alone writes there" in done.stderr
    with database.opened(place.layout) as connection:
        assert queue.counts(connection) == {"queued": 1}


@pytest.mark.sampled(1)
@pytest.mark.parametrize("name", ["queue.db", "queue.db-wal", "queue.db-shm", "queue.db-journal"])
def test_what_somebody_else_laid_into_a_root_is_not_taken_for_its_queue(places, name):
    place = places(idle=0.0)
    run = place.submit({"one": "true"})
    place.wait(run)
    place.until(lambda: not place.engines(), "the engine does not leave")
    planted = place.layout.root / name
    was_there = planted.exists()
    planted.touch()
    os.chown(planted, NOBODY, NOBODY)
    with pytest.raises(ConfigInvalid) as refused:
        place.get(run)
    assert refused.value.code == "not_trusted" and f"`{planted}`" in str(refused.value)
    by_hand = [sys.executable, "-P", "-m", "penstock_local.engine", str(place.layout.root)]
    done = subprocess.run(by_hand, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "not to you" in done.stderr
    if was_there:
        os.chown(planted, 0, 0)
    else:
        planted.unlink()
    assert place.get(run).state == "succeeded"


def as_nobody(call) -> str:
    """The error of a call by another user without any rights, in a process of its own: its code and its words."""
    said, saying = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            call()
            os.write(saying, b"nothing was wrong")
        except PenstockError as error:
            os.write(saying, f"{error.code}: {error}".encode())
        finally:
            os._exit(0)
    os.close(saying)
    with os.fdopen(said, "rb") as file:
        os.waitpid(child, 0)
        return file.read().decode()


@pytest.mark.sampled(1)
@pytest.mark.parametrize("closed", ["queue.db", "queue.db-wal", "the root"])
def test_who_may_not_read_is_told_so(monkeypatch, closed):
    with place_of_both() as folder:
        place = Place(folder / "place", idle=0.0)
        place.folder.chmod(0o755)
        run = place.submit({"one": "true"})
        place.wait(run)
        place.until(lambda: not place.engines(), "the engine does not leave")
        monkeypatch.setenv("PENSTOCK_TRUST", str(folder))
        for path in (place.target.home, *place.target.home.rglob("*")):
            path.chmod(0o755)
        calls = [lambda: place.log(run, "one"), lambda: place.get(run), lambda: place.outputs(run)]
        with database.opened(place.layout):  # so that there is a log
            assert [as_nobody(call) for call in calls] == ["nothing was wrong"] * 3
            shut = place.layout.root if closed == "the root" else place.layout.root / closed
            shut.chmod(0)
            for call in calls:
                said = as_nobody(call)
                assert "write" not in said and "space" not in said, said
                assert "root" in said and f"`{shut}" in said and "call penstock as that user" in said, said
                assert said.startswith("target_unavailable" if closed == "the root" else "not_owned")
