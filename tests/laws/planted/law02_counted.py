"""Versions that are given twice, in another order, or stand for something else."""

from __future__ import annotations

from planting.statements import decided_before, rewritten


def versions_begin_at_one():
    """The first version of an endpoint is 1."""
    rewritten(
        r"INSERT INTO endpoints \((.*)\) VALUES \((.*)\)",
        r"INSERT INTO endpoints (\1, default_version, next_version) VALUES (\2, 1, 1)",
    )


def versions_are_sorted_as_text():
    """The versions of an endpoint come in the order of letters, where 9 comes after 10."""
    rewritten(r"ORDER BY v\.version", "ORDER BY CAST(v.version AS TEXT)")


def every_version_is_the_first():
    """Every version of an endpoint runs what its first one is, where that was published."""
    rewritten(
        r"SELECT \* FROM published WHERE seq = \?",
        "SELECT * FROM published WHERE seq = (SELECT published FROM versions WHERE version = 0 AND endpoint ="
        " (SELECT endpoint FROM versions WHERE published = ? LIMIT 1))",
    )


def versions_are_counted_before_they_are_given():
    """The next version is counted first and written afterwards, over what somebody else wrote meanwhile."""
    decided_before("UPDATE endpoints SET next_version")
    rewritten("INSERT INTO versions", "INSERT OR REPLACE INTO versions")


CASES = {
    versions_begin_at_one: "versions_begin_at_zero",
    versions_are_sorted_as_text: "ten_comes_after_nine",
    every_version_is_the_first: "versions_move_between_targets",
    versions_are_counted_before_they_are_given: "everybody_publishes",
}
