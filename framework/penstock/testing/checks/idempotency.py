"""Law 8 at the hooks: a run is one run, however often it is handed over, and by whomever."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from operator import ne
from pathlib import Path

from attrs import evolve

from penstock.contract.run import RunRef, RunReport, RunRequest, Submission
from penstock.testing.checking import check
from penstock.testing.harness import Harness, executions
from penstock.testing.helpers.directly import is_over, look, put, request, slow_run, start, until
from penstock.testing.laws import same
from penstock.testing.opened import Hooks
from penstock.testing.probes.pipelines import chain, variant
from penstock.testing.processes.subprocesses import in_subprocess
from penstock.testing.processes.together import Together, at_once
from penstock.testing.subject import Subject

_CALLERS = 3
"""How many processes hand runs over at the same time."""

_OTHERS = 25
"""How many runs come between a run and its repeat: more than anybody keeps by number."""


@check(8)
def handed_over_again(harness: Harness) -> None:
    """Is a run that is handed over again, before it runs, meanwhile and afterwards, the run that is there?"""
    marks = harness.counting()
    made = put(harness, chain(harness.subject.python))
    run = request(made, marks=str(marks or ""))
    receipt = harness.hooks.submit(run)
    ref = RunRef(id=run.id, publication=run.publication, external=receipt.external)
    seen = look(harness, ref, 8)
    while not is_over(seen):
        _repeat(harness, run, receipt)
        seen = until(harness, ref, partial(ne, seen), law=8, what="next state")[-1]
    _repeat(harness, run, receipt)
    same(8, look(harness, ref, 8), seen, "what is said of an ended run after it was handed over again")
    _started(harness, marks, {step.name: 1 for step in seen.steps})


@check(8)
def a_second_attempt_starts_nothing(harness: Harness) -> None:
    """Is a run that is there the same run when its hand-over is said to be another attempt?"""
    marks = harness.counting()
    made = put(harness, variant(harness.subject.python, "a"))
    run = request(made, marks=str(marks or ""))
    receipt = harness.hooks.submit(run)
    ref = RunRef(id=run.id, publication=run.publication, external=receipt.external)
    for attempt in (2, 3):
        again = harness.hooks.submit(evolve(run, attempt=attempt))
        same(8, again, receipt, f"the receipt for attempt {attempt} of a run that is there")
        ended = until(harness, ref, is_over, law=8)[-1]
    same(8, look(harness, ref, 8), ended, "what is said of an ended run after another attempt")
    _started(harness, marks, {"tell": 1})


@check(8)
def a_first_attempt_that_was_lost_is_made_up_for(harness: Harness) -> None:
    """Is a run started, once, of which the target hears first by the second attempt?"""
    marks = harness.counting()
    made = put(harness, variant(harness.subject.python, "a"))
    run = evolve(request(made, marks=str(marks or "")), attempt=2)
    receipt = harness.hooks.submit(run)
    ref = RunRef(id=run.id, publication=run.publication, external=receipt.external)
    same(8, until(harness, ref, is_over, law=8)[-1].state, "succeeded", "a run that came by a second attempt only")
    _started(harness, marks, {"tell": 1})


@check(8, needs=("penstock_cancel_run",))
def handed_over_after_a_cancel(harness: Harness) -> None:
    """Does a run that is handed over again while it goes on go on, and one that was canceled stay so?"""
    marks = harness.counting()
    made = put(harness, variant(harness.subject.python, "a"))
    values = {"seconds": 600, "marks": str(marks or "")}
    with slow_run(harness, made, **values) as ref:
        run = evolve(request(made, **values), id=ref.id)
        receipt = harness.hooks.submit(run)
        same(8, receipt.external, ref.external, "what the target calls a run that is handed over again")
        going = until(harness, ref, _step_runs, law=8, what="step")[-1]
        _repeat(harness, run, receipt)
        same(8, _progress(look(harness, ref, 8)), _progress(going), "what goes on after it was handed over again")
        harness.hooks.cancel(ref)
        ended = until(harness, ref, is_over, law=8)[-1]
        _repeat(harness, run, receipt)
        same(8, look(harness, ref, 8), ended, "what is said of a canceled run after it was handed over again")
    # A step that was ended may not have come to its mark.
    _started(harness, marks, {"tell": 1} if marks and executions(marks) else {})


@check(8)
def remembered_for_long(harness: Harness) -> None:
    """Is a run that is handed over again the run that is there, when many others came since?"""
    marks = harness.counting()
    made = put(harness, variant(harness.subject.python, "a"))
    run = request(made, marks=str(marks or ""))
    receipt = harness.hooks.submit(run)
    others = [start(harness, made) for _ in range(_OTHERS)]
    _repeat(harness, run, receipt)
    for other in others:
        until(harness, other, is_over, law=8)
    _repeat(harness, run, receipt)
    _started(harness, marks, {"tell": 1})


@check(8)
def handed_over_by_everybody(harness: Harness) -> None:
    """Is a run started once when several processes hand it over to the target at the same time?"""
    marks = harness.counting()
    made = put(harness, variant(harness.subject.python, "a"))
    values = {} if marks is None else {"marks": str(marks)}
    requests = [request(made, **values) for _ in range(harness.profile.examples(8))]
    shares = [(harness.subject, requests)] * _CALLERS
    receipts = at_once(harness.subject, _hand_over_together, shares, patience=harness.profile.patience)
    for run, external, *others in zip(requests, *receipts, strict=True):
        same(8, others, [external] * len(others), f"what other processes are told that run {run.id} is called")
        ref = RunRef(id=run.id, publication=run.publication, external=external)
        until(harness, ref, is_over, law=8)
    if marks is not None:
        same(8, executions(marks), {"tell": len(requests)}, f"what {len(requests)} runs executed")


CHECKS = (
    handed_over_again,
    a_second_attempt_starts_nothing,
    a_first_attempt_that_was_lost_is_made_up_for,
    remembered_for_long,
    handed_over_by_everybody,
    handed_over_after_a_cancel,
)
"""What is asked here."""


def _repeat(harness: Harness, run: RunRequest, receipt: Submission) -> None:
    """Hand a run over twice more, and once in another process."""
    here = partial(harness.hooks.submit, run)
    for again in (here(), here(), in_subprocess(_hand_over, harness.subject, run, timeout=harness.profile.patience)):
        same(8, again, receipt, "the receipt for a run that is handed over again")


def _hand_over(subject: Subject, run: RunRequest) -> Submission:
    subject.ready()
    receipt: Submission = Hooks(subject.config, subject.target).submit(run)
    return receipt


def _started(harness: Harness, marks: Path | None, expected: dict[str, int]) -> None:
    """Hold that each step was started so often, by the time when another run, handed over later, has ended.

    Where that cannot be counted the check has left it out.
    """
    if marks is None:
        return
    until(harness, start(harness, put(harness, chain(harness.subject.python))), is_over, law=8)
    same(8, executions(marks), expected, "how often each step of one run was started")


def _step_runs(report: RunReport) -> bool:
    return any(step.state == "running" for step in report.steps)


def _progress(report: RunReport) -> tuple[object, ...]:
    """How far a run is, without what may be told of it more and more exactly."""
    return report.state, [(step.name, step.state, step.attempt) for step in report.steps]


def _hand_over_together(together: Together, subject: Subject, requests: Sequence[RunRequest]) -> list[str]:
    """Submit every request at the hooks, each when all are ready to; answers what the target calls them."""
    hooks = Hooks(subject.config, subject.target)
    receipts = []
    for run in requests:
        together()
        receipts.append(hooks.submit(run).external)
    return receipts
