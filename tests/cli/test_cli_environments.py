"""Two virtual environments, one workspace: which `python` a step finds never depends on who came before."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.environments import VERSION, make_environment

SPEC = """\
apiVersion: penstock/v1
kind: Pipeline
name: which
steps: {say: {command: [python, -c, "import sys; print(sys.prefix)"]}}
"""


class Environment:
    """A virtual environment whose penstock works in a project."""

    def __init__(self, folder: Path, project: Path) -> None:
        self.folder, self.project = folder, project
        self.python = make_environment(folder)

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(self.python), "-m", "penstock", *arguments]
        return subprocess.run(command, cwd=self.project, capture_output=True, text=True, check=False)

    def run(self, *arguments: str) -> str:
        """The id of a run that ended."""
        done = self("submit", *arguments, "--wait", "--quiet")
        assert done.returncode == 0, done.stderr
        return done.stdout.split()[0]

    def prefix(self, run: str) -> str:
        """Where the step of a run had its `python` from."""
        return self("run", "logs", run).stdout.strip()


@pytest.fixture
def environments(project, tmp_path):
    (project / "which.yaml").write_text(SPEC)
    config = (project / "penstock.yaml").read_text()
    (project / "penstock.yaml").write_text(config.replace("idle: 2s", "idle: 60s"))
    return Environment(tmp_path / "one", project), Environment(tmp_path / "two", project)


@pytest.mark.thorough
def test_a_run_has_the_environment_that_it_was_submitted_from(environments):
    one, two = environments
    for each in (one, two):
        assert one.prefix(each.run("which.yaml")) == str(each.folder)


@pytest.mark.thorough
def test_a_version_has_the_environment_that_it_was_published_from(environments):
    one, two = environments
    assert one("publish", "which.yaml", "--endpoint", "which").returncode == 0
    run = two.run("which")
    assert two.prefix(run) == str(one.folder)
    shown = json.loads(two("run", "show", run, "--json").stdout)
    assert shown["details"] == {"python": f"{one.python} ({VERSION})"}
    # Publishing the same again changes nothing; another label has an environment of its own.
    assert two("publish", "which.yaml", "--endpoint", "which").returncode == 0
    assert two.prefix(two.run("which")) == str(one.folder)
    assert two("publish", "which.yaml", "--endpoint", "which", "--label", "new", "--default").returncode == 0
    assert one.prefix(one.run("which")) == str(two.folder)
    # What is gone is said, and no other interpreter is taken in its place.
    shutil.rmtree(one.folder)
    done = two("submit", "which@0", "--wait")
    assert done.returncode == 1
    assert f"the interpreter `{one.python}`, which was frozen when this was published, is not there" in done.stderr


@pytest.mark.thorough
def test_what_was_published_keeps_its_interpreter_and_says_so(environments, project):
    one, two = environments
    assert one("publish", "which.yaml").returncode == 0
    again = two("publish", "which.yaml", "--json")
    (warning,) = json.loads(again.stdout)["warnings"]
    assert warning["code"] == "option_frozen"
    assert f"`python: {one.python}`, which stays" in warning["message"] and f"`{two.python}`" in warning["message"]
    assert json.loads(one("publish", "which.yaml", "--json").stdout)["warnings"] == []


@pytest.mark.thorough
def test_a_target_whose_interpreter_is_none_is_refused_before_anything_runs(environments, project):
    one, _ = environments
    config = (project / "penstock.yaml").read_text()
    (project / "penstock.yaml").write_text(config.replace("slots: 4", "slots: 4, python: /bin/ls"))
    for command in ("validate", "publish", "submit"):
        done = one(command, "which.yaml", "--json")
        assert done.returncode == 9, done
        assert "python_unusable" in done.stdout + done.stderr
    health = one("target", "check")
    assert health.returncode == 10 and "`/bin/ls`: it is no Python" in health.stdout + health.stderr


@pytest.mark.thorough
def test_the_target_may_say_the_interpreter(environments, project):
    one, two = environments
    config = (project / "penstock.yaml").read_text()
    said = os.path.relpath(two.python, project)
    (project / "penstock.yaml").write_text(config.replace("slots: 4", f"slots: 4, python: {said}"))
    assert one.prefix(one.run("which.yaml")) == str(two.folder)
    assert json.loads(one("target", "list", "--json").stdout)
