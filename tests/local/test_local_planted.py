"""Something that is no file in the place of each file of a root: nobody waits for it, and a run succeeds or is told.

Also in the place of each folder, and among what lies in the folders that an engine looks through.
"""

from __future__ import annotations

import os
import shutil
import socket
import stat
import threading
from pathlib import Path

import pytest

from penstock.contract.run import ENDED
from penstock.errors import PenstockError
from penstock.spec import Step
from penstock_local import journal, lending, troubles
from penstock_local.layout import Layout

pytestmark = pytest.mark.thorough

LIMIT = 15.0
"""Seconds after which whatever is waited for will never come."""


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _folder(path: Path) -> None:
    (path / "inner").mkdir(parents=True)
    (path / "inner" / "file").touch()


def _device(path: Path) -> None:
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("a device needs the right to make one")


def _dangling(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere")


def _socket(path: Path) -> None:
    # The path may be too long for a socket: it gets its place from a short one.
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)


KINDS = {"fifo": _fifo, "folder": _folder, "device": _device, "dangling": _dangling, "socket": _socket}
kinds = pytest.mark.parametrize("plant", KINDS.values(), ids=KINDS)

AMONG = ("keepers", "waits", "environments", "tmp", "unpacked", "publications", "owners", "archives", "endpoints")
"""Folders that somebody looks through."""


def within_limits(act):
    """What something comes to, or the error it raises: in a thread, because it may wait for ever."""
    came = []

    def run() -> None:
        try:
            came.append(act())
        except Exception as error:
            came.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(LIMIT)
    assert not thread.is_alive(), "somebody waits for what was planted"
    return came[0]


def outcome(place, publication):
    """A run's report, or the one line that says why there is none."""

    def act():
        run = place.start(publication)
        while True:
            report = place.get(run)
            if report.state in ENDED:
                return report

    came = within_limits(act)
    if not isinstance(came, Exception):
        return came
    assert isinstance(came, PenstockError) and "\n" not in str(came), repr(came)
    return None


def publish(place):
    """A run that needs all there is: code, a bundled value, an output, a value of the caller's environment."""
    (place.spec / "code").mkdir(exist_ok=True)
    (place.spec / "code" / "main.sh").write_text('echo made > "$1"')
    step = Step(command=["sh", "main.sh", "${{ outputs.made }}"], code="code", outputs={"made": "string"})
    return place.publish({"one": step})


def prepared(places, monkeypatch, **options):
    monkeypatch.setenv("PLANTED", "secret")
    place = places(pass_env=("PLANTED",), **options)
    publication = publish(place)
    assert outcome(place, publication).state == "succeeded"
    for folder in (place.layout.waits, place.layout.environments):
        folder.mkdir(exist_ok=True)
    place.layout.next.touch()
    return place, publication


def aside(path: Path) -> Path:
    kept = path.parent.parent / f"aside.{path.name}"
    path.rename(kept)
    return kept


def put_back(path: Path, kept: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    kept.rename(path)


def succeeds_in_the_end(place, publication, what) -> None:
    """Once what was planted is away: an engine that gave up is left alone for a moment, so it is tried again."""
    for _ in range(40):
        report = outcome(place, publication)
        if report is not None:
            assert report.state == "succeeded", (what, report)
            return
        threading.Event().wait(0.25)
    pytest.fail(f"{what}: nothing succeeds any more")


@kinds
@pytest.mark.parametrize("runs", [True, False], ids=["engine", "none"])
def test_what_lies_in_the_place_of_each_file_of_a_root_keeps_nobody_waiting(places, monkeypatch, plant, runs):
    place, publication = prepared(places, monkeypatch, idle=300.0)
    told = []
    for name in sorted(os.listdir(place.layout.root)):
        if not runs:
            for engine in place.engines():
                place.kill(engine)
        path = place.layout.root / name
        if not os.path.lexists(path):
            continue  # of what is there only while somebody has the queue open
        kept = aside(path)
        plant(path)
        report = outcome(place, publication)
        if report is None:
            told.append(name)
        else:
            assert report.state in ("succeeded", "failed"), (name, report)
            if report.state == "failed":
                assert report.error is not None and "\n" not in report.error.message, (name, report)
                told.append(name)
        if report is None or report.state == "failed" or name not in HEALED:
            put_back(path, kept)
        succeeds_in_the_end(place, publication, name)
    assert not set(told) & HEALED, told


HEALED = frozenset(
    ("wake", "engine.next", "engine.log", "engine.trouble", "keepers", "waits", "tmp", "unpacked", "environments")
)
"""What is made anew by whoever needs it."""


@kinds
def test_what_lies_among_the_files_of_a_folder_is_no_word_of_ours(places, monkeypatch, plant):
    place, publication = prepared(places, monkeypatch, idle=300.0)
    for folder in AMONG:
        for name in ("x", ".x"):
            path = place.layout.root / folder / name
            path.parent.mkdir(exist_ok=True)
            plant(path)
        for engine in place.engines():
            place.kill(engine)
        report = outcome(place, publication)
        assert report is not None and report.state == "succeeded", (folder, report)
    for folder in ("waits", "environments"):
        assert not os.path.lexists(place.layout.root / folder / "x"), folder


@kinds
def test_an_end_that_a_journal_noted_counts_whatever_lies_beside_it(places, tmp_path, plant):
    place = places(idle=300.0)
    step = Step(command=["sh", "-c", f"echo x >> {tmp_path}/starts; until [ -e {tmp_path}/go ]; do sleep 0.02; done"])
    run = place.submit({"one": step})
    place.until((tmp_path / "starts").exists, "the step does not start")
    place.kill_engine()
    plant(place.layout.keepers / "zz")
    (tmp_path / "go").touch()
    assert within_limits(lambda: place.wait(run)).state == "succeeded"
    assert (tmp_path / "starts").read_text() == "x\n"
    assert not os.path.lexists(place.layout.keepers / "zz")


@pytest.mark.parametrize("name", ["keepers", "waits", "environments", "tmp", "unpacked"])
def test_what_lies_behind_a_link_in_the_place_of_a_folder_is_nobody_s_to_remove(places, monkeypatch, tmp_path, name):
    place, publication = prepared(places, monkeypatch, idle=300.0)
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    for one in (".draft", ".old.x", "old.x", "file"):
        (theirs / one).write_text("precious")
    place.kill(place.engine())
    aside(place.layout.root / name)
    (place.layout.root / name).symlink_to(theirs)
    assert outcome(place, publication).state == "succeeded"
    assert len(list(theirs.iterdir())) == 4
    assert not (place.layout.root / name).is_symlink()


@kinds
def test_a_note_or_journal_that_is_no_file_is_none(tmp_path, plant):
    layout = Layout(tmp_path / "root")
    layout.make()
    plant(layout.trouble)
    assert within_limits(lambda: troubles.noted(layout)) is None
    pause = within_limits(lambda: troubles.Pause(layout))
    assert isinstance(pause, troubles.Pause) and layout.trouble.is_file()
    layout.keepers.mkdir()
    plant(layout.keepers / "x")
    assert within_limits(lambda: journal.refuse_newer(layout.keepers)) is None
    assert isinstance(within_limits(lambda: journal.append(layout.keepers / "x", b"x")), OSError)


@kinds
def test_a_step_says_that_it_waits_whatever_lies_in_the_place_of_its_word(places, monkeypatch, tmp_path, plant):
    layout = Layout(tmp_path / "root")
    layout.make()
    monkeypatch.setenv(lending.TOKEN, "token")
    monkeypatch.setattr(lending.queue, "job_of", lambda database, token: 1)
    plant(layout.waits)
    within_limits(lambda: lending.ask(layout, None, [2]))
    assert (layout.waits / "token").is_file()
    (layout.waits / "token").unlink()
    plant(layout.waits / "token")
    os.utime(layout.waits / "token", (0, 0), follow_symlinks=False)
    assert within_limits(lambda: lending.ask(layout, None, [2])) is True
    assert (layout.waits / "token").is_file() and not (layout.waits / "nowhere").exists()
