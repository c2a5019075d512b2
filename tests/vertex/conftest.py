"""What the tests of the Vertex backend need: Google's own client, which the cloud lock installs, and an emulator."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PENSTOCK = Path(sys.executable).with_name("penstock")

NEEDED = ("google.cloud.aiplatform_v1", "google.cloud.storage", "kfp")


def _missing() -> list[str]:
    return [name for name in NEEDED if not _found(name)]


def _found(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    missing = _missing()
    if not missing:
        return
    if os.environ.get("PENSTOCK_TEST_CLOUD"):
        raise pytest.UsageError(f"the suites of the cloud backends need {', '.join(missing)}")
    skip = pytest.mark.skip(reason=f"needs {', '.join(missing)}: see `requirements-cloud.lock`")
    here = os.path.dirname(__file__)
    for item in items:
        if str(item.path).startswith(here + os.sep):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What `penstock emulate vertex --json` says of one that runs; all tests of this process share it."""
    place = tmp_path_factory.mktemp("emulator")
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
        yield json.loads(line)
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


@pytest.fixture
def target(emulator: dict[str, Any]) -> dict[str, Any]:
    """The options of a target that reaches the emulator."""
    return dict(emulator["target"])
