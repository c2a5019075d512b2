"""Labels that mean something else in time, and what they stand for changed."""

from __future__ import annotations

from planting.statements import preceded, rewritten


def deleted_labels_are_free():
    """The label of something deleted can be taken again."""
    rewritten("SET reserved = 1", "SET reserved = 0")


def labels_are_counted_not_read():
    """The next label is one more than there are labels, whatever these are."""
    rewritten(r"max\(number\) AS highest", "count(*) AS highest")


def publishing_again_is_a_change():
    """Publishing the same again counts as a change of what is there."""
    preceded(r"SELECT \* FROM labels", "UPDATE published SET revision = revision + 1")


def one_label_takes_all_along():
    """Deleting one label lets the target forget what another label needs."""
    rewritten(r"SELECT 1 FROM published WHERE publication = \?", r"\g<0> AND 0")


CASES = {
    deleted_labels_are_free: "labels_burn",
    labels_are_counted_not_read: "labels_stand",
    publishing_again_is_a_change: "given_back",
    one_label_takes_all_along: "used_stays_on_target",
}
