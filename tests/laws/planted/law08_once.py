"""Keys that give another run than theirs, or none."""

from __future__ import annotations

from planting.statements import rewritten


def keys_are_one_for_all():
    """A key that somebody used on one endpoint gives that run on every other endpoint, too."""
    rewritten(r"WHERE r\.scope = \? AND r\.key", "WHERE ? IS NOT NULL AND r.key")


def keys_are_their_letters_in_any_case():
    """Keys that differ in capitals only are taken for the same."""
    rewritten(r"r\.key = \?", "lower(r.key) = lower(?)")


def what_was_asked_is_forgotten():
    """Whatever is asked under a key that has a run, it is taken for something else than was asked at first."""
    rewritten(r"FROM requests q JOIN runs r ON r\.seq = q\.run WHERE", r"\g<0> 0 AND")


def runs_by_a_key_are_kept_without_it():
    """A key is not kept with its run, so that whoever asks again gets another one."""
    rewritten(r"(INSERT INTO runs \(.*) VALUES \((.*)\)", _without_key)


def _without_key(found):
    columns, values = found[1].partition("(")[2].strip(" )").split(", "), found[2].split(", ")
    values[columns.index("key")] = "iif(? IS NULL, NULL, NULL)"
    return f"{found[1]} VALUES ({', '.join(values)})"


CASES = {
    keys_are_one_for_all: "key_of_what_is_addressed",
    keys_are_their_letters_in_any_case: "key_of_what_is_addressed",
    what_was_asked_is_forgotten: "the_same_in_other_words",
    runs_by_a_key_are_kept_without_it: "one_key_from_everybody",
}
