"""`penstock serve` on a registry of a question's: one process for all who open a door on it, here and elsewhere."""

from __future__ import annotations

import atexit
import functools
import hashlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from attrs import define, field

from penstock.testing.opened import new_registry
from penstock.testing.subject import Subject

_TESTS = Path(__file__).parents[2]
_LONGEST = 60.0
"""Seconds that a server may take to begin or to end."""

_TURNS, _BEGINNING = threading.Lock(), threading.Lock()
_OPEN: dict[Path, Server] = {}
_ZYGOTE = ""


@define(eq=False)
class Server:
    """A server process. `url` is where it answers, `doors` how many doors to it are open in this process."""

    registry: Path
    url: str
    pid: int
    log: Path
    doors: int = 0
    ours: bool = field(default=True)

    @classmethod
    def start(
        cls, subject: Subject, registry: Path, *options: str, environment: Mapping[str, str] | None = None
    ) -> Server:
        """A new process of its own. It answers once this returns."""
        if not registry.exists():
            registry.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            new_registry(registry)
        folder = subject.config.home.parent
        environment = {
            "PENSTOCK_CONFIG": str(folder / "penstock.yaml"),
            "PENSTOCK_REGISTRY": str(registry),
            **(environment or {}),
        }
        said, pid, log = serve(subject, folder, *options, environment=environment)
        assert "url" in said, said
        return cls(registry=registry, url=said["url"], pid=pid, log=log)

    def end(self, number: int = signal.SIGTERM, *, wait: bool = True) -> None:
        """Send a signal, by which it ends, and wait until it is gone."""
        if _is_there(self.pid):
            os.kill(self.pid, number)
        deadline = time.monotonic() + _LONGEST
        while wait and _is_there(self.pid):
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.005)


def serve(
    subject: Subject, folder: Path, *options: str, environment: Mapping[str, str]
) -> tuple[dict[str, Any], int, Path]:
    """Let somebody who stands in a folder call `penstock serve`: what it says first, its process, and its log."""
    kept = subject.config.home.parent
    out, log = (kept / f"serve-{uuid.uuid4().hex}.{end}" for end in ("out", "log"))
    asked = {
        "arguments": ["serve", "--port", "0", "--json", *options],
        "folder": str(folder),
        "environment": {
            "PENSTOCK_PLANTED_BACKEND": "penstock_memory",
            "PENSTOCK_SERVER_ANONYMOUS_PER_MINUTE": "1000000",
            **environment,
        },
        "prepare": subject.prepare,
        "out": str(out),
        "log": str(log),
    }
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(zygote())
        with line.makefile("rw") as file:
            file.write(json.dumps(asked) + "\n")
            file.flush()
            pid = int(file.readline())
    deadline = time.monotonic() + _LONGEST
    while True:
        there = _is_there(pid)  # before its words are read: it may end by them
        if out.exists() and (said := out.read_text()).endswith("\n"):
            return json.loads(said), pid, log
        assert there and time.monotonic() < deadline, log.read_text()
        time.sleep(0.005)


def opened(subject: Subject, registry: Path) -> Server:
    """The server of a registry: that of this process, else that of the process which asked before, else a new one."""
    with _TURNS:
        found = _OPEN.get(registry)
        if found is None:
            found = _OPEN[registry] = _elsewhere(registry) or _new(subject, registry)
        found.doors += 1
        return found


def closed(server: Server) -> None:
    """Close a door. The server ends with the last one, in the process that started it."""
    with _TURNS:
        server.doors -= 1
        if server.doors == 0:
            del _OPEN[server.registry]
            if server.ours:
                _told(server.registry).unlink()
                server.end(wait=False)


def token_of(registry: Path, actor: str, scope: str = "admin", endpoints: Sequence[str] | None = None) -> str:
    """A token by which an actor may everything, or so much on some endpoints, by id. It is put there without a row of
    the history: every door has the same one.
    """
    token_id = hashlib.sha256(actor.encode()).hexdigest()[:16]
    secret = hashlib.sha256(f"the secret of {actor}".encode()).hexdigest()
    row = {
        "id": token_id,
        "name": actor,
        "scope": scope,
        "secret_hash": hashlib.sha256(secret.encode()).hexdigest(),
        "endpoints": None if endpoints is None else json.dumps(sorted(endpoints)),
        "by": "laws",
        "created": time.time_ns() // 1000,
    }
    with closing(sqlite3.connect(registry, timeout=30)) as connection, connection:
        columns, marks = ", ".join(row), ", ".join("?" * len(row))
        connection.execute(f"INSERT OR IGNORE INTO tokens ({columns}) VALUES ({marks})", tuple(row.values()))
    return f"penstock_{token_id}_{secret}"


def _new(subject: Subject, registry: Path) -> Server:
    server = Server.start(subject, registry)
    draft = _told(registry).with_suffix(".draft")
    draft.write_text(json.dumps({"url": server.url, "pid": server.pid, "log": str(server.log)}))
    draft.replace(_told(registry))
    return server


def _elsewhere(registry: Path) -> Server | None:
    try:
        said = json.loads(_told(registry).read_text())
    except FileNotFoundError:
        return None
    if not _is_there(said["pid"]):
        return None
    return Server(registry=registry, url=said["url"], pid=said["pid"], log=Path(said["log"]), ours=False)


def _told(registry: Path) -> Path:
    """The file that says where a registry is served."""
    return registry.with_suffix(".served")


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def zygote() -> str:
    """Where the process is asked that servers are forked from: one for a process and those that it tells of it."""
    with _BEGINNING:
        return _ZYGOTE or _zygote_of(os.getpid())


def use_zygote(path: str) -> None:
    """Take somebody else's from now on."""
    global _ZYGOTE  # as the process is one
    _ZYGOTE = path


@functools.cache
def _zygote_of(pid: int) -> str:
    folder = Path(tempfile.mkdtemp(prefix="laws-"))
    path = os.pathsep.join([str(_TESTS), str(_TESTS / "laws" / "backend"), os.environ.get("PYTHONPATH", "")])
    started = subprocess.Popen(
        [sys.executable, "-m", "laws.doors.zygote", str(folder / "zygote")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert started.stdout is not None
    assert started.stdout.readline() == b"ready\n"
    atexit.register(started.communicate)
    return str(folder / "zygote")
