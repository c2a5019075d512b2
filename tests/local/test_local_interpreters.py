"""Steps find the interpreter of their target as `python` and `python3`, whatever lies beside it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.spec import Step

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
