"""How a value travels to the launcher: expanders of a cloud (KFP's `{{$...}}`, the container's `$(NAME)`) lie between.

A text that any of them, or what trims and splits, could touch travels in base64 behind a marker; the launcher decodes
it, and so does who reads a job.
"""

from __future__ import annotations

import base64
import binascii
import re

MARKER = "penstock-b64:"
"""What an encoded text begins with. One that begins like this or another word of ours is encoded too."""

NOTHING = "penstock-none:"
"""What stands for the value of an optional parameter that has none, see `penstock.spec.optional`."""

ARCHIVE = "penstock-tar:"
"""What stands in a `file` or `directory` parameter for content that travelled with the snapshot: then the URI of its
archive, and for a file `#` and its name."""

_OURS = re.compile(r"penstock-(?!tar:)[a-z0-9]+:")  # what names an archive is ours to write
# A JSON object may be one of KFP's structures, `{"Concat": ...}` and `{"IfPresent": ...}`, which it works out.
_TOUCHED = re.compile(r"[\x00-\x1f\x7f$]|\{\{|\A\s|\s\Z|\A\{")


def encode_value(text: str) -> str:
    """A text as a parameter carries it: itself where nothing could touch it, else encoded."""
    if text and not _OURS.match(text) and not _TOUCHED.search(text):
        return text
    return MARKER + base64.b64encode(text.encode()).decode()


def decode_value(text: str) -> str:
    """The text that a parameter carries. Raises ValueError for what is encoded and cannot be decoded."""
    if not text.startswith(MARKER):
        return text
    try:
        return base64.b64decode(text.removeprefix(MARKER), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise ValueError(f"`{text[:40]}` is no value that penstock encoded") from None
