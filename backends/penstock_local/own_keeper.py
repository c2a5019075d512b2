"""One keeper of this engine, as seen from the engine: its process, and the socket on which both talk."""

from __future__ import annotations

import contextlib
import functools
import marshal
import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from penstock_local import journal, keeper, logs, processes
from penstock_local.baseline import STEP_UMASK
from penstock_local.journal import Entries
from penstock_local.watching import Watching

_BEGIN = "import marshal; exec(marshal.loads(open(0, 'rb', closefd=False).read()))"
_CHUNK = 65536
_LONGEST_WAIT = 5.0
"""Seconds in which a keeper takes something of a message; otherwise it is ended, and what it has is the engine's."""


@frozen
class Request:
    """A step as it is to be started: the files to try, arguments, folder, environment. The log is opened for it.

    `opened` is the log that was opened already. `door` is that of the control group that it is to be in, see `memory`.
    """

    token: str
    paths: Sequence[bytes]
    command: Sequence[bytes]
    folder: bytes
    environment: dict[bytes, bytes]
    log: Path
    opened: logs.Opened | None = None
    door: str | None = None
    tries: int = 0
    """How many keepers have died that were about to start it."""


def request_of(
    token: str,
    command: Sequence[str],
    folder: str,
    environment: Mapping[str, str],
    log: Path,
    opened: logs.Opened | None = None,
) -> Request:
    """A step's words as the kernel takes them. Raises ValueError when it would not."""
    words = [processes.to_bytes(word) for word in command]
    variables = {processes.to_bytes(name): processes.to_bytes(value) for name, value in environment.items()}
    place = processes.to_bytes(folder)
    if b"\0" in b"".join((*words, *variables, *variables.values(), place)):
        raise ValueError("embedded null byte")
    if b"" in variables or b"=" in b"".join(variables):
        raise ValueError("illegal environment variable name")
    program = words[0]
    paths = [program]
    if b"/" not in program:
        paths = [os.path.join(os.fsencode(folder), program) for folder in os.get_exec_path(dict(environment))]  # noqa: PTH118  # paths of bytes
    return Request(token, paths, words, place, variables, log, opened)


@define(eq=False)
class OwnKeeper:
    """A keeper that this engine started. Of the `tokens` that it was handed, `open` are those that have not ended.

    One that is `gone` has died and takes no more, nor does one that is `given_up`.
    """

    process: subprocess.Popen[bytes]
    connection: socket.socket
    journal: Path
    tokens: set[str] = field(factory=set)
    open: dict[str, Request] = field(factory=dict)
    gone: bool = False
    given_up: bool = False
    _said: bytes = b""

    @classmethod
    def start(cls, root: Path, path: Path) -> OwnKeeper:
        """Start one with a journal of its own for the steps of a root, in a folder of that. Raises OSError."""
        with contextlib.ExitStack() as its:
            ours, connection = socket.socketpair()
            its.callback(connection.close)
            try:
                folder = os.open(path.parent / "..", os.O_RDONLY | os.O_DIRECTORY)  # it may have been moved
                its.callback(os.close, folder)
                made = journal.create(path)
                its.callback(os.close, made)
                unused = its.enter_context(contextlib.ExitStack())
                unused.callback(path.unlink, missing_ok=True)
                text, end = os.pipe()  # it takes 64 KiB at once, which is several times that text
                its.callback(os.close, text)
                with os.fdopen(end, "wb") as pipe:
                    pipe.write(_code())
                files = (connection.fileno(), made, folder)
                words = [keeper.__name__, str(root), *map(str, files), str(STEP_UMASK), str(keeper.FORMAT)]
                process = subprocess.Popen(
                    [sys.executable, "-I", "-S", "-c", _BEGIN, *words],
                    stdin=text,
                    stdout=subprocess.DEVNULL,
                    pass_fds=files,
                    process_group=0,  # a key that interrupts an engine in a terminal is not meant for it
                )
                unused.pop_all()
            except BaseException:
                ours.close()
                raise
        return cls(process, ours, path)

    def spawn(self, request: Request, watching: Watching) -> None:
        """Have a step started and its log watched. Raises OSError when that cannot be opened."""
        log = logs.open_to_append(request.log) if request.opened is None else request.opened.take()
        try:
            watching.begin(request.token, request.log, log)
            self.tokens.add(request.token)
            self.open[request.token] = request
            words = (
                list(request.paths),
                list(request.command),
                request.folder,
                request.environment,
                [request.door] if request.door else [],
            )
            self._send(("spawn", request.token, *words), log)
        finally:
            os.close(log)

    @property
    def takes_more(self) -> bool:
        """Whether steps can be handed to it now."""
        return not (self.retired or self.gone or self.given_up or self.stopped)

    @property
    def stopped(self) -> bool:
        """Whether a signal holds it up."""
        with contextlib.suppress(ChildProcessError):  # it has died
            return bool(os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOWAIT | os.WNOHANG))
        return False

    @property
    def retired(self) -> bool:
        """Whether it takes no more steps, and is to end with the last that it has."""
        return len(self.tokens) >= journal.STARTS

    def gentle(self, token: str) -> None:
        """Ask for a step's pid, and let what is left of its group have its time of grace when it has ended."""
        if token in self.open and not self.given_up:
            self._send(("gentle", token))

    def _send(self, words: tuple[Any, ...], file: int | None = None) -> None:
        """Send a message. It may be too long to be taken at once, and the keeper may wait for us to listen."""
        body = marshal.dumps(words)
        data = len(body).to_bytes(keeper.HEAD, "big") + body
        files = [] if file is None else [file]
        with contextlib.suppress(OSError):  # it has died, which `listen` finds out too
            while data:
                try:
                    sent = socket.send_fds(self.connection, [data], files, socket.MSG_DONTWAIT)
                except BlockingIOError:
                    self._until_free()
                else:
                    data, files = data[sent:], []

    def _until_free(self) -> None:
        """Wait until it takes more, and listen to it meanwhile. Raises OSError when it has died, or is to die."""
        poll = select.poll()
        poll.register(self.connection, select.POLLIN | select.POLLOUT)
        while True:
            ready = poll.poll(_LONGEST_WAIT * 1000)
            if any(found & select.POLLOUT for _, found in ready):
                return
            if not ready:
                self.given_up = True
                self.process.kill()
            if self.given_up or not self._receive():
                raise BrokenPipeError

    def _receive(self) -> bool:
        while True:
            try:
                data = self.connection.recv(_CHUNK, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if not data:
                return False
            self._said += data

    def listen(self) -> tuple[list[Any], bool]:
        """What it has said since the last time, and whether it may say more."""
        lives = self._receive()
        return list(self._messages()), lives

    def _messages(self) -> Iterator[Any]:
        while len(self._said) >= keeper.HEAD:
            end = keeper.HEAD + int.from_bytes(self._said[: keeper.HEAD], "big")
            if len(self._said) < end:
                return
            yield marshal.loads(self._said[keeper.HEAD : end])
            self._said = self._said[end:]

    def has_died(self) -> bool:
        """Whether its process has ended. It is not reaped."""
        return bool(os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG))

    def last_words(self) -> list[Any]:
        """What a dying one has said to the last; its children are ours now."""
        os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT)
        return self.listen()[0]

    def last_entries(self) -> Entries:
        """What a dead one has noted to the last. Raises OSError, TimeoutError."""
        return journal.settled(self.journal, journal.PATIENCE, dead=True)[0]

    def close(self) -> None:
        """Let go of a dead one, which is reaped."""
        self.connection.close()
        self.process.wait()

    def let_go(self) -> None:
        """Leave it alone: it goes on while it has children, and is not ours to wait for."""
        self.connection.close()
        self.process.returncode = 0


@functools.cache
def _code() -> bytes:
    """The keeper's code as it was when the engine began, whatever was installed since: both speak with each other."""
    loader: Any = keeper.__loader__  # of a file or a zip; both have it
    return marshal.dumps(loader.get_code(keeper.__name__))
