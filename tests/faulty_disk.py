"""Disks that are full, read-only, or that say so only as they are asked to sync: real ones, on this machine."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_SYNCS = {"x86_64": (0xC000003E, (74, 75)), "aarch64": (0xC00000B7, (82, 83))}
"""How an architecture is called by the kernel's audit, and the numbers of `fsync` and `fdatasync` there."""


@contextmanager
def small_disk(folder: Path, size: str, inodes: int = 0) -> Iterator[Path]:
    """A file system of its own, of that size, in a folder; skips the test by name where it cannot be had.

    `inodes` are how many files and folders it takes; zero is any number, and they are not counted.
    """
    folder.mkdir(exist_ok=True)
    options = f"size={size},nr_inodes={inodes},mode=700"
    mount = ["mount", "-t", "tmpfs", "-o", options, "penstock-test", folder]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a small disk needs the right to mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """A folder in which nobody can write anything, as on a read-only mount; skips the test where it cannot be had."""
    if subprocess.run(["mount", "--bind", folder, folder], check=False, capture_output=True).returncode:
        pytest.skip("a read-only mount needs the right to mount")
    try:
        remount = ["mount", "-o", "remount,ro,bind", folder]
        if subprocess.run(remount, check=False, capture_output=True).returncode:
            pytest.skip("a read-only mount needs the right to mount anew")
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(folder: Path, *, leave: int) -> None:
    """Leave so many bytes free in a file system, a multiple of 4096, whether it had more or less."""
    ballast = folder / "ballast"
    size = ballast.stat().st_size if ballast.exists() else 0
    disk = os.statvfs(folder)
    more = disk.f_bavail * disk.f_frsize - leave
    if more <= 0:
        os.truncate(ballast, max(0, size + more))
        return
    with ballast.open("ab") as file:
        file.write(bytes(more))


def break_syncs() -> None:
    """From now on no file of this process and its children can be synced: the disk answers with an input/output error.

    There is no way back. Raises OSError where the kernel has no such filter.
    """
    arch, numbers = _SYNCS[platform.machine()]
    load, jump, answer = 0x20, 0x15, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_RET|K
    allow, refuse = 0x7FFF0000, 0x00050000 | errno.EIO  # SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO
    program = [
        (load, 0, 0, 4),
        (jump, 0, 3, arch),
        (load, 0, 0, 0),
        (jump, 2, 0, numbers[0]),
        (jump, 1, 0, numbers[1]),
        (answer, 0, 0, allow),
        (answer, 0, 0, refuse),
    ]
    code = b"".join(struct.pack("HBBI", *line) for line in program)
    libc = ctypes.CDLL(None, use_errno=True)
    held = ctypes.create_string_buffer(code)
    filtered = struct.pack("HxxxxxxP", len(program), ctypes.addressof(held))
    set_no_new_privs, set_seccomp, mode_filter = 38, 22, 2
    if libc.prctl(set_no_new_privs, 1, 0, 0, 0) or libc.prctl(set_seccomp, mode_filter, filtered, 0, 0):
        raise OSError(ctypes.get_errno(), "no filter for system calls")
