"""What is released: complete, typed, and working in an environment that has nothing else."""

import json
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.thorough

EMULATORS = ("penstock_emulator", "penstock_azureml_emulator", "penstock_vertex_emulator")
PLUGINS = ("penstock_audit", "penstock_azureml_v1", "penstock_metrics", *EMULATORS)
BACKENDS = ("penstock_local", "penstock_azureml", "penstock_vertex")
FLOORS = {"penstock": "framework", **dict.fromkeys(BACKENDS, "backends"), **dict.fromkeys(PLUGINS, "plugins")}
ROOTS = tuple(FLOORS)
EXTRAS = ("penstock.testing", "penstock.server", "penstock_metrics.meters", "penstock_metrics.routes")
"""What needs an extra."""


def test_the_wheel_holds_the_import_roots_typed_and_nothing_else(built: Any) -> None:
    names = zipfile.ZipFile(built.wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == set(ROOTS)
    assert {f"{root}/py.typed" for root in ROOTS} <= set(names)
    assert not [name for name in names if "__pycache__" in name or name.startswith("tests")]
    assert [name for name in names if name.endswith("licenses/LICENSE")]


def test_the_sdist_holds_what_a_packager_needs(built: Any) -> None:
    with tarfile.open(built.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    expected = {
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "requirements.lock",
        "requirements-cloud.lock",
        "tests/test_house.py",
    }
    expected |= {f"{floor}/{root}/py.typed" for root, floor in FLOORS.items()}
    assert expected <= names
    assert [name for name in names if name.startswith("specs/schema/")]
    assert not [name for name in names if "__pycache__" in name or name.startswith(".venv") or ".penstock" in name]


def test_the_metadata_declares_the_entry_points(built: Any) -> None:
    with zipfile.ZipFile(built.wheel) as wheel:
        (name,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
        text = wheel.read(name).decode()
    assert "penstock = penstock.cli:main" in text
    assert "local = penstock_local.hooks" in text
    assert "audit = penstock_audit.hooks:Audit" in text
    assert "metrics = penstock_metrics.hooks:Metrics" in text


def test_help_works_in_a_clean_environment(environment: Any, tmp_path: Path) -> None:
    done = environment.run([environment.folder / "bin" / "penstock", "--help"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "Usage: penstock" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_kit_says_which_extra_it_needs(environment: Any, tmp_path: Path) -> None:
    done = environment.run([environment.folder / "bin" / "penstock", "conformance", "local"], tmp_path)
    assert done.returncode == 4, done.stderr
    assert done.stderr.strip().endswith("Install it with: pip install 'penstock[testing]'")
    assert len(done.stderr.splitlines()) == 1


IMPORT_ALL = """
import importlib, json, pkgutil
names = []
for root in {roots!r}:
    package = importlib.import_module(root)
    names.append(root)
    for found in pkgutil.walk_packages(package.__path__, root + "."):
        if found.name.startswith({extras!r}) or found.name.endswith("__main__"):
            continue
        importlib.import_module(found.name)
        names.append(found.name)
print(json.dumps([names, [importlib.import_module(root).__file__ for root in {roots!r}]]))
"""


def test_every_module_imports_with_the_declared_dependencies_alone(environment: Any, tmp_path: Path) -> None:
    done = environment.run(
        [environment.python, "-W", "error", "-c", IMPORT_ALL.format(roots=ROOTS, extras=EXTRAS)], tmp_path
    )
    assert done.returncode == 0, done.stderr
    names, files = json.loads(done.stdout)
    assert len(names) > 40
    assert all(file.startswith(str(environment.folder)) for file in files)


CONSUMER = '''"""A program that uses the installed package, as strictly typed as can be."""

from pathlib import Path

import penstock
from penstock import Parameter, Pipeline, Step, Workspace, hookimpl
from penstock.contract.hooks import Event


class Bell:
    """A plugin."""

    @hookimpl
    def penstock_run_changed(self, event: Event) -> None:
        """Ring."""
        print(event.subject)


def pipeline() -> Pipeline:
    """A pipeline in Python."""
    return Pipeline(
        name="digits",
        parameters={"depth": Parameter("integer", default=8, minimum=1)},
        steps={"train": Step(command=("python", "train.py", "${{ parameters.depth }}"))},
    )


def open_workspace(folder: Path) -> Workspace:
    """A workspace."""
    return Workspace.open(folder)


reveal_type(pipeline().steps)
reveal_type(penstock.PenstockError("x").code)
'''


def check(environment: Any, folder: Path, name: str, source: str) -> subprocess.CompletedProcess[str]:
    (folder / name).write_text(source)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--python-executable", environment.python]
    cache = environment.folder / "mypy_cache"
    return subprocess.run(
        [*command, "--cache-dir", cache, name], cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )


def test_a_consumer_of_the_wheel_is_checked_strictly(environment: Any, tmp_path: Path) -> None:
    done = check(environment, tmp_path, "consumer.py", CONSUMER)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r'Revealed type is "[\w.]*Mapping\[(builtins\.)?str, penstock\.spec\.steps\.Step\]"', done.stdout)
    assert re.search(r'Revealed type is "(builtins\.)?str"', done.stdout)


def test_a_mistake_of_a_consumer_is_found(environment: Any, tmp_path: Path) -> None:
    done = check(environment, tmp_path, "mistaken.py", "from penstock import Step\n\nStep(command=7)\n")
    assert "arg-type" in done.stdout, done.stdout + done.stderr
