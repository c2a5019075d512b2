"""Faults in how steps are run: what they are given, how they end, what is left of them."""

from attrs import evolve
from planted.pipes import _publish_other, _run_other_steps
from planted.third_look import _report_as

from penstock.contract.run import ENDED, Absent
from penstock.registry import Registry, reports
from penstock.registry.lookup import need_run
from penstock.spec import Retry
from penstock.targets.facade import TargetOperations
from penstock.workspace import logs, runs

SHARED = """import os, shutil, sys
there = os.path.join(os.path.dirname(sys.argv[1]), "shared-" + os.path.basename(sys.argv[1]))
if not os.path.isdir(there):
    shutil.copytree(".", there)
os.chdir(there)
os.execvp(sys.argv[2], sys.argv[2:])"""

FULL = """import os, sys
os.execvpe(sys.argv[1], sys.argv[1:], {name: text for name, text in os.environ.items() if text})"""

UNHURT = """import subprocess, sys
sys.exit(max(0, subprocess.run(sys.argv[1:]).returncode))"""

BARE = """import os, shutil, sys
for name in os.listdir("."):
    if name.startswith("."):
        os.remove(name)
os.execvp(sys.argv[1], sys.argv[1:])"""


def runs_share_their_code():
    """All runs of a pipeline work in one copy of its code, so that one finds what another wrote."""
    compile_, publish = TargetOperations.compile, TargetOperations.publish

    def other(snapshot, home):
        place = str(home.parent / f"{snapshot.digest.rpartition(':')[2]}")

        def sharing(step):
            return evolve(step, command=(step.command[0], "-S", "-c", SHARED, place, *step.command))

        steps = {name: sharing(step) for name, step in snapshot.pipeline.steps.items()}
        return evolve(snapshot, pipeline=evolve(snapshot.pipeline, steps=steps))

    TargetOperations.compile = lambda self, target, snapshot: compile_(self, target, other(snapshot, target.home))
    TargetOperations.publish = lambda self, target, snapshot, compiled: publish(
        self, target, other(snapshot, target.home), compiled
    )


def first_words_are_not_filled_in():
    """A placeholder in the first word of a command stays."""
    _run_other_steps(lambda pipeline, step: (step.command[0].replace("${{", "$${{"), *step.command[1:]))


def only_spaced_placeholders_are_filled_in():
    """A placeholder without spaces stays."""
    _run_other_steps(lambda pipeline, step: tuple(word.replace("${{p", "$${{p") for word in step.command))


def empty_variables_are_not_set():
    """An environment variable without a value is not there."""
    _run_other_steps(lambda pipeline, step: (step.command[0], "-S", "-c", FULL, *step.command))


def parameters_read_as_inputs_are_stripped():
    """A text that a step reads by way of an input loses the white space around it."""
    submit = TargetOperations.submit

    def other(pipeline):
        def stripped(step):
            inputs = {
                key: text.replace("parameters.", "parameters.stripped-") if _is_text(pipeline, text) else text
                for key, text in step.inputs.items()
            }
            return evolve(step, inputs=inputs)

        texts = {f"stripped-{name}": one for name, one in pipeline.parameters.items() if one.type == "string"}
        steps = {name: stripped(step) for name, step in pipeline.steps.items()}
        return evolve(pipeline, steps=steps, parameters={**pipeline.parameters, **texts})

    def submit_stripped(self, target, run):
        stripped = {f"stripped-{name}": text.strip() for name, text in run.parameters.texts.items()}
        parameters = evolve(run.parameters, texts={**run.parameters.texts, **stripped})
        return submit(self, target, evolve(run, parameters=parameters))

    _pipeline_as(other)
    TargetOperations.submit = submit_stripped


def last_runs_are_known():
    """A run that is handed over again after ten others is started once more."""
    submit = TargetOperations.submit

    def submit_or_again(self, target, run):
        target.home.mkdir(parents=True, exist_ok=True)
        file = target.home / "known.txt"
        known = file.read_text().split() if file.exists() else []
        if run.id in known[:-10]:
            submit(self, target, evolve(run, id=f"{run.id}-again"))
        if run.id not in known:
            file.write_text("\n".join([*known, run.id]))
        return submit(self, target, run)

    TargetOperations.submit = submit_or_again


def repeats_lose_the_run():
    """A run that is handed over again has another receipt, and is not known any more."""
    submit, get, seen, lost = TargetOperations.submit, TargetOperations.get_run, set(), set()

    def submit_or_lose(self, target, run):
        done = submit(self, target, run)
        if run.id not in seen:
            seen.add(run.id)
            return done
        lost.add(run.id)
        return evolve(done, external="another")

    TargetOperations.submit = submit_or_lose
    TargetOperations.get_run = lambda self, target, run: Absent() if run.id in lost else get(self, target, run)


def failed_runs_can_be_canceled():
    """A run that failed is canceled when somebody asks for it."""
    request = Registry.request_cancel

    def request_anyway(self, ref, caller, **more):
        failed = "UPDATE runs SET state = 'canceled' WHERE id = ? AND state = 'failed'"
        self._write(lambda tx: tx.run(failed, ref))
        return request(self, ref, caller, **more)

    Registry.request_cancel = request_anyway


def wishes_decide():
    """A run that succeeded although it was asked to end is recorded as canceled."""
    report = reports.report

    def report_as_wished(tx, run_id, told, *more):
        if need_run(tx, run_id)["cancel_requested"] is not None and getattr(told, "state", "") == "succeeded":
            told = evolve(told, state="canceled")
        return report(tx, run_id, told, *more)

    reports.report = report_as_wished


def canceled_steps_are_tried_again():
    """When a run is canceled whose steps may be tried again, they are."""
    submit, cancel, retried, requests = TargetOperations.submit, TargetOperations.cancel, set(), {}
    publish = TargetOperations.publish

    def publish_and_note(self, target, snapshot, compiled):
        done = publish(self, target, snapshot, compiled)
        if any(step.retry for step in snapshot.pipeline.steps.values()):
            retried.add(done.external)
        return done

    def submit_and_note(self, target, run):
        requests[run.id] = run
        return submit(self, target, run)

    def cancel_and_again(self, target, run):
        taken = cancel(self, target, run)
        if run.publication.external in retried:
            submit(self, target, evolve(requests[run.id], id=f"{run.id}-again"))
        return taken

    TargetOperations.publish, TargetOperations.submit = publish_and_note, submit_and_note
    TargetOperations.cancel = cancel_and_again


def failures_end_what_runs_beside_them():
    """When a step has failed, those that run beside it are ended."""
    get, stopped = TargetOperations.get_run, {}

    def get_stopping(self, target, run):
        found = get(self, target, run)
        bad = next((step for step in getattr(found, "steps", ()) if step.state == "failed"), None)
        if bad is not None and any(step.state == "running" for step in found.steps) and run.id not in stopped:
            stopped[run.id] = bad.error
            self.cancel(target, run)
        ended = run.id in stopped and found.state == "canceled"
        return evolve(found, state="failed", error=stopped[run.id]) if ended else found

    TargetOperations.get_run = get_stopping


def killed_steps_succeed():
    """A step that is killed has an exit code that is not above 0, and so has succeeded."""
    _run_other_steps(lambda pipeline, step: (step.command[0], "-S", "-c", UNHURT, *step.command))


def late_steps_are_not_tried_again():
    """A step that may take a limited time is tried once."""
    _publish_other(
        lambda pipeline: {
            name: evolve(step, retry=None) if step.timeout else step for name, step in pipeline.steps.items()
        }
    )


def time_begins_with_the_run():
    """A step has taken too long when it ends later than its time after the start of the run."""
    publish, limits = TargetOperations.publish, {}

    def publish_and_note(self, target, snapshot, compiled):
        for name, step in snapshot.pipeline.steps.items():
            limits[name] = step.timeout or 1e9
        return publish(self, target, snapshot, compiled)

    def late(report):
        if report.state not in ENDED:
            return report
        steps = tuple(
            evolve(step, state="failed", outputs={})
            if step.ended and (step.ended - report.started).total_seconds() > limits.get(step.name, 1e9)
            else step
            for step in report.steps
        )
        return evolve(report, steps=steps)

    TargetOperations.publish = publish_and_note
    _report_as(late)


def runs_end_when_they_start():
    """The end of a run is said to have been when it started."""
    _report_as(lambda report: evolve(report, ended=report.started) if report.ended else report)


def times_are_of_another_zone():
    """All times are of another zone."""
    from datetime import timedelta

    def moved(one):
        return evolve(
            one,
            started=one.started and one.started - timedelta(hours=2),
            ended=one.ended and one.ended - timedelta(hours=2),
        )

    _report_as(lambda report: evolve(moved(report), steps=tuple(moved(step) for step in report.steps)))


def retries_of_all_steps_are_ignored():
    """Steps that say nothing of retries are tried once."""
    _pipeline_as(lambda pipeline: evolve(pipeline, defaults=evolve(pipeline.defaults, retry=None)))


def timeouts_of_all_steps_are_ignored():
    """Steps that say nothing of time may take any."""
    _pipeline_as(lambda pipeline: evolve(pipeline, defaults=evolve(pipeline.defaults, timeout=None)))


def all_steps_are_tried_twice():
    """Every step is tried twice."""
    _publish_other(
        lambda pipeline: {
            name: evolve(step, retry=step.retry or Retry(attempts=2)) for name, step in pipeline.steps.items()
        }
    )


def all_steps_have_the_same_code():
    """The code of a step is that of all steps, whatever it says."""
    _publish_other(lambda pipeline: {name: evolve(step, code=None) for name, step in pipeline.steps.items()})


def hidden_files_of_code_are_lost():
    """Files whose names begin with a dot do not come with the code."""
    _run_other_steps(lambda pipeline, step: (step.command[0], "-S", "-c", BARE, *step.command))


def given_files_are_not_read():
    """A step reads what came with the pipeline, whatever the trigger names."""
    submit, publish, snapshots = TargetOperations.submit, TargetOperations.publish, {}

    def publish_and_note(self, target, snapshot, compiled):
        done = publish(self, target, snapshot, compiled)
        snapshots[done.external] = snapshot
        return done

    def submit_with_defaults(self, target, run):
        snapshot = snapshots[run.publication.external]
        own = {name: snapshot.pipeline.parameters[name].default for name in run.parameters.artifacts}
        own = {name: path for name, path in own.items() if path in snapshot.archives}
        artifacts = {name: path for name, path in run.parameters.artifacts.items() if name not in own}
        parameters = evolve(run.parameters, artifacts=artifacts, bundled={**run.parameters.bundled, **own})
        return submit(self, target, evolve(run, parameters=parameters))

    TargetOperations.publish, TargetOperations.submit = publish_and_note, submit_with_defaults


def artifacts_are_cleared_away():
    """What a run gave is removed once somebody has asked for it."""
    from pathlib import Path

    get = TargetOperations.get_outputs

    def get_and_clear(self, target, run):
        found = get(self, target, run)
        for text in found.outputs.values():
            if text.startswith(str(target.home)) and Path(text).is_file():
                Path(text).unlink()
        return found

    TargetOperations.get_outputs = get_and_clear


def second_target_says_no_exit_codes():
    """The second target does not say how its steps ended."""
    get = TargetOperations.get_run

    def get_without(self, target, run):
        found = get(self, target, run)
        if target.name != "second" or not hasattr(found, "steps"):
            return found
        return evolve(found, steps=tuple(evolve(step, exit_code=None) for step in found.steps))

    TargetOperations.get_run = get_without


def following_stops_at_a_pause():
    """Logs are followed until nothing more is there at the moment."""
    read = logs.read_logs
    runs.read_logs = lambda context, run, step, follow: read(context, run, step, False)


def _is_text(pipeline, text):
    scope, _, name = text[3:-2].strip().partition(".")
    return scope == "parameters" and pipeline.parameters[name].type == "string"


def _pipeline_as(change):
    """Compile and publish another pipeline than that of the snapshot, under its digest."""
    compile_, publish = TargetOperations.compile, TargetOperations.publish

    def other(snapshot):
        return evolve(snapshot, pipeline=change(snapshot.pipeline))

    TargetOperations.compile = lambda self, target, snapshot: compile_(self, target, other(snapshot))
    TargetOperations.publish = lambda self, target, snapshot, compiled: publish(self, target, other(snapshot), compiled)


CHECKS = {
    "runs_share_their_code": "code_frozen",
    "first_words_are_not_filled_in": "words_are_filled_in_anywhere",
    "only_spaced_placeholders_are_filled_in": "words_are_filled_in_anywhere",
    "empty_variables_are_not_set": "environment_arrives",
    "parameters_read_as_inputs_are_stripped": "outputs_arrive",
    "last_runs_are_known": "remembered_for_long",
    "repeats_lose_the_run": "handed_over_after_a_cancel",
    "failed_runs_can_be_canceled": "finished_is_not_canceled",
    "wishes_decide": "the_target_decides",
    "canceled_steps_are_tried_again": "canceled_is_not_tried_again",
    "failures_end_what_runs_beside_them": "failure_spares_others",
    "killed_steps_succeed": "other_ends_are_failures",
    "time_begins_with_the_run": "each_step_has_its_own",
    "runs_end_when_they_start": "states_go_forward",
    "times_are_of_another_zone": "record_goes_forward",
    "late_steps_are_not_tried_again": "each_step_has_its_own",
    "retries_of_all_steps_are_ignored": "all_steps_have_theirs",
    "timeouts_of_all_steps_are_ignored": "all_steps_have_theirs",
    "all_steps_are_tried_twice": "each_step_has_its_own",
    "all_steps_have_the_same_code": "code_is_the_same",
    "hidden_files_of_code_are_lost": "code_is_the_same",
    "given_files_are_not_read": "given_files_are_read",
    "artifacts_are_cleared_away": "contents_are_the_same",
    "second_target_says_no_exit_codes": "failures_are_the_same",
    "following_stops_at_a_pause": "logs_can_be_followed",
}
"""The check that each fault was made for: it alone is asked, and catches it."""

FAULTS = {
    1: (runs_share_their_code,),
    7: (
        first_words_are_not_filled_in,
        only_spaced_placeholders_are_filled_in,
        empty_variables_are_not_set,
        parameters_read_as_inputs_are_stripped,
    ),
    8: (last_runs_are_known, repeats_lose_the_run),
    9: (
        failed_runs_can_be_canceled,
        wishes_decide,
        canceled_steps_are_tried_again,
        failures_end_what_runs_beside_them,
        killed_steps_succeed,
        time_begins_with_the_run,
        runs_end_when_they_start,
        times_are_of_another_zone,
    ),
    11: (
        late_steps_are_not_tried_again,
        retries_of_all_steps_are_ignored,
        timeouts_of_all_steps_are_ignored,
        all_steps_are_tried_twice,
        all_steps_have_the_same_code,
        hidden_files_of_code_are_lost,
        given_files_are_not_read,
        artifacts_are_cleared_away,
        second_target_says_no_exit_codes,
        following_stops_at_a_pause,
    ),
}
