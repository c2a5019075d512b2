"""Changes of which the history has nothing, somebody else, another reason or another time."""

from __future__ import annotations

from planting.statements import history_rows, preceded, rewritten


def renaming_is_not_remembered():
    """Renaming an endpoint is not in the plain history."""
    history_rows("endpoint_renamed", kind="run")


def renaming_rewrites_the_past():
    """Renaming an endpoint gives it its new name in the rows of before, too."""
    preceded(
        "INSERT INTO history",
        "DROP TRIGGER IF EXISTS history_no_update",
        "UPDATE history SET subject = (SELECT name FROM endpoints WHERE id = subject_id) WHERE kind = 'endpoint'",
    )


def gates_forget_why():
    """The row of a closed gate does not say why."""
    history_rows("gate_closed", reason="")


def moves_are_made_by_penstock():
    """The history says that moves of the default were made by penstock itself."""
    history_rows("default_moved", by="penstock")


def the_past_is_the_present():
    """What would have run at a time is answered with the default of now."""
    rewritten(r"WHERE at <= \?", "WHERE ? IS NOT NULL")


def pages_skip_a_row():
    """The history's next page begins one row too late."""
    rewritten(r"FROM history WHERE seq < \?", "FROM history WHERE seq < iif(?1 > 1000000, ?1, ?1 - 1)")


CASES = {
    renaming_is_not_remembered: "every_change_is_a_row",
    renaming_rewrites_the_past: "every_change_is_a_row",
    gates_forget_why: "every_change_is_a_row",
    moves_are_made_by_penstock: "every_change_is_a_row",
    the_past_is_the_present: "any_time_has_an_answer",
    pages_skip_a_row: "history_in_pages",
}
