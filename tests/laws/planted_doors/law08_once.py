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


def _with_key(request, change):
    headers = dict(request.headers)
    key = headers.pop("idempotency-key", None)
    other = None if key is None else change(key)
    return evolve(request, headers=headers if other is None else {**headers, "idempotency-key": other})


CASES = {
    keys_are_dropped: ("http", "the_same_in_other_words"),
    keys_are_tidied: ("azureml_v1", "key_of_what_is_addressed"),
    answers_are_kept_by_their_key: ("http", "another_request_is_refused"),
}
