"""The command: the line that says it is ready, where it may listen, and an end that drops nothing."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import sqlite3
import subprocess
import threading
import time
from contextlib import closing

import pytest


@pytest.mark.sampled(1)
@pytest.mark.parametrize(("options", "said"), [
    (("--host", "0.0.0.0", "--no-auth"), "only this machine may be served"),
    (("--tls-cert", "x.pem"), "give both"),
    (("--tls-cert", "x.pem", "--tls-key", "y.pem"), "`x.pem` cannot be read: no such file or directory"),
    (("--tls-cert", "/dev/null", "--tls-key", "/dev/null"), "`/dev/null` and `/dev/null` are no certificate chain"),
    (("--tls-cert", "/", "--tls-key", "/"), "`/` and `/` are no certificate chain and its key in PEM form"),
])  # fmt: skip
def test_what_is_not_safe_is_refused(folder, serving, options, said) -> None:
    done = subprocess.run(
        [serving.PENSTOCK, "serve", "--port", "0", *options], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_one_line(folder, serving) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [serving.PENSTOCK, "serve", "--port", str(port), "--json"], cwd=folder, capture_output=True, text=True
        )
    assert json.loads(done.stdout)["error"]["code"] == "address_unusable"


def test_on_this_machine_nobody_has_to_be_asked(folder, serving) -> None:
    server = serving.Served(folder, "--no-auth", "--no-dispatch", "--no-azureml-v1")
    try:
        run = server.call("POST", "/v1/endpoints/hello/runs", {})
        assert (run.status, run.json["by"], run.json["verified"]) == (201, "anonymous", False)
        assert server.call("GET", "/discovery").status == 404
    finally:
        assert server.stop() == 0


def test_configuration_is_read_and_flags_win(folder, serving, tokens) -> None:
    wrong = subprocess.run(
        [serving.PENSTOCK, "serve"],
        cwd=folder,
        capture_output=True,
        text=True,
        env={"PENSTOCK_SERVER_PORT": "many", "PATH": "/usr/bin:/bin"},
    )
    assert wrong.returncode == 4
    assert "PENSTOCK_SERVER_PORT" in wrong.stderr
    server = serving.Served(folder, "--no-dispatch", env={"PENSTOCK_SERVER_MAX_BODY_BYTES": "10"})
    try:
        reply = server.call(
            "POST", "/v1/endpoints/hello/runs", {"description": "longer than that"}, token=tokens["submit"]
        )
        assert (reply.status, reply.json["code"]) == (413, "document_too_large")
    finally:
        server.stop()


def test_an_end_answers_what_was_taken(folder, serving, tokens) -> None:
    server = serving.Served(folder, "--no-dispatch")
    run = server.call("POST", "/v1/endpoints/hello/runs", {}, token=tokens["submit"]).json["id"]
    seen = []

    def wait() -> None:
        seen.append(server.call("GET", f"/v1/runs/{run}?wait=60", token=tokens["read"]))

    poll = threading.Thread(target=wait)
    poll.start()
    time.sleep(1.0)  # the poll is under way
    began = time.monotonic()
    assert server.stop(signal.SIGTERM) == 0
    poll.join(30)
    assert seen[0].status == 200
    assert seen[0].json["state"] == "queued"
    assert time.monotonic() - began < 30


def test_an_end_answers_what_was_sent_on_connections_that_were_kept(folder, serving, tokens) -> None:
    """Who asks one thing after the other is told to come no more, and nothing that it sent before is dropped."""
    server = serving.Served(folder, "--no-dispatch")
    answered, dropped = [], []

    def keep_on() -> None:
        asking = http.client.HTTPConnection(server.host, server.port, timeout=60)
        headers = {"Authorization": f"Bearer {tokens['submit']}"}
        with closing(asking):
            while True:
                try:
                    asking.connect()
                except ConnectionRefusedError:  # by now there is no server
                    return
                while asking.sock is not None:
                    try:
                        asking.request("POST", "/v1/endpoints/hello/runs", b"{}", headers)
                        reply = asking.getresponse()
                        reply.read()
                    except OSError as error:
                        dropped.append(error)
                        return
                    answered.append(reply.status)

    threads = [threading.Thread(target=keep_on) for _ in range(16)]
    for thread in threads:
        thread.start()
    while len(answered) < 32:
        time.sleep(0.01)
    assert server.stop(signal.SIGTERM) == 0
    for thread in threads:
        thread.join(30)
    assert set(answered) == {201}
    assert dropped == []


def test_health_needs_no_token(served) -> None:
    assert served.call("GET", "/healthz").json == {"ok": True}
    assert served.call("GET", "/readyz").json == {"ok": True, "checks": {"registry": "ok"}}


def test_who_only_reads_waits_for_no_writer(served, folder, tokens) -> None:
    with closing(sqlite3.connect(folder / ".penstock/registry.db", isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        assert served.call("GET", "/healthz").status == 200
        assert served.call("GET", "/v1/endpoints/hello", token=tokens["read"]).status == 200
        connection.execute("ROLLBACK")


def test_a_run_goes_all_the_way(folder, serving, tokens) -> None:
    server = serving.Served(folder)
    try:
        sent = {"parameters": {"name": "ada", "times": 2}}
        run = server.call("POST", "/v1/endpoints/hello/runs", sent, token=tokens["submit"])
        assert run.json["state"] == "queued"
        ended = server.call("GET", f"/v1/runs/{run.json['id']}?wait=60", token=tokens["read"]).json
        assert ended["state"] == "succeeded", ended
        outputs = server.call("GET", f"/v1/runs/{ended['id']}/outputs", token=tokens["one"]).json
        assert outputs["outputs"] == {"text": "hello ada x2"}
        log = server.call("GET", f"/v1/runs/{ended['id']}/logs/write", token=tokens["one"])
        assert log.body == b"written\n"
        assert server.call("GET", "/readyz").json["checks"]["dispatcher"] == "ok"
    finally:
        server.stop()


@pytest.mark.thorough
def test_a_killed_server_loses_and_doubles_nothing(folder, serving, tokens) -> None:
    accepted = []
    for _ in range(3):
        server = serving.Served(folder)
        replies = [server.call("POST", "/v1/endpoints/hello/runs", {}, token=tokens["submit"]) for _ in range(4)]
        accepted += [reply.json["id"] for reply in replies]
        server.process.kill()
        server.stop()
    server = serving.Served(folder)
    try:
        for run in accepted:
            seen = server.call("GET", f"/v1/runs/{run}?wait=60", token=tokens["read"]).json
            assert seen["state"] == "succeeded", seen
    finally:
        server.stop()
    assert len(set(accepted)) == len(accepted)
