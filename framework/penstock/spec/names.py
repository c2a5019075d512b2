"""Names of pipelines, labels and endpoints, which every door and file system can carry, and notes that people keep."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

MAX_BYTES = 255
"""The longest name, in bytes of UTF-8."""

MAX_NOTE = 64 * 1024
"""The longest description or reason, in bytes of UTF-8."""
MAX_TAGS, MAX_TAG = 100, 4096
"""How many tags there may be, and the longest value of one, in bytes of UTF-8. Its name has at most `MAX_BYTES`."""

_RESERVED = "/:@"


def name_problem(what: str, text: str) -> str | None:
    """What is wrong with a name, as one sentence that begins with `what`, or None.

    A name is 1 to 255 bytes of printable Unicode in NFC, without `/`, `:` and `@` and without a space at either end.
    """
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return f"{what} holds a lone surrogate, which is not Unicode text"
    if not text:
        return f"{what} is empty"
    if size > MAX_BYTES:
        return f"{what} is {size:,} bytes long; at most {MAX_BYTES}"
    if not text.isprintable():
        odd = next(char for char in text if not char.isprintable())
        return f"{what} holds U+{ord(odd):04X}, which is not printable"
    if text != text.strip():
        return f"{what} has a space at an end"
    for char in _RESERVED:
        if char in text:
            return f"{what} holds `{char}`, which references use"
    if not unicodedata.is_normalized("NFC", text):
        return f"{what} is not in NFC, the one Unicode form of names: write `{unicodedata.normalize('NFC', text)}`"
    return None


def normal(text: str) -> str:
    """A name in NFC, the one form in which names are kept and looked up."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def note_problem(what: str, text: str, most: int = MAX_NOTE) -> str | None:
    """Whether a text that people keep beside something is too long, as one sentence that begins with `what`."""
    size = len(text.encode(errors="surrogatepass"))
    return None if size <= most else f"{what} is {size:,} bytes long; at most {most:,}"


def tags_problem(tags: Mapping[str, str]) -> str | None:
    """Whether there are too many tags, or one has a name or value that is too long, as one sentence."""
    if len(tags) > MAX_TAGS:
        return f"there are {len(tags):,} tags; at most {MAX_TAGS}"
    for name, value in tags.items():
        wrong = note_problem("the name of a tag", name, MAX_BYTES) or note_problem(f"the tag `{name}`", value, MAX_TAG)
        if wrong:
            return wrong
    return None
