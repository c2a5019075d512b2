"""What the control groups of a process limit: an engine stays in those of its caller, and so do its steps."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from penstock_local import memory

_FILES = {
    "memory": ("memory.max", "memory.high", "memory.limit_in_bytes"),
    "pids": ("pids.max",),
    "cpu": ("cpu.max", "cpu.cfs_quota_us"),
    "cpuset": ("cpuset.cpus.effective", "cpuset.effective_cpus"),
}
"""Where each controller has its limits, of version 2 first."""
_KNOWN = 10.0
"""Seconds for which limits are known that were read."""
_ENDLESS = 1 << 62
"""What version 1 says for no limit of memory is no less."""


def limits() -> tuple[tuple[str, str], ...]:
    """What a process of this one's groups may run into, whatever they are called; nothing where that is not known.

    What a step may have of its own, which an engine that it starts leaves, does not count. Every hand-over asks.
    """
    try:
        return _limits(Path("/proc/self/cgroup").read_text(), int(time.monotonic() / _KNOWN))
    except OSError:
        return ()


@functools.lru_cache(maxsize=1)
def _limits(groups: str, period: int) -> tuple[tuple[str, str], ...]:
    """Those of some groups, as they were in a `period`: somebody may change them."""
    found: set[tuple[str, str]] = set()
    with contextlib.suppress(OSError, ValueError):
        for folder, controllers in _places(groups):
            for name in (name for one in controllers for name in _FILES[one]):
                with contextlib.suppress(OSError):  # of the other version, or not there in the first group of all
                    said = (folder / name).read_text().strip()
                    if not _is_none(said):
                        found.add((name, said))
    return tuple(sorted(found))


def _places(groups: str) -> Iterator[tuple[Path, set[str]]]:
    """Where some groups lie, and those above them as far up as they are mounted, and which controllers each has."""
    mounts = [line.split() for line in memory.MOUNTS.read_text().splitlines() if " - cgroup" in line]
    for line in groups.splitlines():
        _, named, path = line.split(":", 2)
        controllers = _FILES.keys() & set(named.split(",")) if named else set(_FILES)
        for _, _, _, begin, mounted, *_, kind, _, options in mounts:
            has_them = kind == "cgroup2" if not named else kind == "cgroup" and controllers & set(options.split(","))
            if has_them and PurePosixPath(path).is_relative_to(begin):
                inner = PurePosixPath(path).relative_to(begin)
                for group in () if ".." in inner.parts else (inner, *inner.parents):
                    if not memory.is_attempts(group.name):
                        yield Path(mounted, group), controllers


def _is_none(said: str) -> bool:
    """Whether it says that there is no limit."""
    return said.startswith(("max", "-1")) or (said.isdecimal() and int(said) >= _ENDLESS)
