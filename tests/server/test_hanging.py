"""A target that hangs, and callers who do not read: others are served, and the server ends when it is told to."""

from __future__ import annotations

import os
import socket
import threading
import time

import pytest


@pytest.mark.thorough
@pytest.mark.parametrize("to_the_end", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["others", "end"])
def test_a_target_that_hangs_holds_up_neither_others_nor_the_end(folder, serving, tokens, to_the_end) -> None:
    server = serving.Served(folder, env={"PENSTOCK_SERVER_BODY_SECONDS": "0.5"})
    waiting = []
    try:
        run = server.call("POST", "/v1/endpoints/hello/runs", {}, token=tokens["submit"]).json["id"]
        assert server.call("GET", f"/v1/runs/{run}?wait=60", token=tokens["read"]).json["state"] == "succeeded"
        (log,) = (folder / ".penstock/local/laptop/runs" / run).rglob("write.log")
        log.unlink()
        os.mkfifo(log)  # which nobody writes, so that who opens it waits for good
        head = f"GET /v1/runs/{run}/logs/write HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {tokens['read']}\r\n\r\n"
        for _ in range(60):
            waiting.append(socket.create_connection((server.host, server.port), timeout=90))
            waiting[-1].sendall(head.encode())
        time.sleep(1)
        answers: list[int] = []
        asked = threading.Thread(
            target=lambda: answers.append(
                server.call("POST", "/v1/endpoints/hello/runs", {}, token=tokens["one"]).status
            ),
            daemon=True,
        )
        asked.start()
        asked.join(10)
        assert answers == [201]
        if to_the_end:  # which is given a minute for what was taken
            server.process.terminate()
            assert server.process.wait(90) == 0
    finally:
        for connection in waiting:
            connection.close()
        server.process.kill()
        server.stop()
