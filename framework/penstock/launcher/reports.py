"""What the launcher says of an attempt: a small file beside the run, as a cloud's own error is only a sentence."""

from __future__ import annotations

import re

from attrs import frozen


@frozen(kw_only=True)
class AttemptReport:
    """How an attempt went. `code` is an error code of ours, None while it runs and when all is well.

    `message` is one line for people. `exit_code` is the program's (128 and more when a signal ended it), None where it
    was not started or has not ended.
    """

    code: str | None = None
    message: str = ""
    exit_code: int | None = None
    ended: bool = True


MOST = 4096
"""Bytes of a report that are read: a step may write to the folder of its reports, too."""

_NO_CODE = frozenset({"succeeded", "canceled"})
_CODES = frozenset({"step_not_started", "step_failed", "step_timeout", "output_missing", "output_invalid"})
_EXIT_CODE = re.compile(r"[0-9]{1,3}", re.A)
_NUMBER = re.compile(r"[1-9][0-9]{0,5}", re.A)


def attempt_number(name: str) -> int | None:
    """The number that a report's file name is, or None for a file that no launcher wrote."""
    return int(name) if _NUMBER.fullmatch(name) else None


def read_report(data: bytes) -> AttemptReport:
    """What a launcher wrote: a word or code, the exit code or nothing, and what there is to say, a line each.

    Of what no launcher wrote nothing is said: then it is an attempt that has not ended.
    """
    word, exit_code, message, *_ = (*data.decode("utf-8", "replace").split("\n", 2), "", "", "")
    if word not in _NO_CODE | _CODES:
        return AttemptReport(ended=False)
    readable = "".join(char if char.isprintable() else " " for char in message)
    return AttemptReport(
        code=None if word in _NO_CODE else word,
        message=" ".join(readable.split())[:500],
        exit_code=exit_status(exit_code),
    )


def exit_status(text: str) -> int | None:
    """An exit code of a program, or None for a text that is none."""
    return int(text) if _EXIT_CODE.fullmatch(text) and int(text) <= 255 else None
