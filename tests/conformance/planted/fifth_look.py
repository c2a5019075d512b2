"""Faults that a third reviewer found nobody asking about: trials, what callers said, and what runs are found by."""

import json
import sys

from attrs import evolve
from planted.pipes import _publish_other, _read_as
from planted.second_look import AskedOtherwise
from planted.steps import _pipeline_as

from penstock.registry import Registry, acceptance, history, rows
from penstock.snapshot import stored, taking
from penstock.targets.facade import TargetOperations
from penstock.workspace import runs, triggers


def trials_run_on_the_default_target():
    """A trial runs on the default target, whatever its caller says."""
    accept = triggers.accept_file
    runs.accept_file = lambda context, caller, path, target, request: accept(context, caller, path, None, request)


def keys_of_trials_are_of_their_content():
    """The key of a trial is another one when its file has changed."""
    address = acceptance._address
    acceptance._address = lambda tx, order: (
        (None, f"file:{order.digest}") if order.kind == "file" else address(tx, order)
    )


def trials_lose_what_was_said():
    """A trial has neither tags nor an experiment."""
    accepted = triggers._accepted

    def accepted_bare(order, resolution, settled, request):
        bare = evolve(request, tags={}, experiment=None) if order.kind == "file" else request
        return accepted(order, resolution, settled, bare)

    triggers._accepted = accepted_bare


def keys_are_cut():
    """Of a key the first 64 characters count."""
    for name in ("accept", "resolve", "replay"):
        _cut(name)


def _cut(name):
    decide = getattr(Registry, name)

    def decide_by_less(self, order, *more):
        return decide(self, evolve(order, key=order.key and order.key[:64]), *more)

    setattr(Registry, name, decide_by_less)


def variables_of_all_steps_are_literal():
    """A placeholder in a variable of all steps stays."""

    def literal(pipeline):
        env = {name: text.replace("${{", "$${{") for name, text in pipeline.defaults.env.items()}
        return evolve(pipeline, defaults=evolve(pipeline.defaults, env=env))

    _pipeline_as(literal)


def outputs_are_not_in_the_digest():
    """The outputs of a pipeline are not part of its digest."""
    _digest_without(lambda document: document.pop("outputs", None))


def inputs_are_not_in_the_digest():
    """What steps read is not part of the digest."""
    _digest_without(lambda document: [step.pop("inputs", None) for step in document["steps"].values()])


def delays_are_not_in_the_digest():
    """How long to wait between attempts is not part of the digest."""
    _digest_without(lambda document: [step.get("retry", {}).pop("delay", None) for step in document["steps"].values()])


def delays_are_ignored():
    """The next attempt of a step begins at once."""

    def hasty(step):
        return evolve(step, retry=evolve(step.retry, delay=0.0)) if step.retry else step

    _publish_other(lambda pipeline: {name: hasty(step) for name, step in pipeline.steps.items()})


def logs_of_canceled_runs_are_dropped():
    """What a run wrote that was canceled cannot be read."""
    canceled, cancel = set(), TargetOperations.cancel

    def cancel_and_note(self, target, run):
        canceled.add(run.id)
        return cancel(self, target, run)

    TargetOperations.cancel = cancel_and_note
    _read_as(lambda chunk: evolve(chunk, data=b"") if canceled else chunk)


def large_artifacts_are_cut():
    """Of what a step reads the first 256 KiB arrive."""
    cut = (
        "import os, sys\n"
        "path = sys.argv[1]\n"
        "os.path.isfile(path) and os.truncate(path, min(262144, os.path.getsize(path)))\n"
        "os.execvp(sys.argv[2], sys.argv[2:])"
    )

    def command(step):
        made = [key for key, text in step.inputs.items() if "steps.first.outputs" in text]
        return (
            (step.command[0], "-S", "-c", cut, f"${{{{ inputs.{made[0]} }}}}", *step.command) if made else step.command
        )

    _publish_other(
        lambda pipeline: {name: evolve(step, command=command(step)) for name, step in pipeline.steps.items()}
    )


def runs_are_by_nobody_verified():
    """The record of a run says that its caller is not verified, whoever it was."""
    read = rows.run_record

    def read_unverified(row):
        return evolve(read(row), verified=False)

    for name, module in list(sys.modules.items()):
        if name.startswith("penstock.registry") and getattr(module, "run_record", None) is read:
            module.run_record = read_unverified


def callers_are_known_by_how_they_begin():
    """The rows of a caller are those of everybody whose name begins so."""
    page = history.page

    history.page = lambda tx, **more: page(AskedOtherwise(tx, "by = ?", "by LIKE ? || '%'"), **more)


def runs_are_listed_in_any_state():
    """A listing of runs in a state, or of an experiment, has all of them."""
    listed = Registry.list_runs
    Registry.list_runs = lambda self, *, state=None, experiment=None, **more: listed(self, **more)


def runs_go_with_their_endpoint():
    """Runs are not listed any more when their endpoint was deleted."""
    listed = Registry.list_runs

    def list_living(self, **more):
        page = listed(self, **more)
        living = {one.id for one in self.list_endpoints(all=True, limit=1000).items}
        return evolve(page, items=tuple(run for run in page.items if run.endpoint_id in (None, *living)))

    Registry.list_runs = list_living


def _digest_without(change):
    digest = stored.snapshot_digest

    def digest_of_less(canonical, archives):
        document = json.loads(canonical)
        change(document)
        return digest(json.dumps(document, sort_keys=True), archives)

    stored.snapshot_digest = taking.snapshot_digest = digest_of_less


CHECKS = {
    "outputs_are_not_in_the_digest": "any_difference_counts",
    "inputs_are_not_in_the_digest": "any_difference_counts",
    "delays_are_not_in_the_digest": "any_difference_counts",
    "trials_run_on_the_default_target": "a_trial_runs_its_file",
    "variables_of_all_steps_are_literal": "environment_arrives",
    "keys_of_trials_are_of_their_content": "a_trial_is_checked_first",
    "keys_are_cut": "key_of_what_is_addressed",
    "delays_are_ignored": "each_step_has_its_own",
    "logs_of_canceled_runs_are_dropped": "canceled_is_not_tried_again",
    "large_artifacts_are_cut": "contents_are_the_same",
    "trials_lose_what_was_said": "a_trial_runs_its_file",
    "runs_are_by_nobody_verified": "runs_are_remembered",
    "callers_are_known_by_how_they_begin": "every_change_is_a_row",
    "runs_are_listed_in_any_state": "runs_are_found",
    "runs_go_with_their_endpoint": "runs_are_found",
}
"""The check that each fault was made for: it alone is asked, and catches it."""

FAULTS = {
    1: (outputs_are_not_in_the_digest, inputs_are_not_in_the_digest, delays_are_not_in_the_digest),
    4: (trials_run_on_the_default_target,),
    7: (variables_of_all_steps_are_literal,),
    8: (keys_of_trials_are_of_their_content, keys_are_cut),
    10: (trials_lose_what_was_said, runs_are_by_nobody_verified, callers_are_known_by_how_they_begin),
    11: (delays_are_ignored, logs_of_canceled_runs_are_dropped, large_artifacts_are_cut),
    12: (runs_are_listed_in_any_state, runs_go_with_their_endpoint),
}
