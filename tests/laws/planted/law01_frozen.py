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


def archives_are_not_read():
    """A check takes every archive for what its name says."""
    from penstock.workspace import checking

    checking.check_archive = lambda archive: None


def one_damaged_archive_hides_the_others():
    """A check tells of the first archive that is damaged, and of no other."""
    from penstock.errors import RegistryError
    from penstock.workspace import checking

    check, told = checking.check_archive, []

    def once(archive):
        try:
            check(archive)
        except RegistryError:
            told.append(archive)
            if len(told) == 1:
                raise

    checking.check_archive = once


def archives_stay_as_they_are():
    """Publishing again leaves an archive that lies there as it is."""
    from penstock.snapshot import taking

    pack = taking.pack

    def keep(files, store):
        before = {path: path.read_bytes() for path in store.glob("*.tar")}
        packed = pack(files, store)
        for path, data in before.items():
            path.write_bytes(data)
        return packed

    taking.pack = keep


CASES = {
    deleted_labels_are_free: "labels_burn",
    labels_are_counted_not_read: "labels_stand",
    publishing_again_is_a_change: "given_back",
    one_label_takes_all_along: "used_stays_on_target",
    archives_are_not_read: "damage_is_named",
    one_damaged_archive_hides_the_others: "damage_is_named",
    archives_stay_as_they_are: "damage_is_named",
}
