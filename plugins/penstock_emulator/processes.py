"""Steps as processes of this machine: each in a group of its own, known by a token, and none left behind.

A second process, the watcher, ends what is left when the emulator is killed; the next emulator of the same state looks
once more before it does anything. Linux only: it reads /proc.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

TOKEN = "PENSTOCK_EMULATOR_STEP"
"""The environment variable by which a step's processes are known: the ids of state, emulator and attempt."""

GRACE = 5.0
"""Seconds from SIGTERM to SIGKILL. Kubernetes waits 30; what the clouds do is not documented."""


class Processes:
    """The processes of all steps of one emulator."""

    def __init__(self, identity: str) -> None:
        sweep(f"{identity}/")
        # The watcher of an emulator that was killed ends what that one left, and nothing of the next one's.
        self._mine = f"{identity}/{os.urandom(8).hex()}/"
        self._watcher = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, self._mine], stdin=subprocess.PIPE, start_new_session=True
        )

    def start(self, command: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path) -> Step:
        """Start a process whose output is appended to the log. Raises OSError, ValueError."""
        token = f"{self._mine}{os.urandom(8).hex()}"
        with log.open("ab") as output:
            process = subprocess.Popen(
                list(command),
                cwd=folder,
                env={**environment, TOKEN: token},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                process_group=0,
            )
        return Step(process, token)

    def close(self) -> None:
        """End everything that still runs, and the watcher."""
        sweep(self._mine)
        self._watcher.communicate(b"done")


class Step:
    """A started process and all that it starts."""

    def __init__(self, process: subprocess.Popen[bytes], token: str) -> None:
        self._process = process
        self._token = token
        self._ended = threading.Event()
        self._reaping = threading.Lock()

    def wait(self) -> int:
        """Wait for its end, end what it left behind, and answer its exit code as a shell would (128 + signal)."""
        os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        with self._reaping:  # until it is reaped, its group has its number
            _signal_group(self._process.pid, signal.SIGKILL)
            sweep(self._token)
            code = self._process.wait()
            self._ended.set()
        return code if code >= 0 else 128 - code

    def end(self, grace: float = GRACE) -> None:
        """Ask it to end, and make it after `grace` seconds. Returns at once."""
        threading.Thread(target=self._end, args=(grace,), daemon=True).start()

    def _end(self, grace: float) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with self._reaping:
                if not self._ended.is_set():
                    _signal_group(self._process.pid, number)
            if self._ended.wait(grace):
                return


def sweep(token: str, patience: float = 10.0) -> None:
    """KILL every process whose token begins with this one, until there is none; gives up after `patience` seconds."""
    mark = f"{TOKEN}={token}".encode()
    deadline = time.monotonic() + patience
    while (found := _carrying(mark)) and time.monotonic() < deadline:
        for handle in found:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        for handle in found:
            gone = select.poll()
            gone.register(handle, select.POLLIN)
            gone.poll(1000)
            os.close(handle)


def _carrying(mark: bytes) -> list[int]:
    """Handles (pidfd) of the living processes that carry a token which begins so."""
    handles = []
    for name in os.listdir("/proc"):  # noqa: PTH208  # hundreds of names
        if not name.isdigit() or int(name) == os.getpid() or not _carries(name, mark):
            continue
        with contextlib.suppress(ProcessLookupError, PermissionError):
            handle = os.pidfd_open(int(name))
            if _carries(name, mark):  # the number may have passed to another process
                handles.append(handle)
            else:
                os.close(handle)
    return handles


def _carries(pid: str, mark: bytes) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb", buffering=0) as file:  # noqa: PTH123  # the path is text, and it is read often
            data = file.read(1 << 22)
    except OSError:
        return False
    return any(entry.startswith(mark) for entry in data.split(b"\0"))


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _watch(mine: str) -> None:
    """Wait until the emulator is gone, then end what it left, more than once: a child may have been on its way."""
    if sys.stdin.buffer.read() == b"done":
        return
    for pause in (0.0, 0.2, 0.5):
        time.sleep(pause)
        sweep(mine)


if __name__ == "__main__":
    _watch(sys.argv[1])
