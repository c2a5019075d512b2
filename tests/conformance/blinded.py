"""Targets of which the kit sees less than all: what is changed in a process of its own, by `Subject.prepare`."""

from __future__ import annotations

from penstock.contract.target import Problem
from penstock.targets.facade import OpenTarget
from penstock.testing.checks import CHECKS
from penstock.testing.examination import examine
from penstock.testing.harness import Harness
from penstock.testing.profiles import DEFAULT
from penstock.testing.subject import Subject


def steps_see_nothing():
    """No file of this machine is seen by a step."""
    Harness._can_mark = lambda self: False


def second_refuses_all():
    """The other target takes no pipeline at all."""
    _refuse(lambda target, pipeline: target.name == "second", ())


def retries_are_refused():
    """No step may be tried again, and none waits for others."""
    _refuse(lambda target, pipeline: any(step.retry or step.after for step in pipeline.steps.values()), ("retry",))


def _refuse(whether, path):
    usual = OpenTarget.validate

    def validate(self, pipeline):
        no = Problem(severity="error", code="not_here", message="not here", path=path)
        return (*usual(self, pipeline), *([no] if whether(self.target, pipeline) else []))

    OpenTarget.validate = validate


def examined(folder, prepare, names, unsupported=None):
    """What came of checks by their names, and of the laws by number."""
    subject = Subject.of_options(
        folder, {"backend": "local", "idle": "2s"}, prepare=prepare, unsupported=unsupported or {}
    )
    outcomes = []
    chosen = [check for check in CHECKS if check.name in names]
    assert len(chosen) == len(names)
    report = examine(subject, chosen, profile=DEFAULT, seed=1, told=outcomes.append)
    found = {outcome.check.name: (outcome.result, outcome.reason) for outcome in outcomes}
    return found, {one.law: (one.result, one.reason) for one in report.laws}
