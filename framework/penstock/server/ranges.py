"""Byte ranges of HTTP (RFC 9110): one range of what has a length."""

from __future__ import annotations

import re

from attrs import frozen

from penstock.contract.http import HttpRequest

_RANGE = re.compile(r"bytes=\s*(?:(\d{1,18})-(\d{1,18})?|-(\d{1,18}))\s*", re.IGNORECASE)


@frozen
class Range:
    """The bytes from `first` to `last`, both included; a `last` of None is the end, a `first` of None counts from it:
    then `last` says how many.
    """

    first: int | None
    last: int | None

    def within(self, length: int) -> tuple[int, int] | None:
        """Its first byte and the one after its last in what has a length; None when nothing of it is there."""
        if self.first is None:
            assert self.last is not None
            first, end = max(0, length - self.last), length
        else:
            first, end = self.first, length if self.last is None else min(length, self.last + 1)
        return (first, end) if first < end else None


def asked_range(request: HttpRequest) -> Range | None:
    """The one range that a request asks for, or None for all.

    Several ranges, other units, what cannot be read and what asks for a version of ours by `If-Range` are answered
    whole, as the standard allows: nothing here has a version.
    """
    found = _RANGE.fullmatch(request.headers.get("range", ""))
    if found is None or "if-range" in request.headers:
        return None
    first, last, most = (None if text is None else int(text) for text in found.groups())
    if first is None:
        return Range(None, most)
    return None if last is not None and last < first else Range(first, last)
