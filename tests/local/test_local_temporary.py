"""A step's temporary folder: short enough for sockets, its own, and gone with its attempt whatever is in it."""

import json
import os
import secrets
import select
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from penstock.contract.run import BoundParameters
from penstock.spec import Retry, Step
from penstock_local import hooks
from penstock_local.clock import Clock
from penstock_local.engine import Engine
from penstock_local.jobs import Job
from penstock_local.preparation import Preparation
from penstock_local.removal import remove
from penstock_local.retrying import Retrying
from penstock_local.steps import Prepared
from penstock_local.temporary import Temporary

DEEP = """
import os
for _ in range(1500):
    os.mkdir("d")
    os.chdir("d")
os.mkdir("1")
"""
CLOSED = 'mkdir -p a/b a/c && touch a/b/x a/-rf "a/ $(printf "\\n\\377")" && ln -s / a/c/root && ln -s nowhere a/n'
CLOSED += " && mkfifo a/p && chmod 0 a/b a/c a/p && chmod 0500 a ."


def folders(place) -> list[Path]:
    """What lies among the folders of attempts."""
    return [one for one in place.layout.temporaries.iterdir() if one.name != ".where"]


def test_a_socket_fits_into_the_temporary_folder_however_deep_a_project_lies(places):
    place = places("/".join(["a folder of a project that lies very deep"] * 4))
    script = """
import multiprocessing, os, socket, tempfile
shared = multiprocessing.Manager().dict()
shared["a"] = 1
print(dict(shared), tempfile.gettempdir() == os.environ["TMPDIR"])
with socket.socket(socket.AF_UNIX) as one:
    one.bind(os.environ["TMPDIR"] + "/" + "s" * 60)
print(oct(os.stat(os.environ["TMPDIR"]).st_mode & 0o777), os.listdir(os.environ["TMPDIR"]).count("s" * 60))
"""
    run = place.submit({"one": Step(command=["python", "-c", script])})
    assert place.wait(run).state == "succeeded", place.log(run, "one")
    assert place.log(run, "one") == b"{'a': 1} True\n0o700 1\n"
    place.until(lambda: not folders(place), "the folder stays")


def test_every_attempt_has_a_folder_of_its_own(place, tmp_path):
    script = f'ls -A "$TMPDIR" >> {tmp_path}/found; touch "$TMPDIR/mine"; echo "$TMPDIR" >> {tmp_path}/paths; exit 1'
    step = Step(command=["sh", "-c", script], retry=Retry(attempts=2))
    run = place.submit({"one": step, "two": step})
    assert place.wait(run).state == "failed"
    assert (tmp_path / "found").read_text() == ""
    assert len(set((tmp_path / "paths").read_text().split())) == 4
    place.until(lambda: not folders(place), "a folder stays")


def test_what_an_attempt_needed_goes_while_its_run_goes_on(place, tmp_path):
    wait = f"touch {tmp_path}/began; until test -e {tmp_path}/go; do sleep 0.01; done"
    run = place.submit({"one": "true", "two": Step(command=["sh", "-c", wait])})
    place.until((tmp_path / "began").exists, "`two` does not begin")
    place.until(lambda: [path.name for path in folders(place)] == ["1.1.1"], "the folder of `one` stays")
    (tmp_path / "go").touch()
    assert place.wait(run).state == "succeeded"
    place.until(lambda: not folders(place), "the folder of `two` stays")


def test_nothing_stays_behind_of_more_steps_than_the_engine_clears_up_after_at_once(place):
    run = place.submit({f"s{number}": "true" for number in range(200)})
    assert place.wait(run).state == "succeeded"
    place.until(lambda: not folders(place), "folders stay")


@pytest.mark.thorough
def test_an_engine_that_ends_at_once_clears_up_first(places):
    """The next engine would not know of a step's copy of its code."""
    place = places(idle=0.0)
    (place.spec / "src").mkdir()
    for number in range(1500):
        (place.spec / "src" / f"{number}").touch()
    fill = Step(command=["sh", "-c", 'cd "$TMPDIR" && seq 1500 | xargs touch'], code="src")
    run = place.submit({"one": fill, "two": fill})
    assert place.wait(run).state == "succeeded"
    place.until(lambda: not place.engines(), "the engine stays")
    assert [list(folder.iterdir()) for folder in place.layout.private_of(run.id) if folder.exists()] == [[]]
    assert folders(place) == []


def test_what_is_due_does_not_wait_for_clearing_up(place, monkeypatch):
    place.layout.make()
    behind = list(range(20))

    def slow():
        while behind:
            yield lambda: (time.sleep(0.05), behind.pop())

    with select.epoll() as poll:
        retrying = Retrying(place.layout, Clock())
        engine = SimpleNamespace(_poll=poll, _schedule=SimpleNamespace(spare_work=slow, retrying=retrying))
        assert Engine._sleep(engine, 0.3) == set()
    assert behind


@pytest.mark.parametrize("how_many", [1, 64, 65, 130])
def test_an_engine_that_ends_clears_up_what_is_left(place, how_many):
    place.layout.make()
    ready = []
    preparation = Preparation(place.layout, ring=lambda: None, ready=lambda step, result: ready.append(result))
    taken = place.snapshot(place.pipeline({f"s{number}": "true" for number in range(how_many)}))
    plan = json.loads(hooks.penstock_compile_pipeline(place.target, taken).data)
    job = Job.of(1, "run", plan, BoundParameters(), {})
    for step in job.steps.values():
        step.begin("token", 1)
        preparation.start(step)
    assert all(isinstance(one, Prepared) for one in ready)
    assert len(folders(place)) == how_many
    for step in job.steps.values():
        preparation.clean(step, keep_work=False)
    preparation.close()
    place.until(lambda: preparation.collect() or not preparation.busy, "the workers do not end")
    assert list(place.layout.temporaries.iterdir()) == []


def spares(place) -> Temporary:
    place.layout.make()
    return Temporary(place.layout)


def step_of(number: int, attempt: int = 1) -> SimpleNamespace:
    return SimpleNamespace(job=SimpleNamespace(seq=1), position=number, attempt=attempt)


def test_a_folder_that_was_left_as_it_was_is_given_to_another_attempt(place):
    temporary = spares(place)
    first, _ = temporary.make(step_of(0))
    number = os.lstat(first).st_ino
    assert temporary.spare(first)
    second, short = temporary.make(step_of(1))
    assert os.path.samefile(second, short) and os.lstat(second).st_ino == number and not os.path.lexists(first)
    temporary.close()
    assert [path.name for path in folders(place)] == ["1.1.1"]


@pytest.mark.parametrize("what", ["file", "link", "folder", "mode", "gone", "other"])
def test_a_folder_in_which_something_is_left_or_was_changed_is_given_to_nobody(place, what):
    temporary = spares(place)
    path = Path(temporary.make(step_of(0))[0])
    if what == "file":
        (path / ".hidden").touch()
    elif what == "link":
        (path / "x").symlink_to("nowhere")
    elif what == "folder":
        (path / "x").mkdir()
    elif what == "mode":
        path.chmod(0o755)
    else:
        path.rmdir()
        if what == "other":
            path.symlink_to(place.layout.root)
    assert not temporary.spare(os.fspath(path))
    assert not temporary.stale


def test_a_folder_that_is_needed_under_its_own_name_again_is_given_to_nobody_else(place):
    temporary = spares(place)
    path, _ = temporary.make(step_of(0))
    assert temporary.spare(path)
    assert temporary.make(step_of(0)) and not temporary.stale
    Path(path, "mine").touch()
    temporary.make(step_of(1))
    assert Path(path, "mine").exists()


@pytest.mark.parametrize("how", ["gone", "filled", "taken"])
def test_what_happens_to_a_spare_folder_meanwhile_is_no_trouble(place, how):
    temporary = spares(place)
    path = Path(temporary.make(step_of(0))[0])
    assert temporary.spare(os.fspath(path))
    if how == "gone":
        path.rmdir()
    elif how == "filled":
        (path / "x").touch()
    else:
        (place.layout.temporaries / "1.1.1").mkdir()
        (place.layout.temporaries / "1.1.1" / "x").touch()
    assert os.listdir(temporary.make(step_of(1))[0]) == []


ANEW = 'rm -rf "$TMPDIR"; mkdir -p "$TMPDIR/x"; touch "$TMPDIR/x/y"'


@pytest.mark.sampled(1)
@pytest.mark.parametrize("fill", [CLOSED, 'rmdir "$TMPDIR"', 'rmdir "$TMPDIR"; ln -s / "$TMPDIR"', ANEW])
def test_whatever_a_step_leaves_in_its_temporary_folder_goes_with_it(place, fill):
    run = place.submit({"one": Step(command=["sh", "-c", f'cd "$TMPDIR" && {fill}'])})
    place.wait(run)
    place.until(lambda: not folders(place), "a folder stays")


def test_what_an_attempt_left_goes_after_the_death_of_its_engine(place, tmp_path):
    script = f'cd "$TMPDIR"; echo "$TMPDIR" >> {tmp_path}/paths; {CLOSED}; cd /; '
    script += f"until test -e {tmp_path}/go; do sleep 0.02; done"
    run = place.submit({"one": Step(command=["sh", "-c", script])})

    def paths() -> list[str]:
        return (tmp_path / "paths").read_text().split() if (tmp_path / "paths").exists() else []

    place.until(lambda: len(paths()) == 1, "the step does not start")
    place.kill_both()
    place.until(lambda: place.get(run) and len(paths()) == 2, "the step is not started again")
    place.until(lambda: len(folders(place)) == 1, "the folder of the first attempt stays")
    first, second = map(Path, paths())
    assert first.parent == second.parent, "one more link in the machine's temporary folder for each engine"
    (tmp_path / "go").touch()
    assert place.wait(run).state == "succeeded"
    place.until(lambda: not folders(place), "a folder stays")


def test_what_an_attempt_left_goes_after_the_death_of_its_engine_and_then_of_its_keeper(place, tmp_path):
    wait = 'mktemp > "$0.$(basename "$TMPDIR")"; while ! test -e "$0"; do sleep 0.01; done'
    run = place.submit({"one": Step(command=["sh", "-c", wait, f"{tmp_path}/go"])})
    place.until((tmp_path / "go.1.0.1").exists, "the step does not start")
    keepers = place.keepers()
    place.kill_engine()
    assert place.get(run).state == "running"
    place.until(lambda: len(place.keepers()) > 1, "no engine takes over")
    place.kill(*keepers)
    place.until((tmp_path / "go.1.0.2").exists, "the step is not begun again")
    place.until(lambda: [one.name for one in folders(place)] == ["1.0.2"], "the folder of the first attempt stays")
    (tmp_path / "go").touch()
    assert place.wait(run).state == "succeeded"


def test_nothing_is_left_in_the_machines_own_folder(places, tmp_path):
    place = places(idle=0.0)
    run = place.submit({"one": Step(command=["sh", "-c", f'dirname "$TMPDIR" > {tmp_path}/where'])})
    assert place.wait(run).state == "succeeded"
    place.until(lambda: not place.engines(), "the engine does not end itself")
    where = Path((tmp_path / "where").read_text().strip())
    assert where.name.startswith("penstock-")
    assert not where.is_symlink()


def test_a_link_that_leads_elsewhere_is_not_followed_by_who_cleans_up(place, tmp_path):
    (tmp_path / "precious").mkdir()
    place.layout.make()
    place.layout.temporaries.mkdir()
    (place.layout.temporaries / "1.0.1").symlink_to(tmp_path / "precious")
    run = place.submit({"one": "true"})
    assert place.wait(run).state == "succeeded"
    place.until(lambda: not folders(place), "a link stays")
    assert (tmp_path / "precious").is_dir()


def test_a_tree_of_any_depth_is_removed(tmp_path, bound_by_permissions):
    top = tmp_path / "top"
    top.mkdir()
    (top / "1").mkdir()
    subprocess.run([sys.executable, "-c", DEEP], cwd=top, check=True)
    (tmp_path / "kept").touch()
    (top / "link").symlink_to(tmp_path)
    subprocess.run(["sh", "-c", CLOSED], cwd=top, check=True)
    code = "import sys; from penstock_local.removal import remove; remove(sys.argv[1])"
    subprocess.run([*bound_by_permissions, sys.executable, "-c", code, str(top)], check=True)
    assert not top.exists()
    assert (tmp_path / "kept").exists()
    remove(str(top))


def test_a_link_to_a_root_that_is_gone_is_cleared_away(place, tmp_path):
    left = Path("/tmp", f"penstock-{secrets.token_hex(4)}")
    left.symlink_to(tmp_path / "gone" / "tmp")
    try:
        assert place.wait(place.submit({"one": "true"})).state == "succeeded"
        assert not left.is_symlink()
    finally:
        left.unlink(missing_ok=True)


@pytest.mark.parametrize("flags", ["+i", "+a"])
def test_what_was_made_immutable_goes(tmp_path, flags):
    folder = tmp_path / "one"
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "file").touch()
    (folder / "a" / "b" / "file").touch()
    if subprocess.run(["chattr", "-R", flags, folder / "a"], capture_output=True, check=False).returncode:
        pytest.skip("needs chattr, root's right to use it, and a file system that knows it")
    remove(str(folder))
    assert not folder.exists()


@pytest.mark.parametrize("where", ["", "a", "a/b"])
@pytest.mark.parametrize("how", [["-t", "tmpfs", "penstock-test"], ["--bind"]])
def test_what_was_mounted_is_unmounted_and_never_emptied(tmp_path, where, how):
    folder, other = tmp_path / "one", tmp_path / "other"
    (folder / "a" / "b").mkdir(parents=True)
    (other / "data").mkdir(parents=True)
    (other / "data" / "kept").write_text("kept")
    words = ["mount", *how, *([other] if how == ["--bind"] else []), folder / where]
    if subprocess.run(words, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount")
    if how != ["--bind"]:
        (folder / where / "file").touch()
    remove(str(folder))
    assert (other / "data" / "kept").read_text() == "kept"
    assert not folder.exists()
    assert str(folder) not in Path("/proc/self/mounts").read_text()
