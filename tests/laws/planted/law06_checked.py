"""Triggers that are decided in another order, or by other limits than were published."""

from __future__ import annotations

from planting.statements import rewritten


def keys_count_while_the_gate_is_open():
    """A known idempotency key is not looked at behind a closed gate."""
    rewritten(
        r"AND r\.key = \? AND r\.key IS NOT NULL",
        r"\g<0> AND (SELECT gate_since FROM endpoints WHERE seq = r.endpoint) IS NULL",
    )


def limits_are_not_published():
    """What a parameter may be at the most is not kept with what is published."""
    wider = """SELECT digest, replace(spec, '"maximum":9', '"maximum":999') AS spec, archives FROM snapshots"""
    rewritten(r"SELECT \* FROM snapshots", wider)


def missing_versions_are_the_last():
    """A version that is not there is taken to be the last one."""
    rewritten(
        r"WHERE v\.endpoint = \? AND v\.version = \?",
        "WHERE v.endpoint = ?1 AND v.version = min(?2, (SELECT max(version) FROM versions WHERE endpoint = ?1))",
    )


CASES = {
    keys_count_while_the_gate_is_open: "everything_in_its_turn",
    limits_are_not_published: "everything_is_said_at_once",
    missing_versions_are_the_last: "everything_in_its_turn",
}
