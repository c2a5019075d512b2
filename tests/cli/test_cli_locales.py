"""Locales whose text is not UTF-8: names in files and on disk are what they are, and what cannot be said is told."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

SPEC = """\
apiVersion: penstock/v1
kind: Pipeline
name: names
parameters: {data: {type: file, default: dä日.txt}}
steps:
  say: {code: cöde/日, inputs: {data: "${{ parameters.data }}"}, command: [sh, -c, "ls; cat $0", "${{ inputs.data }}"]}
"""


@pytest.fixture(params=["ascii", "iso8859-1"])
def locale(request, tmp_path):
    """The variables of a locale."""
    if request.param == "ascii":
        return {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    made = tmp_path / "locales" / "en_US.ISO-8859-1"
    made.parent.mkdir()
    if shutil.which("localedef"):
        subprocess.run(["localedef", "-i", "en_US", "-f", "ISO-8859-1", made], capture_output=True, check=False)
    if not made.is_dir():
        pytest.skip("needs localedef and the sources of locales")
    return {"LOCPATH": str(made.parent), "LC_ALL": made.name, "PYTHONUTF8": "0"}


@pytest.fixture
def call(project, locale):
    def penstock(*words: str | bytes, here: bool = True) -> subprocess.CompletedProcess[bytes]:
        environment = {**os.environ, **(locale if here else {"LC_ALL": "C.UTF-8"})}
        command = [sys.executable, "-m", "penstock", *words]
        done = subprocess.run(command, cwd=project, env=environment, capture_output=True, check=False)
        assert b"Traceback" not in done.stderr and b"is a bug" not in done.stdout + done.stderr, done
        return done

    return penstock


def test_names_on_disk_travel_as_they_are_in_any_locale(project, call):
    code = project / "cöde" / "日"
    (code / "ünter").mkdir(parents=True)
    for name in ("ä日.py", "ünter/é.py", "weg.tmp", "ö.weg"):
        (code / name).write_text(name)
    (project / "cöde" / ".gitignore").write_text("*.tmp\nö.*\n")
    (project / "dä日.txt").write_text("data")
    (project / "names.yaml").write_text(SPEC)
    digests = []
    for here in (False, True):
        done = call("validate", "names.yaml", "--json", here=here)
        assert done.returncode == 0, done
        (said,) = json.loads(done.stdout.decode("utf-8" if not here else "ascii"))["files"]
        digests.append((said["digest"], said["bundled"]))
    assert digests[0] == digests[1]
    assert call("publish", "names.yaml", "--endpoint", "names").returncode == 0
    run = call("submit", "names", "--wait", "-q").stdout.decode().strip()
    assert set(call("run", "logs", run).stdout.decode().split()) == {"ünter", "ä日.py", "data"}


def test_what_is_missing_is_told_and_no_bug(project, call):
    (project / "names.yaml").write_text(SPEC)
    done = call("validate", "names.yaml", "--json")
    assert done.returncode == 3 and json.loads(done.stdout.decode("ascii"))["error"]["code"] == "file_not_found"


@pytest.mark.sampled(2)
@pytest.mark.parametrize("words", [["endpoint", "show", b"z\xc3\xbcrich"], ["submit", "x", "--tag", b"a=\xc3\xb6"]])
def test_an_argument_that_is_no_text_here_is_refused_with_what_to_do(project, call, locale, words):
    call("publish", "greet.yaml", "--endpoint", "x")
    done = call(*words)
    if locale["LC_ALL"] == "C":  # the other has a character for each byte
        assert done.returncode == 2
        assert b"this locale has no such text: set another one, as by LC_ALL=C.UTF-8" in done.stderr
    assert json.loads(call(*words, "--json").stdout.decode("ascii"))
    assert json.loads(call("endpoint", "list", "--json", here=False).stdout)["items"][0]["name"] == "x"


def test_bytes_that_are_no_text_anywhere_are_not_the_locale_s_fault(project, cli):
    cli("publish", "greet.yaml", "--endpoint", "x")
    done = subprocess.run(
        [sys.executable, "-m", "penstock", "submit", "x", "--tag", b"a=\xf6"],
        cwd=project,
        env={**os.environ, "LC_ALL": "C.UTF-8", "PYTHONUTF8": "0"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2 and b"LC_ALL" not in done.stderr, done
