"""What archives hold lies unpacked once, verified and read-only, and no run changes it for another."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from functools import partial

import pytest

from penstock.contract.run import RunRef
from penstock.spec import Parameter, Step
from penstock_local import baseline, hooks, wake, workers
from penstock_local.copying import copy_tree
from penstock_local.preparation import Preparation

MODEST = """
import ctypes, os, sys
for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH: without them modes hold for root too
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)
os.execv(sys.executable, [sys.executable, "-m", "penstock_local.engine", sys.argv[1]])
"""
DATA = {"data": "./data"}
PARAMETERS = {"data": Parameter("directory", default="./data")}
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root writes where modes forbid it")


@pytest.fixture
def place(places):
    """A target whose data default has a file in a folder, and code beside it."""
    made = places(idle=20.0)
    (made.spec / "data" / "deep").mkdir(parents=True)
    (made.spec / "data" / "deep" / "rows.csv").write_text("good\n")
    (made.spec / "src" / "empty").mkdir(parents=True)
    (made.spec / "src" / "go.sh").write_text("#!/bin/sh\necho good\n")
    (made.spec / "src" / "go.sh").chmod(0o755)
    return made


@pytest.fixture
def modest(place, monkeypatch):
    """The same, with an engine for which modes hold, whoever runs these tests, and calls by one who may do as much."""
    engine = subprocess.Popen([sys.executable, "-c", MODEST, str(place.layout.root)])
    place.until(lambda: place.layout.wake.exists() and wake.listening(place.layout), "the engine does not come up")
    monkeypatch.setattr(baseline, "_rights", partial(baseline._rights, engine.pid))
    yield place
    engine.kill()
    engine.wait()


def reading(command: str, **more) -> Step:
    return Step(command=["sh", "-c", command, "${{ inputs.data }}"], inputs={"data": "${{ parameters.data }}"}, **more)


def submit(place, **steps) -> RunRef:
    return place.submit(steps, parameters=PARAMETERS, bundled=DATA)


def shown(place, command='cat "$0/deep/rows.csv"') -> bytes:
    run = submit(place, one=reading(command))
    assert place.wait(run).state == "succeeded", place.get(run).error
    return place.log(run, "one")


def unpacked(place):
    """Content that was unpacked, each in its closed folder."""
    return list(place.layout.unpacked.glob("[!.]*/*"))


def size_of(folder) -> int:
    """Bytes on disk, those of one file once."""
    found = {path.lstat().st_ino: path.lstat().st_blocks * 512 for path in folder.rglob("*")}
    return sum(found.values())


def test_many_runs_cost_what_one_does(modest):
    (modest.spec / "data" / "large").write_bytes(os.urandom(2_000_000))
    where = {shown(modest, 'echo "$0"')}
    before = size_of(modest.layout.runs)
    where |= {shown(modest, 'echo "$0"') for _ in range(4)}
    (content,) = unpacked(modest)
    assert where == {f"{content}\n".encode()}
    assert size_of(modest.layout.runs) - before < 1_000_000
    assert {path.stat().st_mode & 0o777 for path in content.parent.rglob("*")} == {0o400, 0o500}
    assert content.parent.stat().st_mode & 0o777 == 0o500


@pytest.mark.sampled(1)
@pytest.mark.parametrize(
    "write",
    [
        'echo evil >> "$0/deep/rows.csv"',
        'touch "$0/new"',
        'sed -i s/good/evil/ "$0/deep/rows.csv"',
        'rm -rf "$0/deep"',
        'mv "$0" "$0.orig" && mkdir -p "$0/deep" && echo evil > "$0/deep/rows.csv"',
        'rm -rf "$0"',
        'echo evil > "$0.idx"',
    ],
)
def test_a_step_that_writes_to_its_input_is_told_so_and_changes_nothing(modest, write):
    run = submit(modest, one=reading(write))
    assert modest.wait(run).state == "failed"
    assert b"ermission denied" in modest.log(run, "one")
    assert shown(modest) == b"good\n"
    (content,) = unpacked(modest)
    assert list(modest.layout.unpacked.iterdir()) == [content.parent]


@pytest.mark.thorough
def test_a_step_that_replaces_its_input_feeds_no_run_that_is_running(modest, tmp_path):
    wait = 'touch "$1/waits"; while [ ! -e "$1/go" ]; do sleep 0.05; done; cat "$0/deep/rows.csv"'
    step = Step(command=["sh", "-c", wait, "${{ inputs.data }}", str(tmp_path)], inputs=reading("").inputs)
    other = submit(modest, one=step)
    modest.until((tmp_path / "waits").exists, "the other does not start")
    run = submit(modest, one=reading('mv "$0" "$0.orig"; mkdir -p "$0/deep"; echo evil > "$0/deep/rows.csv"'))
    assert modest.wait(run).state == "failed"
    (tmp_path / "go").touch()
    assert modest.wait(other).state == "succeeded"
    assert modest.log(other, "one") == b"good\n"


@pytest.mark.thorough
@only_root
def test_where_modes_hold_for_nobody_each_attempt_has_a_copy_that_goes_with_it(place):
    # The second step reads when the first has written, and a third attempt sees neither of the others.
    write = reading('cat "$0/deep/rows.csv"; echo evil >> "$0/deep/rows.csv"; rm -r "$0/deep"')
    run = submit(place, one=write, two=reading('cat "$0/deep/rows.csv"', after=("one",)))
    assert place.wait(run).state == "succeeded"
    assert (place.log(run, "one"), place.log(run, "two"), shown(place)) == (b"good\n", b"good\n", b"good\n")
    place.until(lambda: not list(place.layout.runs.glob("*/inputs")), "the copies stay")
    assert len(unpacked(place)) == 1


def test_a_working_copy_is_the_steps_own(place):
    step = Step(command=["sh", "-c", "./go.sh && echo echo evil > go.sh && ls && touch empty/x"], code="./src")
    publication = place.publish({"one": step, "two": Step(command="./go.sh", code="./src", after=("one",))})
    for _ in range(2):
        run = place.start(publication)
        assert place.wait(run).state == "succeeded"
        assert (place.log(run, "one"), place.log(run, "two")) == (b"good\nempty\ngo.sh\n", b"good\n")


def _changed(content):
    (content / "deep" / "rows.csv").chmod(0o600)
    (content / "deep" / "rows.csv").write_text("evil\n")
    (content / "deep" / "rows.csv").chmod(0o400)


def _added(content):
    (content / "deep").chmod(0o700)
    (content / "deep" / "more.csv").write_text("evil\n")


def _linked(content):
    elsewhere = content.parent.with_name("elsewhere")
    (content / "deep").chmod(0o700)
    (content / "deep" / "rows.csv").rename(elsewhere)
    (content / "deep" / "rows.csv").symlink_to(elsewhere)


def _gone(content):
    subprocess.run(["chmod", "-R", "u+w", content.parent], check=True)
    shutil.rmtree(content)


def _all_gone(content):
    _gone(content)
    content.parent.rmdir()


def _replaced(content):
    _gone(content)
    content.symlink_to("/etc")


def _all_replaced(content):
    _all_gone(content)
    content.parent.symlink_to("/etc")


def _exchanged(content):
    """By a folder that looks the same from outside, in its closed folder closed again."""
    content.parent.chmod(0o700)
    content.rename(content.with_name("orig"))
    shutil.copytree(content.with_name("orig"), content)
    _changed(content)
    subprocess.run(["chmod", "-R", "u+w", content.with_name("orig")], check=True)
    shutil.rmtree(content.with_name("orig"))
    content.parent.chmod(0o500)


def _beside(content):
    content.parent.chmod(0o700)
    content.with_name("more").write_text("evil\n")
    content.parent.chmod(0o500)


def _room_opened(content):
    content.parent.chmod(0o700)


def _opened(content):
    (content / "deep" / "rows.csv").chmod(0o600)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(
    "harm",
    [
        *(_changed, _added, _linked, _opened, _gone, _all_gone, _replaced, _all_replaced),
        *(_exchanged, _beside, _room_opened),
    ],
)
def test_unpacked_content_that_came_to_harm_is_noticed_by_the_same_engine_and_by_the_next(modest, harm, known):
    look = 'find "$0" ! -type d | wc -l; cat "$0/deep/rows.csv"'
    assert shown(modest, look) == b"1\ngood\n"
    (content,) = unpacked(modest)
    harm(content)
    if not known:
        os.kill(modest.engine(), 9)
        modest.until(lambda: not modest.engines(), "the engine stays")
    assert shown(modest, look) == b"1\ngood\n"
    assert (content / "deep" / "rows.csv").stat().st_mode & 0o777 == 0o400
    assert (content.parent.stat().st_mode & 0o777, list(content.parent.iterdir())) == (0o500, [content])


def test_what_a_killed_engine_left_half_unpacked_goes(place):
    place.layout.make()
    draft = place.layout.unpacked / ".abc.123"
    (draft / "deep").mkdir(parents=True)
    draft.chmod(0o500)
    assert shown(place) == b"good\n"
    place.until(lambda: not draft.exists(), "the draft stays")


def test_whatever_lies_beside_unpacked_content_goes_whatever_its_name(place):
    assert shown(place) == b"good\n"
    (content,) = unpacked(place)
    place.kill_engine()
    for name in (content.name, f"{content.name}.orig", f"{'b' * 64}.closed"):  # the first as earlier versions had it
        (place.layout.unpacked / name / "deep").mkdir(parents=True)
        (place.layout.unpacked / name).chmod(0o500)
    (place.layout.unpacked / f"{content.name}.idx").touch()
    before = content.stat().st_ino
    assert shown(place) == b"good\n"
    place.until(lambda: list(place.layout.unpacked.iterdir()) == [content.parent], "something stays")
    assert content.stat().st_ino == before


@pytest.mark.thorough
def test_what_an_earlier_version_unpacked_stays_as_long_as_a_step_may_use_it(place, tmp_path):
    wait = f"touch {tmp_path}/waits; while [ ! -e {tmp_path}/go ]; do sleep 0.05; done"
    run = submit(place, one=reading(wait))
    place.until((tmp_path / "waits").exists, "the step does not start")
    (content,) = unpacked(place)
    old, draft = (place.layout.unpacked / name for name in (content.name, ".abc.123"))
    place.kill_engine()
    old.mkdir()
    draft.mkdir()
    assert shown(place) == b"good\n"
    place.until(lambda: not draft.exists(), "the draft stays")
    assert old.exists()
    (tmp_path / "go").touch()
    assert place.wait(run).state == "succeeded"
    place.kill_engine()
    assert shown(place) == b"good\n"
    place.until(lambda: not old.exists(), "the old content stays")


def test_what_is_being_unpacked_is_no_leftover(place):
    place.layout.make()
    old, new = (place.layout.unpacked / f".abc.{number}" for number in (1, 2))
    old.mkdir(parents=True)
    busy = threading.Event()
    preparation = Preparation(place.layout, ring=lambda: None, ready=lambda step, result: None)
    for _ in range(workers.MOST_REMOVING):  # what is to be removed is removed late
        preparation._removing.start(busy.wait, lambda result: None)
    preparation.clean_up([])
    new.mkdir()  # as a step's preparation does
    busy.set()
    place.until(lambda: preparation.collect() or not preparation.busy, "the workers do not end")
    assert [path.name for path in place.layout.unpacked.iterdir()] == [new.name]


def test_unpacked_content_goes_with_the_last_publication_that_needs_it(place):
    kept = place.publish({"one": Step(command="./go.sh", code="./src")})
    both = place.publish({"one": reading("./go.sh", code="./src")}, parameters=PARAMETERS)
    assert place.wait(place.start(both, bundled=DATA)).state == "succeeded"
    assert len(unpacked(place)) == 2
    assert hooks.penstock_retire_pipeline(place.target, both)
    assert len(unpacked(place)) == 1
    assert place.wait(place.start(kept)).state == "succeeded"
    assert hooks.penstock_retire_pipeline(place.target, kept)
    assert list(place.layout.unpacked.iterdir()) == []


def test_a_copy_is_what_it_is_a_copy_of_and_can_be_written_to(tmp_path):
    source, copy = tmp_path / "source", tmp_path / "copy"
    (source / "a" / "empty").mkdir(parents=True)
    for name, size in {"none": 0, "a/small": 7, "a/large": 300_000}.items():
        (source / name).write_bytes(os.urandom(size))
        (source / name).chmod(0o500 if size == 7 else 0o400)
    (source / "a").chmod(0o500)
    copy.mkdir()
    copy_tree(str(source), str(copy))
    assert subprocess.run(["diff", "-r", source, copy], check=False).returncode == 0
    modes = {str(path.relative_to(copy)): path.stat().st_mode & 0o777 for path in copy.rglob("*")}
    assert modes == {"a": 0o755, "a/empty": 0o755, "a/small": 0o755, "a/large": 0o644, "none": 0o644}
    os.mkfifo(source / "pipe")
    (tmp_path / "other").mkdir()
    with pytest.raises(OSError, match="no regular file"):
        copy_tree(str(source), str(tmp_path / "other"))
