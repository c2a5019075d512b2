"""A history of calls as it is made: each goes to a player, its answer to the model, and itself on the list."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, TypeAlias

from laws.asked import DoorHarness
from laws.doors import ANYBODY, BY_HTTP, KNOWN, LEFT_OUT, RECORDED
from laws.model import Model
from laws.player import Answer, Player
from laws.refusals import MAIN, OTHER, Refusals
from laws.sensitive_values import require_forgotten, require_hidden

from penstock.testing.laws import LawBroken, require

Call: TypeAlias = tuple[str, Mapping[str, Any]]
"""A verb and its arguments, see `player`."""

_OPTIONAL = ("by", "reason", "cancel_runs", "name", "label", "target", "default", "expect", "key", "depth", "all")

_PAUSES = (0.0, 0.0, 0.3)
"""What is broken may depend on how far runs are: it is sought again at once, and with so many seconds for them."""

_MINUTE = 60.0
"""How long, in seconds, a history is made shorter at the most."""


_LOOKS = ("wait", "get", "logs", "outputs", "cancel", "runs")
"""Verbs that look at runs."""


class Recorder:
    """Calls on a new registry. `history` is what was called, `refusals` what the targets took of it and refused.

    `pause` is how many seconds it lets runs go on before each call that looks at them.
    """

    def __init__(self, harness: DoorHarness, pause: float = 0.0) -> None:
        self.pause = pause
        self.history: list[Call] = []
        self.refusals = Refusals(MAIN, OTHER)
        self.model = Model(doors=RECORDED[harness.door], by_http=harness.door in BY_HTTP)
        self._player = Player(
            harness.subject,
            harness.new_registry(),
            spec_folder=harness.spec_folder,
            patience=harness.profile.patience,
            door=harness.door,
        )
        self._can_cancel = harness.has("penstock_cancel_run")
        self._left_out = LEFT_OUT[harness.door]
        self._everybody_is_known = harness.door in KNOWN
        self._harness = harness

    def __enter__(self) -> Recorder:
        """The recorder itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def __call__(self, verb: str, **arguments: Any) -> Answer:
        """Make one call, as far as the door has words for it. Raises LawBroken when the answer cannot be."""
        left_out = self._left_out.get(verb, ())
        arguments = {name: value for name, value in arguments.items() if name not in left_out}
        if arguments.get("by") == ANYBODY and self._everybody_is_known:
            del arguments["by"]
        self.history.append((verb, arguments))
        if verb in _LOOKS and self.pause:
            time.sleep(self.pause)
        answer = self._player.call(verb, **arguments)
        require_hidden(answer, f"the answer to {verb}")
        if self.refusals.hear(verb, arguments, answer):
            self.model.check(verb, arguments, answer)
        return answer

    def require_sound(self) -> None:
        """Raise LawBroken unless the registry keeps the laws that can be seen in the file."""
        report = self._player.check()
        require(12, report.ok, f"the registry is not sound: {'; '.join(report.lines)}")

    def require_forgotten(self) -> None:
        """Raise LawBroken when a sensitive value is on this machine still. To be asked when all runs have ended."""
        if any(arguments.get("token") for _, arguments in self.history):
            require_forgotten(self._harness.subject.config.home.parent, "after all runs have ended")

    def close(self) -> None:
        """Let no run of it go on, where the target can end runs, and close the registry."""
        if self._can_cancel:
            for run in self.model.maybe_running():
                self._player.call("cancel", run=run)
        self._player.close()


def replay(harness: DoorHarness, history: Iterable[Call], pause: float = 0.0) -> tuple[LawBroken, list[Call]] | None:
    """Make a history of calls again, on a new registry: what it breaks and the calls up to there, or None.

    One that names a moment before it gives it that name breaks nothing.
    """
    with Recorder(harness, pause) as recorder:
        try:
            for verb, arguments in history:
                recorder(verb, **arguments)
        except LawBroken as broken:
            return broken, recorder.history
        except KeyError:
            return None
    return None


def shortest(
    harness: DoorHarness, history: list[Call], broken: LawBroken, tries: int = 200
) -> tuple[LawBroken, list[Call], float]:
    """A history without the calls and arguments that it can do without to break the same law, how it ends then, and
    the pause that it needs before each look at a run.

    It is made shorter for a minute at the most. When it does not break the law again, it is answered as it was.
    """
    until = time.monotonic() + _MINUTE
    for pause in _PAUSES:
        again = replay(harness, history, pause)
        if again is not None and again[0].law == broken.law:
            break
    else:
        return broken, history, 0.0
    found, size = again, len(again[1])
    while size and tries > 0 and time.monotonic() < until:
        # From the end: what comes late depends on what came before.
        for start in range(len(found[1]) - size, -1, -size):
            if time.monotonic() >= until:
                break
            tries -= 1
            less = replay(harness, found[1][:start] + found[1][start + size :], pause)
            if less is not None and less[0].law == broken.law and tries >= 0:
                found = less
        size //= 2
    return *_plainest(harness, found, tries, until, pause), pause


def _plainest(
    harness: DoorHarness, found: tuple[LawBroken, list[Call]], tries: int, until: float, pause: float
) -> tuple[LawBroken, list[Call]]:
    """The same calls without the arguments that they can do without."""
    for number in range(len(found[1])):
        verb, arguments = found[1][number] if number < len(found[1]) else ("", {})
        for name in [name for name in arguments if name in _OPTIONAL or (name, verb[:7]) == ("endpoint", "publish")]:
            calls = found[1]
            if tries <= 0 or time.monotonic() >= until or number >= len(calls):
                break
            tries -= 1
            plain = {key: value for key, value in calls[number][1].items() if key != name}
            less = replay(harness, [*calls[:number], (verb, plain), *calls[number + 1 :]], pause)
            if less is not None and less[0].law == found[0].law:
                found = less
    return found
