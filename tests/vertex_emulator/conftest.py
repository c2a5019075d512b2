"""What the tests of the Vertex emulator need: Google's own client, which the cloud lock installs."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

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
def emulated(importing):
    """The module `emulated.py` beside this file."""
    return importing(Path(__file__).with_name("emulated.py"))


@pytest.fixture(scope="session")
def exceptions():
    """Google's exceptions."""
    from google.api_core import exceptions

    return exceptions


@pytest.fixture(scope="session")
def emulator(emulated, tmp_path_factory):
    """One emulator for all tests of a worker that leave it as they found it."""
    running = emulated.Emulated(tmp_path_factory.mktemp("emulator") / "state")
    yield running
    assert running.stop() == 0, running.errors.read_text()


@pytest.fixture
def fresh(emulated, tmp_path):
    """An emulator of the test's own."""
    running = emulated.Emulated(tmp_path / "state")
    yield running
    if running.process.poll() is None:
        running.stop()


@pytest.fixture
def faulty(emulator):
    """The shared emulator, with what it will do wrong forgotten afterwards."""
    yield emulator
    emulator.fault()
