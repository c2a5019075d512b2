"""The list in `PENSTOCK_TRUST`: how it is read, and what to paste into a shell that adds a path to it."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "PENSTOCK_TRUST"
"""Folders and files that are trusted with all that lies below them, separated by `:`. A backslash before a `:` or
before another backslash stands for that character itself, as part of a path.
"""


def listed() -> list[str]:
    """What the variable of this process names, in its order and with a home in the place of `~`; relative paths too."""
    return [os.path.expanduser(one) for one in _entries()]  # noqa: PTH111  # the path is text, and a user may not exist


def advice(path: Path) -> str:
    """The assignment, for a shell, by which a path is trusted as well as what is already."""
    known = [one for one in _entries() if os.path.isabs(os.path.expanduser(one))]  # noqa: PTH111, PTH117  # the paths are text, and a user may not exist
    escaped = (one.replace("\\", r"\\").replace(":", r"\:") for one in [*known, str(path)])
    return f"{VARIABLE}={for_shell(':'.join(escaped))}"


def for_shell(text: str | Path) -> str:
    """A word as it can be pasted into a shell from one line of a terminal, whatever bytes and characters are in it."""
    import shlex

    text = str(text)
    if text.isprintable():
        return shlex.quote(text)
    code = {"'": r"\'", "\\": r"\\"}
    chars = (code.get(char, char) if char.isprintable() else _bytes_of(char) for char in text)
    return f"$'{''.join(chars)}'"  # what bash, zsh and ksh know, and no other way keeps a line break on the line


def _bytes_of(char: str) -> str:
    """Octal, because as many digits as there are may follow a hexadecimal one."""
    return "".join(f"\\{byte:03o}" for byte in os.fsencode(char))


def _entries() -> list[str]:
    entries, chars = [""], iter(os.environ.get(VARIABLE, ""))
    for char in chars:
        after = next(chars, "") if char == "\\" else ""
        if char == ":":
            entries.append("")
        else:
            entries[-1] += after if after and after in ":\\" else char + after
    return [one for one in entries if one]
