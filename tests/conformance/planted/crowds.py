"""Faults that only show when several processes call at the same time: something is looked at before it is decided."""

import os
import time
import uuid

from attrs import evolve

from penstock.contract.run import Absent, RunRef, Submission
from penstock.errors import Conflict, NotFound
from penstock.registry import Registry, acceptance, default_version, endpoints, lookup, outbox
from penstock.registry.history import record
from penstock.registry.rows import published_ref
from penstock.targets.facade import TargetOperations

_MOMENT = 0.004
"""Seconds between the look and the decision: long enough for others to decide meanwhile."""


def versions_counted_before_the_transaction():
    """The next version is computed first and written afterwards, over what somebody else wrote meanwhile."""
    counted = {}

    def count(registry, name):
        counted.clear()
        if name is None:
            return
        try:
            counted[name] = len(registry.get_endpoint(name).versions)
        except NotFound:
            return
        time.sleep(_MOMENT)

    publish, add = Registry.publish, Registry.add_version

    def publish_later(self, order, caller):
        count(self, order.endpoint)
        return publish(self, order, caller)

    def add_later(self, name, *arguments, **more):
        count(self, name)
        return add(self, name, *arguments, **more)

    Registry.publish, Registry.add_version = publish_later, add_later
    _append_as(lambda endpoint: counted.get(endpoint["name"], endpoint["next_version"]))


def versions_counted_by_every_process_for_itself():
    """A process that has added a version believes that the next number is still free when it adds another."""
    next_of = {}

    def number(endpoint):
        chosen = next_of.get(endpoint["id"], endpoint["next_version"])
        next_of[endpoint["id"]] = chosen + 1
        return chosen

    _append_as(number)


def labels_chosen_before_the_transaction():
    """The label of a publish without one is chosen first, and refused when somebody else took it meanwhile."""
    publish = Registry.publish

    def publish_as_planned(self, order, caller):
        planned = self.plan_publish(order).label
        time.sleep(_MOMENT)
        return publish(self, evolve(order, label=planned), caller)

    Registry.publish = publish_as_planned


def expectations_checked_before_the_transaction():
    """A move with an expectation compares first and sets afterwards, whatever the default has become."""
    set_default = Registry.set_default

    def compare_then_set(self, endpoint, version, caller, *, expect=None):
        found = self.get_endpoint(endpoint).default
        if expect not in (None, found):
            raise Conflict(f"the default of endpoint `{endpoint}` is {found}, not {expect}", code="default_changed")
        time.sleep(_MOMENT)
        return set_default(self, endpoint, version, caller)

    Registry.set_default = compare_then_set


def moves_that_push_an_older_default():
    """A move remembers the default that it saw before its transaction as the place to roll back to."""
    set_default, move = Registry.set_default, default_version.move
    seen = {}

    def look_then_move(self, endpoint, *arguments, **more):
        seen[endpoint] = int(self.get_endpoint(endpoint).default)
        time.sleep(4 * _MOMENT)
        return set_default(self, endpoint, *arguments, **more)

    def move_from_seen(tx, endpoint, version, caller):
        moved = move(tx, endpoint, version, caller)
        before = seen.get(endpoint["name"], endpoint["default_version"])
        if moved:
            tx.run(
                "UPDATE moves SET version = ? WHERE endpoint = ? AND position ="
                " (SELECT max(position) FROM moves WHERE endpoint = ?)",
                before,
                endpoint["seq"],
                endpoint["seq"],
            )
        return moved

    Registry.set_default, default_version.move = look_then_move, move_from_seen


def rollbacks_to_what_was_on_top():
    """A rollback goes to what was the last move before its transaction, though others have moved since."""
    rollback, real = Registry.rollback, default_version.rollback
    tops = {}

    def look_then_roll(self, endpoint, caller, *, expect=None):
        query = (
            "SELECT m.version FROM moves m JOIN endpoints e ON e.seq = m.endpoint"
            " WHERE e.name = ? AND e.deleted IS NULL ORDER BY m.position DESC LIMIT 1"
        )
        tops[endpoint] = self._read(lambda tx: tx.one(query, endpoint))
        time.sleep(_MOMENT)
        return rollback(self, endpoint, caller, expect=expect)

    def roll_to_seen(tx, ref, caller, *, expect=None):
        done = real(tx, ref, caller, expect=expect)
        top = tops.get(ref)
        if top is None or str(top["version"]) == done.to:
            return done
        row = lookup.need_endpoint(tx, ref)
        tx.run("UPDATE endpoints SET default_version = ? WHERE seq = ?", top["version"], row["seq"])
        to = str(top["version"])
        return evolve(done, to=to, endpoint=evolve(done.endpoint, default=to))

    Registry.rollback, default_version.rollback = look_then_roll, roll_to_seen


def defaults_resolved_before_the_transaction():
    """A trigger takes the default that it saw when its parameters were checked, moved or not when it is accepted."""
    _accept_late()
    locate = acceptance._locate
    seen = {}
    resolve = acceptance.resolve

    def remember(tx, order):
        found = resolve(tx, order)
        seen[order.ref] = getattr(found, "version", None)
        return found

    def locate_seen(tx, order, addressed):
        known = seen.get(order.ref)
        if order.kind != "endpoint" or order.version is not None or known is None:
            return locate(tx, order, addressed)
        return evolve(locate(tx, evolve(order, version=known), addressed), resolved_from="default")

    def accept_seen(tx, order, *arguments):
        acceptance._locate = locate_seen
        try:
            return accept(tx, order, *arguments)
        finally:
            acceptance._locate = locate

    accept = acceptance.accept
    acceptance.resolve, acceptance.accept = remember, accept_seen


def gates_looked_at_before_the_transaction():
    """A trigger that found its gates open is accepted, closed or not by then."""
    _accept_late()
    accept = acceptance.accept
    names = ("refuse_endpoint", "refuse_version", "refuse_pipeline")
    refusals = {name: getattr(acceptance, name) for name in names}

    def accept_anyway(*arguments):
        for name in names:
            setattr(acceptance, name, lambda *rows: None)
        try:
            return accept(*arguments)
        finally:
            for name, refuse in refusals.items():
                setattr(acceptance, name, refuse)

    acceptance.accept = accept_anyway


def keys_looked_up_before_the_transaction():
    """An idempotency key that nobody had when the trigger came starts a run, though somebody has it by then."""
    _accept_late()
    accept = acceptance.accept

    def accept_twice(tx, order, *arguments):
        _, scope = acceptance._address(tx, order)
        if acceptance._replayed(tx, scope, order.key) is not None:
            order = evolve(order, key=None)
        return accept(tx, order, *arguments)

    acceptance.accept = accept_twice


def runs_looked_for_before_they_are_started():
    """The backend looks whether it has a run and then starts it, as often as nobody had it when they looked."""
    submit = TargetOperations.submit

    def look_then_start(self, target, run):
        ref = RunRef(id=run.id, publication=run.publication)
        absent = isinstance(self.get_run(target, ref), Absent)
        time.sleep(2 * _MOMENT)
        if absent:
            started = target.home / f"{run.id}.started"
            try:
                started.touch(exist_ok=False)
            except FileExistsError:
                submit(self, target, evolve(run, id=str(uuid.uuid4())))
        return submit(self, target, run)

    TargetOperations.submit = look_then_start


def another_name_for_every_caller():
    """Who hands a run over is told a name of the run that is only theirs."""
    submit = TargetOperations.submit

    def named_for_me(self, target, run):
        return Submission(external=f"{submit(self, target, run).external}#{os.getpid()}")

    TargetOperations.submit = named_for_me


def _append_as(number):
    """Add versions under the number that a function says, over the version that has it."""
    append = endpoints._append

    def append_there(tx, endpoint, published, caller):
        chosen = number(endpoint)
        if chosen >= endpoint["next_version"]:
            return append(tx, endpoint, published, caller)
        tx.run(
            "UPDATE versions SET published = ? WHERE endpoint = ? AND version = ?",
            published["seq"],
            endpoint["seq"],
            chosen,
        )
        outbox.mark(tx, endpoint["seq"])
        name = f"{endpoint['name']}@{chosen}"
        record(tx, caller, "version_added", "version", endpoint["id"], name, to=published_ref(published))
        return chosen

    endpoints._append = append_there


def _accept_late():
    """Let others decide between a trigger's checks and its acceptance."""
    accept = Registry.accept

    def later(self, *arguments):
        time.sleep(4 * _MOMENT)
        return accept(self, *arguments)

    Registry.accept = later


FAULTS = {
    1: (labels_chosen_before_the_transaction,),
    2: (versions_counted_before_the_transaction, versions_counted_by_every_process_for_itself),
    3: (
        expectations_checked_before_the_transaction,
        moves_that_push_an_older_default,
        rollbacks_to_what_was_on_top,
    ),
    4: (defaults_resolved_before_the_transaction,),
    5: (gates_looked_at_before_the_transaction,),
    8: (
        keys_looked_up_before_the_transaction,
        runs_looked_for_before_they_are_started,
        another_name_for_every_caller,
    ),
}
"""What breaks each law."""
CHECKS = {
    "versions_counted_before_the_transaction": "everybody_publishes",
    "versions_counted_by_every_process_for_itself": "everybody_publishes",
    "labels_chosen_before_the_transaction": "everybody_publishes",
    "expectations_checked_before_the_transaction": "everybody_moves_the_default",
    "moves_that_push_an_older_default": "everybody_moves_the_default",
    "rollbacks_to_what_was_on_top": "everybody_moves_the_default",
    "defaults_resolved_before_the_transaction": "moved_while_deciding",
    "gates_looked_at_before_the_transaction": "triggers_while_gates_move",
    "keys_looked_up_before_the_transaction": "one_key_from_everybody",
    "runs_looked_for_before_they_are_started": "handed_over_by_everybody",
    "another_name_for_every_caller": "handed_over_again",
}
"""The check that catches a fault: it alone is asked."""
