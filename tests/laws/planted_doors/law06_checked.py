"""Servers that count the unfinished runs of an endpoint wrongly, or too early."""

from __future__ import annotations

from planting.statements import decided_before, rewritten

_COUNTED = r"FROM runs INDEXED BY runs_unfinished_endpoint WHERE endpoint = \? AND ended IS NULL"


def unfinished_runs_are_counted_together():
    """All unfinished runs count, of whichever endpoint they are."""
    rewritten(_COUNTED, "FROM runs WHERE ? IS NOT NULL AND ended IS NULL")


def ended_runs_count():
    """Runs that have ended count as unfinished."""
    rewritten(_COUNTED, "FROM runs WHERE endpoint = ?")


def unfinished_runs_are_counted_before():
    """Runs are counted in one transaction, and the new one is accepted in the next."""
    decided_before("INSERT INTO runs", seconds=0.05)


CASES = {
    unfinished_runs_are_counted_together: ("http", "so_many_unfinished_runs_and_no_more"),
    ended_runs_count: ("azureml_v1", "so_many_unfinished_runs_and_no_more"),
    unfinished_runs_are_counted_before: ("http", "however_many_race_for_what_is_left"),
}
