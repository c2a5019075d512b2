"""A check: one question about one or more laws, asked of a harness; and what it says when it is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import frozen

from penstock.testing.harness import Harness

Body = Callable[[Harness], str | None]
"""A check's function: it raises LawBroken, or Untested. What it returns is said beside a pass: what a target refused.

What is essential and left out is no pass: `Harness.leave_out`.
"""


@frozen(kw_only=True)
class Check:
    """One question. `laws` are those it is about: when it finds one of them broken, the others were not tested.

    `needs` are the optional hooks without which it cannot be asked.
    """

    name: str
    laws: tuple[int, ...]
    needs: tuple[str, ...]
    body: Body

    @property
    def question(self) -> str:
        """The first line of the function's docstring."""
        return (self.body.__doc__ or "").strip().splitlines()[0]

    @property
    def id(self) -> str:
        """The check in a word, as test ids name it."""
        return f"law{'-'.join(f'{law:02}' for law in self.laws)}-{self.name}"


def check(*laws: int, needs: tuple[str, ...] = ()) -> Callable[[Body], Check]:
    """Make a function of a harness a check of these laws. Its docstring's first line says what it asks."""

    def decorate(body: Body) -> Check:
        name: Any = getattr(body, "__name__", "check")
        return Check(name=name, laws=laws, needs=needs, body=body)

    return decorate
