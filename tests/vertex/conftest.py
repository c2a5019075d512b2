"""What the tests of the Vertex backend need: Google's own client, which the cloud lock installs, and an emulator."""

from __future__ import annotations

import json
import os
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
    "bash": ("bash", True),
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
            [PENSTOCK, "emulate", "vertex", "--json", "--grpc-port", "0", "--state", place / "state"],
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=place,
        )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, (place / "log").read_text()
        said = json.loads(line)
        grpc = said["target"]
        rest = {**grpc, "transport": "rest", "api_endpoint": said["url"]}
        yield {"url": said["url"], "target": rest, "grpc": grpc}
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """One that runs, for all tests of this process: its `url`, the options of a `target` by REST, and by `grpc`."""
    with _emulated(tmp_path_factory.mktemp("emulator")) as running:
        yield running


@pytest.fixture(scope="session")
def losing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """One that loses the first and every third answer about each thing."""
    with _emulated(tmp_path_factory.mktemp("losing")) as running:
        fault = json.dumps({"method": "*", "every": 3, "lose_answer": True}).encode()
        urllib.request.urlopen(f"{running['url']}/emulator/v1/faults", fault, timeout=10).close()
        yield running


@pytest.fixture
def target(emulator: dict[str, Any]) -> dict[str, Any]:
    """The options of a target that reaches the emulator."""
    return dict(emulator["target"])


@pytest.fixture(scope="session")
def containers(importing: Any) -> ModuleType:
    """The module of `containers.py`."""
    module: ModuleType = importing(Path(__file__).with_name("containers.py"))
    return module


@pytest.fixture(scope="module", params=IMAGES)
def path(request: pytest.FixtureRequest, containers: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The PATH of an image; where a shell is not installed, its tests are skipped by name, but not in CI."""
    shell, python = IMAGES[request.param]
    found: str | None = containers.image(tmp_path_factory.mktemp("image") / "bin", shell, python=python)
    if found is None:
        (pytest.fail if os.environ.get("PENSTOCK_TEST_CLOUD") else pytest.skip)(f"`{shell}` is not installed here")
    return found


@pytest.fixture
def faults(emulator: dict[str, Any]) -> Iterator[Callable[..., dict[str, Any]]]:
    """Asks the emulator for a fault, or without one for what was called since the test began."""
    address = f"{emulator['url']}/emulator/v1/faults"

    def ask(method: str = "", **fault: Any) -> dict[str, Any]:
        data = json.dumps({"method": method, **fault}).encode() if method else None
        request = urllib.request.Request(address, data, method="POST" if method else "GET")
        with urllib.request.urlopen(request, timeout=10) as answer:
            return dict(json.load(answer))

    forget = urllib.request.Request(address, method="DELETE")
    urllib.request.urlopen(forget, timeout=10).close()
    yield ask
    urllib.request.urlopen(forget, timeout=10).close()


@pytest.fixture
def job(importing: Any, target: dict[str, Any]) -> Callable[..., Any]:
    """Starts a job of one step, a shell script; see `logged.py`."""
    module: ModuleType = importing(Path(__file__).with_name("logged.py"))
    return lambda script, **more: module.Job(target, script, **more)


@pytest.fixture
def anew() -> Callable[[], None]:
    """Forgets what this process keeps of logs, as another process would not know it."""
    from penstock_vertex import logs

    return logs._logs.clear
