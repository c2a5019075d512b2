"""Times at the command line: read as RFC 3339, UTC dates and ages; written in UTC, to the second."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import click

from penstock.errors import UsageError
from penstock.spec.quantity import seconds_of


def read_moment(_: click.Context, param: click.Parameter, text: str | None) -> datetime | None:
    """Read an option's moment: RFC 3339, `2026-11-20 13:40` (UTC), `2026-11-20` or an age like `2h`."""
    if text is None:
        return None
    from penstock.codec import read_time

    text = text.strip()
    try:
        if re.fullmatch(r"[0-9.]+[a-z]+", text):
            return datetime.now(UTC) - timedelta(seconds=seconds_of(text))
        return read_time(text)
    except (ValueError, OverflowError, UsageError):
        known = "write RFC 3339, `2026-11-20 13:40` (UTC), `2026-11-20`, or an age like `2h`"
        raise click.BadParameter(f"`{text}` is not a time: {known}", param=param) from None


def read_duration(_: click.Context, param: click.Parameter, text: str | None) -> float | None:
    """Read an option's duration in seconds: `30s`, `2h`. A number alone could be of any unit, and is refused."""
    if text is None:
        return None
    try:
        return seconds_of(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param=param) from None


def moment_text(moment: datetime | None) -> str:
    """A moment for people: `2026-11-20 13:40:01Z`; nothing when there is none."""
    return "" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"


def span_text(start: datetime | None, end: datetime | None) -> str:
    """How long something took, or takes until now: `30ms`, `2.1s`, `3m 12s`, `1h 02m`; nothing before it started."""
    if start is None:
        return ""
    seconds = max(0.0, ((end or datetime.now(UTC)) - start).total_seconds())
    if seconds < 0.0995:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02}m"
