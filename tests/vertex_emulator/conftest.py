"""What the tests of the Vertex emulator need: Google's own client, which the cloud lock installs."""

from __future__ import annotations

from pathlib import Path

import pytest


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


@pytest.fixture(scope="module")
def anybodys(emulated, tmp_path_factory):
    """An emulator that is sent anything: among it what deletes the things that other tests of the shared one use."""
    running = emulated.Emulated(tmp_path_factory.mktemp("anybodys") / "state")
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
