"""A root that was copied is not the one it was copied from: nothing of that one is touched, and nothing runs twice."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from penstock.contract.run import Absent
from penstock.errors import Conflict
from penstock.spec import Retry, Step
from penstock_local import database, hooks, processes, queue
from penstock_local.layout import Layout


def copied(place, name: str, *options: str):
    """The target of a copy of the folder of the target's state, and of all that is in it."""
    to = place.folder / name
    subprocess.run(["cp", "-a", *options, place.target.home, to], check=True)
    return at(place, to)


def at(place, home):
    """The same target with its state elsewhere."""
    other = type(place).__new__(type(place))
    other.__dict__.update(place.__dict__)
    other.target = attrs.evolve(place.target, home=home)
    other.layout = Layout.of(other.target)
    return other


def blocker(tmp_path) -> Step:
    """A step that says that it starts, and waits until it may end."""
    return Step(command=["sh", "-c", f"echo $$ >> {tmp_path}/starts; until test -e {tmp_path}/go; do sleep 0.02; done"])


def starts(tmp_path) -> int:
    file = tmp_path / "starts"
    return len(file.read_text().split()) if file.exists() else 0


@pytest.fixture
def running(places, tmp_path):
    """A target with a run of which a step runs and another waits for it."""
    place = places(idle=300.0)
    run = place.submit({"one": blocker(tmp_path), "two": Step(command="true", after=("one",))})
    place.until(lambda: starts(tmp_path) == 1, "the step does not start")
    return place, run


LOOKS = {
    "a run": lambda copy, run: copy.get(run),
    "runs": lambda copy, run: hooks.penstock_list_runs(copy.target, [run]),
}


@pytest.mark.parametrize("look", LOOKS)
def test_looking_at_a_copy_touches_nothing_of_the_original(running, tmp_path, look):
    place, run = running
    copy = copied(place, "copy")
    engine = place.engine()
    before = sorted(path.name for path in copy.layout.root.iterdir())
    with pytest.raises(Conflict, match="is a copy of") as refused:
        LOOKS[look](copy, run)
    assert refused.value.code == "root_copied" and str(place.layout.root) in str(refused.value)
    health = hooks.penstock_check_target(copy.target)
    assert health.ok and any("a copy of" in line for line in health.lines)
    assert copy.log(run, "one") == b""
    assert copy.outputs(run) == {}
    assert copy.engines() == []
    assert sorted({path.name for path in copy.layout.root.iterdir()} - {"queue.db-shm", "queue.db-wal"}) == sorted(
        set(before) - {"queue.db-shm", "queue.db-wal"}
    )
    assert (place.engine(), place.get(run).state, starts(tmp_path)) == (engine, "running", 1)
    (tmp_path / "go").touch()
    assert place.wait(run).state == "succeeded"
    assert starts(tmp_path) == 1


def test_what_had_not_ended_is_lost_in_a_copy_that_is_used_and_the_original_goes_on(running, tmp_path):
    place, run = running
    waiting = place.submit({"one": "true"}, run="waiting")
    place.wait(waiting)
    copy = copied(place, "copy")
    other = copy.submit(
        {"one": Step(command=["sh", "-c", 'echo y > "$1"', "sh", "${{ outputs.x }}"], outputs={"x": "file"})}
    )
    assert copy.wait(other).state == "succeeded"
    assert copy.steps(other)["one"].outputs["x"].startswith(str(copy.layout.root))
    lost = copy.get(run)
    assert (lost.state, lost.error.code) == ("failed", "run_lost")
    assert str(place.layout.root) in lost.error.message and "submit it again" in lost.error.message
    assert [step.state for step in lost.steps] == ["failed", "skipped"]
    assert copy.get(waiting).state == "succeeded"
    assert place.get(other) == Absent()
    assert (place.get(run).state, starts(tmp_path)) == ("running", 1)
    (tmp_path / "go").touch()
    assert place.wait(run).state == "succeeded"
    assert starts(tmp_path) == 1
    # From now on it is a root like any other: it can be moved, and what is cut short there goes on.
    again = copy.submit({"one": blocker(tmp_path)})
    assert copy.wait(again).state == "succeeded"
    assert copied(copy, "third").get(again).state == "succeeded"


def test_a_copy_by_hard_links_shares_its_queue_and_is_for_looking(running, tmp_path):
    place, run = running
    copy = copied(place, "copy", "-l")
    for call in (lambda: copy.get(run), lambda: copy.cancel(run), lambda: copy.start(run.publication)):
        with pytest.raises(Conflict, match="is a copy of") as refused:
            call()
        assert refused.value.code == "root_copied"
    assert copy.engines() == []
    assert place.get(run).state == "running"
    (tmp_path / "go").touch()
    assert place.wait(run).state == "succeeded"
    assert starts(tmp_path) == 1


def test_a_cancel_in_a_copy_ends_nothing_of_the_original(running, tmp_path):
    place, run = running
    copy = copied(place, "copy")
    assert not copy.cancel(run)
    assert copy.get(run).error.code == "run_lost"
    assert place.get(run).state == "running"
    (tmp_path / "go").touch()
    assert place.wait(run).state == "succeeded"


@pytest.mark.thorough
def test_an_engine_that_is_started_by_hand_in_a_copy_begins_nothing_again(running, tmp_path):
    place, run = running
    engine = place.engine()
    os.kill(engine, signal.SIGSTOP)  # so that the original says nothing of its own in the meantime
    copy = copied(place, "copy")
    with database.deciding(copy.layout) as connection:
        queue.write_settings(connection, queue.Settings(1, 1.0, 0.0))
    by_hand = [sys.executable, "-P", "-m", "penstock_local.engine", str(copy.layout.root)]
    done = subprocess.run(by_hand, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    os.kill(engine, signal.SIGCONT)
    assert copy.get(run).error.code == "run_lost"
    (tmp_path / "go").touch()
    assert place.wait(run).state == "succeeded"
    assert (place.engine(), starts(tmp_path)) == (engine, 1)


def kill(place) -> None:
    place.kill_engine()


def test_a_root_that_was_put_back_in_its_place_goes_on(running, tmp_path):
    place, run = running
    kill(place)
    copied(place, "saved")
    with database.opened(place.layout) as connection:
        tokens = {row[0] for row in connection.execute("SELECT token FROM steps WHERE token IS NOT NULL")}
    shutil.rmtree(place.target.home)
    step = int((tmp_path / "starts").read_text())
    os.kill(step, signal.SIGKILL)
    place.until(lambda: not place.alive(step), "the step does not die")
    place.until(lambda: not place.keepers(), "its keeper stays, so that the original lives")
    place.until(lambda: not processes.is_carried(tokens), "something of the step stays")
    back = at(place, place.target.home)
    subprocess.run(["cp", "-a", place.folder / "saved", place.target.home], check=True)
    back.until(lambda: back.get(run) and starts(tmp_path) == 2, "nobody goes on")
    (tmp_path / "go").touch()
    assert back.wait(run).state == "succeeded"


def test_what_takes_the_place_of_an_original_that_still_runs_elsewhere_is_a_copy(running, tmp_path):
    place, run = running
    aside = place.folder / "aside"
    copied(place, "saved")
    home = place.target.home
    home.rename(aside)
    (place.folder / "saved").rename(home)
    with pytest.raises(Conflict, match="is a copy of"):
        place.get(run)
    original = at(place, aside)
    assert original.get(run).state == "running" and starts(tmp_path) == 1


def test_an_original_whose_engine_waits_between_two_attempts_still_lives(places, tmp_path):
    place = places(idle=300.0)
    retry = Retry(attempts=2, delay=300.0)
    run = place.submit({"one": Step(command=["sh", "-c", f"echo $$ >> {tmp_path}/starts; exit 1"], retry=retry)})
    place.until(lambda: place.steps(run)["one"].attempt == 1 and not alive_steps(place), "the first attempt stays")
    copied(place, "saved")
    home = place.target.home
    home.rename(place.folder / "aside")
    (place.folder / "saved").rename(home)
    with pytest.raises(Conflict, match=r"is a copy of .* runs elsewhere"):
        place.get(run)
    assert starts(tmp_path) == 1


def alive_steps(place) -> bool:
    with database.opened(place.layout) as connection:
        return processes.is_carried({row[0] for row in connection.execute("SELECT token FROM steps") if row[0]})


OVERLAID = """
import sys
from pathlib import Path
from penstock.contract.run import RunRef
from penstock.errors import PenstockError
from tests.local.conftest import Place

place = Place(Path(sys.argv[1]), idle=300.0)
try:
    print(place.get(RunRef(id=sys.argv[2], publication=None, external=sys.argv[2])).state)
except PenstockError as error:
    print(error.code, len(place.engines()))
"""


def test_a_copy_that_lies_over_the_original_has_its_inodes_and_touches_nothing_of_it(running, tmp_path):
    place, run = running
    engine, home = place.engine(), place.target.home
    more = [tmp_path / "upper", tmp_path / "work"]
    for folder in more:
        folder.mkdir()
    options = f"lowerdir={home},upperdir={more[0]},workdir={more[1]}"
    overlay = ["unshare", "--mount", "sh", "-c", 'mount -t overlay -o "$0" overlay "$1" && shift && exec "$@"']
    overlay += [options, os.fspath(home)]
    if subprocess.run([*overlay, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount an overlay")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([os.fspath(Path(__file__).parents[2]), *sys.path])}
    look = [*overlay, sys.executable, "-c", OVERLAID, os.fspath(place.folder), run.id]
    done = subprocess.run(look, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == ["root_copied", "1"]
    assert (place.engine(), place.get(run).state, starts(tmp_path)) == (engine, "running", 1)
    (tmp_path / "go").touch()
    assert place.wait(run).state == "succeeded"
    assert starts(tmp_path) == 1


@pytest.mark.parametrize(
    "noted",
    ["UPDATE root SET device = 'another'", "DROP TABLE root"],
    ids=["on another device, as machines and containers number them anew", "from before roots were noted"],
)
def test_a_root_in_its_place_goes_on_whatever_is_noted_of_its_device(running, tmp_path, noted):
    place, run = running
    kill(place)
    with database.deciding(place.layout) as connection:
        connection.execute(noted)
    assert place.get(run).state == "running"  # and the next engine takes its step over
    place.engine()
    (tmp_path / "go").touch()
    assert place.wait(run).state == "succeeded"
    assert starts(tmp_path) == 1
