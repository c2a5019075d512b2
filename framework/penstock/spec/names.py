"""Names of pipelines, labels and endpoints: what every door and file system can carry and nobody can misread."""

from __future__ import annotations

import unicodedata

MAX_BYTES = 255
"""The longest name, in bytes of UTF-8."""

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
