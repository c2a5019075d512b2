"""Laws 9 and 12 for runs that are cleared away: what they came to stays, and so does all that is another run's."""

from __future__ import annotations

from attrs import evolve

from penstock.contract.run import RunRef, RunReport
from penstock.errors import PenstockError
from penstock.spec import Defaults, Parameter, Pipeline, Step
from penstock.testing.checking import check
from penstock.testing.harness import Harness, executions
from penstock.testing.helpers.directly import handed_over, is_over, look, put, request, slow_run, start, until
from penstock.testing.helpers.nowhere import Nowhere
from penstock.testing.laws import LawBroken, same
from penstock.testing.probes.pipelines import probe

_TEXT = "kept"


@check(9, 12, needs=("penstock_clear_run", "penstock_cancel_run"))
def cleared_is_finished(harness: Harness) -> None:
    """Does a run that is cleared away stay what it came to, handed over again too, and are others left as they are?"""
    marks = harness.counting()
    made = put(harness, _noted(harness.subject.python))
    values = {"marks": str(marks or ""), "seconds": 0}
    asked = request(made, **values)
    one, other = handed_over(harness, asked), start(harness, made, **values)
    for ref in (one, other):
        until(harness, ref, is_over)
    with slow_run(harness, made, **{**values, "seconds": 600}) as going:
        until(harness, going, lambda report: report.steps[0].state != "queued", what="start")
        before = [_ends(look(harness, ref)) for ref in (one, other, going)]
        for _ in range(2):
            harness.hooks.clear_run(one)
            harness.hooks.clear_run(going)
        harness.hooks.submit(asked)
        after = [_ends(look(harness, ref)) for ref in (one, other, going)]
        what = "what is said of a run that was cleared away, of one beside it, and of one that goes on"
        same(9, after, before, what)
        _whole(harness, other)
        # As long as this one takes, what was ended or begun again by mistake would have been seen.
        last = start(harness, made, **values)
        same(12, until(harness, last, is_over)[-1].state, "succeeded", "a run after others were cleared away")
        same(12, look(harness, going).state, "running", "what goes on, after it was to be cleared away")
        if marks is not None:
            same(9, executions(marks), {"make": 4}, "how often steps were started, of which one run was cleared away")


CHECKS = (cleared_is_finished,)
"""What is asked here."""


def _noted(python: str) -> Pipeline:
    """A step that makes a file and a value, and then sleeps."""
    words = ["mark", "${{ parameters.marks }}", "make", "put", "${{ outputs.note }}", _TEXT]
    words += ["count", "2", "${{ outputs.count }}", "sleep", "${{ parameters.seconds }}"]
    make = Step(command=probe(python, *words), outputs={"note": "file", "count": "integer"})
    return Pipeline(
        name="cleared",
        parameters={"marks": Parameter("string", default=""), "seconds": Parameter("number", default=0)},
        defaults=Defaults(code="./src"),
        steps={"make": make},
        outputs={name: f"${{{{ steps.make.outputs.{name} }}}}" for name in make.outputs},
    )


def _ends(report: RunReport) -> RunReport:
    """A report without where artifacts lie, of which it may be said that they are gone."""
    steps = (evolve(step, outputs={"count": step.outputs.get("count", "")}) for step in report.steps)
    return evolve(report, steps=tuple(steps))


def _whole(harness: Harness, ref: RunRef) -> None:
    """Hold the file that a run made to what it wrote, where it can be downloaded."""
    if not harness.has("penstock_fetch_artifact"):
        return
    destination = Nowhere("note", "file")
    try:
        harness.hooks.fetch_artifact(ref, "note", destination)
    except PenstockError as error:
        raise LawBroken(12, f"a file is gone of a run beside one that was cleared away: {error.message}") from None
    same(12, destination.came, len(_TEXT), "how many bytes are left of a file beside a run that was cleared away")
