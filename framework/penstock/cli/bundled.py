"""What travels with a spec, told to a person, and asked before it is much code."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

import click

from penstock.cli.output import Output
from penstock.errors import SpecInvalid
from penstock.text import count_text, printable, size_text

if TYPE_CHECKING:
    from penstock.snapshot import Bundled

T = TypeVar("T")

_NAMED = 5

yes = click.option("--yes", "-y", is_flag=True, help="Take more than 100 MB of code without asking.")


def bundled_lines(bundled: Iterable[Bundled]) -> Iterator[str]:
    """A line for each path: how much of it travels, and what stays at home."""
    for one in bundled:
        files = f"{count_text(one.files, 'file')}, {size_text(one.size)}"
        left = ""
        if one.left_out_count:
            more = one.left_out_count - _NAMED
            named = ", ".join(one.left_out[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")
            left = f"; left out: {named}"
        yield f"  {one.path}: {files}{left}"


def asking(output: Output, large_code: bool, act: Callable[[bool], T]) -> T:
    """Do what takes code along; who sits at a terminal is asked before it is much, anybody else is refused.

    `act` is called with whether much code is meant. Raises what it raises.
    """
    try:
        return act(large_code)
    except SpecInvalid as error:
        if error.code != "code_large" or output.json or not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise
        if not click.confirm(f"{printable(str(error))}\nTake it along?", err=True):
            raise
    return act(True)
