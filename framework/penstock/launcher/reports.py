"""What the launcher says of an attempt: a small file beside the run, as a cloud's own error is only a sentence."""

from __future__ import annotations

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


_NO_CODE = frozenset({"succeeded", "canceled"})


def read_report(data: bytes) -> AttemptReport:
    """What a launcher wrote: a word or code, the exit code or nothing, and what there is to say, a line each.

    Of what cannot be read nothing is said: then it is an attempt that has not ended.
    """
    word, exit_code, message, *_ = (*data.decode("utf-8", "replace").split("\n", 2), "", "", "")
    if not word or word == "running":
        return AttemptReport(ended=False)
    return AttemptReport(
        code=None if word in _NO_CODE else word,
        message=" ".join(message.split()),
        exit_code=int(exit_code) if exit_code.isascii() and exit_code.isdigit() else None,
    )
