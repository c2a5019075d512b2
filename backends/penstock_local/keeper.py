"""The keeper: the direct parent of steps, which notes their start and their end before anybody else knows of it.

Killed, it leaves its children to the engine above it, which is their subreaper; when that is killed, it goes on noting
ends until it has no child left. What it notes is its journal, a file of records of one size whose space is there from
the beginning, so that a full disk takes none of them away. The journal is locked by the keeper and by a child until
that has become the step's program: once the lock is free, the journal says all there is to know.

The engine starts it as `python -I -S` and hands it this file as code (see `own_keeper`), so it imports nothing of ours
and little of anything: it is up in some ten milliseconds. Longer than 300 lines, because this file is all that it has.
"""

from __future__ import annotations

import _socket
import contextlib
import errno
import marshal
import os
import select
import signal
import sys
import time

FORMAT = 1
"""The version of what stands in a journal and of what keeper and engine say to each other."""
RECORD = 64
"""Bytes of a record: kind, token, two values, padded with blanks, and a newline."""
KEEPER, STARTED, FAILED, ENDED, ALONE = "K", "S", "F", "E", "A"
"""The kinds: the first record with the keeper's PID namespace, pid and the format; a step's pid (0 while it is being
started) and the monotonic time; instead of that the error and what it was about; the exit code (negative: the signal)
and the time; no engine any more.
"""
HEAD = 4
"""Bytes that say how long a message is, which `marshal` wrote."""


def record(kind: str, token: str, first: int | float, second: int | float | str) -> bytes:
    """One record of a journal."""
    return f"{kind} {token} {first} {second}".encode().ljust(RECORD - 1) + b"\n"


def namespace() -> str:
    """Which PID namespace this process is in: pids mean nothing in another one. `-` where the system does not say."""
    try:
        return str(os.stat("/proc/self/ns/pid").st_ino)  # noqa: PTH116  # this file imports no more than it must
    except OSError:
        return "-"


_OURS = (int(signal.SIGPIPE), int(signal.SIGXFSZ), int(signal.SIGINT))
"""What Python ignores or takes for its own; steps get it as it was."""


_MACHINES = (errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""Errors of the machine, which say nothing about the file that was tried; see `troubles`, which this cannot import."""


class Keeper:
    """The loop: requests from the engine, ends of steps."""

    def __init__(self, connection: int, journal: int, root: int, umask: int) -> None:
        for file in (connection, journal, root):
            os.set_inheritable(file, False)
        self._connection = _socket.socket(fileno=connection)
        self._journal = journal
        self._root = root
        os.umask(umask)
        self._slot = 0
        self._alone = False
        self._running: dict[int, str] = {}
        self._gentle: set[str] = set()
        self._told: set[int] = set()
        self._devnull = os.open(os.devnull, os.O_RDWR)
        self._wakeups, wakeup = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        # Held up when its engine ends, it gets a SIGHUP from the kernel (POSIX, "orphaned process group").
        for number in (signal.SIGCHLD, signal.SIGHUP):
            signal.signal(number, lambda number, frame: None)
        self._note(record(KEEPER, namespace(), os.getpid(), FORMAT))

    def run(self) -> None:
        """Work until there is neither an engine nor a child."""
        poll = select.poll()
        poll.register(self._connection.fileno(), select.POLLIN)
        poll.register(self._wakeups, select.POLLIN)
        while self._running or not self._alone:
            # An end that could not be noted is tried again.
            ready = [file for file, _ in poll.poll(1000 if self._told else None)]
            if self._wakeups in ready:
                os.read(self._wakeups, 4096)
            while self._connection.fileno() in ready and self._receive():
                pass
            if self._alone:
                with contextlib.suppress(KeyError):
                    poll.unregister(self._connection.fileno())
            self._reap()

    def _note(self, data: bytes) -> None:
        """Write the next record. Raises OSError."""
        os.pwrite(self._journal, data, self._slot * RECORD)
        self._slot += 1

    # What the engine says

    def _receive(self) -> bool:
        """Take one message; False when there is none now, or never will be."""
        try:
            flags = _socket.MSG_DONTWAIT | _socket.MSG_CMSG_CLOEXEC
            head, files, _, _ = self._connection.recvmsg(HEAD, _socket.CMSG_SPACE(4), flags)
        except BlockingIOError:
            return False
        except OSError:
            head, files = b"", []
        log = int.from_bytes(files[0][2][:4], sys.byteorder) if files else -1
        head += self._take(HEAD - len(head)) if head else b""
        size = int.from_bytes(head, "big")
        body = self._take(size) if len(head) == HEAD else b""
        if len(head) == HEAD and len(body) == size:
            word, token, *more = marshal.loads(body)
            if word == "spawn":
                paths, command, folder, env, doors = more
                self._spawn(token, paths, command, folder, env, doors, log)
            else:
                self._be_gentle(token)
        else:
            self._alone = True
            with contextlib.suppress(OSError):  # then the next engine waits for our end
                self._note(record(ALONE, "-", 0, 0))
        if log >= 0:
            os.close(log)
        return not self._alone

    def _be_gentle(self, token: str) -> None:
        """A step is about to be told to end: what is left of its group then has time to do so."""
        for pid, other in self._running.items():
            if other == token:
                self._gentle.add(token)
                self._say("started", token, pid)

    def _take(self, size: int) -> bytes:
        """So many bytes; fewer when the engine ended meanwhile."""
        found = b""
        while len(found) < size:
            try:
                part = self._connection.recv(size - len(found))
            except OSError:
                part = b""
            if not part:
                break
            found += part
        return found

    def _say(self, *words: str | int) -> None:
        data = marshal.dumps(words)
        with contextlib.suppress(OSError):  # it has ended; the journal says the same
            self._connection.sendall(len(data).to_bytes(HEAD, "big") + data)

    # Steps

    def _spawn(
        self,
        token: str,
        paths: list[bytes],
        command: list[bytes],
        folder: bytes,
        env: dict[bytes, bytes],
        doors: list[str],
        log: int,
    ) -> None:
        """Start a step. That it may have begun is on record before that can be, and its pid right after."""
        slot = self._slot
        where = "journal"
        try:
            self._note(record(STARTED, token, 0, f"{time.monotonic():.3f}"))
            where = "folder"
            os.chdir(folder)
            where = "command"
            if doors:
                pid, number, where = self._fork(paths, command, env, doors[0], log)
                if where:
                    os.waitpid(pid, 0)
                    raise OSError(number, where)
            else:
                pid = self._execute(paths, command, env, log)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.pwrite(self._journal, record(FAILED, token, error.errno or 0, where), slot * RECORD)
            self._say("failed", token, error.errno or 0, where)
        else:
            self._running[pid] = token
            with contextlib.suppress(OSError):  # whoever inherits it finds it by its token
                os.pwrite(self._journal, record(STARTED, token, pid, f"{time.monotonic():.3f}"), slot * RECORD)
        finally:
            os.chdir("/")

    def _fork(
        self, paths: list[bytes], command: list[bytes], env: dict[bytes, bytes], door: str, log: int
    ) -> tuple[int, int, str]:
        """Run a program as `_execute` does, in a control group; returns its pid, and what went wrong about what.

        The child alone goes through the door: a group too small for anything ends it, and not us. Raises OSError.
        """
        heard, told = os.pipe2(os.O_CLOEXEC)
        try:
            try:
                pid = os.fork()
                if not pid:
                    self._become(paths, command, env, door, log, told)
            finally:
                os.close(told)
            words = os.read(heard, RECORD).split()  # nothing, once it is the program or has been ended
        finally:
            os.close(heard)
        return (pid, int(words[0]), words[1].decode()) if words else (pid, 0, "")

    def _become(
        self, paths: list[bytes], command: list[bytes], env: dict[bytes, bytes], door: str, log: int, told: int
    ) -> None:
        """Become a step's program, or tell why not and end."""
        number, where = errno.ENOENT, "memory"
        try:
            os.setpgid(0, 0)
            for file, place in ((self._devnull, 0), (log, 1), (log, 2)):
                os.dup2(file, place)
            for one in _OURS:
                signal.signal(one, signal.SIG_DFL)
            _enter(door)
            where = "command"
            for path in paths:
                try:
                    os.execve(path, command, env)
                except OSError as error:
                    number = _worse(number, error)
                    if number in _MACHINES:
                        break
            if number == errno.ENOMEM:  # of the group: it is not the machine's
                where = "limit"
        except OSError as error:
            number = error.errno or 0
        except MemoryError:
            number, where = errno.ENOMEM, "limit"
        finally:
            os.write(told, f"{number} {where}".encode())
            os._exit(1)

    def _execute(self, paths: list[bytes], command: list[bytes], env: dict[bytes, bytes], log: int) -> int:
        """Run the first program of `paths` that there is, in a group of its own; returns its pid. Raises OSError."""
        found = errno.ENOENT
        for path in paths:
            try:
                os.stat(path)  # noqa: PTH116  # `pathlib` would have to be imported
                return os.posix_spawn(
                    path,
                    command,
                    env,
                    file_actions=[
                        (os.POSIX_SPAWN_DUP2, self._devnull, 0),
                        (os.POSIX_SPAWN_DUP2, log, 1),
                        (os.POSIX_SPAWN_DUP2, log, 2),
                    ],
                    setpgroup=0,
                    setsigdef=_OURS,
                )
            except OSError as error:
                found = _worse(found, error)
                if found in _MACHINES:  # the right one may have been it
                    break
        raise OSError(found, os.strerror(found))

    def _reap(self) -> None:
        """Note the ends of children, end what is left of their groups, and only then let go of them."""
        for pid, token in list(self._running.items()):
            found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
            if found is None:
                continue
            code = found.si_status if found.si_code == os.CLD_EXITED else -found.si_status
            try:
                self._note(record(ENDED, token, code, f"{time.monotonic():.3f}"))
            except OSError:
                # Unreaped it is a record by itself, which whoever inherits it can read.
                if pid not in self._told:
                    self._told.add(pid)
                    self._say("ended", token, code)
                continue
            if token not in self._gentle:
                with contextlib.suppress(OSError):  # nobody is left to hear it
                    os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            del self._running[pid]
            self._gentle.discard(token)
            if pid in self._told:
                self._told.discard(pid)
            else:
                self._say("ended", token, code)
            if self._alone:
                self._ring()

    def _ring(self) -> None:
        """Wake an engine that listens: it came after ours and hears of ends by the journal."""
        with contextlib.suppress(OSError):  # nobody listens, or it has enough to wake up for
            pipe = os.open("wake", os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW, dir_fd=self._root)
            try:
                if os.fstat(pipe).st_mode & 0o170000 == 0o010000:  # a pipe; `stat` would have to be imported
                    os.write(pipe, b"\n")
            finally:
                os.close(pipe)


def _worse(found: int, error: OSError) -> int:
    """What to say of several files that were tried: trouble of the machine, else the first that is there and no use."""
    if error.errno in _MACHINES or (found == errno.ENOENT and error.errno not in (errno.ENOENT, errno.ENOTDIR)):
        return error.errno or 0
    return found


def _enter(door: str) -> None:
    """Put this process into a control group. Raises OSError."""
    file = os.open(door, os.O_WRONLY)
    try:
        os.write(file, b"0")
    finally:
        os.close(file)


if __name__ == "__main__":
    if sys.argv[7:] != [str(FORMAT)]:  # an engine whose files were replaced while it ran
        sys.exit(f"the keeper of steps speaks format {FORMAT}, and the engine {sys.argv[7:]}")
    Keeper(*map(int, sys.argv[3:7])).run()
