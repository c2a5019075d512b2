"""What targets took and refused: a check whose pipelines were mostly refused says so, and one that had none at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from penstock.testing.laws import Untested

_WORDS = 40
"""Characters of a remark that say what was refused."""


class Refusals:
    """How many pipelines each target took, how many it refused, and what for.

    `target` is the name of the one that is examined, `other` of the one that is asked too.
    """

    def __init__(self, target: str, other: str) -> None:
        self._targets = {target: "the target", other: "the other target"}
        self._taken = Counter[str]()
        self._refused = Counter[str]()
        self._why: dict[str, Counter[str]] = {name: Counter() for name in self._targets}
        self._last: dict[str, str] = {}

    def took(self, target: str) -> None:
        """A target took a pipeline."""
        self._taken[target] += 1

    def refused(self, target: str, paths: Iterable[str], message: str) -> None:
        """A target refused a pipeline: the paths of what it cannot do, as they are written, and its line."""
        self._refused[target] += 1
        # `steps.s0.retry` is about retries, whatever the step is called.
        self._why[target].update(sorted({path.rpartition(".")[2] for path in paths}))
        self._last[target] = message

    def add(self, other: Refusals) -> None:
        """Count what somebody else counted, too."""
        self._taken.update(other._taken)
        self._refused.update(other._refused)
        for name, why in other._why.items():
            self._why[name].update(why)
        self._last.update(other._last)

    def done(self) -> str | None:
        """What was refused, in a line, or None. Raises Untested when one of the targets took nothing at all."""
        for name, who in self._targets.items():
            if self._refused[name] and not self._taken[name]:
                raise Untested(f"{who} refused all of {self._refused[name]} pipelines, the last so: {self._last[name]}")
        return "; ".join(self._remark(name) for name in self._targets if self._refused[name]) or None

    def _remark(self, name: str) -> str:
        count, asked = self._refused[name], self._refused[name] + self._taken[name]
        why = ""
        for word, _ in self._why[name].most_common():
            more = f"{why}, {word}" if why else word
            if len(more) > _WORDS:
                why = f"{why} ..." if why else ""
                break
            why = more
        return f"{self._targets[name]} refused {count} of {asked} pipelines" + (f": {why}" if why else "")
