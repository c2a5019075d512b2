"""One real play of the demo for all its tests, and a shell that knows the `penstock` under test."""

from __future__ import annotations

import subprocess

import pytest


@pytest.fixture(scope="session")
def played(tmp_path_factory, engines_end, shell_environment):
    """The folder where `penstock demo` ran with its output in a pipe, and what it printed."""
    folder = tmp_path_factory.mktemp("demo")
    # A real target that the demo must not touch.
    env = shell_environment | {"PENSTOCK_TARGET": "prod", "PENSTOCK_REGISTRY": str(folder / "elsewhere.db")}
    done = subprocess.run(["penstock", "demo"], cwd=folder, env=env, capture_output=True, text=True, timeout=300)
    yield folder, done
    engines_end(folder)
