"""Runs that are handed over more than once, and started more than once."""

from __future__ import annotations

import os

from attrs import evolve
from planting.hooks import around

from penstock.contract.run import ENDED, Absent, RunRef


def a_second_submit_starts_a_second_run():
    """The backend starts another run when the same one is handed over again, and gives the same receipt."""
    _again(lambda state: True)


def a_submit_after_the_end_starts_it_again():
    """The backend forgets what it was handed as soon as that has ended."""
    _again(lambda state: state in ENDED)


def a_submit_after_a_failure_tries_again():
    """A run that failed is started once more when it is handed over again."""
    _again(lambda state: state == "failed")


def a_later_attempt_is_another_run():
    """A hand-over that is said to be the second attempt starts the run once more."""

    def submit(real, target, run):
        if run.attempt > 1:
            real(target, evolve(run, id=f"{run.id}-attempt-{run.attempt}"))
        return real(target, run)

    around("penstock_submit_run", submit)


def every_caller_is_told_another_name():
    """Whoever hands a run over is told a name of the run that is only theirs."""

    def submit(real, target, run):
        receipt = real(target, run)
        return evolve(receipt, external=f"{receipt.external}/{os.getpid()}")

    around("penstock_submit_run", submit)


def a_submit_after_a_cancel_starts_it_again():
    """A run that was canceled is started when it is handed over again."""
    _again(lambda state: state == "canceled")


def _again(when):
    import importlib

    def submit(real, target, run):
        hooks = importlib.import_module("penstock_local.hooks")
        report = hooks.penstock_get_run(target, RunRef(id=run.id, publication=run.publication))
        if not isinstance(report, Absent) and when(report.state):
            real(target, evolve(run, id=f"{run.id}-again"))
        return real(target, run)

    around("penstock_submit_run", submit)


CASES = {
    a_second_submit_starts_a_second_run: "handed_over_again",
    a_submit_after_the_end_starts_it_again: "handed_over_again",
    a_submit_after_a_failure_tries_again: "failed_is_not_tried_again",
    a_later_attempt_is_another_run: "a_second_attempt_starts_nothing",
    every_caller_is_told_another_name: "handed_over_again",
    a_submit_after_a_cancel_starts_it_again: "handed_over_after_a_cancel",
}
