"""Law 12 at the door: a submitter killed at any moment loses no accepted run and doubles none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.workspace import Workspace


@pytest.fixture
def endpoint(workspace, project):
    workspace.pipelines.publish(project / "greet.yaml", endpoint="hello")
    workspace.submit("hello").wait()
    return project


@pytest.mark.thorough
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(milliseconds=st.integers(0, 600), key=st.uuids())
def test_a_submitter_killed_at_any_moment_loses_and_doubles_nothing(endpoint, milliseconds, key):
    command = [sys.executable, "-m", "penstock", "submit", "hello", "--idempotency-key", str(key)]
    submitter = subprocess.Popen(command, cwd=endpoint, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(milliseconds / 1000)
    os.kill(submitter.pid, signal.SIGKILL)
    submitter.wait()
    with Workspace.open(endpoint, actor="bo") as later:
        accepted = [run for run in later.runs.list().items if run.idempotency_key == str(key)]
        assert len(accepted) <= 1
        for run in accepted:
            assert later.runs.wait(run.id, timeout=60).state == "succeeded"
        again = later.submit("hello", idempotency_key=str(key)).wait(timeout=60)
        assert [run.id for run in accepted] in ([], [again.id])
        with_key = [run for run in later.runs.list(limit=500).items if run.idempotency_key == str(key)]
        assert [run.id for run in with_key] == [again.id]
        assert later.admin.check().ok
        jobs = list((endpoint / ".penstock/local/laptop/runs").iterdir())
        assert len(jobs) == len(later.runs.list(limit=500).items)
