"""An engine whose root was moved, removed or replaced takes nothing from it any more; the next one goes on."""

import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

import attrs
import pytest

from penstock.spec import Step
from penstock_local import database, queue, wake
from penstock_local.layout import Layout


def move(place, name: str) -> None:
    """Rename the folder of the target's state, as a project is renamed that it lies in."""
    home = place.target.home.rename(place.folder / name)
    place.target = attrs.evolve(place.target, home=home)
    place.layout = Layout.of(place.target)


def state(place, run) -> str:
    """What the queue says; to ask for the run would wake its engine."""
    with database.opened(place.layout) as connection:
        return queue.job(connection, run.id)[0]["state"]


def gone(place, engine: int) -> None:
    place.until(lambda: not place.alive(engine), "the engine stays with a root that is not its own")


@pytest.mark.thorough
def test_a_run_goes_on_in_the_new_place_of_an_idle_engine_s_root(places):
    place = places(idle=300.0)
    publication = place.publish(
        {"one": Step(command=["sh", "-c", "echo $1 > $1", "sh", "${{ outputs.x }}"], outputs={"x": "file"})}
    )
    place.wait(place.start(publication))
    engine, old = place.engine(), place.layout.root
    move(place, "moved")
    run = place.start(publication)
    place.until(lambda: state(place, run) == "succeeded", "nobody runs it")
    gone(place, engine)
    assert place.outputs(run) == {} and place.steps(run)["one"].outputs["x"].startswith(str(place.layout.root))
    assert place.engine() != engine
    assert not old.exists()
    assert place.layout.log.read_text() == ""


@pytest.mark.thorough
def test_what_runs_while_its_root_is_moved_runs_again_there_and_loses_nothing(places, tmp_path):
    place = places(idle=300.0)
    wait = f"echo x >> {tmp_path}/starts; until test -e {tmp_path}/go; do sleep 0.02; done"
    run = place.submit({"one": Step(command=["sh", "-c", wait]), "two": Step(command="true", after=("one",))})
    for count in (1, 2, 3, 4):

        def starts() -> int:
            return len((tmp_path / "starts").read_text().split()) if (tmp_path / "starts").exists() else 0

        place.until(lambda count=count: starts() == count, "the step does not start")
        engine = place.engine()
        old = place.layout.root
        move(place, f"moved{count}")
        place.start(run.publication, run=run.id)  # wakes whoever listens there
        gone(place, engine)
        assert not old.exists()
    (tmp_path / "go").touch()
    assert place.wait(run).state == "succeeded"


def test_a_step_that_ends_in_a_moved_root_makes_nothing_in_the_old_place(places, tmp_path):
    place = places(idle=300.0)
    wait = f"touch {tmp_path}/up; until test -e {tmp_path}/go; do sleep 0.02; done"
    run = place.submit({"one": Step(command=["sh", "-c", wait]), "two": Step(command="true", after=("one",))})
    place.until((tmp_path / "up").exists, "the step does not start")
    engine, old = place.engine(), place.layout.root
    move(place, "moved")
    (tmp_path / "go").touch()
    gone(place, engine)
    place.until(lambda: state(place, run) == "succeeded", "nobody goes on")
    assert not old.exists()


@pytest.mark.thorough
@pytest.mark.parametrize("leave", [lambda home: shutil.rmtree(home), lambda home: home.rename(home.parent / "aside")])
def test_a_root_that_was_replaced_has_an_engine_of_its_own(places, tmp_path, leave):
    place = places(idle=300.0)
    wait = f"touch {tmp_path}/up; until test -e {tmp_path}/go; do sleep 0.02; done"
    before = place.submit({"one": Step(command=["sh", "-c", wait])})
    place.until((tmp_path / "up").exists, "the step does not start")
    engine = place.engine()
    leave(place.target.home)
    run = place.submit({"one": "true"})
    assert place.wait(run).state == "succeeded"
    (tmp_path / "go").touch()
    gone(place, engine)
    assert [os.fspath(one.name) for one in place.layout.runs.iterdir()] == [run.id]
    assert place.get(before) != place.get(run)
    assert place.wait(place.submit({"one": "true"})).state == "succeeded"


@pytest.mark.thorough
def test_what_was_taken_over_from_a_killed_engine_ends_with_its_place(places, tmp_path):
    """As what an engine started itself: it runs again where the root lies now, and that does not count."""
    place = places(idle=300.0)
    wait = f"echo $$ >> {tmp_path}/starts; until test -e {tmp_path}/go; do sleep 0.02; done"
    run = place.submit({"one": Step(command=["sh", "-c", wait])})

    def starts() -> list[str]:
        return (tmp_path / "starts").read_text().split() if (tmp_path / "starts").exists() else []

    place.until(lambda: len(starts()) == 1, "the step does not start")
    place.kill_engine()
    place.wait(place.submit({"one": "true"}))  # so the next one has taken over by now
    engine = place.engine()
    move(place, "moved")
    gone(place, engine)
    assert not place.alive(int(starts()[0]))
    place.until(lambda: place.get(run) and len(starts()) == 2, "the step does not start again")
    (tmp_path / "go").touch()
    assert place.wait(run).steps[0].attempt == 2
    assert "gives up" not in place.layout.log.read_text()


OPEN = 'exec 3>"$1"; echo x >> {0}/starts; until test -e {0}/go; do sleep 0.02; done; echo hi >&3'
LATE = 'echo x >> {0}/starts; until test -e {0}/go; do sleep 0.02; done; echo hi > "$1"'


def submit(place, tmp_path, script: str):
    command = ["sh", "-c", script.format(tmp_path), "sh", "${{ outputs.o }}"]
    run = place.submit({"one": Step(command=command, outputs={"o": "string"})})
    place.until((tmp_path / "starts").exists, "the step does not start")
    return run


@contextlib.contextmanager
def stopped(place, engine: int):
    """Keep an engine from noticing anything meanwhile."""
    os.kill(engine, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(engine, signal.SIGCONT)


@pytest.mark.parametrize(("script", "starts"), [(OPEN, 1), (LATE, 2)], ids=["open", "late"])
def test_what_ended_in_a_moved_root_counts_if_it_succeeded_and_only_then(places, tmp_path, script, starts):
    place = places(idle=300.0)
    run = submit(place, tmp_path, script)
    engine, old = place.engine(), place.layout.root
    (keeper,) = place.keepers()
    with stopped(place, engine):
        move(place, "moved")
        (tmp_path / "go").touch()
        place.until(lambda: not children(keeper), "the step does not end")
    gone(place, engine)
    report = place.wait(run)
    assert (report.state, report.steps[0].outputs) == ("succeeded", {"o": "hi\n"}), report
    assert len((tmp_path / "starts").read_text().split()) == starts
    assert not old.exists() and "gives up" not in place.layout.log.read_text()


@pytest.mark.sampled(1)
@pytest.mark.parametrize(("script", "starts"), [(OPEN, 1), (LATE, 2)], ids=["open", "late"])
@pytest.mark.parametrize("wakes", ["look", "submit"])
def test_the_same_of_a_root_whose_engine_was_killed_before(places, tmp_path, script, starts, wakes):
    place = places(idle=300.0)
    run = submit(place, tmp_path, script)
    place.kill_engine()
    old = place.layout.root
    move(place, "moved")
    if wakes == "submit":
        place.start(run.publication, run=run.id)
    else:
        place.get(run)
    place.until(lambda: wake.listening(place.layout), "nobody goes on")
    (tmp_path / "go").touch()
    report = place.wait(run)
    assert (report.state, report.steps[0].outputs) == ("succeeded", {"o": "hi\n"}), report
    assert len((tmp_path / "starts").read_text().split()) == starts
    assert not old.exists()


FAILS = "echo x >> {0}/starts; until test -e {0}/go; do sleep 0.02; done; exit 3"


def fail_unseen(place, tmp_path):
    """A step that has failed and whose engine was killed before that."""
    run = submit(place, tmp_path, FAILS)
    place.kill_engine()
    (keeper,) = place.keepers()
    (tmp_path / "go").touch()
    place.until(lambda: not place.alive(keeper), "the step does not end")
    return run


def has_failed_once(place, tmp_path, run) -> bool:
    report = place.wait(run)
    return report.steps[0].attempt == 1 and (tmp_path / "starts").read_text() == "x\n" and report.state == "failed"


@pytest.mark.thorough
def test_a_move_before_a_step_began_is_none_of_its_concern_whatever_clocks_say(places, tmp_path):
    """After a reboot what began since had begun, by the clock of the machine, long before an earlier move."""
    place = places(idle=300.0)
    place.wait(place.submit({"one": "true"}))
    place.kill_engine()
    move(place, "moved")
    place.wait(place.submit({"one": "true"}))
    with database.deciding(place.layout) as connection:  # as it was noted before engines noted their places
        connection.execute("CREATE TABLE IF NOT EXISTS moved (id INTEGER PRIMARY KEY, noticed REAL NOT NULL)")
        connection.execute("REPLACE INTO moved VALUES (1, 1e12)")
    run = fail_unseen(place, tmp_path)
    assert has_failed_once(place, tmp_path, run)


def test_what_an_engine_began_that_noted_no_place_is_not_begun_again(places, tmp_path):
    place = places(idle=300.0)
    run = fail_unseen(place, tmp_path)
    with database.deciding(place.layout) as connection:
        connection.execute("DROP TABLE engines")
    assert has_failed_once(place, tmp_path, run)


def test_what_failed_before_a_clock_was_set_back_in_a_moved_root_is_begun_again(places, tmp_path):
    place = places(idle=300.0)
    run = fail_unseen(place, tmp_path)
    move(place, "moved")
    with database.deciding(place.layout) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS moved (id INTEGER PRIMARY KEY, noticed REAL NOT NULL)")
        connection.execute("REPLACE INTO moved VALUES (1, 0.001)")
    report = place.wait(run)
    assert (report.state, report.steps[0].attempt) == ("failed", 2)
    with database.opened(place.layout) as connection:
        assert len(connection.execute("SELECT * FROM engines").fetchall()) == 1  # none is kept for nothing


def test_another_path_to_the_same_root_is_no_move(places, tmp_path):
    place = places(idle=300.0)
    run = fail_unseen(place, tmp_path)
    first, second = place.target, place.folder / "second"
    second.mkdir()
    if subprocess.run(["mount", "--bind", first.home, second], check=False, capture_output=True).returncode:
        pytest.skip("another path needs the right to mount")
    try:
        place.target = attrs.evolve(first, home=second)
        place.layout = Layout.of(place.target)
        assert has_failed_once(place, tmp_path, run)
        place.kill_engine()
    finally:
        subprocess.run(["umount", "-l", second], check=True)


@pytest.mark.thorough
def test_a_moved_root_is_noticed_though_nobody_looks(places, tmp_path):
    place = places(idle=300.0)
    run = submit(place, tmp_path, LATE)
    engine = place.engine()
    move(place, "moved")
    gone(place, engine)
    (tmp_path / "go").touch()
    place.until(lambda: state(place, run) == "succeeded", "nobody goes on")


@pytest.mark.thorough
def test_a_keeper_that_is_killed_while_its_root_moves_loses_nothing(places, tmp_path):
    place = places(idle=300.0)
    run = submit(place, tmp_path, OPEN)
    engine = place.engine()
    with stopped(place, engine):
        place.kill(*place.keepers())
        move(place, "moved")
    gone(place, engine)
    (tmp_path / "go").touch()
    assert place.wait(run).state == "succeeded"
    assert "gives up" not in place.layout.log.read_text()


def children(pid: int) -> str:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text()


def test_a_step_reads_what_another_made_where_the_root_lies_now(places, tmp_path):
    """Also in the next engine, which has the paths from the queue."""
    place = places(idle=300.0)
    steps = {
        "make": Step(command=["sh", "-c", "echo data > $1", "sh", "${{ outputs.x }}"], outputs={"x": "file"}),
        "wait": Step(
            command=["sh", "-c", f"touch {tmp_path}/up; until test -e {tmp_path}/go; do sleep 0.02; done"],
            after=("make",),
        ),
        "read": Step(command=["cat", "${{ inputs.x }}"], inputs={"x": "${{ steps.make.outputs.x }}"}, after=("wait",)),
    }
    run = place.submit(steps, outputs={"x": "${{ steps.make.outputs.x }}"})
    place.until((tmp_path / "up").exists, "the step does not start")
    move(place, "moved")
    (tmp_path / "go").touch()
    assert place.wait(run).state == "succeeded"
    assert place.log(run, "read") == b"data\n"
    move(place, "again")
    path = f"{place.layout.root}/runs/{run.id}/outputs/make.1/x"
    assert place.outputs(run) == place.steps(run)["make"].outputs == {"x": path}


def test_a_root_that_is_reached_by_a_link_may_move_behind_it(places, tmp_path):
    (tmp_path / "disk").mkdir(mode=0o700)
    (tmp_path / "root").symlink_to("disk")
    (tmp_path / "to another").symlink_to("another disk")
    place = places(root=tmp_path / "root")
    script = f'echo 1 > "$0"; touch {tmp_path}/up; until test -e {tmp_path}/go; do sleep 0.02; done'
    run = place.submit({"one": Step(command=["sh", "-c", script, "${{ outputs.x }}"], outputs={"x": "integer"})})
    place.until((tmp_path / "up").exists, "the step does not start")
    (tmp_path / "disk").rename(tmp_path / "another disk")
    (tmp_path / "to another").rename(tmp_path / "root")
    (tmp_path / "go").touch()
    assert place.wait(run).error is None
    assert place.steps(run)["one"].outputs == {"x": "1"}
