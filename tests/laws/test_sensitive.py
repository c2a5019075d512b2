"""Law 13 for sensitive parameters: a value is its run's alone, from whichever door it came."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from laws.asked import DoorHarness
from laws.sensitive_values import SECRETS, SHORT, require_forgotten, require_hidden

from penstock.errors import PenstockError
from penstock.testing.helpers.setup import set_up
from penstock.testing.laws import require, same
from penstock.testing.probes.pipelines import guarded


def test_a_sensitive_value_is_its_runs_alone(harness):
    """Is a sensitive value at the step as it was given, at nobody else's, and gone when its run has ended?"""
    one, two = SECRETS
    with _logged() as logged, harness.workspace() as ws:
        set_up(harness, ws, guarded(harness.subject.python, "a"), endpoint="one")
        run = ws.runs.submit("one", parameters={"token": one}, idempotency_key="k").run
        require_hidden(run, "an accepted run")
        _ends(harness, ws, run.id, one)
        again = ws.runs.submit("one", parameters={"token": one}, idempotency_key="k")
        same(8, (again.run.id, again.replayed), (run.id, True), "the same request, by its key,")
        refused = _refusal(ws.runs.submit, "one", parameters={"token": two}, idempotency_key="k")
        same(8, refused.code, "idempotency_conflict", "the refusal of the same key with another value")
        for given in ({"token": SHORT}, {"token": SHORT, "depth": 99}, {"token": one, "depth": 99}):
            refused = _refusal(ws.runs.submit, "one", parameters=given)
            same(6, refused.code, "parameter_invalid", "the refusal of a value that is wrong")
        _ends(harness, ws, ws.runs.submit("one", parameters={"token": two}).run.id, two)
        require_forgotten(harness.subject.config.home.parent, "after its run has ended")
        for page in (ws.runs.list(), ws.admin.history(runs=True)):
            require_hidden(page, "a listing")
        require_hidden(ws.runs.outputs(run.id), "what a run gave")
        require_hidden(b"".join(part.data for part in ws.runs.logs(run.id)), "the log of a step")
    require_hidden(logged, "a log")


def test_a_rerun_has_no_value_of_before(harness):
    """Does a rerun ask for a sensitive value again, whatever runs have had, and take the one that it is given?"""
    one, two = SECRETS
    with harness.workspace() as ws:
        set_up(harness, ws, guarded(harness.subject.python, "a"), endpoint="one")
        run = ws.runs.submit("one", parameters={"token": one}).run
        for when in ("while it goes on", "when it has ended"):
            refused = _refusal(ws.runs.rerun, run.id)
            told = (refused.code, [detail.code for detail in refused.details])
            same(13, told, ("parameter_invalid", ["sensitive_missing"]), f"a rerun without the value, {when},")
            _ends(harness, ws, run.id, one)
        _ends(harness, ws, ws.runs.rerun(run.id, parameters={"token": two}).run.id, two)


def _ends(harness: DoorHarness, ws: Any, run: str, value: str) -> None:
    """Let a run end: its step has got the value, and it shows nothing of it."""
    ended = harness.wait(ws, run, 13)
    require_hidden(ended, "a run that has ended")
    shown = (ended.state, ended.parameters.get("token"), ended.outputs.get("hash"))
    expected = ("succeeded", "***", hashlib.sha256(value.encode()).hexdigest())
    same(13, shown, expected, "how a run ended, what it shows of the value, and the hash of what its step got")


def _refusal(call: Callable[..., object], *arguments: Any, **named: Any) -> PenstockError:
    """The error of a call that has to be refused, and shows no value."""
    try:
        call(*arguments, **named)
    except PenstockError as error:
        require_hidden((error, error.details), f"the refusal `{error.code}`")
        return error
    require(13, False, "a request is taken that has to be refused")
    raise AssertionError


@contextmanager
def _logged() -> Iterator[list[str]]:
    """What this process logs meanwhile."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]  # one line of it
    logger = logging.getLogger("penstock")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
