"""Faults in what becomes of an intent that is told more than once (law 8)."""

from __future__ import annotations

from attrs import evolve

from penstock.contract.run import ENDED, Absent, RunRef
from penstock.errors import PenstockError
from penstock.registry import Registry, acceptance
from penstock.targets.facade import TargetOperations


def a_submit_after_the_end_starts_it_again():
    """The target forgets what it was handed as soon as that has ended, and runs it again when it comes again."""
    submit = TargetOperations.submit

    def submit_anew(self, target, run):
        report = self.get_run(target, RunRef(id=run.id, publication=run.publication))
        if not isinstance(report, Absent) and report.state in ENDED:
            submit(self, target, evolve(run, id=f"{run.id}-once-more"))
        return submit(self, target, run)

    TargetOperations.submit = submit_anew


def keys_are_one_for_all_endpoints():
    """A key that somebody used on one endpoint gives that run on every other endpoint, too."""
    replayed = acceptance._replayed

    def replayed_anywhere(tx, scope, key):
        row = tx.one("SELECT scope FROM runs WHERE key = ? AND key IS NOT NULL", key)
        return replayed(tx, scope if row is None else row["scope"], key)

    acceptance._replayed = replayed_anywhere


def a_key_is_its_letters_in_any_case():
    """Keys that differ in capitals only are taken for the same."""
    replayed = acceptance._replayed

    def replayed_alike(tx, scope, key):
        row = tx.one("SELECT key FROM runs WHERE scope = ? AND lower(key) = lower(?)", scope, key)
        return replayed(tx, scope, key if row is None else row["key"])

    acceptance._replayed = replayed_alike


def a_key_goes_with_what_it_was_used_on():
    """When an endpoint is deleted, its keys are forgotten, and a repeat finds nothing."""
    address = acceptance._address

    def address_living(tx, order):
        row, scope = address(tx, order)
        gone = order.kind == "endpoint" and row is not None and row["deleted"] is not None
        return (row, None) if gone else (row, scope)

    acceptance._address = address_living


def any_request_passes_under_a_key():
    """Whatever is asked under a key that has a run, that run is the answer."""
    acceptance.same_request = lambda order, run, kept: run


def a_pinned_request_is_the_default_one():
    """A trigger that pins a version is taken for one that does not, when its key has a run already."""
    same = acceptance.same_request

    def same_but_for_the_version(order, run, kept):
        try:
            return same(order, run, kept)
        except PenstockError:
            if order.version is None:
                raise
            return run

    acceptance.same_request = same_but_for_the_version


def refused_keys_are_spent():
    """A key that came with a refused trigger is refused ever after."""
    resolve, refused = Registry.resolve, {}

    def resolve_once(self, order):
        spent = refused.get((order.ref, order.key))
        if spent is not None:
            raise spent
        try:
            return resolve(self, order)
        except PenstockError as error:
            if order.key is not None:
                refused[order.ref, order.key] = error
            raise

    Registry.resolve = resolve_once


FAULTS = {
    8: (
        a_submit_after_the_end_starts_it_again,
        keys_are_one_for_all_endpoints,
        a_key_is_its_letters_in_any_case,
        a_key_goes_with_what_it_was_used_on,
        any_request_passes_under_a_key,
        a_pinned_request_is_the_default_one,
        refused_keys_are_spent,
    )
}
"""What breaks the law."""
CHECKS = {
    "a_submit_after_the_end_starts_it_again": "handed_over_again",
    "keys_are_one_for_all_endpoints": "key_of_what_is_addressed",
    "a_key_is_its_letters_in_any_case": "key_of_what_is_addressed",
    "a_key_goes_with_what_it_was_used_on": "key_keeps_its_run",
    "any_request_passes_under_a_key": "another_request_is_refused",
    "a_pinned_request_is_the_default_one": "another_request_is_refused",
    "refused_keys_are_spent": "another_request_is_refused",
}
"""The check that catches each fault: it alone is asked."""
