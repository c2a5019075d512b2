"""Runs that come to run, or to show, something else than they were accepted for."""

from __future__ import annotations

from planting.statements import rewritten


def the_default_is_taken_at_the_hand_over():
    """A run that waits takes what is the default when it is handed over."""
    rewritten(
        r"SELECT \* FROM publications WHERE seq = \?",
        "SELECT * FROM publications WHERE seq = coalesce((SELECT p.publication FROM runs r JOIN endpoints e"
        " ON e.seq = r.endpoint JOIN versions v ON v.endpoint = e.seq AND v.version = e.default_version"
        " JOIN published p ON p.seq = v.published WHERE r.publication = ?1 AND r.ended IS NULL LIMIT 1), ?1)",
    )


def runs_show_the_default_of_now():
    """A run by the default says the version that is the default when one looks."""
    rewritten(
        r"SELECT r\.\*, b\.",
        "SELECT CASE r.resolved_from WHEN 'default' THEN e.default_version ELSE r.version END AS version, r.*, b.",
    )


def reruns_go_by_the_name():
    """A rerun addresses whatever endpoint has the name by now."""
    rewritten(
        r"e\.id AS endpoint_id",
        "(SELECT id FROM endpoints WHERE name = r.endpoint_name AND deleted IS NULL) AS endpoint_id",
    )


def the_target_is_not_told_what_was_said():
    """What the caller said of a run beside its parameters does not reach the target."""
    rewritten(r"SELECT r\.\*, q\.", "SELECT '' AS description, '{}' AS tags, r.*, q.")


CASES = {
    the_default_is_taken_at_the_hand_over: "default_of_acceptance",
    runs_show_the_default_of_now: "what_it_came_through",
    reruns_go_by_the_name: "renamed_and_gone",
    the_target_is_not_told_what_was_said: "told_what_it_came_through",
}
