"""What survives: jobs, objects, logs. What does not: processes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest


def wait_for(true: Any) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def begun(emulator: Any, e: Any, **given: Any) -> tuple[str, list[int]]:
    """A job whose first task is done and whose second waits for the object `go`; the pids of the second."""
    wait = (
        'trap "" TERM; sleep 600 & setsid sleep 600 & echo begun $! $$; '
        'while [ ! -e "$PENSTOCK_GCS/${1#gs://}/go" ]; do sleep 0.02; done; echo went on; printf %s "$2" > "$3"'
    )
    first = e.step('date +%N > "$1"', "sh", e.output_file("now"), outputs={"parameters": {"now": e.STRING}})
    second = e.step(
        wait,
        "sh",
        "{{$.pipeline_root}}",
        e.parameter("now"),
        e.output_file("again"),
        inputs={"parameters": {"now": e.STRING}},
        outputs={"parameters": {"again": e.STRING}},
        sources={"parameters": {"now": e.from_task("first", "now")}},
    )
    name = emulator.submit(e.pipeline({"first": first, "second": second}), **given).name
    emulator.wait(name, lambda job: "second" in e.details(job) and b"begun" in emulator.log(name, "second"))
    return name, [int(one) for one in re.findall(rb"\d+", emulator.log(name, "second"))]


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_an_interrupted_job_is_gone_on_with_and_no_process_is_left(fresh, emulated, end: str) -> None:
    name, pids = begun(fresh, emulated, labels={"kept": "yes"})
    before = emulated.details(fresh.pipelines.get_pipeline_job(name=name, timeout=30))
    assert getattr(fresh, end)() in (None, 0)
    wait_for(lambda: not any(emulated.alive(pid) for pid in pids))

    fresh.start()
    fresh.bucket.blob("runs/go").upload_from_string(b"")
    job = fresh.wait(name)
    assert job.state.name == "PIPELINE_STATE_SUCCEEDED", job
    assert job.labels == {"kept": "yes"}
    after = emulated.details(job)
    assert after["first"] == before["first"]  # done once
    assert emulated.outputs(after["second"])["again"] == emulated.outputs(after["first"])["now"]
    text = fresh.log(name, "second")
    assert text.count(b"begun") == 2  # begun once more, from its beginning
    assert text.count(b"went on") == 1


def test_a_cancellation_survives(fresh, emulated) -> None:
    name, pids = begun(fresh, emulated)
    fresh.pipelines.cancel_pipeline_job(name=name, timeout=30)
    fresh.kill()
    fresh.start()
    job = fresh.wait(name)
    assert job.state.name == "PIPELINE_STATE_CANCELLED"
    assert {one.state.name for task, one in emulated.details(job).items() if task != "first"} == {"CANCELLED"}
    assert not any(emulated.alive(pid) for pid in pids)


def test_when_the_watcher_is_killed_too_the_next_emulator_ends_what_is_left(fresh, emulated) -> None:
    _, pids = begun(fresh, emulated)
    pid = fresh.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    (watcher,) = [one for one in children if b"processes.py" in Path(f"/proc/{one}/cmdline").read_bytes()]
    os.kill(int(watcher), signal.SIGKILL)
    fresh.kill()
    time.sleep(0.2)
    assert all(emulated.alive(pid) for pid in pids)
    fresh.start()
    assert not any(emulated.alive(pid) for pid in pids)


def test_objects_survive(fresh) -> None:
    blob = fresh.bucket.blob("kept")
    blob.metadata = {"a": "b"}
    blob.upload_from_string(b"kept", content_type="text/x")
    generation = blob.generation
    fresh.kill()
    fresh.start()
    found = fresh.bucket.get_blob("kept")
    assert (found.generation, found.content_type, found.metadata) == (generation, "text/x", {"a": "b"})
    assert found.download_as_bytes() == b"kept"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_cleanly(fresh, number: int) -> None:
    assert fresh.stop(number) == 0
    assert "Traceback" not in fresh.errors.read_text()


def test_one_state_has_one_emulator(fresh, emulated) -> None:
    command = [str(emulated.PENSTOCK), "emulate", "vertex", "--state", str(fresh.state)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == 2
    assert re.fullmatch(r"error: another emulator works on \S+\n", second.stderr)


def test_a_port_that_is_taken_is_said(fresh, emulated, tmp_path) -> None:
    port = fresh.url.rpartition(":")[2]
    command = [str(emulated.PENSTOCK), "emulate", "vertex", "--port", port, "--state", str(tmp_path / "other")]
    second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == 2
    assert f"port {port} cannot be listened on" in second.stderr


def test_without_a_folder_nothing_stays(emulated, tmp_path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [str(emulated.PENSTOCK), "emulate", "vertex"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
    lines = [process.stdout.readline() for _ in range(13)]
    assert len(list(tmp_path.iterdir())) == 1
    process.terminate()
    assert process.wait(60) == 0
    process.stdout.close()
    assert not list(tmp_path.iterdir())

    import yaml

    text = "".join(lines)
    (target,) = yaml.safe_load(text)["targets"].values()
    assert target["backend"] == "vertex"
    assert target["api_endpoint"].startswith("http://127.0.0.1:")
    assert f"export STORAGE_EMULATOR_HOST={target['storage_endpoint']}" in text
