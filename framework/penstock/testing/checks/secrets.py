"""Law 13 at the hooks: a backend that says that it keeps secrets does so; where none does, a pipeline is refused."""

from __future__ import annotations

from attrs import evolve

from penstock.contract.run import RunRef, RunReport
from penstock.errors import TargetUnsupported
from penstock.spec import Pipeline
from penstock.testing.checking import check
from penstock.testing.harness import Harness
from penstock.testing.helpers.directly import Put, is_over, look, put, until
from penstock.testing.helpers.secrets import Secret, secret
from penstock.testing.laws import require, same
from penstock.testing.probes.pipelines import guarded


@check(13)
def secrets_are_refused_where_nobody_keeps_them(harness: Harness) -> None:
    """Is a pipeline with a sensitive parameter refused at publish unless the target says that it keeps secrets?"""
    keeps = harness.has("penstock_keep_secrets") and harness.hooks.keep_secrets()
    with harness.workspace() as ws:
        try:
            ws.publish(guarded(harness.subject.python, "a"), folder=harness.spec_folder)
        except TargetUnsupported as error:
            told = "sensitive_unsupported" in {problem.code for problem in error.details}
            require(13, told != keeps, f"a target that keeps secrets: {keeps}, and the refusal is {error.message}")
        else:
            require(13, keeps, "a sensitive parameter is published to a target that does not keep secrets")


@check(13, needs=("penstock_keep_secrets",))
def secrets_are_their_runs_alone(harness: Harness) -> None:
    """Does a sensitive value reach its step as it is, and nobody else, and is it gone when its run has ended?"""
    made = put(harness, guarded(harness.subject.python, "a"))
    mine = secret(made)
    ended = _goes_through(harness, mine)
    same(13, ended.state, "succeeded", "a run with a sensitive value")
    ref = _ref(harness, mine)
    found = harness.hooks.get_outputs(ref)
    mine.hidden(found, "what a run gave")
    same(7, found.outputs.get("hash"), mine.hash, "the sha256 of the sensitive value that its step got")
    same(13, _goes_through(harness, secret(_failing(harness))).state, "failed", "a run whose step exits with 3")


@check(13, needs=("penstock_keep_secrets", "penstock_cancel_run"))
def secrets_go_with_a_cancel(harness: Harness) -> None:
    """Is a sensitive value nobody else's while its run goes on, and gone when that is canceled?"""
    mine = secret(put(harness, guarded(harness.subject.python, "a")), seconds=600.0)
    same(13, _goes_through(harness, mine, cancel=True).state, "canceled", "a run that was asked to end")


CHECKS = (secrets_are_refused_where_nobody_keeps_them, secrets_are_their_runs_alone, secrets_go_with_a_cancel)
"""What is asked here."""


def _failing(harness: Harness) -> Put:
    """The same pipeline, put, but for its step, which fails when it has kept the value in a file."""
    made = guarded(harness.subject.python, "a")
    tell = made.steps["tell"]
    words = tell.command[: tell.command.index("${{ outputs.hash }}") + 1]
    failing: Pipeline = evolve(made, steps={"tell": evolve(tell, command=(*words, "exit", "3", "--"))})
    return put(harness, failing)


def _goes_through(harness: Harness, mine: Secret, *, cancel: bool = False) -> RunReport:
    """Hand a run over, let it end, and hand it over again meanwhile and at the end: the value is never shown, and in
    the end nowhere.
    """
    ref = _ref(harness, mine)
    if cancel:
        _shown(mine, until(harness, ref, _step_runs, law=13, what="step"))
        mine.kept_private(harness)
        _ref(harness, mine)
        harness.hooks.cancel(ref)
    looks = until(harness, ref, is_over, law=13)
    _shown(mine, looks)
    mine.gone(harness, "when its run has ended")
    _ref(harness, mine)
    mine.gone(harness, "when a run that has ended was handed over again")
    _shown(mine, [look(harness, ref)])
    if harness.has("penstock_list_runs"):
        mine.hidden(harness.hooks.list_runs([ref]), "a look at several runs")
    if harness.has("penstock_read_logs"):
        mine.hidden(harness.hooks.read_logs(ref, "tell", 0).data, "the log of a step that does not write it")
    if harness.has("penstock_check_target"):
        mine.hidden(harness.hooks.check(), "the health of the target")
    return looks[-1]


def _ref(harness: Harness, mine: Secret) -> RunRef:
    """Hand the run over, once more or for the first time."""
    receipt = harness.hooks.submit(mine.run)
    mine.hidden(receipt, "the receipt for a run")
    return RunRef(id=mine.run.id, publication=mine.run.publication, external=receipt.external)


def _shown(mine: Secret, looks: list[RunReport]) -> None:
    for report in looks:
        mine.hidden(report, f"a look at a run that is {report.state}")


def _step_runs(report: RunReport) -> bool:
    return any(step.state == "running" for step in report.steps)
