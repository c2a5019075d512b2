"""Backups whose writers were killed: what they left beside others goes with the next one, whatever its name."""

from __future__ import annotations

from penstock import drafts
from penstock.registry import Registry


def test_a_backup_sweeps_what_others_that_died_left_and_nothing_of_anybody_else(path, kit):
    folder = path.parent.parent / "backups"
    folder.mkdir()
    begun, names = b"SQLite format 3\0", [".monday.db.0123456789ab.new", ".monday.db.0123456789ab.new-journal"]
    theirs = {
        ".notes.0123456789ab.new": b"notes",
        ".x.new": begun,
        ".monday.db.new": begun,
        "a.0123456789ab.new": begun,
    }
    for name, content in {**dict.fromkeys(names, begun), ".tuesday.db.ba9876543210.new": b"", **theirs}.items():
        (folder / name).write_bytes(content)
    with Registry.open(path) as registry:
        kit.publish(registry, "a", endpoint="digits")
        with drafts.draft(folder, ".friday.db.", ".new") as living:
            registry.backup(folder / "sunday.db")
            assert {file.name for file in folder.iterdir()} == {*theirs, "sunday.db", living.name}
