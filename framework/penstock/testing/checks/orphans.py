"""Law 12 for what steps start themselves: it does not outlive its step, however that ends."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from penstock.contract.run import RunReport
from penstock.spec import Defaults, Parameter, Pipeline, Step
from penstock.testing.checking import check
from penstock.testing.harness import Harness
from penstock.testing.helpers.directly import is_over, put, slow_run, until
from penstock.testing.laws import LawBroken, Untested
from penstock.testing.probes.pipelines import probe
from penstock.testing.processes.killing import kill_naming, naming

_PAUSE = 0.005


@check(12)
def no_child_is_left(harness: Harness) -> str | None:
    """Does what a step started end with it, when it succeeds, and when it takes too long?"""
    left_out: list[str] = []
    for what, seconds, limits in (("succeeded", 0.1, {}), ("took too long", 600.0, {"timeout": 2.0})):
        try:
            _ends(harness, what, seconds, cancel=False, **limits)
        except Untested as error:
            if not limits:
                raise
            left_out.append(f"without steps that take too long: {error}")
    return "; ".join(left_out) or None


@check(12, needs=("penstock_cancel_run",))
def no_child_of_a_canceled_step_is_left(harness: Harness) -> None:
    """Does what a step started end with it, when its run is canceled?"""
    _ends(harness, "was canceled", 600.0, cancel=True)


CHECKS = (no_child_is_left, no_child_of_a_canceled_step_is_left)
"""What is asked here."""


def _ends(harness: Harness, what: str, seconds: float, *, cancel: bool, **limits: Any) -> None:
    """Run a step that starts a child: when the run is over, no process is left that names the step's folder."""
    folder = harness.marks()
    step = Step(
        command=probe(harness.subject.python, "child", "${{ parameters.folder }}", "600", "sleep", str(seconds)),
        **limits,
    )
    made = put(
        harness,
        Pipeline(
            name="orphans",
            parameters={"folder": Parameter("string")},
            defaults=Defaults(code="./src"),
            steps={"parent": step},
        ),
    )

    def begun(report: RunReport) -> bool:
        return is_over(report) or any(folder.iterdir())

    try:
        with slow_run(harness, made, folder=str(folder)) as run:
            until(harness, run, begun, law=12, what="start")
            if cancel:
                harness.hooks.cancel(run)
            until(harness, run, is_over, law=12)
        if not any(folder.iterdir()):
            raise Untested("the step was ended before it had started a child")
        _gone(harness, folder, what)
    finally:
        kill_naming(folder)


def _gone(harness: Harness, folder: Path, what: str) -> None:
    deadline = time.monotonic() + min(10.0, harness.profile.patience)
    while left := naming(folder):
        if time.monotonic() > deadline:
            raise LawBroken(12, f"{len(left)} processes that a step started are left after it {what}")
        time.sleep(_PAUSE)
