"""Faults thought of after the others: the tenth of a thing, the second who has a name, the run that failed."""

import importlib
import json

from attrs import evolve

from penstock.contract.run import Absent, Failure, RunRef
from penstock.registry import (
    Registry,
    default_version,
    endpoints,
    gates,
    handover,
    history,
    published,
    reports,
)
from penstock.snapshot import stored, taking
from penstock.targets.facade import TargetOperations
from penstock.workspace import freezing, triggers
from penstock.workspace.references import Located

WITHOUT = """import os, sys
for folder, _, files in os.walk(sys.argv[1]):
    for name in files:
        path = os.path.join(folder, name)
        if {}:
            os.remove(path)
os.execvp(sys.argv[2], sys.argv[2:])"""


class AskedOtherwise:
    """A transaction that reads by other words than it was asked with."""

    def __init__(self, tx, asked, instead):
        self._tx, self._asked, self._instead = tx, asked, instead

    def __getattr__(self, name):
        return getattr(self._tx, name)

    def one(self, sql, *values):
        return self._tx.one(sql.replace(self._asked, self._instead), *values)

    def all(self, sql, *values):
        return self._tx.all(sql.replace(self._asked, self._instead), *values)


def labels_are_compared_as_text():
    """The label after the highest is looked for in the order of letters, where 9 comes after 10."""
    next_label = published._next_label

    def next_by_letters(tx, order):
        known = "SELECT 1 FROM labels WHERE name = ? AND digest = ? AND NOT burnt"
        if tx.one(known, order.name, order.digest):
            return next_label(tx, order)
        row = tx.one("SELECT max(label) AS last FROM labels WHERE name = ? AND number IS NOT NULL", order.name)
        return str(int(row["last"] or 0) + 1)

    published._next_label = next_by_letters


def digest_leaves_out_how_a_step_runs():
    """Variables, timeouts and retries are not part of the digest."""
    digest_of = stored.snapshot_digest

    def digest_of_less(canonical, archives):
        document = json.loads(canonical)
        for part in (document.get("defaults", {}), *document["steps"].values()):
            for key in ("env", "timeout", "retry"):
                part.pop(key, None)
        return digest_of(json.dumps(document, sort_keys=True), archives)

    stored.snapshot_digest = taking.snapshot_digest = digest_of_less


def the_tenth_version_is_counted_again():
    """The next version is one more than the last in the order of letters, where 9 comes after 10."""
    append = endpoints._append

    def append_by_letters(tx, endpoint, row, caller):
        if endpoint["next_version"] > 10:
            tx.run("DELETE FROM versions WHERE endpoint = ? AND version = 10", endpoint["seq"])
            endpoint = {**dict(endpoint), "next_version": 10}
        return append(tx, endpoint, row, caller)

    endpoints._append = append_by_letters


def versions_are_sorted_as_text():
    """The versions of an endpoint come in the order of letters."""
    all_versions = endpoints.all_versions
    endpoints.all_versions = lambda tx, seq: sorted(all_versions(tx, seq), key=lambda row: str(row["version"]))


def five_moves_are_kept():
    """Of the moves of a default only the last five can be taken back."""
    move = default_version.move

    def move_and_forget(tx, endpoint, version, caller):
        moved = move(tx, endpoint, version, caller)
        last = "SELECT max(position) FROM moves WHERE endpoint = ?"
        tx.run(f"DELETE FROM moves WHERE endpoint = ? AND position <= ({last}) - 5", endpoint["seq"], endpoint["seq"])
        return moved

    default_version.move = move_and_forget


def moves_go_with_the_name():
    """Who makes an endpoint under a deleted one's name can take back the moves of that one."""
    insert = endpoints._insert

    def insert_with_moves(tx, name, row, caller, **more):
        made = insert(tx, name, row, caller, **more)
        tx.run(
            """INSERT INTO moves (endpoint, position, version) SELECT ?, position, 0 FROM moves WHERE endpoint =
                (SELECT max(seq) FROM endpoints WHERE name = ? AND deleted IS NOT NULL)""",
            *(made["seq"], name),
        )
        return made

    endpoints._insert = insert_with_moves


def waiting_runs_need_nothing():
    """What a run came through can be deleted as long as its target does not have it."""
    delete, asked, instead = published.delete, "ended IS NULL", "ended IS NULL AND external IS NOT NULL"
    published.delete = lambda tx, ref, caller: delete(AskedOtherwise(tx, asked, instead), ref, caller)


def rerun_goes_by_the_name():
    """A rerun addresses whatever endpoint has the name by now."""
    runs = importlib.import_module("penstock.workspace.runs")
    again = runs.accept_again

    def again_by_name(context, caller, run, request):
        named = None if run.endpoint is None else context.registry().endpoint_id(run.endpoint)
        if named is None:
            return again(context, caller, run, request)
        found = Located(kind="endpoint", id=named, version=run.version)
        return triggers.accept(context, caller, triggers.order_of(context, found, request), request)

    runs.accept_again = again_by_name


def target_is_told_the_default_of_now():
    """The target is told the version that is the default when it gets the run."""
    start = handover.start

    def start_by_now(tx, run_id):
        work = start(tx, run_id)
        row = tx.one(
            "SELECT e.default_version FROM runs r JOIN endpoints e ON e.seq = r.endpoint WHERE r.id = ?", run_id
        )
        if work is None or row is None:
            return work
        return evolve(work, request=evolve(work.request, version=str(row["default_version"])))

    handover.start = start_by_now


def target_is_not_told_what_was_said():
    """What the caller said of a run beside its parameters does not reach the target."""
    start = handover.start

    def start_silently(tx, run_id):
        work = start(tx, run_id)
        return work and evolve(work, request=evolve(work.request, description="", tags={}))

    handover.start = start_silently


def a_new_version_opens_its_endpoint():
    """Adding a version opens the gate of the endpoint."""
    append = endpoints._append

    def append_and_open(tx, endpoint, row, caller):
        version = append(tx, endpoint, row, caller)
        _open(tx, "endpoints", endpoint["seq"])
        return version

    endpoints._append = append_and_open


def publishing_again_opens():
    """Publishing what is there opens its gate."""
    publish = published.publish

    def publish_and_open(tx, order, caller):
        done = publish(tx, order, caller)
        if not done.created:
            _open(tx, "published", tx.one("SELECT seq FROM published WHERE id = ?", done.published.id)["seq"])
        return evolve(done, published=published.get(tx, done.published.id))

    published.publish = publish_and_open


def closing_again_ends_nothing():
    """Who closes what is closed already, so that its runs end, gets no more than that it is closed."""
    set_gate = gates.set_gate

    def set_once(tx, kind, ref, *, open, caller, cancel_runs=False, **more):
        done = set_gate(tx, kind, ref, open=open, caller=caller, **more)
        if not cancel_runs or not done.changed:
            return done
        ended = set_gate(tx, kind, ref, open=open, caller=caller, cancel_runs=True, **more)
        return evolve(ended, changed=True)

    gates.set_gate = set_once


def checked_once_for_all_targets():
    """What one target can do is taken to be what all can."""
    check, known = freezing.check, {}

    def check_once(place, source):
        if source.pipeline.name not in known:
            known[source.pipeline.name] = check(place, source)
        return known[source.pipeline.name]

    freezing.check = check_once


def trials_are_not_checked():
    """A spec file that is run as a trial is not checked against its target."""
    runs = importlib.import_module("penstock.workspace.runs")
    accept, check = runs.accept_file, freezing.check

    def accept_any(*arguments):
        freezing.check = lambda place, source: ()
        try:
            return accept(*arguments)
        finally:
            freezing.check = check

    runs.accept_file = accept_any


def variables_of_the_pipeline_win():
    """What the pipeline says of a variable goes before what a step says."""
    _publish_other(lambda pipeline, step: evolve(step, env={**step.env, **pipeline.defaults.env}))


def a_submit_after_a_failure_tries_again():
    """A run that failed is started once more when it is handed over again."""
    submit = TargetOperations.submit

    def submit_anew(self, target, run):
        report = self.get_run(target, RunRef(id=run.id, publication=run.publication))
        if not isinstance(report, Absent) and report.state == "failed":
            submit(self, target, evolve(run, id=f"{run.id}-once-more"))
        return submit(self, target, run)

    TargetOperations.submit = submit_anew


def failed_runs_give_their_key_back():
    """A key is free again when its run has failed."""
    _free_keys("failed")


def canceled_runs_give_their_key_back():
    """A key is free again when its run was canceled."""
    _free_keys("canceled")


def a_cancel_takes_all_steps():
    """Of a canceled run every step is said to be canceled, those that had succeeded too."""

    def canceled(report):
        steps = (evolve(s, state="canceled", outputs={}) if s.state == "succeeded" else s for s in report.steps)
        return evolve(report, steps=tuple(steps)) if report.state == "canceled" else report

    _report_as(canceled)


def cut_short_with_exit_code_0():
    """A step that was killed is said to have exited with 0."""

    def well(step):
        killed = step.state in ("failed", "canceled") and step.started and not 0 < (step.exit_code or 0) < 128
        return evolve(step, exit_code=0) if killed else step

    _report_as(lambda report: evolve(report, steps=tuple(well(step) for step in report.steps)))


def failed_steps_have_outputs():
    """What a step wrote before it failed is told as its output."""

    def given(step):
        return evolve(step, outputs={"x": "1"}) if (step.state, step.name) == ("failed", "bad") else step

    _report_as(lambda report: evolve(report, steps=tuple(given(step) for step in report.steps)))


def a_row_is_lost_between_pages():
    """The history's next page begins one row too late."""
    page = history.page

    def page_and_skip(tx, **asked):
        found = page(tx, **asked)
        return evolve(found, next=str(int(found.next) - 1)) if found.next else found

    history.page = page_and_skip


def history_goes_by_the_name():
    """The history of an endpoint is that of all which had its name."""
    subjects = history._subjects

    def subjects_by_name(tx, ref):
        rows = tx.all("SELECT DISTINCT subject_id FROM history WHERE subject = ?", ref)
        return [row["subject_id"] for row in rows] or subjects(tx, ref)

    history._subjects = subjects_by_name


def failures_have_no_reason():
    """The history does not say why a run failed."""
    record = reports.record
    reports.record = lambda *arguments, reason="", **named: record(*arguments, **named)


def since_is_after():
    """The history since a time leaves out what was at that time."""
    page = history.page

    def page_after(tx, *, since=None, **asked):
        found = page(tx, since=since, **asked)
        return found if since is None else evolve(found, items=tuple(row for row in found.items if row.at > since))

    history.page = page_after


def hidden_files_are_lost():
    """Files whose names begin with a dot do not reach the next step."""
    _lose("name.startswith('.')")


def empty_files_are_lost():
    """Files with nothing in them do not reach the next step."""
    _lose("not os.path.getsize(path)")


def files_with_other_letters_are_lost():
    """Files whose names are not ASCII do not reach the next step."""
    _lose("not name.isascii()")


def given_up_after_three_tries():
    """A run that its target could not take three times waits for ever."""
    defer = handover.defer

    def defer_or_drop(tx, run_id, retry_after, message):
        defer(tx, run_id, retry_after, message)
        tx.run("DELETE FROM handovers WHERE tries >= 3 AND run = (SELECT seq FROM runs WHERE id = ?)", run_id)
        tx.run("UPDATE runs SET external = 'lost' WHERE id = ? AND seq NOT IN (SELECT run FROM handovers)", run_id)

    handover.defer = defer_or_drop


def failed_after_three_tries():
    """A run that its target could not take three times has failed."""
    defer, tries = Registry.defer_handover, {}

    def defer_or_fail(self, run_id, retry_after, message):
        defer(self, run_id, retry_after, message)
        tries[run_id] = tries.get(run_id, 0) + 1
        if tries[run_id] == 3:
            self.refuse_handover(run_id, Failure(code="dispatch_failed", message=message))

    Registry.defer_handover = defer_or_fail


def _open(tx, table, seq):
    tx.run(f"UPDATE {table} SET gate_since = NULL, gate_by = '', gate_reason = '' WHERE seq = ?", seq)


def _free_keys(state):
    """Take the key from every run that comes to an end of this kind."""
    report = reports.report

    def report_and_free(tx, run_id, *told):
        run, changed = report(tx, run_id, *told)
        if changed and run.state == state:
            tx.run("UPDATE runs SET key = NULL, scope = NULL WHERE id = ?", run.id)
        return run, changed

    reports.report = report_and_free


def _report_as(change):
    """Pass what a target reports of runs that it knows through a function."""
    get = TargetOperations.get_run

    def get_run(self, target, run):
        found = get(self, target, run)
        return change(found) if hasattr(found, "steps") else found

    TargetOperations.get_run = get_run


def _publish_other(change):
    """Compile and publish other steps than those of the snapshot, under its digest."""
    compile_, publish = TargetOperations.compile, TargetOperations.publish

    def other(snapshot):
        pipeline = snapshot.pipeline
        steps = {name: change(pipeline, step) for name, step in pipeline.steps.items()}
        return evolve(snapshot, pipeline=evolve(pipeline, steps=steps))

    TargetOperations.compile = lambda self, target, snapshot: compile_(self, target, other(snapshot))
    TargetOperations.publish = lambda self, target, snapshot, compiled: publish(self, target, other(snapshot), compiled)


def _lose(which):
    """Let files of folders get lost between steps."""

    def change(pipeline, step):
        for key, text in step.inputs.items():
            _, name, _, output = (*text[3:-2].strip().split("."), "", "")[:4]
            if name in pipeline.steps and pipeline.steps[name].outputs[output].type == "directory":
                program = (step.command[0], "-S", "-c", WITHOUT.format(which), f"${{{{ inputs.{key} }}}}")
                return evolve(step, command=(*program, *step.command))
        return step

    _publish_other(change)


FAULTS = {
    1: (labels_are_compared_as_text, digest_leaves_out_how_a_step_runs),
    2: (the_tenth_version_is_counted_again, versions_are_sorted_as_text),
    3: (five_moves_are_kept, moves_go_with_the_name, waiting_runs_need_nothing),
    4: (rerun_goes_by_the_name, target_is_told_the_default_of_now, target_is_not_told_what_was_said),
    5: (a_new_version_opens_its_endpoint, publishing_again_opens, closing_again_ends_nothing),
    6: (checked_once_for_all_targets, trials_are_not_checked),
    7: (variables_of_the_pipeline_win,),
    8: (
        a_submit_after_a_failure_tries_again,
        failed_runs_give_their_key_back,
        canceled_runs_give_their_key_back,
    ),
    9: (a_cancel_takes_all_steps, cut_short_with_exit_code_0, failed_steps_have_outputs),
    10: (a_row_is_lost_between_pages, history_goes_by_the_name, failures_have_no_reason, since_is_after),
    11: (hidden_files_are_lost, empty_files_are_lost, files_with_other_letters_are_lost),
    12: (given_up_after_three_tries, failed_after_three_tries),
}
CHECKS = {
    "labels_are_compared_as_text": "ten_comes_after_nine",
    "digest_leaves_out_how_a_step_runs": "any_difference_counts",
    "the_tenth_version_is_counted_again": "ten_comes_after_nine",
    "versions_are_sorted_as_text": "ten_comes_after_nine",
    "five_moves_are_kept": "every_move_is_taken_back",
    "moves_go_with_the_name": "rollback_walks_back",
    "waiting_runs_need_nothing": "waiting_stays",
    "rerun_goes_by_the_name": "renamed_and_gone",
    "target_is_told_the_default_of_now": "told_what_it_came_through",
    "target_is_not_told_what_was_said": "told_what_it_came_through",
    "a_new_version_opens_its_endpoint": "nothing_else_opens",
    "publishing_again_opens": "nothing_else_opens",
    "closing_again_ends_nothing": "cancelled_with_the_gate",
    "checked_once_for_all_targets": "refused_on_every_way",
    "trials_are_not_checked": "refused_on_every_way",
    "variables_of_the_pipeline_win": "environment_arrives",
    "a_submit_after_a_failure_tries_again": "failed_is_not_tried_again",
    "failed_runs_give_their_key_back": "failed_keeps_its_key",
    "canceled_runs_give_their_key_back": "canceled_keeps_its_key",
    "a_cancel_takes_all_steps": "what_was_done_stays_done",
    "cut_short_with_exit_code_0": "timed_out",
    "failed_steps_have_outputs": "failure_spares_others",
    "a_row_is_lost_between_pages": "history_in_pages",
    "history_goes_by_the_name": "names_come_and_go",
    "failures_have_no_reason": "failed_keeps_its_key",
    "since_is_after": "history_in_pages",
    "hidden_files_are_lost": "contents_are_the_same",
    "empty_files_are_lost": "contents_are_the_same",
    "files_with_other_letters_are_lost": "contents_are_the_same",
    "given_up_after_three_tries": "never_given_up",
    "failed_after_three_tries": "never_given_up",
}
"""The check that catches each fault: it alone is asked."""
