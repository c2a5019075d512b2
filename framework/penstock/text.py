"""Text as a person may see it, whatever is in it; apart from the errors because the command line starts with it."""

from __future__ import annotations

import os
import sys

_UNITS = ("kB", "MB", "GB", "TB")


def with_article(word: str) -> str:
    """A word of ours with `a` or `an` before it, as it is spoken."""
    return f"{'an' if word[:1] in tuple('aeio') else 'a'} {word}"


def printable(text: str) -> str:
    """The text on one line and harmless to a terminal: line breaks and control characters are escaped."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def is_unicode(text: str) -> bool:
    """Whether a text can be encoded: it holds no lone surrogate."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def name_text(name: str) -> str:
    """A name as this process got it from the disk, as the UTF-8 text that it is there, whatever the locale says.

    What is no such text keeps its bytes as lone surrogates.
    """
    if is_utf8() or name.isascii():
        return name
    return os.fsencode(name).decode("utf-8", "surrogateescape")


def disk_name(text: str) -> str:
    """The other way: what this process has to say for a name to be that text, in UTF-8, on the disk."""
    if is_utf8() or text.isascii():
        return text
    return os.fsdecode(text.encode("utf-8", "surrogateescape"))


def is_utf8() -> bool:
    """Whether names and arguments are UTF-8 in this process's locale."""
    return sys.getfilesystemencoding() == "utf-8"


def count_text(count: int, thing: str) -> str:
    """How many there are of a thing: `1 run`, `2 runs`, `1,000 runs`."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def size_text(size: int) -> str:
    """A number of bytes as people say it: `0 bytes`, `1 byte`, `2.5 kB`, `312 MB`."""
    if size < 1000:
        return count_text(size, "byte")
    amount, power = size / 1000, 0
    while amount >= 999.5 and power < len(_UNITS) - 1:
        amount, power = amount / 1000, power + 1
    return f"{amount:.{0 if amount >= 9.95 else 1}f} {_UNITS[power]}"
