"""A plugin that makes answers of a target lost, late, repeated or old news, one at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator
from typing import Any, Literal, TypeAlias, get_args

from attrs import evolve, frozen

from penstock.config import Config
from penstock.contract.hooks import hookimpl
from penstock.contract.run import Absent, RunRef, RunRequest
from penstock.contract.target import Compiled, EndpointState, Publication, Target
from penstock.errors import TargetUnavailable
from penstock.snapshot import Snapshot
from penstock.testing.faults.reaching import REACHING
from penstock.testing.opened import Hooks

Fault: TypeAlias = Literal["lost before", "lost after", "late", "twice", "stale", "absent"]
"""`lost before`: the target is not reached. `lost after`: it did what was asked, and nobody hears of it. `late`: others
do what is due, and repeat the request, before the answer arrives. `twice`: the target is asked a second time, and both
answer the same. `stale`: an earlier answer about the same run comes again. `absent`: the target has lost the run.
"""

FAULTS: tuple[Fault, ...] = get_args(Fault)

RETRY = 0.01
"""Seconds after which a lost request may be repeated."""

_TWICE_THE_SAME = (
    *("penstock_publish_pipeline", "penstock_submit_run", "penstock_read_logs"),
    *("penstock_sync_endpoint", "penstock_retire_pipeline"),
)
"""Hooks that answer a repeat as they answered the first request."""

Answering: TypeAlias = Generator[None, Any, Any]


@frozen(kw_only=True)
class Trouble:
    """One fault, in the answer to one call: the `number`-th of its hook, from 0."""

    hook: str
    number: int
    fault: Fault

    def __str__(self) -> str:
        return f"answer {self.number + 1} of `{self.hook}` {self.fault}"


class Answers:
    """A plugin that counts the calls of each hook that reaches the target, and makes one `trouble`.

    `met` says whether the trouble came. `meanwhile` is called for a late answer. `differing` says of an answer that
    came twice how the second one differed.
    """

    def __init__(
        self, config: Config, trouble: Trouble | None = None, meanwhile: Callable[[], None] = lambda: None
    ) -> None:
        self.calls: Counter[str] = Counter()
        self.met = False
        self.differing = ""
        self._config = config
        self._trouble = trouble
        self._meanwhile = meanwhile
        self._earlier: dict[tuple[str, str], Any] = {}

    @hookimpl(wrapper=True)
    def penstock_publish_pipeline(self, target: Target, snapshot: Snapshot, compiled: Compiled) -> Answering:
        """Law 1: publishing again gives the same publication."""
        return (yield from self._answer("penstock_publish_pipeline", target, snapshot, compiled))

    @hookimpl(wrapper=True)
    def penstock_submit_run(self, target: Target, run: RunRequest) -> Answering:
        """Law 8: submitting again gives the same submission."""
        return (yield from self._answer("penstock_submit_run", target, run))

    @hookimpl(wrapper=True)
    def penstock_get_run(self, target: Target, run: RunRef) -> Answering:
        """Law 9: what is reported goes forward."""
        return (yield from self._answer("penstock_get_run", target, run))

    @hookimpl(wrapper=True)
    def penstock_get_outputs(self, target: Target, run: RunRef) -> Answering:
        """Outputs are there once the run has succeeded."""
        return (yield from self._answer("penstock_get_outputs", target, run))

    @hookimpl(wrapper=True)
    def penstock_read_logs(self, target: Target, run: RunRef, step: str, offset: int) -> Answering:
        """The same offset after the end gives the same bytes."""
        return (yield from self._answer("penstock_read_logs", target, run, step, offset))

    @hookimpl(wrapper=True)
    def penstock_cancel_run(self, target: Target, run: RunRef) -> Answering:
        """Law 9: a second request changes nothing."""
        return (yield from self._answer("penstock_cancel_run", target, run))

    @hookimpl(wrapper=True)
    def penstock_sync_endpoint(self, target: Target, endpoint: EndpointState) -> Answering:
        """Idempotent: the whole state, again."""
        return (yield from self._answer("penstock_sync_endpoint", target, endpoint))

    @hookimpl(wrapper=True)
    def penstock_retire_pipeline(self, target: Target, publication: Publication) -> Answering:
        """Idempotent: what is gone stays gone."""
        return (yield from self._answer("penstock_retire_pipeline", target, publication))

    def _answer(self, hook: str, target: Target, *asked: Any) -> Answering:
        run = getattr(asked[0], "id", "")
        number = self.calls[hook]
        self.calls[hook] += 1
        trouble = self._trouble
        fault = trouble.fault if trouble and trouble.hook == hook and trouble.number == number else None
        if fault == "lost before":
            self.met = True
            raise TargetUnavailable("the kit says that the target is not reached", retry_after=RETRY)
        answer = yield
        if fault == "lost after":
            self.met = True
            raise TargetUnavailable("the kit says that the answer is lost", retry_after=RETRY)
        if fault == "late":
            self.met = True
            self._meanwhile()
        elif fault == "twice":
            self.met = True
            first, answer = answer, self.repeat(target, hook, *asked)
            if hook in _TWICE_THE_SAME and _said(answer) != _said(first):
                self.differing = f"first {first!r}, then {answer!r}"
        elif fault == "stale" and (hook, run) in self._earlier:
            self.met = True
            answer = self._earlier[hook, run]
        elif hook == "penstock_get_run" and trouble and trouble.fault == "absent" and number >= trouble.number:
            self.met = True
            answer = Absent()
        self._earlier.setdefault((hook, run), answer)
        return answer

    def repeat(self, target: Target, hook: str, *asked: Any) -> Any:
        """Ask the target the same once more, with no plugin between."""
        return getattr(Hooks(self._config, target.name), REACHING[hook])(*asked)


def _said(answer: Any) -> Any:
    """An answer without what may be said differently from day to day."""
    return evolve(answer, details={}) if isinstance(answer, Publication) else answer
