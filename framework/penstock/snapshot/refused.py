"""How it is told that something cannot travel."""

from __future__ import annotations

from penstock.machine import lacks


class NotBundled(Exception):
    """Something that cannot travel, with a stable code."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint


def unreadable(shown: str, error: OSError, hint: str = "") -> NotBundled:
    """What to say when the system refuses to read something. Raises the error where that is the machine's trouble."""
    if lacks(error):
        raise error
    why = (error.strerror or str(error)).lower()
    return NotBundled("file_unreadable", f"`{shown}` cannot be read: {why}", hint)


def text_of(path: str) -> str:
    """A path as it can be shown: bytes of names that are no text as `\\xff`."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
