"""Doors that lose keys, or make others of them."""

from __future__ import annotations

from attrs import evolve
from planting.requests import TRIGGERS, requested, routes


def keys_are_dropped():
    """The key of a trigger is not passed on."""
    requested("POST", TRIGGERS, lambda request: _with_key(request, lambda key: None))


def keys_are_tidied():
    """Keys that differ in capitals only are one."""
    requested("POST", TRIGGERS, lambda request: _with_key(request, str.lower))


def answers_are_kept_by_their_key():
    """A door answers a key that it knows by itself, whatever is asked for."""
    answers = {}

    def answer(real, request):
        key = request.headers.get("idempotency-key")
        if key is None:
            return real(request)
        if key not in answers:
            answers[key] = real(request)
        return answers[key]

    routes("POST", TRIGGERS, answer)


def windows_take_every_version_for_one():
    """In a deduplication window a request is the same whatever version it pins."""
    from penstock.workspace import triggers

    text = triggers.request_text
    triggers.request_text = lambda options, version: text(options, None)


def windows_are_one_for_all():
    """A request that somebody sent to one endpoint is the same at every other endpoint, too."""
    from planting.statements import rewritten

    from penstock.workspace import triggers

    body = triggers._body
    triggers._body = lambda services, found, options: body(services, evolve(found, id="any"), options)
    rewritten(r"WHERE r\.scope = \? AND r\.key >= \?", "WHERE ? IS NOT NULL AND r.key >= ?")


def windows_begin_again_with_each_repeat():
    """A repeat within a deduplication window makes it longer."""
    from penstock.registry import lookup, runs

    real, first = runs._of_body, {}

    def of_body(tx, request, row, scope):
        found = real(tx, request, row, scope)
        body = str(found.key).partition(":")[0]
        if found.known is None and body in first and tx.clock - first[body][1] < 1_000_000:
            found = evolve(found, known=lookup.get_run(tx, first[body][0]))
        if found.known is not None:
            first[body] = (found.known.id, tx.clock)
        return found

    runs._of_body = of_body


def _with_key(request, change):
    headers = dict(request.headers)
    key = headers.pop("idempotency-key", None)
    other = None if key is None else change(key)
    return evolve(request, headers=headers if other is None else {**headers, "idempotency-key": other})


CASES = {
    keys_are_dropped: ("http", "the_same_in_other_words"),
    keys_are_tidied: ("azureml_v1", "key_of_what_is_addressed"),
    answers_are_kept_by_their_key: ("http", "another_request_is_refused"),
    windows_take_every_version_for_one: ("http", "the_same_request_in_a_window_is_the_same_run"),
    windows_are_one_for_all: ("azureml_v1", "the_same_request_in_a_window_is_the_same_run"),
    windows_begin_again_with_each_repeat: ("http", "a_window_begins_once_and_ends"),
}
