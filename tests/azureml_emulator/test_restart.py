"""What survives: jobs, blobs, logs. What does not: processes."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest


def begun(emulator, e) -> tuple[str, list[int]]:
    """A job whose first step is done and whose second waits for a file; the pids of the second."""
    first = emulator.command("date +%N > ${{outputs.now}}", outputs={"now": {"type": "uri_file"}})
    wait = (
        "trap '' TERM; sleep 600 & setsid sleep 600 & echo begun $! $$; "
        f"while [ ! -e {emulator.state.parent}/go ]; do sleep 0.02; done; echo went on; "
        "cp ${{inputs.now}} ${{outputs.same}}"
    )
    ports = {"inputs": {"now": {"type": "uri_file"}}, "outputs": {"same": {"type": "uri_file"}}}
    nodes = {
        "first": e.node(first),
        "second": e.node(emulator.command(wait, **ports), {"now": "${{parent.jobs.first.outputs.now}}"}),
    }
    name = emulator.submit(emulator.pipeline(nodes), tags={"kept": "yes"})
    deadline = time.monotonic() + 30
    while "second" not in (children := emulator.children(name)) or "begun" not in emulator.log(
        children["second"]["runId"]
    ):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return name, [int(one) for one in re.findall(r"\d+", emulator.log(children["second"]["runId"]))]


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_an_interrupted_job_is_gone_on_with_and_no_process_is_left(fresh, emulated, end: str) -> None:
    name, pids = begun(fresh, emulated)
    before = fresh.children(name)
    assert getattr(fresh, end)() in (None, 0)
    deadline = time.monotonic() + 30
    while any(emulated.alive(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.02)

    fresh.start()
    (fresh.state.parent / "go").touch()
    job = fresh.wait(name)
    assert (job["status"], job["tags"]) == ("Completed", {"kept": "yes"})
    after = fresh.children(name)
    assert after["first"] == before["first"]  # done once
    assert after["second"]["runId"] == before["second"]["runId"]
    run = after["second"]["runId"]
    assert fresh.output(run, "same") == fresh.output(after["first"]["runId"], "now")
    assert fresh.log(run).count("begun") == 2  # begun once more, from its beginning
    assert fresh.log(run).count("went on") == 1


def test_a_cancellation_survives(fresh, emulated) -> None:
    name, pids = begun(fresh, emulated)
    assert fresh.arm("POST", f"jobs/{name}/cancel").status == 202
    fresh.kill()
    fresh.start()
    assert fresh.wait(name)["status"] == "Canceled"
    assert not any(emulated.alive(pid) for pid in pids)


def test_blobs_and_who_is_trusted_survive(fresh) -> None:
    told = {"x-ms-blob-type": "BlockBlob", "x-ms-meta-a": "b"}
    assert fresh.blob("kept", verb="PUT", data=b"kept", **told).status == 201
    before, authority = fresh.blob("kept"), Path(fresh.target["ca"]).read_text()
    fresh.kill()
    fresh.start()
    assert Path(fresh.target["ca"]).read_text() == authority
    after = fresh.blob("kept")
    assert (after.data, after.headers["ETag"], after.headers["x-ms-meta-a"]) == (b"kept", before.headers["ETag"], "b")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_cleanly(fresh, number: int) -> None:
    assert fresh.stop(number) == 0
    assert "Traceback" not in fresh.errors.read_text()


def test_one_state_has_one_emulator(fresh, emulated) -> None:
    command = [str(emulated.PENSTOCK), "emulate", "azureml", "--state", str(fresh.state)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == 2
    assert re.fullmatch(r"error: another emulator works on \S+\n", second.stderr)


def test_a_port_that_is_taken_is_said(fresh, emulated, tmp_path) -> None:
    port = fresh.url.rpartition(":")[2]
    command = [str(emulated.PENSTOCK), "emulate", "azureml", "--port", port, "--state", str(tmp_path / "other")]
    second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == 2
    assert f"port {port} cannot be listened on" in second.stderr


@pytest.mark.parametrize("name", ["ca.pem", "ca.key"])
def test_certificates_that_cannot_be_read_end_it_and_leave_nothing(emulated, fresh, name) -> None:
    fresh.stop()
    (fresh.state / name).write_text("garbage")
    command = [str(emulated.PENSTOCK), "emulate", "azureml", "--state", str(fresh.state)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "remove both" in done.stderr
    for each in ("ca.pem", "ca.key"):
        (fresh.state / each).unlink()
    fresh.start()


def test_without_a_folder_nothing_stays(emulated, tmp_path) -> None:
    tmp_path = tmp_path / "it's: a #folder"
    tmp_path.mkdir()
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [str(emulated.PENSTOCK), "emulate", "azureml"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
    lines = [process.stdout.readline() for _ in range(14)]
    assert len(list(tmp_path.iterdir())) == 1
    process.terminate()
    assert process.wait(60) == 0
    process.stdout.close()
    assert not list(tmp_path.iterdir())

    import yaml

    text = "".join(lines)
    (target,) = yaml.safe_load(text)["targets"].values()
    assert target["backend"] == "azureml"
    assert target["resource_manager"].startswith("https://127.0.0.1:")
    assert Path(target["ca"]).parent.parent == tmp_path
    exported = next(line for line in lines if "REQUESTS_CA_BUNDLE" in line)
    assert shlex.split(exported.removeprefix("# ")) == ["export", f"REQUESTS_CA_BUNDLE={target['ca']}"]


def test_steps_of_the_next_emulator_are_left_alone_by_the_watcher_of_the_last(fresh) -> None:
    """A killed emulator's watcher ends what that one left for most of a second, while the next goes on already."""
    pipeline = fresh.pipeline({"only": {"type": "command", "componentId": fresh.command("sleep 1.5")}})
    names = [fresh.submit(pipeline) for _ in range(4)]
    for _ in range(3):
        fresh.kill()
        fresh.start()
    assert [fresh.wait(name)["status"] for name in names] == ["Completed"] * 4


def test_it_listens_where_it_did(fresh) -> None:
    before = fresh.url
    fresh.stop()
    fresh.start()
    assert fresh.url == before
    fresh.stop()
    with socket.create_server(("127.0.0.1", int(before.rpartition(":")[2]))):
        fresh.start()
    assert fresh.url != before
