"""What an engine begins with, whoever started it: signals, priority, processors, limits and folder are stated here.

Much of a process survives `exec` and would otherwise be that of whoever happened to come first. What cannot be undone
without rights is left as it came: a niceness above zero, hard limits that were lowered, control groups, namespaces and
filters of system calls. `docs/architecture.md` says the same to whoever runs engines.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
from pathlib import Path

from penstock_local import control_groups

UMASK = 0o077
"""Of the engine itself: what it writes belongs to its user alone."""
STEP_UMASK = 0o022
"""Of every step. What lies below the root is guarded by its folders; what a step writes elsewhere is the step's."""

_LIMITS = {
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_NOFILE: 65536,
    resource.RLIMIT_STACK: 8 * 1024 * 1024,
}
"""Soft limits that are not simply the hard ones: an endless stack changes how memory is laid out, and some programs
close every file that they could have."""
_PRCTLS = {29: 50_000, 33: 0, 41: 0, 67: 0}
_DUMPED = "0x33"
"""What Linux begins with (prctl(2)): PR_SET_TIMERSLACK in nanoseconds, PR_MCE_KILL, PR_SET_THP_DISABLE and
PR_SET_MEMORY_MERGE; and the kinds of memory in a core file (core(5))."""
_SYSCALLS = {"x86_64": (251, 238), "aarch64": (30, 237)}
"""The numbers of `ioprio_set` and `set_mempolicy`, which have no name in C libraries."""
_OTHERS = (
    resource.RLIMIT_AS,
    resource.RLIMIT_CPU,
    resource.RLIMIT_DATA,
    resource.RLIMIT_FSIZE,
    resource.RLIMIT_MEMLOCK,
    resource.RLIMIT_MSGQUEUE,
    resource.RLIMIT_NPROC,
    resource.RLIMIT_RSS,
    resource.RLIMIT_SIGPENDING,
)
_FELT = (
    *(resource.RLIMIT_NOFILE, resource.RLIMIT_STACK, resource.RLIMIT_AS, resource.RLIMIT_CPU),
    *(resource.RLIMIT_DATA, resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC),
)
"""The limits that a step may run into."""
_RIGHTS = "CapEff", "CapBnd", "NoNewPrivs", "Seccomp"
"""Capabilities, those that a program of another user may give, and what takes any from a process (proc(5))."""
_CAP_SYS_NICE, _CAP_SYS_RESOURCE = 23, 24


def take() -> None:
    """Let this process begin from the baseline, as far as its rights reach. Call it before there are threads."""
    os.umask(UMASK)
    os.chdir("/")
    _reset_signals()
    for undo in (_reset_priority, _reset_io_priority, _reset_processors, _reset_memory_score, _reset_rest):
        with contextlib.suppress(OSError):
            undo()
    for limit in (*_LIMITS, *_OTHERS):
        with contextlib.suppress(OSError, ValueError):
            _reset_limit(limit)


def of_caller() -> tuple[object, ...]:
    """What an engine and its steps would have of this process for good, because nothing undoes it: another engine is
    another's, see `installation`.
    """
    rights = _rights()
    may = rights.get("CapEff", 0)
    nice = (0, False) if may >> _CAP_SYS_NICE & 1 else (max(0, os.getpriority(os.PRIO_PROCESS, 0)), _is_idle())
    limits = () if may >> _CAP_SYS_RESOURCE & 1 else tuple(_in_force(limit) for limit in _FELT)
    groups = os.getgid(), tuple(sorted(os.getgroups()))
    return *groups, tuple(sorted(rights.items())), nice, limits, control_groups.limits()


def _is_idle() -> bool:
    """Whether it has the scheduling class that nobody leaves without rights."""
    return os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK == os.SCHED_IDLE


def _rights(pid: int | str = "self") -> dict[str, int]:
    """What a process may do, or may never do again, by the names that the kernel has for it."""
    with contextlib.suppress(OSError, ValueError):
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines()
        return {name: int(said, 16) for name, _, said in (line.partition(":") for line in lines) if name in _RIGHTS}
    return {}


def _in_force(limit: int) -> int:
    return _smaller(_LIMITS.get(limit, resource.RLIM_INFINITY), resource.getrlimit(limit)[1])


def _reset_signals() -> None:
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        # Python ignores some for its own sake, and gives them back to what it starts.
        if signal.getsignal(number) == signal.SIG_IGN and number not in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _reset_priority() -> None:
    if os.sched_getscheduler(0) != os.SCHED_OTHER:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    os.setpriority(os.PRIO_PROCESS, 0, 0)


def _reset_io_priority() -> None:
    number = _SYSCALLS.get(os.uname().machine)
    if number is not None:
        ctypes.CDLL(None).syscall(number[0], 1, 0, 0)  # of this process: no class, which is what goes with the niceness


def _reset_rest() -> None:
    """How memory is laid out and from which node it comes, how late timers may be, and what a core file holds."""
    libc = ctypes.CDLL(None)
    libc.personality(0)
    for what, plain in _PRCTLS.items():
        libc.prctl(what, plain, 0, 0, 0)
    number = _SYSCALLS.get(os.uname().machine)
    if number is not None:
        libc.syscall(number[1], 0, None, 0)
    Path("/proc/self/coredump_filter").write_text(_DUMPED)


def _reset_processors() -> None:
    # The kernel takes away those that our control group does not have.
    os.sched_setaffinity(0, range(os.sysconf("SC_NPROCESSORS_CONF")))


def _reset_memory_score() -> None:
    Path("/proc/self/oom_score_adj").write_text("0")


def _reset_limit(limit: int) -> None:
    hard = resource.getrlimit(limit)[1]
    if os.geteuid() == 0:  # may have what the machine's first process has
        with contextlib.suppress(OSError):
            hard = resource.prlimit(1, limit)[1]
    wanted = _LIMITS.get(limit, resource.RLIM_INFINITY)
    soft = hard if wanted == resource.RLIM_INFINITY else _smaller(wanted, hard)
    try:
        resource.setrlimit(limit, (soft, hard))
    except (OSError, ValueError):  # root without that right
        hard = resource.getrlimit(limit)[1]
        resource.setrlimit(limit, (_smaller(soft, hard), hard))


def _smaller(one: int, other: int) -> int:
    """The smaller of two limits, of which -1 is none at all."""
    return min((limit for limit in (one, other) if limit != resource.RLIM_INFINITY), default=resource.RLIM_INFINITY)
