"""Faults that one check each was made for: what a process remembers for itself, what comes late, what few ask."""

import importlib
import json
import os
import time
from datetime import timedelta
from weakref import WeakKeyDictionary

from attrs import evolve

from penstock.contract.run import ENDED, RunRef
from penstock.dispatch import Dispatcher
from penstock.registry import Registry, acceptance, default_version, listing
from penstock.targets.facade import TargetOperations
from penstock.workspace import triggers


def nothing():
    """Nothing at all: what the kit says then, it says of penstock as it is."""


def broken():
    """Every look at an endpoint ends in an error: that is no law broken, and nothing is proved by it."""

    def get(self, ref):
        raise RuntimeError("planted to break")

    Registry.get_endpoint = get


def what_others_published_since_is_not_listed():
    """A process lists what was published when it last published something itself."""
    publish, listed, known = Registry.publish, Registry.list_published, WeakKeyDictionary()

    def publish_and_look(self, order, caller):
        done = publish(self, order, caller)
        known[self] = {one.id for one in listed(self, all=True, limit=1000).items}
        return done

    def list_known(self, **asked):
        page = listed(self, **asked)
        return evolve(page, items=tuple(one for one in page.items if one.id in known.get(self, {one.id})))

    Registry.publish, Registry.list_published = publish_and_look, list_known


def defaults_are_remembered_by_every_process():
    """The default that a process found is the default for it, until it moves that itself."""
    locate, point, known = acceptance._locate, default_version._point, {}

    def locate_known(tx, order, addressed):
        found = locate(tx, order, addressed)
        if order.kind != "endpoint" or order.version is not None:
            return found
        version = known.setdefault(found.endpoint["id"], str(found.version["version"]))
        return evolve(locate(tx, evolve(order, version=version), addressed), resolved_from="default")

    def point_and_forget(tx, endpoint, *arguments):
        known.pop(endpoint["id"], None)
        return point(tx, endpoint, *arguments)

    acceptance._locate, default_version._point = locate_known, point_and_forget


def what_a_target_missed_is_not_told_again():
    """A target that was away when an endpoint changed is taken to know it."""
    Registry.sync_failed = lambda self, endpoint, target, *more: self.sync_done(
        endpoint, target, self.endpoint_state(endpoint, target).revision
    )


def nobody_is_told_what_was_left_out():
    """A plain listing leaves out what is closed and does not say so."""
    page_of = listing.page_of
    listing.page_of = lambda rows, limit, read, hidden=0: page_of(rows, limit, read)


def defaults_are_written_with_spaces():
    """The default of a list or an object reaches the step as JSON with spaces in it."""
    settle = triggers.settle

    def settle_wide(pipeline, given, **more):
        settled = settle(pipeline, given, **more)
        wide = {
            name: json.dumps(settled.parameters[name], sort_keys=True, ensure_ascii=False)
            for name, parameter in pipeline.parameters.items()
            if name not in given and parameter.type in ("list", "object")
        }
        return evolve(settled, values={**settled.values, **wide})

    triggers.settle = settle_wide


def steps_start_before_what_they_need():
    """Every step but the first is said to have started an hour before it did."""

    def earlier(report):
        first, *others = report.steps or (None,)
        moved = [evolve(s, started=s.started - timedelta(hours=1)) if s.started else s for s in others]
        return evolve(report, steps=(first, *moved)) if moved else report

    _report_as(earlier)


def what_took_too_long_is_canceled():
    """A run with a step that took too long is said to be canceled."""

    def canceled(report):
        late = report.state == "failed" and any(step.error and "longer" in step.error.message for step in report.steps)
        return evolve(report, state="canceled") if late else report

    _report_as(canceled)


def lost_runs_come_back():
    """A run that its target had lost is looked at again, and goes on when the target knows it by then."""
    refresh = Dispatcher.refresh

    def refresh_lost(self, run_id, **more):
        run = self._registry.get_run(run_id)
        if run.error is not None and run.error.code == "run_lost":
            again = "UPDATE runs SET state = 'queued', ended = NULL, error = NULL WHERE id = ?"
            self._registry._write(lambda tx: tx.run(again, run_id))
        return refresh(self, run_id, **more)

    Dispatcher.refresh = refresh_lost


def waiting_again_starts_again():
    """A run is started once more by who waits for it when another process has waited for it before."""
    submit, requests = TargetOperations.submit, {}
    runs = importlib.import_module("penstock.workspace.runs").Runs
    wait = runs.wait

    def submit_and_keep(self, target, run):
        requests[run.id] = (self, target, run)
        return submit(self, target, run)

    def wait_or_start(self, run_id, **more):
        mark = self._context.config.home / f"{run_id}.waited"
        if mark.exists() and mark.read_text() != str(os.getpid()) and run_id in requests:
            operations, target, run = requests[run_id]
            again = evolve(run, id=f"{run_id}-again")
            submit(operations, target, again)
            ref = RunRef(id=again.id, publication=again.publication)
            while operations.get_run(target, ref).state not in ENDED:
                time.sleep(0.005)
        mark.write_text(str(os.getpid()))
        return wait(self, run_id, **more)

    TargetOperations.submit, runs.wait = submit_and_keep, wait_or_start


def _report_as(change):
    """Pass what a target reports of runs that it knows through a function."""
    get = TargetOperations.get_run

    def get_run(self, target, run):
        found = get(self, target, run)
        return change(found) if hasattr(found, "steps") else found

    TargetOperations.get_run = get_run


FAULTS = {
    1: (what_others_published_since_is_not_listed,),
    4: (defaults_are_remembered_by_every_process,),
    5: (
        what_a_target_missed_is_not_told_again,
        nobody_is_told_what_was_left_out,
    ),
    7: (defaults_are_written_with_spaces,),
    8: (waiting_again_starts_again,),
    9: (steps_start_before_what_they_need, what_took_too_long_is_canceled, lost_runs_come_back),
}
CHECKS = {
    "defaults_are_remembered_by_every_process": "triggers_while_the_default_moves",
    "what_others_published_since_is_not_listed": "anything_at_once",
    "what_a_target_missed_is_not_told_again": "told_until_it_took",
    "nobody_is_told_what_was_left_out": "listings_leave_closed_out",
    "defaults_are_written_with_spaces": "any_value_arrives",
    "waiting_again_starts_again": "runs_need_nobody_to_wait",
    "steps_start_before_what_they_need": "states_go_forward",
    "what_took_too_long_is_canceled": "timed_out",
    "lost_runs_come_back": "a_lost_run_fails",
}
"""The check that each fault was made for: it alone is asked, and catches it."""
