"""Faults that take a history to show: each call by itself does what it should, and what it leaves behind is wrong."""

from attrs import evolve

from penstock.errors import Conflict
from penstock.registry import acceptance, asof, cancelling, default_version, endpoints, gates, handover, published
from penstock.registry.lookup import endpoint_missing, find_endpoint, need_endpoint


def label_taken_on_one_target_is_free_on_another():
    """Every target has labels of its own, so that one label stands for two digests."""
    settle = published._settle

    def settled(tx, order):
        try:
            return settle(tx, order)
        except Conflict as error:
            here = "SELECT 1 FROM published WHERE name = ? AND label = ? AND target = ?"
            if error.code != "label_frozen" or tx.one(here, order.name, order.label, order.target):
                raise
            return order.label, None

    published._settle = settled


def publishing_again_moves_the_default():
    """Publishing what an endpoint has already makes that the default, as if it were new."""
    ensure = endpoints.ensure_version

    def ensured(tx, ref, row, caller, *, default, expect):
        done = ensure(tx, ref, row, caller, default=default, expect=expect)
        if done.added or done.default_moved:
            return done
        endpoint = need_endpoint(tx, done.endpoint_id)
        tx.run("UPDATE endpoints SET default_version = ? WHERE seq = ?", done.version, endpoint["seq"])
        return done

    endpoints.ensure_version = ensured


def rollback_takes_every_move_back():
    """A rollback goes to the first default there was, over all moves in between."""
    rollback = default_version.rollback

    def rolled_back(tx, ref, caller, *, expect=None):
        endpoint = need_endpoint(tx, ref)
        default_version.check_expected(endpoint, expect)
        tx.run("DELETE FROM moves WHERE endpoint = ? AND position > 0", endpoint["seq"])
        return rollback(tx, ref, caller, expect=expect)

    default_version.rollback = rolled_back


def default_is_handed_over_whatever_was_asked():
    """What is handed over is the default of the endpoint, also of a run that was accepted for another version."""
    start = handover.start

    def started(tx, run_id):
        work = start(tx, run_id)
        row = tx.one(
            """SELECT p.publication FROM runs r JOIN endpoints e ON e.seq = r.endpoint
                JOIN versions v ON v.endpoint = e.seq AND v.version = e.default_version
                JOIN published p ON p.seq = v.published WHERE r.id = ?""",
            run_id,
        )
        if work is None or row is None:
            return work
        found = tx.one("SELECT * FROM publications WHERE seq = ?", row["publication"])
        return evolve(work, request=evolve(work.request, publication=handover.publication_of(found)))

    handover.start = started


def runs_follow_the_name_of_their_endpoint():
    """When an endpoint gets another name, its runs say that they came in under that one."""
    rename = endpoints.rename

    def renamed(tx, ref, name, caller):
        record = rename(tx, ref, name, caller)
        tx.run(
            "UPDATE runs SET endpoint_name = ? WHERE endpoint = (SELECT seq FROM endpoints WHERE id = ?)",
            name,
            record.id,
        )
        return record

    endpoints.rename = renamed


def closing_again_forgets_the_first_closing():
    """Who closes what is closed already becomes the one who closed it, and their reason the reason."""
    set_gate = gates.set_gate

    def closed(tx, kind, ref, *, open, caller, **more):
        before = set_gate(tx, kind, ref, open=open, caller=caller, **more)
        if not open and not before.changed and kind == "endpoint":
            tx.run(
                "UPDATE endpoints SET gate_by = ?, gate_reason = ? WHERE id = ?",
                caller.actor,
                more.get("reason", ""),
                before.subject_id,
            )
        return before

    gates.set_gate = closed


def parameters_before_gates():
    """What is wrong with the parameters is said first, and only who has them right hears that a gate is closed."""
    resolve = acceptance.resolve
    names = ("refuse_endpoint", "refuse_version", "refuse_pipeline")
    real = {name: getattr(acceptance, name) for name in names}

    def resolved(tx, order):
        for name in names:
            setattr(acceptance, name, lambda *arguments: None)
        try:
            return resolve(tx, order)
        finally:
            for name in names:
                setattr(acceptance, name, real[name])

    acceptance.resolve = resolved


def closed_gate_ends_the_keys():
    """While an endpoint is closed, its idempotency keys are not known, and a repeat is refused."""
    replayed = acceptance._replayed

    def remembered(tx, scope, key):
        kind, _, endpoint = (scope or "").partition(":")
        closed = tx.one("SELECT 1 FROM endpoints WHERE id = ? AND gate_since IS NOT NULL", endpoint)
        return None if kind == "endpoint" and closed else replayed(tx, scope, key)

    acceptance._replayed = remembered


def moves_are_told_as_the_first_movers():
    """The history says that whoever moved a default first made all the later moves, too."""
    record, first = default_version.record, {}

    def recorded(tx, caller, action, kind, subject_id, *arguments, **more):
        first.setdefault(subject_id, caller)
        record(tx, evolve(caller, actor=first[subject_id].actor), action, kind, subject_id, *arguments, **more)

    default_version.record = recorded


def cancel_requests_are_not_remembered():
    """Asking a run to end leaves no row in the history."""
    record = cancelling.record

    def recorded(tx, caller, action, *arguments, **more):
        if action != "run_cancel_requested":
            record(tx, caller, action, *arguments, **more)

    cancelling.record = recorded


def deleted_endpoint_has_no_past():
    """What a deleted endpoint would have run while it was there is not answered any more."""
    answer = asof.endpoint_at

    def answered(tx, ref, at):
        if find_endpoint(tx, ref) is None:
            raise endpoint_missing(tx, ref)
        return answer(tx, ref, at)

    asof.endpoint_at = answered


FAULTS = {
    1: (label_taken_on_one_target_is_free_on_another,),
    3: (publishing_again_moves_the_default, rollback_takes_every_move_back),
    4: (default_is_handed_over_whatever_was_asked, runs_follow_the_name_of_their_endpoint),
    5: (closing_again_forgets_the_first_closing,),
    6: (parameters_before_gates,),
    8: (closed_gate_ends_the_keys,),
    10: (moves_are_told_as_the_first_movers, cancel_requests_are_not_remembered, deleted_endpoint_has_no_past),
}
CHECKS = {
    "closed_gate_ends_the_keys": "key_keeps_its_run",
    "cancel_requests_are_not_remembered": "histories",
}
"""The check that catches what others come to late: it alone is asked."""
