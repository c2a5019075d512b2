"""Options that several commands share, each with one meaning, and how their text is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from penstock.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])

FILE = click.Path(path_type=Path)
"""A path; whether it can be read is said by whoever reads it, with the error's own code."""


def paging(every: str = "") -> Callable[[F], F]:
    """`--limit` and `--before` of a listing, and `--all` where `every` says what it adds."""

    def decorate(function: F) -> F:
        if every:
            function = click.option("--all", "every", is_flag=True, help=every)(function)
        function = click.option("--before", metavar="TOKEN", help="Go on where the last page ended.")(function)
        limit = click.IntRange(min=1, max=100_000)
        return click.option("--limit", type=limit, default=50, show_default=True, help="At most so many.")(function)

    return decorate


target = click.option("--target", metavar="NAME", help="Another target than the workspace's default.")
idempotency_key = click.option(
    "--idempotency-key", metavar="KEY", help="The same request under the same key is the same run."
)
wait = click.option("--wait", is_flag=True, help="Wait for the end; exit 1 unless it succeeds.")


def pairs(texts: Sequence[str], option: str) -> dict[str, str]:
    """Read `name=value` texts. Raises UsageError for one without a name or `=`, and for a name given twice."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"{option} takes `name=value`, not `{text}`")
        if name in found:
            raise UsageError(f"{option} `{name}` is given twice")
        found[name] = value
    return found
