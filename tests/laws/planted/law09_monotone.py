"""Records of runs that go back, or end as nobody said."""

from __future__ import annotations

from planting.statements import rewritten


def what_ran_waits_again():
    """A run of which anything is told after it was running is queued again."""
    rewritten(r"SELECT r\.\*, b\.", "SELECT iif(r.state = 'running', 'queued', r.state) AS state, r.*, b.")


def a_wish_is_an_end():
    """A run that is asked to end is canceled at once in the record, whatever its target makes of it."""
    rewritten(
        r"UPDATE runs SET cancel_requested = \?",
        "UPDATE runs SET state = 'canceled', ended = ?1, cancel_requested = ?1",
    )


def lost_runs_come_back():
    """The failure of a run is taken for its state at the time, which a later report may change."""
    rewritten(
        r"SELECT r\.\*, b\.",
        "SELECT iif(r.state = 'failed', 'running', r.state) AS state,"
        " iif(r.state = 'failed', NULL, r.ended) AS ended, r.*, b.",
    )


CASES = {
    what_ran_waits_again: "backward_is_ignored",
    a_wish_is_an_end: "the_target_decides",
    lost_runs_come_back: "lost_is_failed",
}
