"""The memory that a step asks for, as a limit where this machine lets us set one: a control group for each attempt.

A group lies below our own in version 1 of the kernel's control groups, and beside it in version 2, where a group has
either processes or groups (docs.kernel.org/admin-guide/cgroup-v2.html, "No Internal Process Constraint"). Whoever may
not make groups there, as in most containers, has no limit, and validate says so.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

from attrs import evolve, frozen

LEAST = 1 << 20
"""Bytes: under some 400 KiB the kernel ends a shell before it has begun (measured with kernel 6.18, version 1)."""
_MOUNTS = Path("/proc/self/mounts")
_NAME = re.compile(r"penstock-[0-9a-f]{12}-[0-9a-f]+")


@frozen
class _Kind:
    """The names of files in a group, which differ by version."""

    limit: str
    swap: tuple[str, bool]
    """Its file, and whether it counts memory and swap together."""
    events: str


_FIRST = _Kind("memory.limit_in_bytes", ("memory.memsw.limit_in_bytes", True), "memory.oom_control")
_SECOND = _Kind("memory.max", ("memory.swap.max", False), "memory.events")


@frozen
class Group:
    """The control group of one attempt."""

    folder: Path
    home: Path
    """The group that our own processes are in."""
    kind: _Kind

    @property
    def door(self) -> str:
        """The file to which a process writes `0` to be in the group from then on."""
        return str(self.folder / "cgroup.procs")

    def set(self, size: int) -> None:
        """Make the group, and let what is in it have so many bytes, swap included. Raises OSError."""
        with contextlib.suppress(FileExistsError):
            self.folder.mkdir(0o700)
        (self.folder / self.kind.limit).write_text(f"{size}")
        name, together = self.kind.swap
        with contextlib.suppress(OSError):  # where swap is not counted, there mostly is none
            (self.folder / name).write_text(f"{size if together else 0}")
        with contextlib.suppress(OSError):  # of version 2 alone: a step without one of its processes is none
            (self.folder / "memory.oom.group").write_text("1")

    def ran_out(self) -> bool:
        """Whether the kernel has killed something of the group for want of memory."""
        try:
            found = re.search(r"^oom_kill (\d+)$", (self.folder / self.kind.events).read_text(), re.MULTILINE)
        except OSError:
            return False
        return found is not None and int(found[1]) > 0

    def remove(self) -> None:
        """Remove the group, unless something is in it still; then an engine does, when it starts."""
        with contextlib.suppress(OSError):
            self.folder.rmdir()


class Memory:
    """The groups of one root's steps. Their names are made of root and attempt, so that each engine knows them."""

    def __init__(self, root: Path) -> None:
        self._prefix = f"penstock-{hashlib.sha256(os.fsencode(root)).hexdigest()[:12]}-"
        self._place = _place()

    def limit(self, token: str, size: int) -> str | None:
        """Make the group of an attempt that may have so many bytes; returns its door, None where there can be none."""
        group = self.group(token)
        if group is None:
            return None
        with contextlib.suppress(OSError):
            group.set(size)
            return group.door
        group.remove()
        return None

    def settle(self, token: str) -> bool:
        """Remove the group of an attempt of which nothing is left; whether it had run out of memory."""
        group = self.group(token)
        if group is None:
            return False
        ran_out = group.ran_out()
        group.remove()
        return ran_out

    def group(self, token: str) -> Group | None:
        """The group of an attempt, which is not made by that; None where there can be none."""
        if self._place is None:
            return None
        return evolve(self._place, folder=self._place.folder / f"{self._prefix}{token}")

    def sweep(self) -> None:
        """Remove the groups of attempts of which nothing is left."""
        if self._place is not None:
            with contextlib.suppress(OSError):
                for path in self._place.folder.glob(f"{self._prefix}*"):
                    evolve(self._place, folder=path).remove()


def leave_attempt() -> None:
    """Leave the group of an attempt, into which this process was born when a step started it: for that of its keeper.

    Call it before whoever started this process has ended.
    """
    with contextlib.suppress(OSError, ValueError, IndexError):
        for place in _places():
            pid = os.getpid()
            while _NAME.fullmatch((found := _folder_of(pid, place)).name) and pid > 1:
                pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
            if found != place.home:
                (found / "cgroup.procs").write_text("0")


def _folder_of(pid: int, like: Group) -> Path:
    """The group of a process in the hierarchy of one of our own groups. Raises OSError, ValueError without any."""
    return next(place.home for place in _places(f"/proc/{pid}/cgroup") if place.kind is like.kind)


def can_limit() -> bool:
    """Whether a step's memory can be limited by whoever asks, on this machine."""
    return _place() is not None


def _place() -> Group | None:
    """The group in which others can be made that have a limit."""
    return next((one for one in _places() if _is_usable(one)), None)


def _places(groups: str = "/proc/self/cgroup") -> Iterator[Group]:
    with contextlib.suppress(OSError):
        mounts = [line.split() for line in _MOUNTS.read_text().splitlines()]
        for line in Path(groups).read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            first = "memory" in controllers.split(",")
            if not first and controllers:
                continue
            for _, mounted, kind, options, *_ in mounts:
                own = Path(f"{mounted}{path}")
                if first and kind == "cgroup" and "memory" in options.split(","):
                    yield Group(own, own, _FIRST)
                elif not first and kind == "cgroup2":  # of which the first group of all may have both
                    yield Group(own if path == "/" else own.parent, own, _SECOND)


def _is_usable(place: Group) -> bool:
    """Try it: whether a group can be made there, has a limit, and may be joined and left by our processes."""
    if not all(os.access(folder / "cgroup.procs", os.W_OK) for folder in (place.folder, place.home)):
        return False
    tried = evolve(place, folder=place.folder / f"penstock-{secrets.token_hex(8)}")
    try:
        tried.set(1 << 30)
        return os.access(tried.door, os.W_OK)
    except OSError:
        return False
    finally:
        tried.remove()
