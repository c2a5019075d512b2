"""How a value travels: two expanders lie between us and a step, KFP's `{{$...}}` and the container's `$(NAME)`.

Every parameter is of the IR's type STRING and carries the text that the core made. A text that either of them, or what
trims and splits, could touch travels in base64 behind a marker; the launcher decodes it, and the reader of a job.
"""

from __future__ import annotations

import base64
import binascii
import re

MARKER = "penstock-b64:"
"""What an encoded text begins with. One that begins so itself, or like a `REFERENCE`, is encoded too."""

REFERENCE = "penstock-gcs:"
"""What stands for a text that is too long to travel in arguments: then bucket and path of the object that it is."""

LONGEST = 8 * 1024
"""Characters of a parameter that travel in arguments; there are 100,000 for all of a container (see `sizes`)."""

ARCHIVE = "penstock-tar:"
"""What stands in a `file` or `directory` parameter for content that travelled with the snapshot: then the URI of its
archive, and for a file `#` and its name."""

# A JSON object may be one of KFP's structures, `{"Concat": ...}` and `{"IfPresent": ...}`, which it works out.
_TOUCHED = re.compile(r"[\x00-\x1f\x7f$]|\{\{|\A\s|\s\Z|\A\{")


def encode_value(text: str) -> str:
    """A text as a parameter carries it: itself where nothing could touch it, else encoded."""
    if text and not text.startswith((MARKER, REFERENCE)) and not _TOUCHED.search(text):
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
