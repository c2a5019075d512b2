"""Defaults that move by themselves, and moves that cannot be taken back."""

from __future__ import annotations

from planting.statements import decided_before, rewritten


def the_latest_is_the_default():
    """A new version becomes the default by itself."""
    rewritten("SET next_version = next_version", "SET default_version = next_version, next_version = next_version")


def rollback_toggles():
    """A rollback is a move like any other, and the next one takes it back."""
    rewritten(
        r"DELETE FROM default_stack WHERE endpoint = \?",
        "UPDATE default_stack SET version = (SELECT default_version FROM endpoints WHERE seq = endpoint)"
        " WHERE endpoint = ?",
    )


def rollback_takes_every_move_back():
    """A rollback goes to where the default began, however many moves came after."""
    rewritten("ORDER BY position DESC", "ORDER BY position")


def five_moves_are_kept():
    """Of a dozen moves of a default only the last five can be taken back."""
    rewritten("ORDER BY position DESC", "AND position > 6 ORDER BY position DESC")


def closed_endpoints_keep_nothing():
    """What a closed endpoint points to can be deleted."""
    rewritten(r"WHERE v\.published = \? AND e\.deleted IS NULL", r"\g<0> AND e.gate_since IS NULL")


def waiting_runs_need_nothing():
    """What a run came through can be deleted as long as its target does not have it."""
    rewritten(r"WHERE ended IS NULL AND (published|endpoint) = \?", r"\g<0> AND external IS NOT NULL")


def moves_remember_what_was():
    """A move remembers the default that it saw before others moved it as the place to go back to."""
    decided_before("INSERT INTO default_stack")


CASES = {
    the_latest_is_the_default: "default_waits_for_words",
    rollback_toggles: "rollback_walks_back",
    rollback_takes_every_move_back: "rollback_walks_back",
    five_moves_are_kept: "every_move_is_taken_back",
    closed_endpoints_keep_nothing: "pointed_to_stays",
    waiting_runs_need_nothing: "waiting_stays",
    moves_remember_what_was: "everybody_moves_the_default",
}
