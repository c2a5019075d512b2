"""The memory that a step asks for, as a limit where this machine lets us set one: a control group for each attempt.

A group lies below our own in version 1 of the kernel's control groups, and beside it in version 2, where a group has
either processes or groups (docs.kernel.org/admin-guide/cgroup-v2.html, "No Internal Process Constraint"). Whoever may
not make groups there, as in most containers, has no limit, and validate says so.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from attrs import evolve, frozen

from penstock_local.clock import Clock

LEAST = 1 << 20
"""Bytes: under some 400 KiB the kernel ends a shell before it has begun (measured with kernel 6.18, version 1)."""
MOUNTS = Path("/proc/self/mountinfo")
"""Where the system says what is mounted, control groups among it."""
_NAME = re.compile(r"penstock-[0-9a-f]{12}-[0-9a-f]+")
_TRIED = re.compile(r"penstock-[0-9a-f]{16}")
_LONG = 60.0
"""Seconds after which a group that was tried is left over: whoever made it was killed before it could remove it."""


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
    top: Path
    """The first group of all that we see."""

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

    def remove(self) -> bool:
        """Remove the group; False while something is in it still."""
        try:
            self.folder.rmdir()
        except OSError as error:
            return error.errno != errno.EBUSY
        return True


class Memory:
    """The groups of one root's steps. Their names are made of root and attempt, so that each engine knows them."""

    def __init__(self, root: Path, clock: Clock | None = None) -> None:
        self._prefix = f"penstock-{hashlib.sha256(os.fsencode(root)).hexdigest()[:12]}-"
        self._place = _place()
        self._clock = clock
        self._earlier: dict[str, Group] | None = None

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
        if group is None or not group.folder.is_dir():
            group = self._left().get(f"{self._prefix}{token}")
        if group is None:
            return False
        ran_out = group.ran_out()
        self._remove(group)
        return ran_out

    def _remove(self, group: Group, wait: float = 0.05) -> None:
        """Remove a group soon: what was killed in it takes a moment to end. What stays, the next engine removes."""
        if not group.remove() and self._clock is not None and wait < _LONG:
            self._clock.later(wait, lambda: self._remove(group, 2 * wait))

    def group(self, token: str) -> Group | None:
        """The group of an attempt, which is not made by that; None where there can be none."""
        if self._place is None:
            return None
        return evolve(self._place, folder=self._place.folder / f"{self._prefix}{token}")

    def sweep(self) -> None:
        """Remove the groups of attempts of which nothing is left."""
        for group in self._left().values():
            group.remove()

    def _left(self) -> dict[str, Group]:
        """The groups of earlier engines, which may have come from elsewhere and made theirs there; looked for once."""
        if self._earlier is None:
            self._earlier = {
                name: evolve(place, folder=Path(folder, name))
                for place in _places()
                for folder, names, _ in os.walk(place.top)
                for name in names
                if name.startswith(self._prefix) or (_TRIED.fullmatch(name) and _is_old(Path(folder, name)))
            }
        return self._earlier


def _is_old(folder: Path) -> bool:
    try:
        return time.time() - folder.stat().st_mtime > _LONG
    except OSError:
        return False


def leave_attempt() -> None:
    """Leave the group of an attempt, into which this process was born when a step started it: for that of its keeper.

    Call it before whoever started this process has ended.
    """
    with contextlib.suppress(OSError, ValueError, IndexError):
        for place in _places():
            pid = os.getpid()
            while (found := _folder_of(pid, place)) and _NAME.fullmatch(found.name) and pid > 1:
                pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
            if found and found != place.home:
                (found / "cgroup.procs").write_text("0")


def _folder_of(pid: int, like: Group) -> Path | None:
    """The group of a process in the hierarchy of one of our own groups; None when it has ended or we do not see it."""
    return next((place.home for place in _places(f"/proc/{pid}/cgroup") if place.kind is like.kind), None)


def is_attempts(name: str) -> bool:
    """Whether a group of that name was made for an attempt."""
    return _NAME.fullmatch(name) is not None


def can_limit() -> bool:
    """Whether a step's memory can be limited by whoever asks, on this machine."""
    return _place() is not None


def _place() -> Group | None:
    """The group in which others can be made that have a limit."""
    return next((one for one in _places() if _is_usable(one)), None)


def _places(groups: str = "/proc/self/cgroup") -> Iterator[Group]:
    """Where groups might be made: of each hierarchy the part that is mounted, if the process of `groups` is in that.

    In a container it begins at a group that is not the first of all, and another one may be mounted than is our first.
    """
    with contextlib.suppress(OSError):
        mounts = [line.split() for line in MOUNTS.read_text().splitlines()]
        for line in Path(groups).read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            first = "memory" in controllers.split(",")
            if not first and controllers:
                continue
            for _, _, _, begin, mounted, *_, kind, _, options in mounts:
                if not PurePosixPath(path).is_relative_to(begin):
                    continue
                top, inner = Path(mounted), PurePosixPath(path).relative_to(begin)
                own = top / inner
                if ".." in inner.parts:
                    continue
                if first and kind == "cgroup" and "memory" in options.split(","):
                    yield Group(own, own, _FIRST, top)
                elif not first and kind == "cgroup2":  # of which the first group of all may have both
                    yield Group(own if own == top else own.parent, own, _SECOND, top)


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
