"""Faults of one caller who is alone: what is frozen thaws, what is closed lets through, what has ended goes on."""

import importlib
import time
import uuid

from attrs import evolve

from penstock.contract.run import ENDED, Absent, Failure, StepReport
from penstock.contract.target import Compiled, EndpointState, Publication
from penstock.registry import Registry, acceptance, asof, default_version, endpoints, gates, published, reports
from penstock.registry.history import record
from penstock.registry.lookup import need_run
from penstock.registry.rows import run_record
from penstock.targets.facade import TargetOperations
from penstock.workspace import triggers
from penstock.workspace.references import Located


def compiled_in_the_order_of_a_set():
    """What is compiled depends on the order of a set, which is another one in every process."""
    _compile_as(lambda data: data + b" " * (hash("penstock") % 9973))


def compiled_with_the_time():
    """What is compiled says when that was."""
    _compile_as(lambda data: data + b" " * (time.monotonic_ns() // 1000 % 9973))


def published_under_a_new_name_each_time():
    """The target calls a snapshot something else whenever it is published, and knows it by every name."""
    call = TargetOperations._call

    def call_and_rename(self, hook, **arguments):
        for name, value in arguments.items():
            if name == "publication":
                arguments[name] = evolve(value, external=value.external.partition("#")[0])
            elif hasattr(value, "publication"):
                plain = evolve(value.publication, external=value.publication.external.partition("#")[0])
                arguments[name] = evolve(value, publication=plain)
        answer = call(self, hook, **arguments)
        if hook == "penstock_publish_pipeline":
            return evolve(answer, external=f"{answer.external}#{uuid.uuid4().hex}")
        return answer

    TargetOperations._call = call_and_rename


def burnt_label_given_again():
    """The label of something deleted can be taken again."""
    delete = published.delete

    def delete_and_forget(tx, ref, caller):
        done = delete(tx, ref, caller)
        one = done.published
        tx.run("UPDATE labels SET burnt = 0 WHERE name = ? AND label = ?", one.name, one.label)
        return done

    published.delete = delete_and_forget


def label_moves_to_the_new_digest():
    """A label that is asked for again is taken over by the new digest."""
    settle = published._settle

    def settle_anew(tx, order):
        if order.label is not None and order.publication is not None:
            tx.run(
                "UPDATE labels SET digest = ? WHERE name = ? AND label = ? AND NOT burnt",
                *(order.digest, order.name, order.label),
            )
        return settle(tx, order)

    published._settle = settle_anew
    Registry.plan_publish = lambda self, order: None


def published_again_is_touched():
    """Publishing the same again counts as a change of what is there."""
    publish = published.publish

    def publish_and_touch(tx, order, caller):
        done = publish(tx, order, caller)
        if done.created:
            return done
        tx.run("UPDATE published SET revision = revision + 1, modified = ? WHERE id = ?", tx.now, done.published.id)
        return evolve(done, published=published.get(tx, done.published.id))

    published.publish = publish_and_touch


def retired_with_any_label():
    """Deleting one label lets the target forget what another label needs."""
    delete = Registry.delete_published

    def delete_and_retire(self, ref, caller):
        row = self.get_published(ref)
        done = delete(self, ref, caller)
        if done.retire is None:
            return evolve(done, retire=(row.target, Publication(external=row.external)))
        return done

    Registry.delete_published = delete_and_retire


def version_said_to_be_new():
    """Adding what the endpoint already has is answered as if it had been added."""
    ensure = endpoints.ensure_version
    endpoints.ensure_version = lambda *arguments, **named: evolve(ensure(*arguments, **named), added=True)


def numbers_go_on_under_a_deleted_name():
    """An endpoint under a deleted one's name goes on counting where that one stopped."""
    insert = endpoints._insert

    def insert_after(tx, name, published, caller, **more):
        row = insert(tx, name, published, caller, **more)
        gone = tx.one("SELECT max(next_version) AS next FROM endpoints WHERE name = ? AND deleted IS NOT NULL", name)
        if gone["next"]:
            tx.run("UPDATE endpoints SET next_version = ? WHERE seq = ?", gone["next"], row["seq"])
            tx.run("UPDATE versions SET version = ? WHERE endpoint = ?", gone["next"] - 1, row["seq"])
            tx.run("UPDATE endpoints SET default_version = ? WHERE seq = ?", gone["next"] - 1, row["seq"])
        return row

    endpoints._insert = insert_after


def run_where_the_endpoint_began():
    """Every version of an endpoint runs what its first one is, where that was published."""
    accept = Registry.accept

    def accept_at_home(self, order, resolution, accepted, caller):
        run, replayed = accept(self, order, resolution, accepted, caller)
        if run.endpoint_id is not None and not replayed:
            first = self.get_endpoint(run.endpoint_id).versions[0]
            with self._database.write() as tx:
                tx.run(
                    "UPDATE runs SET publication = (SELECT publication FROM published WHERE id = ?) WHERE id = ?",
                    *(first.published, run.id),
                )
        return run, replayed

    Registry.accept = accept_at_home


def latest_is_the_default():
    """A new version becomes the default by itself."""
    ensure = endpoints.ensure_version
    endpoints.ensure_version = lambda *arguments, **named: ensure(*arguments, **{**named, "default": True})


def rollback_toggles():
    """A rollback is a move like any other, and the next one takes it back."""

    def toggle(tx, endpoint, version, caller, action):
        if action == "default_rolled_back":
            tx.run(
                """INSERT INTO moves (endpoint, position, version)
                    SELECT ?, coalesce(max(position) + 1, 0), ? FROM moves WHERE endpoint = ?""",
                *(endpoint["seq"], endpoint["default_version"], endpoint["seq"]),
            )
        return point(tx, endpoint, version, caller, action)

    point, default_version._point = default_version._point, toggle


def rollback_expects_nothing():
    """A rollback does not look at what its caller expects."""
    rollback = default_version.rollback
    default_version.rollback = lambda tx, ref, caller, *, expect=None: rollback(tx, ref, caller)


def default_taken_at_the_hand_over():
    """A run that waits takes what is the default when it is handed over."""
    start = Registry.start_handover

    def start_late(self, run_id):
        work, run = start(self, run_id), self.get_run(run_id)
        if work is None or run.resolved_from != "default":
            return work
        endpoint = self.get_endpoint(run.endpoint_id)
        now = {one.version: one for one in endpoint.versions}[endpoint.default]
        with self._database.write() as tx:
            tx.run(
                "UPDATE runs SET publication = (SELECT publication FROM published WHERE id = ?) WHERE id = ?",
                *(now.published, run_id),
            )
        return start(self, run_id)

    Registry.start_handover = start_late


def rerun_takes_the_default():
    """A rerun goes by the default as it is now."""
    again = triggers.accept_again

    def accept_again(context, caller, run, request):
        if run.endpoint_id is None:
            return again(context, caller, run, request)
        found = Located(kind="endpoint", id=run.endpoint_id)
        return triggers.accept(context, caller, triggers.order_of(context, found, request), request)

    _replace("penstock.workspace.runs", "accept_again", accept_again)


def run_shows_the_default_of_now():
    """A run by the default says the version that is the default when one looks."""
    get = Registry.get_run

    def get_by_now(self, ref):
        run = get(self, ref)
        if run.resolved_from != "default" or run.endpoint_id is None:
            return run
        known = self.endpoint_id(run.endpoint_id)
        return run if known is None else evolve(run, version=self.get_endpoint(known).default)

    Registry.get_run = get_by_now


def closed_version_passes_when_pinned():
    """Who names a closed version gets it."""
    locate = acceptance._locate
    refuse = acceptance.refuse_version

    def locate_pinned(tx, order, addressed):
        acceptance.refuse_version = refuse if order.version is None else lambda endpoint, version: None
        return locate(tx, order, addressed)

    acceptance._locate = locate_pinned


def rerun_goes_round_the_gate():
    """A rerun is not stopped by the endpoint's gate."""
    locate, refuse = acceptance._locate, acceptance.refuse_endpoint

    def locate_again(tx, order, addressed):
        acceptance.refuse_endpoint = refuse if order.rerun_of is None else lambda endpoint: None
        return locate(tx, order, addressed)

    acceptance._locate = locate_again


def closed_pipeline_passes_behind_an_endpoint():
    """The gate of a published pipeline only stops who triggers that itself."""
    locate, refuse = acceptance._locate, acceptance.refuse_pipeline

    def locate_behind(tx, order, addressed):
        acceptance.refuse_pipeline = refuse if order.kind == "published" else lambda name, row: None
        return locate(tx, order, addressed)

    acceptance._locate = locate_behind


def opening_the_endpoint_opens_its_versions():
    """Opening an endpoint opens all of its versions."""
    move = gates.set_gate

    def move_all(tx, kind, ref, *, open, caller, **more):
        done = move(tx, kind, ref, open=open, caller=caller, **more)
        if kind == "endpoint" and open:
            tx.run(
                """UPDATE versions SET gate_since = NULL, gate_by = '', gate_reason = ''
                    WHERE endpoint = (SELECT seq FROM endpoints WHERE id = ?)""",
                done.subject_id,
            )
        return done

    gates.set_gate = move_all


def rollback_onto_a_closed_version():
    """A rollback does not look at the gates of where it goes."""
    rollback, refuse = default_version.rollback, default_version._refuse_closed

    def rollback_anyway(*arguments, **named):
        default_version._refuse_closed = lambda endpoint, version: None
        try:
            return rollback(*arguments, **named)
        finally:
            default_version._refuse_closed = refuse

    default_version.rollback = rollback_anyway


def refusal_names_somebody():
    """A refusal does not say by whom the gate was closed."""
    refuse = gates._refuse

    def refuse_by_somebody(code, what, row, prefix):
        if row[f"{prefix}_since"] is not None:
            row = {**dict(row), f"{prefix}_by": "somebody"}
        refuse(code, what, row, prefix)

    gates._refuse = refuse_by_somebody


def closed_gate_keeps_accepted_runs_back():
    """A run that was accepted fails at its hand-over when its endpoint has been closed since."""
    start = Registry.start_handover

    def start_if_open(self, run_id):
        run = self.get_run(run_id)
        work = start(self, run_id)
        if run.endpoint_id is not None and not self.get_endpoint(run.endpoint_id).enabled:
            self.refuse_handover(run_id, Failure(code="endpoint_disabled", message="the endpoint is closed"))
            return None
        return work

    Registry.start_handover = start_if_open


def gates_not_mirrored():
    """The target is told of versions and default, and that everything is open."""
    sync = TargetOperations.sync_endpoint

    def sync_open(self, target, endpoint: EndpointState):
        versions = tuple(evolve(one, enabled=True, published_enabled=True) for one in endpoint.versions)
        return sync(self, target, evolve(endpoint, enabled=True, versions=versions))

    TargetOperations.sync_endpoint = sync_open


def canceled_run_goes_on():
    """A run that is asked to end is said to be canceled at once, and its steps go on."""
    get, cancel, canceled = TargetOperations.get_run, TargetOperations.cancel, {}

    def get_run(self, target, run):
        found = get(self, target, run)
        if run.id not in canceled:
            return found
        if canceled[run.id] is None:
            steps = tuple(
                step if step.state in ENDED else evolve(step, state="canceled", ended=None) for step in found.steps
            )
            canceled[run.id] = evolve(found, state="canceled", ended=found.started, steps=steps)
        return canceled[run.id]

    def cancel_in_words(self, target, run):
        if getattr(get(self, target, run), "state", "") not in ("queued", "running"):
            return cancel(self, target, run)
        canceled.setdefault(run.id, None)
        return True

    TargetOperations.get_run, TargetOperations.cancel = get_run, cancel_in_words


def canceled_run_is_revived():
    """A run that was said to be canceled is running again at a later look."""
    get, looks = TargetOperations.get_run, {}

    def get_run(self, target, run):
        found = get(self, target, run)
        if getattr(found, "state", "") == "canceled":
            looks[run.id] = looks.get(run.id, 0) + 1
            if looks[run.id] == 3:
                return evolve(found, state="running", ended=None)
        return found

    TargetOperations.get_run = get_run


def skipped_step_is_said_to_succeed():
    """A step that never ran, because what it needs failed, is said to have succeeded."""

    def succeed(step: StepReport):
        return evolve(step, state="succeeded", exit_code=0) if step.state == "skipped" else step

    _steps_as(lambda found: evolve(found, steps=tuple(succeed(step) for step in found.steps)))


def runs_succeed_without_running():
    """A run is said to have succeeded, all its steps with it, before anything was executed."""

    def done(found):
        if found.state not in ("queued", "running"):
            return found
        at = found.started
        steps = tuple(evolve(s, state="succeeded", attempt=1, started=at, ended=at, exit_code=0) for s in found.steps)
        return evolve(found, state="succeeded", ended=at, steps=steps)

    _steps_as(done)


def retries_are_not_counted():
    """A step is said to be at its first attempt, however often it was tried."""
    _steps_as(
        lambda found: evolve(found, steps=tuple(evolve(step, attempt=min(1, step.attempt)) for step in found.steps))
    )


def failure_stops_everything():
    """When one step fails, steps that do not depend on it are canceled too."""

    def stop(found):
        if found.state != "failed":
            return found
        steps = (evolve(s, state="canceled", outputs={}) if s.state == "succeeded" else s for s in found.steps)
        return evolve(found, steps=tuple(steps))

    _steps_as(stop)


def backward_report_is_taken():
    """Whatever the target says last of an unfinished run is what its record says."""
    reports._rank = lambda state: 0


def steps_go_back():
    """What the target says last of a step is what the run's record says, also of a step that had ended."""
    forward = reports._forward
    reports._forward = lambda known, told, outputs: forward(None, told, outputs)


def finished_run_is_canceled():
    """Canceling a run that has ended makes it a canceled one."""
    request = Registry.request_cancel

    def cancel_anyway(self, ref, caller, **more):
        with self._database.write() as tx:
            tx.run("UPDATE runs SET state = 'canceled' WHERE id = ? AND ended IS NOT NULL", ref)
        return request(self, ref, caller, **more)

    Registry.request_cancel = cancel_anyway


def lost_run_waits_for_ever():
    """A run that the target does not know any more keeps its state."""
    report = reports.report

    def report_known(tx, run_id, told, outputs, step_outputs):
        if isinstance(told, Absent):
            return run_record(need_run(tx, run_id)), False
        return report(tx, run_id, told, outputs, step_outputs)

    reports.report = report_known


def handed_over_after_its_cancel():
    """A run that was canceled before its hand-over is handed over all the same."""
    start = Registry.start_handover
    kept = {}

    def start_anyway(self, run_id):
        work = start(self, run_id)
        return work or kept.pop(run_id, None)

    request = Registry.request_cancel

    def request_and_keep(self, ref, caller, **more):
        before = start(self, ref)
        with self._database.write() as tx:
            tx.run("UPDATE handovers SET started = NULL WHERE run = (SELECT seq FROM runs WHERE id = ?)", ref)
        done = request(self, ref, caller, **more)
        if done.ended:
            kept[ref] = before
        return done

    Registry.start_handover, Registry.request_cancel = start_anyway, request_and_keep


def rename_leaves_no_row():
    """Renaming an endpoint is not in the history."""
    endpoints.record = lambda tx, caller, action, *more, **named: (
        None if action == "endpoint_renamed" else record(tx, caller, action, *more, **named)
    )


def rename_rewrites_the_past():
    """Renaming an endpoint gives it its new name in the rows of before, too."""
    rename = endpoints.rename

    def rename_everywhere(tx, ref, name, caller):
        done = rename(tx, ref, name, caller)
        tx.run("DROP TRIGGER IF EXISTS history_no_update")
        tx.run("UPDATE history SET subject = ? WHERE subject_id = ? AND kind = 'endpoint'", name, done.id)
        return done

    endpoints.rename = rename_everywhere


def refused_move_is_remembered():
    """A move of the default that is refused leaves the row of one that happened."""
    move = Registry.set_default

    def move_noted(self, endpoint, version, caller, *, expect=None):
        try:
            return move(self, endpoint, version, caller, expect=expect)
        except Exception:
            with self._database.write() as tx:
                found = endpoints.get(tx, endpoint)
                record(tx, caller, "default_moved", "endpoint", found.id, found.name, from_=found.default, to=version)
            raise

    Registry.set_default = move_noted


def gate_forgets_why():
    """The row of a closed gate does not say why."""
    gates.record = lambda *arguments, reason="", **named: record(*arguments, **named)


def past_answered_with_the_present():
    """What would have run at a time is answered with the default of now."""
    last = asof._last

    def last_of_all(tx, endpoint, when, *actions):
        return last(tx, endpoint, 2**62 if "default_moved" in actions else when, *actions)

    asof._last = last_of_all


def everybody_is_penstock():
    """The history says that moves of the default were made by penstock itself."""

    def by_penstock(tx, caller, *more, **named):
        return record(tx, evolve(caller, actor="penstock"), *more, **named)

    default_version.record = by_penstock


FAULTS = {
    1: (
        compiled_in_the_order_of_a_set,
        compiled_with_the_time,
        published_under_a_new_name_each_time,
        burnt_label_given_again,
        label_moves_to_the_new_digest,
        published_again_is_touched,
        retired_with_any_label,
    ),
    2: (version_said_to_be_new, numbers_go_on_under_a_deleted_name, run_where_the_endpoint_began),
    3: (latest_is_the_default, rollback_toggles, rollback_expects_nothing),
    4: (default_taken_at_the_hand_over, rerun_takes_the_default, run_shows_the_default_of_now),
    5: (
        closed_version_passes_when_pinned,
        rerun_goes_round_the_gate,
        closed_pipeline_passes_behind_an_endpoint,
        opening_the_endpoint_opens_its_versions,
        rollback_onto_a_closed_version,
        refusal_names_somebody,
        closed_gate_keeps_accepted_runs_back,
        gates_not_mirrored,
    ),
    9: (
        canceled_run_goes_on,
        canceled_run_is_revived,
        skipped_step_is_said_to_succeed,
        runs_succeed_without_running,
        retries_are_not_counted,
        failure_stops_everything,
        backward_report_is_taken,
        steps_go_back,
        finished_run_is_canceled,
        lost_run_waits_for_ever,
        handed_over_after_its_cancel,
    ),
    10: (
        rename_leaves_no_row,
        rename_rewrites_the_past,
        refused_move_is_remembered,
        gate_forgets_why,
        past_answered_with_the_present,
        everybody_is_penstock,
    ),
}


def _compile_as(change):
    """Pass what a target compiles through a function of its bytes."""
    compile_ = TargetOperations.compile

    def compile_changed(self, target, snapshot):
        found = compile_(self, target, snapshot)
        return Compiled(media_type=found.media_type, data=change(found.data))

    TargetOperations.compile = compile_changed


def _steps_as(change):
    """Pass what a target reports of runs that it knows through a function."""
    get = TargetOperations.get_run

    def get_run(self, target, run):
        found = get(self, target, run)
        return change(found) if hasattr(found, "steps") else found

    TargetOperations.get_run = get_run


def _replace(module, name, function):
    setattr(importlib.import_module(module), name, function)


CHECKS = {
    "gates_not_mirrored": "told_everything",
    "canceled_run_goes_on": "canceled_stays",
    "canceled_run_is_revived": "canceled_stays",
    "finished_run_is_canceled": "finished_is_not_canceled",
}
"""The check that catches what others come to late: it alone is asked."""
