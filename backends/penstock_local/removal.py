"""Removing what a step left behind, whatever it is: closed folders, trees of any depth, names of any length."""

from __future__ import annotations

import contextlib
import os
import stat


def remove(path: str) -> None:
    """Remove a file, a link or a folder with all that is in it, as far as our rights reach. Safe in any thread.

    A link is never followed. What cannot be removed (another user's, a mounted file system) stays without a word.
    """
    with contextlib.suppress(OSError):
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            os.unlink(path)  # noqa: PTH108  # the path is text, and every step asks
            return
        open_up(path)
        top = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            _empty(top)
        finally:
            os.close(top)
        os.rmdir(path)  # noqa: PTH106  # the path is text, and every step asks


def size_of(path: str) -> int:
    """Bytes on the disk of a folder and what is in it, as far as we may look; a file with more names counts none."""
    total = 0
    for place, _, names in os.walk(path):
        for name in (".", *names):
            with contextlib.suppress(OSError):
                found = os.lstat(f"{place}/{name}")
                total += 0 if name != "." and found.st_nlink > 1 else found.st_blocks * 512
    return total


def open_up(path: str, within: int | None = None) -> None:
    """Let us into a folder that its step has closed. Raises OSError."""
    os.chmod(path, 0o700, dir_fd=within)


def _empty(top: int) -> None:
    """Empty a folder. What lies deeper is first brought up to it, so that no path gets long and nothing recurs."""
    ticket = 0
    stuck: set[str] = set()
    while names := [name for name in os.listdir(top) if name not in stuck]:
        for name in names:
            if _is_gone(top, name):
                continue
            try:
                ticket = _bring_up(top, name, ticket)
                os.rmdir(name, dir_fd=top)
            except OSError:
                stuck.add(name)


def _is_gone(top: int, name: str) -> bool:
    """Whether that was no folder, or an empty one, and could be removed."""
    for remove_it in (os.unlink, os.rmdir):
        with contextlib.suppress(OSError):
            remove_it(name, dir_fd=top)
            return True
    return False


def _bring_up(top: int, name: str, ticket: int) -> int:
    """Remove the files of a folder in `top` and move its folders there, under numbers that follow `ticket`."""
    open_up(name, top)
    folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=top)
    try:
        for inner in os.listdir(folder):  # noqa: PTH208  # an open folder has no path
            if _is_gone(folder, inner):
                continue
            with contextlib.suppress(OSError):
                open_up(inner, folder)
                ticket = _free(top, ticket)
                os.rename(inner, f"{ticket}", src_dir_fd=folder, dst_dir_fd=top)
    finally:
        os.close(folder)
    return ticket


def _free(top: int, ticket: int) -> int:
    while True:
        ticket += 1
        try:
            os.lstat(f"{ticket}", dir_fd=top)
        except FileNotFoundError:
            return ticket
