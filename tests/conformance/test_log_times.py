"""Times of a log that the kit takes and does not take."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from penstock.contract.run import LogChunk, LogTime
from penstock.testing.checks.logs import in_order
from penstock.testing.laws import LawBroken

NOW = datetime(2026, 11, 20, tzinfo=UTC)
LATER = NOW + timedelta(seconds=1)


def chunk(times):
    """The bytes 10 to 20 of a log."""
    return LogChunk(data=b"0123456789", next_offset=20, complete=False, times=times)


@pytest.mark.parametrize(
    ("times", "latest"),
    [
        (None, NOW),
        ((), NOW),
        ((LogTime(20, NOW),), NOW),
        ((LogTime(11, NOW), LogTime(12, None), LogTime(13, LATER)), LATER),
    ],
)
def test_a_target_may_keep_times_or_none(times, latest):
    assert in_order("one", 10, chunk(times), NOW) == latest


@pytest.mark.parametrize(
    "times",
    [
        (LogTime(10, NOW),),
        (LogTime(21, NOW),),
        (LogTime(12, NOW), LogTime(12, NOW)),
        (LogTime(15, NOW), LogTime(12, NOW)),
        (LogTime(12, LATER), LogTime(15, NOW)),
        (LogTime(12, LATER), LogTime(14, None), LogTime(15, NOW)),
        (LogTime(12, NOW - timedelta(seconds=1)),),
        (LogTime(12, NOW.replace(tzinfo=None)),),
    ],
)
def test_times_are_of_the_piece_and_go_forward(times):
    with pytest.raises(LawBroken, match="the log of step `one`"):
        in_order("one", 10, chunk(times), NOW)
