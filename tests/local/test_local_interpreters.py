"""Steps find the interpreter of their target as `python` and `python3`, whatever lies beside it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.contract.run import RunRef, RunRequest
from penstock.spec import Step
from penstock_local import hooks

OTHER = '#!/bin/sh\necho "another python: $0"\n'
ASK = "import sys; print(sys.executable, sys.prefix)"
STEPS = {
    "python": Step(command=["python", "-c", ASK]),
    "python3": Step(command=["python3", "-c", ASK]),
    "shell": Step(command=["sh", "-c", 'python -c "$1"; python3 -c "$1"; PATH=$PATH:/x python -c "$1"', "sh", ASK]),
    "env": Step(command=["sh", "-c", 'printf "#!/usr/bin/env python3\\n%s" "$1" > s; chmod +x s; ./s', "sh", ASK]),
}


def seen(place, **more) -> set[str]:
    """All that steps say of the interpreter that they found."""
    run = place.submit(STEPS, **more)
    assert place.wait(run).state == "succeeded", {name: place.log(run, name) for name in STEPS}
    return {line for name in STEPS for line in place.log(run, name).decode().splitlines()}


def interpreter(folder: Path, name: str) -> Path:
    """A Python under another name, in a folder of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    say = "import sys; print(sys.argv[1], 'x')"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{say}" "$0"\n')
    path.chmod(0o755)
    return path


@pytest.mark.sampled(1)
@pytest.mark.parametrize("beside", ["another", "nothing", "a link", "a program with many names"])
@pytest.mark.parametrize("folder", ["two", "it's a 'folder'", "with:colon"])
def test_steps_find_the_very_interpreter(places, tmp_path, beside, folder):
    python = interpreter(tmp_path / folder, "python3.99")
    if beside == "a link":
        (python.parent / "python").symlink_to("python3.99")
    elif beside == "a program with many names":
        many = python.rename(python.with_name("shim"))
        for name in ("python", "python3", "python3.99"):
            python.with_name(name).symlink_to(many.name)
    elif beside == "another":
        for name in ("python", "python3"):
            python.with_name(name).write_text(OTHER)
            python.with_name(name).chmod(0o755)
    assert seen(places(python=python)) == {f"{python} x"}


def test_a_virtual_environment_stays_one(places, tmp_path):
    home = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
    python = home / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    plain = places(python=python)
    assert {line.split()[1] for line in seen(plain)} == {str(home)}
    assert not plain.layout.interpreters.exists()
    for name in ("python", "python3"):
        link = python.with_name(name)
        if link != python:
            link.unlink()
            link.write_text(OTHER)
            link.chmod(0o755)
    if python.is_symlink() and python.readlink().name in ("python", "python3"):
        python.unlink()
        python.symlink_to(sys.executable)
    place = places("other", python=python)
    assert seen(place) == {f"{python} {home}"}
    assert [oct(path.stat().st_mode)[-3:] for path in (place.layout.interpreters, *_scripts(place))] == [
        "700",
        "500",
        "500",
    ]


def _scripts(place) -> list[Path]:
    return sorted(place.layout.interpreters.glob("*/*"))


def _link(script: Path, other: Path) -> None:
    script.unlink()
    script.symlink_to(other)


def _folder_of_links(script: Path, other: Path) -> None:
    away = script.parent.rename(script.parent.parent.parent / "away")
    script.parent.symlink_to(away)
    _text(away / script.name, other)


def _text(script: Path, other: Path) -> None:
    script.chmod(0o700)
    script.write_text(other.read_text())
    script.chmod(0o500)


def _pipe(script: Path, other: Path) -> None:
    script.unlink()
    os.mkfifo(script)


def _folder(script: Path, other: Path) -> None:
    script.unlink()
    (script / "in" / "it").mkdir(parents=True)


def _closed(script: Path, other: Path) -> None:
    script.chmod(0)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("plant", [_link, _folder_of_links, _text, _pipe, _folder, _closed])
def test_what_a_step_puts_in_their_place_is_not_used(places, tmp_path, plant):
    python = interpreter(tmp_path / "two", "python3.99")
    place = places(python=python)
    assert seen(place) == {f"{python} x"}
    other = tmp_path / "other"
    other.write_text(OTHER)
    other.chmod(0o755)
    plant(_scripts(place)[0], other)
    assert seen(place) == {f"{python} x"}
    assert other.read_text() == OTHER
    assert all(script.stat().st_mode & 0o777 == 0o500 for script in _scripts(place))


@pytest.mark.parametrize("why", ["colon", "noexec"])
def test_a_root_that_cannot_hold_them_is_said(places, tmp_path, why, request):
    python = interpreter(tmp_path / "two", "python3.99")
    if why == "noexec":
        root = request.getfixturevalue("small_disk")(size="8m", noexec="")
        place = places(python=python, root=root.folder / "root")
    else:
        place = places("a:b", python=python)
    run = place.submit({"one": Step(command=["sh", "-c", "python -c 0"])})
    report = place.wait(run)
    assert report.state == "failed"
    assert {"colon": "has a `:`", "noexec": "noexec"}[why] in report.steps[0].error.message


def _no_python(folder: Path, name: str, script: str, mode: int = 0o755) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(mode)
    return path


UNUSABLE = {
    "is not there": lambda folder: folder / "python3.99",
    "what is not there": lambda folder: (folder / "link").symlink_to("nowhere") or folder / "link",
    "is a folder": lambda folder: folder,
    "is no file": lambda folder: os.mkfifo(folder / "pipe") or folder / "pipe",
    "may not be executed": lambda folder: _no_python(folder, "text", "echo 3.11.7", 0o644),
    "it says none": lambda folder: _no_python(folder, "ls", 'exec ls "$@"'),
    "asked for its version": lambda folder: _no_python(folder, "true", "exit 0"),
    "is no Python": lambda folder: _no_python(folder, "echo", 'echo "$@"'),
    "no Python: asked": lambda folder: _no_python(folder, "endless", "exec yes"),
}


@pytest.mark.parametrize("said", UNUSABLE)
def test_what_is_no_interpreter_is_said_by_whoever_looks(places, tmp_path, said):
    python = UNUSABLE[said](tmp_path)
    place = places(python=python)
    (problem,) = hooks.penstock_validate_pipeline(place.target, place.pipeline({"one": "true"}))
    assert (problem.severity, problem.code) == ("error", "python_unusable")
    assert said in problem.message and f"`{python}`" in problem.message and "\n" not in problem.message
    health = hooks.penstock_check_target(place.target)
    assert (health.ok, health.lines[-1]) == (False, problem.message)


def test_an_interpreter_is_asked_once_and_not_waited_for(places, tmp_path, monkeypatch):
    monkeypatch.setattr("penstock_local.interpreters._PATIENCE", 0.2)
    script = f"echo x >> {tmp_path}/asked; test -e {tmp_path}/slow && {{ sleep 600 & wait; }}; echo 3.99.1"
    place = places(python=_no_python(tmp_path, "python3.99", script))
    pipeline = place.pipeline({"one": "true"})
    assert [hooks.penstock_validate_pipeline(place.target, pipeline) for _ in range(3)] == [[], [], []]
    assert any(line.endswith("python3.99 (3.99.1)") for line in hooks.penstock_check_target(place.target).lines)
    assert (tmp_path / "asked").read_text() == "x\n"
    (tmp_path / "slow").touch()
    place = places(python=_no_python(tmp_path, "another", script))
    (problem,) = hooks.penstock_validate_pipeline(place.target, pipeline)
    assert problem.code == "python_unusable"


@pytest.mark.parametrize(("label", "words"), [(None, "submit it again"), ("1", "publish it again")])
def test_an_interpreter_that_goes_is_said_as_the_run_had_it(places, tmp_path, label, words):
    python = interpreter(tmp_path / "two", "python3.99")
    place = places(python=python)
    publication = place.publish({"one": ["python", "-c", "0"]})
    python.unlink()
    request = RunRequest(id="run", publication=publication, pipeline="test", label=label)
    hooks.penstock_submit_run(place.target, request)
    report = place.wait(RunRef(id="run", publication=publication))
    assert words in report.steps[0].error.message and f"the interpreter `{python}`" in report.steps[0].error.message


@pytest.mark.parametrize("gone", ["removed", "a link to nothing"])
def test_no_other_interpreter_takes_the_place_of_one_that_is_gone(places, tmp_path, gone):
    python = tmp_path / "own" / "python3"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    place = places(python=python)
    (python.parent / "python").symlink_to("python3")
    say = "print('another')"
    publication = place.publish({
        "first": Step(command=["python3", "-c", say]),
        "shell": Step(command=["sh", "-c", 'python3 -c "$1"', "sh", say]),
        "env": Step(command=["env", "python", "-c", say]),
    })  # fmt: skip
    python.unlink()
    if gone == "a link to nothing":
        python.symlink_to(tmp_path / "nothing")
    run = place.start(publication)
    assert place.wait(run).state == "failed"
    assert {step.state for step in place.get(run).steps} == {"failed"}
    assert not any(b"another\n" in place.log(run, name) for name in place.states(run))
    assert "is not there any more" in place.steps(run)["first"].error.message
