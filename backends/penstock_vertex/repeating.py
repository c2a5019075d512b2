"""Sending a call once more when its answer was lost: every call of this backend may be repeated without harm.

A job and a file are made only if they are not there. Google's libraries repeat nothing by themselves here, because what
they would repeat differs between methods and transports.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

REPEATS = 2
"""How often a call whose answer was lost is sent once more, at once."""


def repeated(call: Callable[[], T]) -> T:
    """What a call answers, or raises; repeated when the connection broke after it was sent, or for UNAVAILABLE."""
    from google.api_core.exceptions import ServiceUnavailable
    from requests.exceptions import ConnectionError as Broken
    from urllib3.exceptions import MaxRetryError

    for _ in range(REPEATS):
        try:
            return call()
        except ServiceUnavailable:
            continue
        except Broken as error:
            if any(isinstance(reason, MaxRetryError) for reason in error.args):  # it never came to a connection
                raise
    return call()
