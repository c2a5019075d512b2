"""How a value travels: Azure pastes inputs into the text of a shell's command, where nothing of ours may mean anything.

Each parameter is an input of type `string`. Letters, digits and a few signs travel as they are, every other text in
base64 behind a marker (see `penstock.launcher.wire`). A long one is a line of a file that the step is given besides.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping

from penstock.launcher.wire import MARKER

REFERENCE = "penstock-file:"
"""What stands for a text that is too long for a command: then the sha256 of the text, or for the launcher a path."""

LONGEST = 8 * 1024
"""Characters of a parameter, as it travels, that are pasted into a command. A guess: Azure documents no limit."""

MOST_VALUES = 48 * 1024
"""Characters of all parameters of a run that are pasted; the longest of more are given in the file."""

MOST_COMMAND = 48 * 1024
"""Characters of a step's command before anything is pasted. Linux takes 131,071 in one argument, as which a shell gets
it with all that is pasted; what Azure itself puts before it, and takes, is a guess."""

# A value has at least one letter, digit or `_` (the pattern of `JobInput.value` in ARM's schemas).
_PLAIN = re.compile(r"[.,:/+=%-]*[A-Za-z0-9_][A-Za-z0-9_.,:/+=%-]*")
_OTHERS = re.compile(r"penstock-|azureml:")


def encode(text: str) -> str:
    """A text as an input carries it: itself where every reader takes it as it is, else encoded."""
    if _PLAIN.fullmatch(text) and not _OTHERS.match(text):
        return text
    return MARKER + base64.b64encode(text.encode()).decode()


def referring(text: str) -> str:
    """What stands for a text that lies in a file of `lines`."""
    return REFERENCE + hashlib.sha256(text.encode()).hexdigest()


def carried(texts: Mapping[str, str]) -> tuple[dict[str, str], bytes]:
    """The texts as inputs carry them, by the same names, and the file of those that do not travel in a command.

    The file is as `lines` makes it, and empty where all travel.
    """
    values: dict[str, str] = {}
    long, total = [], 0
    for name, text in sorted(texts.items(), key=lambda item: (len(item[1]), item)):
        value = encode(text)
        total += len(value)
        if len(value) > LONGEST or total > MOST_VALUES:
            long.append(text)
            value = referring(text)
        values[name] = value
    return values, lines(long)


def lines(texts: Iterable[str]) -> bytes:
    """A file of texts: for each a line with what refers to it, and a line with it encoded; in one order."""
    return "".join(f"{referring(text)}\n{encode(text)}\n" for text in sorted(set(texts))).encode()
