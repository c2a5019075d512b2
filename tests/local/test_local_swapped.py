"""Files that somebody has swapped for a pipe, a device or a link: none keeps us waiting or leads away."""

from __future__ import annotations

import os

import pytest

from penstock.contract.artifacts import Destination
from penstock.contract.run import BoundParameters
from penstock.errors import NotFound
from penstock.spec import Retry, Step
from penstock_local import downloads, environments, hooks, journal, logs, queue, steps, wake
from penstock_local.jobs import Job
from penstock_local.layout import Layout
from penstock_local.logs import open_to_append


def _pipe(path):
    os.mkfifo(path)


def _link(path):
    (path.parent / "victim").write_text("theirs")
    path.symlink_to("victim")


def _device(path):
    path.symlink_to("/dev/zero")


SWAPS = {"pipe": _pipe, "link": _link, "device": _device}
swaps = pytest.mark.parametrize("swap", SWAPS.values(), ids=SWAPS)

IN_A_STEP = {
    "pipe": "rm {0}; mkfifo {0}",
    "link": "rm {0}; echo theirs > {1}/victim; ln -s {1}/victim {0}",
    "device": "rm {0}; ln -s /dev/zero {0}",
}


@pytest.mark.sampled(1)
@pytest.mark.parametrize("how", IN_A_STEP)
def test_a_log_that_its_step_has_swapped_is_told_and_the_next_attempt_gets_a_new_one(place, tmp_path, how):
    log = place.layout.log_of("run", "one")
    script = f"if [ -e {tmp_path}/second ]; then echo well; else touch {tmp_path}/second; "
    script += f"{IN_A_STEP[how].format(log, tmp_path)}; until [ -e {tmp_path}/go ]; do sleep 0.02; done; exit 3; fi"
    step = Step(command=["sh", "-c", script], retry=Retry(attempts=2))
    run = place.submit({"one": step, "two": "echo other"}, run="run")
    place.until(lambda: log.is_symlink() or log.is_fifo(), "the log is not swapped")
    place.until(lambda: b"is not there any more" in place.log(run, "one"), "it is not told")
    (tmp_path / "go").touch()
    assert place.wait(run).state == "succeeded"
    assert place.log(run, "one").endswith(b"well\n") and b"attempt 2 of 2" in place.log(run, "one")
    assert place.log(run, "two") == b"other\n"
    if how == "link":
        assert (tmp_path / "victim").read_text() == "theirs\n"


REMOVED = {"log": "rm {0}", "folder": "rm -r $(dirname {0})"}
NO_MORE = b"--- the log `%s` is not there any more: it was removed ---\n"


@pytest.mark.parametrize("how", REMOVED)
def test_a_log_that_was_removed_is_told_while_the_step_runs_and_once_it_has_ended(place, tmp_path, how):
    log = place.layout.log_of("run", "one")
    script = f"echo one; {REMOVED[how].format(log)}; until [ -e {tmp_path}/go ]; do sleep 0.02; done; echo two"
    run = place.submit({"one": script_of(script), "two": "echo other"}, run="run")
    no_more = NO_MORE % os.fsencode(log)
    place.until(lambda: place.log(run, "one") == no_more, "it is not told")
    for offset in (1, 4, len(no_more) - 1, len(no_more) + 1):  # of the log that was there, so one begins again
        chunk = hooks.penstock_read_logs(place.target, run, "one", offset)
        assert chunk.data == b"" and chunk.next_offset < offset
    (tmp_path / "go").touch()
    assert place.wait(run).state == "succeeded"
    assert place.log(run, "one") == no_more
    if how == "log":
        assert place.log(run, "two") == b"other\n"


def test_a_log_that_was_removed_is_told_in_the_moment_of_the_end_too(place, tmp_path, monkeypatch):
    """A row that was read before the end, and a keeper that was asked after it."""
    log = place.layout.log_of("run", "one")
    script = f"{REMOVED['log'].format(log)}; until [ -e {tmp_path}/go ]; do sleep 0.02; done"
    run = place.submit({"one": script_of(script)}, run="run")
    place.until(lambda: place.log(run, "one"), "it is not told")
    real, rows = queue.step, []

    def step(*asked):
        rows.append(real(*asked))
        if len(rows) == 1:
            (tmp_path / "go").touch()
            place.wait(run)
            place.until(
                lambda: not journal.knows(place.layout.keepers, rows[0]["token"]), "its keeper does not forget it"
            )
        return rows[-1]

    monkeypatch.setattr(queue, "step", step)
    chunk = hooks.penstock_read_logs(place.target, run, "one", 0)
    assert rows[0]["state"] == "running" and chunk.data == NO_MORE % os.fsencode(log) and not chunk.complete


def script_of(script: str, **more) -> Step:
    return Step(command=["sh", "-c", script], **more)


@pytest.mark.parametrize("how", [*REMOVED, *IN_A_STEP])
def test_the_log_of_the_next_attempt_says_that_the_one_before_is_gone(place, tmp_path, how):
    """Who had read that goes on behind it, and misses nothing of the new one, however long that is."""
    log = place.layout.log_of("run", "one")
    lose = {**REMOVED, **IN_A_STEP}[how].format(log, tmp_path)
    script = f"if [ -e {tmp_path}/second ]; then seq 999; else touch {tmp_path}/second; echo one; {lose}; "
    script += f"until [ -e {tmp_path}/go ]; do sleep 0.02; done; exit 3; fi"
    run = place.submit({"one": script_of(script, retry=Retry(attempts=2))}, run="run")
    # What takes its place comes a moment after it was removed.
    place.until(lambda: how in REMOVED or log.is_symlink() or log.is_fifo(), "the log is not swapped")
    place.until(lambda: b"is not there any more" in place.log(run, "one"), "it is not told")
    told = place.log(run, "one")
    (tmp_path / "go").touch()
    assert place.wait(run).state == "succeeded"
    found = place.log(run, "one")
    assert found.startswith(told + b"--- attempt 2 of 2 after: ") and found.endswith(b"\n998\n999\n")


def test_a_step_that_never_had_a_log_has_lost_none(place, tmp_path):
    absent = Step(command=["/no/such/program"], retry=Retry(attempts=2))
    steps = {"absent": "/no/such/program", "again": absent, "after": Step(command="true", after=("absent",))}
    held = place.submit({"one": script_of(f"until [ -e {tmp_path}/go ]; do sleep 0.02; done"), "two": "true",
                         "next": Step(command="true", after=("one",))})  # fmt: skip
    place.until(lambda: place.steps(held)["one"].state == "running", "the step does not start")
    assert [place.log(held, name) for name in ("one", "next")] == [b"", b""]
    run = place.submit(steps)
    assert place.wait(run).state == "failed"
    assert [b"any more" in place.log(run, name) for name in steps] == [False] * 3
    (tmp_path / "go").touch()
    place.wait(held)
    assert [place.log(held, name) for name in ("one", "two", "next")] == [b""] * 3


def test_a_log_is_told_from_one_that_was_made_in_its_place_and_from_no_more_of_itself(tmp_path):
    log = Layout(tmp_path).log_of("run", "one")
    seen = []
    for _ in range(20):
        with os.fdopen(open_to_append(log), "wb") as file:
            found = set()
            for line in (b"", b"one", b"two"):
                file.write(line)
                file.flush()
                found.add(logs.read(log, 0, lambda: True).identity)
        seen += found
        log.unlink()
    if seen[0].endswith(":"):
        pytest.skip("this file system does not tell files apart that have one number after each other")
    assert len(seen) == len(set(seen)) == 20
    assert logs.read(log, 0, lambda: True).identity not in seen


def test_no_log_is_written_through_a_folder_that_is_a_link(tmp_path):
    log = Layout(tmp_path).log_of("run", "one")
    os.close(open_to_append(log))
    log.parent.rename(tmp_path / "elsewhere")
    log.parent.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="a folder on its way is a link"):
        open_to_append(log)
    assert (tmp_path / "elsewhere" / log.name).read_bytes() == b""


@swaps
def test_an_output_that_is_swapped_after_it_was_looked_at_is_wrong(tmp_path, swap, monkeypatch):
    plan = {"name": "one", "needs": [], "outputs": {"text": "string"}}
    job = Job(1, "run", {"steps": [plan]}, BoundParameters(), {})
    step = steps.Step(job, 0, plan, folder=str(tmp_path), paths={"text": str(tmp_path / "text")})
    (tmp_path / "text").write_text("good")
    assert steps.read_outputs(step) == {"text": "good"}
    real = os.lstat

    def swapped(path, **how):
        found = real(path, **how)
        if path == str(tmp_path / "text"):
            (tmp_path / "text").unlink()
            swap(tmp_path / "text")
        return found

    monkeypatch.setattr(os, "lstat", swapped)
    with pytest.raises(steps.OutputWrong, match="text"):
        steps.read_outputs(step)


@pytest.mark.sampled(1)
@swaps
def test_what_lies_in_the_place_of_the_pipe_wakes_nobody_and_gives_way(place, swap):
    place.layout.make()
    swap(place.layout.wake)
    assert not wake.listening(place.layout)
    assert place.wait(place.submit({"one": "true"})).state == "succeeded"
    assert place.layout.wake.is_fifo()


@pytest.mark.sampled(1)
@swaps
def test_an_engine_whose_pipe_was_swapped_takes_its_place_again_when_a_step_ends(place, tmp_path, swap):
    held = place.submit({"one": Step(command=["sh", "-c", f"until [ -e {tmp_path}/go ]; do sleep 0.02; done"])})
    place.until(lambda: place.get(held).state == "running", "the step does not start")
    engine = place.engine()
    place.layout.wake.unlink()
    swap(place.layout.wake)
    (tmp_path / "go").touch()
    assert place.wait(held).state == "succeeded"
    place.until(lambda: wake.listening(place.layout), "the engine does not listen again")
    assert place.wait(place.submit({"one": "true"})).state == "succeeded"
    assert place.engine() == engine


@swaps
def test_the_values_of_a_run_are_read_from_a_file_only_and_forgotten_whatever_lies_there(place, swap):
    place.layout.make()
    place.layout.environments.mkdir()
    (place.layout.run("run") / "work").mkdir(parents=True)
    swap(place.layout.environment_of("run"))
    with pytest.raises(OSError):
        environments.read(place.layout, "run", ["TOKEN"], [])
    environments.forget(place.layout, "run")
    assert not os.path.lexists(place.layout.environment_of("run"))
    assert not (place.layout.run("run") / "work").exists()


@swaps
def test_a_lock_is_a_file(place, swap):
    place.layout.make()
    swap(place.layout.lock)
    with pytest.raises(OSError):
        wake.claim(place.layout)


class _Nowhere(Destination):
    def _put_file(self, *what):
        raise AssertionError("something was fetched")

    _put_folder = _put_link = _put_file


def test_an_artifact_is_not_fetched_through_a_folder_that_is_a_link(place, tmp_path):
    write = Step(command=["sh", "-c", 'echo mine > "$0"', "${{ outputs.made }}"], outputs={"made": "file"})
    run = place.submit({"one": write}, outputs={"made": "${{ steps.one.outputs.made }}"})
    assert place.wait(run).state == "succeeded"
    folder = place.layout.run(run.id) / "outputs" / "one.1"
    folder.rename(tmp_path / "aside")
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "made").write_text("theirs")
    folder.symlink_to(tmp_path / "theirs")
    with pytest.raises(NotFound) as caught:
        downloads.fetch(place.target, run, "made", _Nowhere("made", "file"))
    assert caught.value.code == "artifact_gone"
