"""What the tests of the Azure ML emulator need: Microsoft's own client, which the cloud lock installs."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def emulated(importing):
    """The module `emulated.py` beside this file, under a name of its own."""
    return importing(Path(__file__).with_name("azureml_emulated.py"))


@pytest.fixture(scope="session")
def emulator(emulated, tmp_path_factory):
    """One emulator for all tests of a worker that leave it as they found it."""
    running = emulated.Emulated(tmp_path_factory.mktemp("emulator") / "state")
    yield running
    assert running.stop() == 0, running.errors.read_text()
    assert "Traceback" not in running.errors.read_text()


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


@pytest.fixture(scope="session")
def sdk():
    """Microsoft's SDK, imported: what is imported once with warnings as errors stays half imported."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import azure.ai.ml
        import azure.ai.ml.entities
    return azure.ai.ml


@pytest.fixture
def client(emulator, monkeypatch, sdk):
    """Microsoft's own MLClient to the shared emulator, told where it is by variables alone."""
    for name, value in emulator.info["env"].items():
        monkeypatch.setenv(name, value)
    return emulator.client()
