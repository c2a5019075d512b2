"""An engine that does not come up is told at once, at every door, and the run is not lost; what can work works."""

import errno
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from penstock.contract.run import RunRef
from penstock.errors import TargetUnavailable, WaitTimeout
from penstock_local import halted, hooks, starting

BROKEN_PYTHON = "#!/bin/sh\n"
REAL = f"exec {sys.executable} "
FULL = """-c '
import os, sys
from penstock_local import database, engine
def full(*arguments): raise OSError(28, os.strerror(28))
database.connect = full
sys.exit(engine.main(sys.argv[4:]))
' "$@" 2>/dev/full"""

WHYS = {
    "echo one >&2; printf 'two\\033\\n\\n' >&2": r"two\\x1b;",
    "exit 3": "without a word in its log",
    "kill -9 $$": "without a word in its log",
    f'exec {sys._base_executable} -I "$@"': "penstock_local",
    REAL + FULL: r"No space left on device",
}


@pytest.fixture
def interpreter(tmp_path, monkeypatch):
    """Let engines run on what a script makes of it; without one, on nothing."""

    def use(script: str | None) -> None:
        path = tmp_path / "python-of-a-removed-environment"
        monkeypatch.setattr(starting, "interpreter", lambda: str(path))
        if script is not None:
            path.write_text(BROKEN_PYTHON + script + "\n")
            path.chmod(0o755)

    return use


@pytest.mark.thorough
def test_what_an_engine_says_last_is_told_at_once(place, interpreter, monkeypatch):
    publication = place.publish({"one": "true"})
    for number, (script, why) in enumerate([*WHYS.items(), (None, "not found")]):
        (place.folder / "python-of-a-removed-environment").unlink(missing_ok=True)
        interpreter(script)
        with pytest.raises(TargetUnavailable, match=why) as raised:
            place.start(publication, run=f"run-{number}")
        assert raised.value.code == "engine_not_started"
        assert "\n" not in str(raised.value)
        assert str(place.layout.log) in str(raised.value)
        place.until(lambda: not place.engines(), "the engine stays")
        health = "\n".join(place_health(place))
        assert "does not start" in health
    monkeypatch.undo()
    for number in range(len(WHYS) + 1):
        assert place.wait(place.start(publication, run=f"run-{number}")).state == "succeeded"


def place_health(place) -> tuple[str, ...]:
    health = hooks.penstock_check_target(place.target)
    assert not health.ok
    return health.lines


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM])
def test_a_machine_that_starts_no_process_is_told(place, monkeypatch, number):
    def refuse(*arguments, **options):
        raise OSError(number, os.strerror(number))

    publication = place.publish({"one": "true"})
    with monkeypatch.context() as patch:
        patch.setattr(starting.subprocess, "run", refuse)
        with pytest.raises(TargetUnavailable, match=rf"does not start: .*{os.strerror(number)}"):
            place.start(publication, run="same")
    assert place.wait(place.start(publication, run="same")).state == "succeeded"


def test_an_engine_that_hangs_before_it_listens_is_told_to_whoever_looks(place, interpreter, monkeypatch):
    publication = place.publish({"one": "true"})
    monkeypatch.setattr(starting, "_PATIENCE", 0.2)
    monkeypatch.setattr(halted, "_PATIENCE", 0.1)
    interpreter(f'until test -e {place.folder}/go; do sleep 0.02; done; {REAL} "$@"')
    try:
        with pytest.raises(TargetUnavailable, match="has not come up yet") as raised:
            place.start(publication, run="one")
        assert raised.value.code == "engine_not_started" and str(place.layout.log) in str(raised.value)
        run = RunRef(id="one", publication=publication, external="one")
        with pytest.raises(TargetUnavailable, match="has not come up yet"):
            place.get(run)
        assert "engine: not up yet" in place_health(place)
    finally:
        (place.folder / "go").touch()
    place.until(lambda: halted.found(place.layout) is None, "it comes up and nobody sees it")
    assert place.wait(run).state == "succeeded"


def test_every_door_tells_of_an_engine_that_does_not_start(workspace, project, interpreter):
    interpreter("echo the library is missing >&2")
    run = workspace.runs.submit(project / "greet.yaml").run
    assert "the library is missing" in run.waiting.message
    assert "the library is missing" in str(workspace.runs.get(run.id))
    heard = []
    with pytest.raises(WaitTimeout, match="the library is missing"):
        workspace.runs.wait(run.id, timeout=0.2, watch=heard.append)
    assert "the library is missing" in str(heard)
    (laptop,) = [one for one in workspace.targets.list() if one.name == "laptop"]
    assert "the library is missing" in laptop.problem
    assert "the library is missing" in "\n".join(workspace.targets.check("laptop").lines)


def test_a_run_whose_engine_died_says_so_when_it_is_looked_at(workspace, project, interpreter, monkeypatch):
    (project / "long.yaml").write_text(
        "apiVersion: penstock/v1\nkind: Pipeline\nname: long\nsteps: {one: {command: sleep 300}}\n"
    )
    run = workspace.runs.submit(project / "long.yaml").run
    engines = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if is_engine_of(project, pid)]
    interpreter("echo the library is missing >&2")
    for pid in engines:
        os.kill(pid, 9)
    deadline = time.monotonic() + 20
    while any(is_engine_of(project, pid) for pid in engines) and time.monotonic() < deadline:
        time.sleep(0.01)
    heard = []
    with pytest.raises(WaitTimeout, match="the library is missing"):
        workspace.runs.wait(run.id, timeout=2.0, watch=heard.append)
    monkeypatch.undo()
    workspace.runs.cancel(run.id)


def is_engine_of(folder: Path, pid: int) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"penstock_local.engine" in words and any(word.startswith(os.fsencode(folder)) for word in words)


def outside() -> list[str]:
    """The folders that a bare interpreter does not have by itself."""
    code = "import sys; print('\\n'.join(sys.path))"
    bare = subprocess.run([sys._base_executable, "-I", "-c", code], capture_output=True, text=True, check=True).stdout
    return [folder for folder in sys.path if folder and folder not in bare.split("\n") and "tests" not in folder]


def submit(command: list[str], path: list[str]) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "PYTHONPATH": os.pathsep.join(path)}
    words = [*command, "submit", "greet.yaml", "--wait"]
    return subprocess.run(words, env=env, capture_output=True, text=True, check=False)


@pytest.mark.thorough
def test_penstock_on_the_path_of_modules_works(project):
    done = submit([sys._base_executable, "-m", "penstock"], outside())
    assert done.returncode == 0, done.stderr


@pytest.mark.thorough
def test_penstock_in_a_zip_file_works(project, tmp_path):
    app = tmp_path / "app.zip"
    root = Path(starting.__file__).parents[2]
    with zipfile.ZipFile(app, "w") as archive:
        for package in ("framework/penstock", "backends/penstock_local"):
            for file in (root / package).rglob("*.*"):
                if "__pycache__" not in file.parts:
                    archive.write(file, Path(package).name / file.relative_to(root / package))
    others = [folder for folder in outside() if "site-packages" in folder]
    done = submit([sys._base_executable, "-m", "penstock"], [str(app), *others])
    assert done.returncode == 0, done.stderr


def test_a_path_of_modules_that_is_the_callers_own_is_not_the_engines(place, monkeypatch, tmp_path):
    (tmp_path / "sqlite3.py").write_text("raise SystemExit('planted')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert place.wait(place.submit({"one": ["python", "-c", "import os; assert 'PYTHONPATH' not in os.environ"]}))
    assert b"PYTHONPATH" not in Path(f"/proc/{place.engine()}/environ").read_bytes()
