"""What the tests of the Azure ML backend need: an emulator, and what Microsoft's own client needs to reach it."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

IMAGES: dict[str, tuple[str, bool]] = {
    "dash": ("dash", True),
    "busybox": ("busybox", True),
    "dash without Python": ("dash", False),
    "busybox without Python": ("busybox", False),
}
"""Images that the launcher is tried in: the shell, and whether they have a Python."""

PENSTOCK = Path(sys.executable).with_name("penstock")


@contextmanager
def _emulated(place: Path) -> Iterator[dict[str, Any]]:
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(
            [PENSTOCK, "emulate", "azureml", "--json", "--state", place / "state"],
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=place,
        )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, (place / "log").read_text()
        yield json.loads(line)
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


def _asked(emulator: dict[str, Any], verb: str = "GET", **fault: Any) -> dict[str, Any]:
    """Ask an emulator for a fault, or what it was asked for and how often each method was called."""
    data = json.dumps(fault).encode() if fault else None
    request = urllib.request.Request(f"{emulator['url']}/emulator/v1/faults", data, method=verb)
    trusted = ssl.create_default_context(cafile=emulator["target"]["ca"])
    with urllib.request.urlopen(request, timeout=10, context=trusted) as answer:
        return dict(json.load(answer))


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """One that runs, for all tests of this process: its `url`, the options of a `target`, and variables, `env`."""
    with _emulated(tmp_path_factory.mktemp("emulator")) as running:
        yield running


@pytest.fixture(scope="session")
def losing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """One that loses the first and every third answer about each thing."""
    with _emulated(tmp_path_factory.mktemp("losing")) as running:
        _asked(running, "POST", method="*", every=3, lose_answer=True)
        yield running


@pytest.fixture
def target(emulator: dict[str, Any]) -> dict[str, Any]:
    """The options of a target that reaches the emulator."""
    return dict(emulator["target"])


@pytest.fixture
def faults(emulator: dict[str, Any]) -> Iterator[Callable[..., dict[str, Any]]]:
    """Asks the emulator for a fault, or without one for what was called since the test began."""
    _asked(emulator, "DELETE")
    yield lambda method="", **fault: _asked(emulator, "POST", method=method, **fault) if method else _asked(emulator)
    _asked(emulator, "DELETE")


@pytest.fixture
def between(emulator: dict[str, Any], tmp_path: Path, importing: Any) -> Iterator[Any]:
    """Whoever stands between a target and the emulator (see `azureml_between.py`); its `target` leads there."""
    with importing(Path(__file__).with_name("azureml_between.py")).between(tmp_path, emulator) as running:
        yield running


@pytest.fixture(scope="session")
def containers(importing: Any) -> ModuleType:
    """The module of `azureml_containers.py` beside this file."""
    module: ModuleType = importing(Path(__file__).with_name("azureml_containers.py"))
    return module


@pytest.fixture(scope="module", params=IMAGES)
def path(request: pytest.FixtureRequest, importing: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The PATH of an image; where a shell is not installed, its tests are skipped by name, but not in CI."""
    shell, python = IMAGES[request.param]
    images = importing(Path(__file__).parents[1] / "vertex" / "containers.py")
    folder = tmp_path_factory.mktemp("image") / "bin"
    found: str | None = images.image(folder, shell, python=python)
    if found is None:
        (pytest.fail if os.environ.get("PENSTOCK_TEST_CLOUD") else pytest.skip)(f"`{shell}` is not installed here")
    return found
