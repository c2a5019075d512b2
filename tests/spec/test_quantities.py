"""Durations, sizes and cores: read, written, and the same after a round trip."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from penstock.spec.quantity import bytes_of, bytes_text, cores_of, duration_text, seconds_of


@pytest.mark.parametrize(
    ("written", "seconds", "text"),
    [
        ("500ms", 0.5, "0.5s"),
        ("10s", 10.0, "10s"),
        ("90s", 90.0, "90s"),
        ("120s", 120.0, "2m"),
        ("1.5h", 5400.0, "90m"),
        ("48h", 172800.0, "2d"),
        (0, 0.0, "0s"),
        (0.000001, 1e-06, "0.000001s"),
        (3600, 3600.0, "1h"),
        (None, None, None),
    ],
)
def test_durations(written, seconds, text):
    assert seconds_of(written) == seconds
    if seconds is not None:
        assert duration_text(seconds) == text


@given(st.floats(0, 36500 * 86400))
@example(36500 * 86400.0)
@example(5e-324)
@example(-0.0)
def test_a_duration_comes_back_from_its_text(seconds):
    once = seconds_of(seconds)
    assert seconds_of(duration_text(once)) == once


@pytest.mark.parametrize(
    "written",
    [
        "",
        "10",
        "s",
        "-1s",
        "1 h",
        "1w",
        "1e3s",
        "٣s",
        "9" * 400 + "s",
        -1,
        math.inf,
        math.nan,
        10**400,
        4e9,
        True,
        [],
        "1s\n",
    ],
)
def test_what_is_no_duration(written):
    with pytest.raises(ValueError, match="duration"):
        seconds_of(written)


@pytest.mark.parametrize(
    ("written", "size", "text"),
    [
        ("4Gi", 2**32, "4Gi"),
        ("0.5Ki", 512, "512"),
        ("2G", 2 * 10**9, "1953125Ki"),
        ("1k", 1000, "1000"),
        (0, 0, "0"),
        (1536, 1536, "1536"),
        ("9007199254740993", 2**53 + 1, "9007199254740993"),
        ("1.5Gi", 1610612736, "1536Mi"),
    ],
)
def test_sizes(written, size, text):
    assert bytes_of(written) == size
    assert bytes_text(size) == text


@given(st.integers(0, 2**63 - 1))
def test_a_size_comes_back_from_its_text(size):
    assert bytes_of(bytes_text(size)) == size


@pytest.mark.parametrize(
    "written", ["", "4GB", "-1", "1.5", "0.3Ki", "4 Gi", "٣", "9" * 400, "99999999Ti", -1, 2**63, 1.5, True, [], "4\n"]
)
def test_what_is_no_size(written):
    with pytest.raises(ValueError, match="size"):
        bytes_of(written)


def test_cores():
    assert cores_of(2.0) == 2
    assert type(cores_of(2.0)) is int
    assert cores_of(0.5) == 0.5
    assert cores_of(None) is None
    for wrong in (0, -1, math.inf, math.nan, 10**400, 1e300, True, "2"):
        with pytest.raises(ValueError, match="cpu"):
            cores_of(wrong)
