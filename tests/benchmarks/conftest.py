"""Servers to trigger and their floor, on free ports, and the client that triggers them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType

import pytest
from attrs import frozen

from penstock.workspace import Workspace

HERE = Path(__file__).parent
SPEC = """\
apiVersion: penstock/v1
kind: Pipeline
name: quick
parameters:
  name: {type: string, default: world, maxLength: 20}
  times: {type: integer, default: 1, minimum: 1, maximum: 5}
steps:
  write: {command: ["true", "${{ parameters.name }}", "${{ parameters.times }}"]}
"""


@frozen
class Where:
    """What to trigger: a URL, a path there, and the token for it. `stop` ends the server by a signal."""

    url: str
    path: str
    token: str
    stop: Callable[[int], object]


@pytest.fixture
def quick() -> Callable[[Path], Path]:
    """Makes a project with the endpoint `quick` in a folder."""

    def make(folder: Path) -> Path:
        folder.mkdir(exist_ok=True)
        (folder / "quick.yaml").write_text(SPEC)
        with Workspace.open(folder, env={}, actor="ada") as workspace:
            workspace.publish(folder / "quick.yaml", endpoint="quick")
        return folder

    return make


@pytest.fixture
def ours(serving) -> Iterator[Callable[..., Where]]:
    """Starts a server of a project with the endpoint `quick`; it hands nothing over."""
    with ExitStack() as started:

        def start(folder: Path, env: Mapping[str, str] | None = None) -> Where:
            token = serving.token(folder, "bench", "submit")
            server = serving.Served(folder, "--no-dispatch", env=env)
            started.callback(server.stop)
            return Where(server.url, "/v1/endpoints/quick/runs", token, server.stop)

        yield start


@pytest.fixture
def floor(tmp_path, serving) -> Iterator[Callable[..., Where]]:
    """Starts the floor: one durable row per POST on the same server and loop."""
    with ExitStack() as started:

        def start(env: Mapping[str, str] | None = None) -> Where:
            command = [sys.executable, HERE / "server_floor.py", tmp_path / "floor.db"]
            server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **(env or {})})
            started.enter_context(server)
            started.callback(server.terminate)
            assert server.stdout is not None
            url = json.loads(server.stdout.readline())["url"]
            return Where(url, "/rows", "none", server.send_signal)

        yield start


@pytest.fixture(scope="session")
def load() -> Callable[[Where, int, int], dict]:
    """Triggers so often through so many connections, see `server_load.py`."""

    def trigger(where: Where, connections: int, requests: int) -> dict:
        host, port = where.url.removeprefix("http://").split(":")
        arguments = (host, port, where.path, where.token, str(connections), str(requests))
        done = subprocess.run(
            [sys.executable, HERE / "server_load.py", *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return trigger


@pytest.fixture(scope="session")
def filling(importing) -> ModuleType:
    """The module of `filling.py`."""
    return importing(HERE / "filling.py")
