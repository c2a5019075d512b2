"""What the launcher says of one attempt: a small file in the staging bucket, because a task's error is only a sentence."""

from __future__ import annotations

from attrs import frozen


@frozen(kw_only=True)
class AttemptReport:
    """How an attempt ended. `code` is ours, empty when all is well, `message` one line.

    `exit_code` is the program's, None where it was not started or has not ended.
    """

    code: str = ""
    message: str = ""
    exit_code: int | None = None
    ended: bool = True


def read_report(data: bytes) -> AttemptReport:
    """Read what a launcher wrote; of what cannot be read, nothing is said."""
    raise NotImplementedError
