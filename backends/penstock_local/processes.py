"""Processes of steps: finding, signalling and ending whole trees of them. Linux only: it reads /proc.

A step's processes are known by the token in their environment, which children inherit, however far they move
away. The engine is the reaper of everything below it, so what outlives its parents becomes its own child.
One that threw its environment away and left its parents is ended once it can be no live step's, see `strangers`.

After the death of an engine the next one knows what is left by that token or by stdout or stderr that still go to
the log of an interrupted step. What it cannot know is a process that had dropped its environment and redirected
both before the engine was killed, and does not descend from one that is known.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import time
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from penstock_local import neighbours
from penstock_local.troubles import is_machines

TOKEN = "PENSTOCK_STEP_TOKEN"
"""The environment variable that tells a step's processes from all others. The engine sets it last."""

Child = tuple[int, int]
"""The pid of a process, and of the parent by which it is known to be that one still."""

_PR_SET_CHILD_SUBREAPER = 36
_CHILDREN = f"/proc/self/task/{os.getpid()}/children"
_PIECE = 16384


def become_reaper() -> None:
    """Make orphans below this process its children. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "cannot become the reaper of steps")


def to_bytes(text: str) -> bytes:
    """A word as the kernel takes it. Raises UnicodeEncodeError."""
    # What the environment had that is not UTF-8 goes back as it came.
    return text.encode("utf-8", "surrogateescape")


def exited() -> Iterator[tuple[int, int]]:
    """The children that ended and their exit codes (negative: the signal). Each is reaped when the caller goes on.

    Until then its pid is its own, and so is the group of that number.
    """
    while True:
        try:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        except ChildProcessError:
            return
        if found is None:
            return
        status = found.si_status
        yield found.si_pid, status if found.si_code == os.CLD_EXITED else -status
        with contextlib.suppress(ChildProcessError):  # somebody else of ours waited for it
            os.waitpid(found.si_pid, os.WNOHANG)


def children() -> list[int]:
    """The pids of this process's children, orphans that came to it among them."""
    try:
        file = os.open(_CHILDREN, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:  # a kernel without CONFIG_PROC_CHILDREN
        me = os.getpid()
        return [pid for pid in pids() if parent_of(pid) == me]
    try:
        data = b""
        while piece := os.read(file, _PIECE):  # the kernel gives no more than a page at once
            data += piece
    finally:
        os.close(file)
    return [int(pid) for pid in data.split()]


def inherited(token: str, known: set[int]) -> int:
    """The child that a keeper was starting under this token when it died; 0 when it had not begun.

    It leads a group in our session, as nothing does that a step makes by accident and none of the `known` does.
    """
    found = 0
    for pid in children():
        with contextlib.suppress(ProcessLookupError):
            if pid not in known and os.getpgid(pid) == pid and os.getsid(pid) == os.getsid(0):
                carried = token_of(pid)
                if carried == token:
                    return pid
                found = pid if carried is None else found
    return found


def token_of(pid: int) -> str | None:
    """The token of a process, see `variable_of`."""
    return variable_of(pid, TOKEN)


def variable_of(pid: int, name: str) -> str | None:
    """A variable that a program began with; None when it has none, has ended or is between two programs.

    Raises OSError for trouble of this machine, as everything here that looks at processes.
    """
    try:
        with open(f"/proc/{pid}/environ", "rb", buffering=0) as file:  # noqa: PTH123  # the path is text, and it is read often
            data = file.read(1 << 22)
    except OSError as error:
        if is_machines(error):  # what is not known is not nobody's
            raise
        return None
    mark = name.encode() + b"="
    for entry in data.split(b"\0"):
        if entry.startswith(mark):
            return entry[len(mark) :].decode("ascii", "replace")
    return None


def is_carried(tokens: set[str]) -> bool:
    """Whether any process carries one of the tokens."""
    return any(token_of(pid) in tokens for pid in pids()) if tokens else False


def signal_group(group: int, number: signal.Signals) -> None:
    """Signal a group whose leader has not been reaped yet; nothing happens when nobody is left to hear it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def signal_child(pid: int, number: signal.Signals) -> None:
    """Signal a child of ours, whose pid is its own until we reap it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def signal_tokens(
    tokens: set[str], number: signal.Signals, also: Collection[Child] = (), logs: frozenset[str] = frozenset()
) -> list[int]:
    """Signal every process that carries one of the tokens, and what descends from it, each once.

    What has its stdout or stderr in one of the `logs` (real paths) counts like what carries a token. `also` belong to
    them whatever they carry. An engine or a keeper does not, nor what is below it. Returns open handles (pidfd) of what
    was signalled, for the caller to wait for and close.
    """
    handles: dict[int, int] = {}
    # What is to be killed is stopped first, and looked for until nothing new is found: what was made meanwhile is
    # seen, and no parent goes before its children are known as such.
    try:
        while _find_more(handles, tokens, also, logs) and number == signal.SIGKILL:
            _send(handles.values(), signal.SIGSTOP)
        _send(handles.values(), number)
    except BaseException:
        if number == signal.SIGKILL:  # there may be more of them than files can be open: the next try has fewer to find
            _send(handles.values(), number)
        for handle in handles.values():
            os.close(handle)
        raise
    return list(handles.values())


def _find_more(handles: dict[int, int], tokens: set[str], also: Collection[Child], logs: frozenset[str]) -> bool:
    """Add handles of what belongs to the tokens and logs and has none yet; whether there was any.

    Parents come before their children: else a shell whose command is told to end goes on with the next one, before it
    is told itself.
    """
    known = len(handles)
    below: dict[int, list[int]] = {}
    line: deque[tuple[int, int | None]] = deque(also)
    carriers: deque[int] = deque()
    for pid in pids():
        below.setdefault(parent_of(pid), []).append(pid)
        if pid in handles or token_of(pid) in tokens or _writes_to(pid, logs):
            carriers.append(pid)
    seen = {os.getpid()}
    while line or carriers:
        if not line:
            line.append((carriers.popleft(), None))
        pid, parent = line.popleft()
        if pid in seen:
            continue
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if pid not in handles:
                if neighbours.is_one(pid):
                    seen.add(pid)
                    continue
                # A handle holds on to one process. A pid that recurred before it was opened is not ours to signal.
                handle = os.pidfd_open(pid)
                related = parent is not None and parent_of(pid) == parent
                if not related and token_of(pid) not in tokens and not _writes_to(pid, logs):
                    os.close(handle)
                    continue
                handles[pid] = handle
            seen.add(pid)
            line.extend((child, pid) for child in below.get(pid, ()))
    return len(handles) > known


def _send(handles: Iterable[int], number: signal.Signals) -> None:
    for handle in handles:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            signal.pidfd_send_signal(handle, number)


def end_leftovers(tokens: set[str], logs: Iterable[Path], patience: float) -> bool:
    """KILL everything that carries one of the tokens or writes to one of the logs, and wait until it is gone.

    Answers whether there was any. Raises TimeoutError when that takes longer than `patience` seconds.
    """
    deadline = time.monotonic() + patience
    real = frozenset(os.path.realpath(log) for log in logs)
    found = False
    while handles := signal_tokens(tokens, signal.SIGKILL, logs=real):
        found = True
        for handle in handles:
            gone = select.poll()
            gone.register(handle, select.POLLIN)
            gone.poll(max(0.0, deadline - time.monotonic()) * 1000)
            os.close(handle)
        if time.monotonic() > deadline:
            raise TimeoutError("processes of an earlier engine do not end")
    return found


def _writes_to(pid: int, logs: frozenset[str]) -> bool:
    return bool(logs) and not logs.isdisjoint(outputs_of(pid))


def outputs_of(pid: int) -> Iterator[str]:
    """The real paths of what a process has for stdout and stderr, as far as they can be known."""
    for number in (1, 2):
        with contextlib.suppress(OSError):
            # The kernel says so when somebody has removed the file meanwhile.
            yield str(Path(f"/proc/{pid}/fd/{number}").readlink()).removesuffix(" (deleted)")


def pids() -> list[int]:
    """Those of all processes."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208  # hundreds of names


def is_stopped(pid: int) -> bool:
    """Whether a signal holds a process up."""
    return _stat(pid)[0] == b"T"


def parent_of(pid: int) -> int:
    """The pid of a process's parent; -1 when it has ended."""
    return int(_stat(pid)[1])


def began(pid: int) -> int:
    """When a process began, in the kernel's ticks; 0 when it has ended."""
    found = _stat(pid)
    return int(found[19]) if len(found) > 19 else 0


def age(pid: int) -> float:
    """For how many seconds a process has been there; 0 when it has ended."""
    begin = began(pid)
    return time.clock_gettime(time.CLOCK_BOOTTIME) - begin / os.sysconf("SC_CLK_TCK") if begin else 0.0


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal; True where that is not known."""
    with contextlib.suppress(OSError, StopIteration, ValueError), open(f"/proc/{pid}/status", "rb") as file:  # noqa: PTH123  # the path is text
        caught = next(line for line in file if line.startswith(b"SigCgt:"))
        return bool(int(caught.split()[1], 16) >> number - 1 & 1)
    return True


def _stat(pid: int) -> list[bytes]:
    """State, parent and more of a process; of none when it has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:  # noqa: PTH123  # the path is text, and it is read often
            # The name in the middle is in parentheses and may hold anything.
            found = file.read(4096).rpartition(b")")[2].split()
    except OSError as error:
        if is_machines(error):
            raise
        found = []
    return found or [b"", b"-1"]
