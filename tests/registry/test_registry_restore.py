"""What was saved is put back: exactly, alone with the file, whole whenever it is killed; a foreign log is refused."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import sqlite3
import struct
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock import drafts
from penstock.errors import ConfigInvalid, RegistryError, UsageError
from penstock.registry import Registry, file, schema
from penstock.testing.faults.points import kill_at_each, points_of

_HOLDER = """\
import sys
from pathlib import Path
from penstock.registry import Registry
with Registry.open(Path(sys.argv[1])) as registry:
    print("open", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def saved(path, kit):
    """A closed registry of two versions, and a backup of its first."""
    backup = path.parent.parent / "good.db"
    with Registry.open(path) as registry:
        kit.publish(registry, "a", endpoint="digits")
        registry.backup(backup)
        kit.publish(registry, "b", endpoint="digits")
    return backup


def count(path):
    """How many versions `digits` has, as who looks only sees it."""
    with Registry.open(path, create=False, read_only=True) as registry:
        assert registry.check().ok
        return len(registry.endpoints.get("digits").versions)


def crashed(path, kit, digest="z"):
    """Leave a registry as `kill -9` does: with a log that the file does not have yet."""
    with Registry.open(path) as registry:
        kit.publish(registry, digest, endpoint="digits")
        files = {name: path.with_name(name).read_bytes() for name in ("registry.db", "registry.db-wal")}
    for name, content in files.items():
        path.with_name(name).write_bytes(content)


def change(registry, kit, choices):
    for what in choices:
        if what == "submit":
            kit.submit(registry)
        elif what == "close":
            registry.set_gate("endpoint", "digits", open=False, caller=kit.caller)
        elif what == "open":
            registry.set_gate("endpoint", "digits", open=True, caller=kit.caller)
        elif what == "default":
            registry.endpoints.set_default("digits", "0", kit.caller)
        else:
            kit.publish(registry, what, endpoint="digits", default=True)


CHANGES = st.lists(
    st.one_of(st.sampled_from(["close", "open", "default"]), st.from_regex(r"[a-z]{8}", fullmatch=True)), max_size=8
)


@pytest.mark.thorough
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=CHANGES, after=CHANGES, killed=st.booleans())
def test_what_is_restored_answers_exactly_as_when_it_was_saved(kit, before, after, killed):
    import restored

    with tempfile.TemporaryDirectory() as name:
        path, backup = Path(name) / "registry.db", Path(name) / "good.db"
        with Registry.open(path) as registry:
            kit.publish(registry, "first", endpoint="digits")
            kit.submit(registry)
            change(registry, kit, before)
            registry.backup(backup)
            then = kit.history(registry, runs=True).items
        answers = restored.answers(path)
        with Registry.open(path) as registry:
            change(registry, kit, after)
        if killed:
            crashed(path, kit)
        newer = restored.answers(path)
        if killed:
            crashed(path, kit, "zz")
        kept = Registry.restore(path, backup)
        assert restored.answers(path) == answers
        assert killed or restored.answers(kept) == newer
        with Registry.open(path) as registry:
            assert kit.history(registry, runs=True).items == then
            kit.publish(registry, "last", endpoint="digits")
        Registry.restore(path, kept)
        assert killed or restored.answers(path) == newer


def test_the_old_one_is_kept_under_a_name_that_says_when(path, saved):
    kept = Registry.restore(path, saved)
    assert re.fullmatch(r"registry\.db\.replaced-\d{8}T\d{6}Z", kept.name)
    assert (count(path), count(kept)) == (1, 2)
    assert Registry.restore(path, kept).name != kept.name
    assert count(path) == 2
    path.unlink()
    assert Registry.restore(path, saved) is None
    assert count(path) == 1


@pytest.mark.parametrize("damage", ["garbage", "empty", "with a log"])
def test_a_damaged_registry_is_replaced_and_kept_with_its_log(path, saved, kit, damage):
    if damage == "with a log":
        crashed(path, kit)
    path.write_bytes(b"" if damage == "empty" else b"no database at all, " * 500)
    kept = Registry.restore(path, saved)
    assert count(path) == 1
    assert kept.read_bytes() == (b"" if damage == "empty" else b"no database at all, " * 500)
    assert kept.with_name(f"{kept.name}-wal").exists() is (damage == "with a log")
    assert {file.name for file in path.parent.glob("registry.db-*")} == set()


@pytest.mark.parametrize("more", [1, 400])
def test_a_backup_that_was_copied_over_a_crashed_registry_is_refused(path, saved, kit, more):
    with Registry.open(path) as registry:
        for _ in range(more):
            kit.submit(registry, parameters={"x": "y" * 500})
    crashed(path, kit)
    shutil.copyfile(saved, path)
    before = {file: file.read_bytes() for file in path.parent.iterdir() if file.is_file()}
    for read_only in (False, True):
        with pytest.raises(RegistryError, match=r"registry\.db-wal beside it belongs to another file") as refused:
            Registry.open(path, read_only=read_only)
        assert refused.value.code == "registry_log_foreign"
        assert "penstock registry restore" in str(refused.value)
    assert {file: file.read_bytes() for file in path.parent.iterdir() if file.is_file()} == before
    Registry.restore(path, saved)
    assert count(path) == 1


def test_a_backup_stays_one_until_something_is_decided_in_it(path, saved, kit, tmp_path):
    count(saved)
    with Registry.open(saved) as registry:
        assert registry.is_backup
        assert registry.check().ok
    assert [file.name for file in tmp_path.glob("good.db*")] == ["good.db"]
    crashed(path, kit)
    shutil.copyfile(saved, path)
    assert kit.code(Registry.open, path) == "registry_log_foreign"
    path.with_name("registry.db-wal").unlink()
    with Registry.open(path) as registry:
        kit.publish(registry, "c", endpoint="digits")
        assert not registry.is_backup
        assert kit.sql(registry, "PRAGMA journal_mode")[0][0] == "wal"
    crashed(path, kit)
    assert count(path) == 3


def test_a_backup_is_taken_into_use_by_several_at_once(path, saved, kit):
    shutil.copyfile(saved, path)
    with Registry.open(path) as one, Registry.open(path) as other:
        kit.publish(one, "c", endpoint="digits")
        kit.publish(other, "d", endpoint="digits")
        with one.group_commit() as together:
            with together.joined():
                kit.publish(one, "e", endpoint="digits")
            together.commit()
    assert count(path) == 4


@pytest.mark.parametrize("where", ["here", "elsewhere"])
def test_nobody_else_may_have_it_open(path, saved, kit, where):
    if where == "here":
        with Registry.open(path) as registry:
            assert kit.code(Registry.restore, path, saved) == "registry_in_use"
            assert kit.code(Registry.restore, path, saved) == "registry_in_use"
            kit.publish(registry, "c", endpoint="digits")
    else:
        command = [sys.executable, "-c", _HOLDER, str(path)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
            holder.stdout.readline()
            with pytest.raises(RegistryError, match="somebody has the registry open") as refused:
                Registry.restore(path, saved)
            assert refused.value.code == "registry_in_use"
            holder.stdin.close()
    assert count(path) == (3 if where == "here" else 2)
    assert [file.name for file in path.parent.glob("*replaced*")] == []
    Registry.restore(path, saved)
    assert count(path) == 1


def test_what_is_no_whole_backup_changes_nothing(path, saved, kit, tmp_path):
    content = saved.read_bytes()
    for name, damaged in {
        "empty": b"",
        "garbage": b"not a database" * 1000,
        "cut": content[: len(content) // 2],
        "overwritten": content[:8192] + b"\x5a" * (len(content) - 8192),
    }.items():
        (tmp_path / name).write_bytes(damaged)
        with pytest.raises(RegistryError, match=r"not a whole backup: .*; nothing was changed, choose another") as told:
            Registry.restore(path, tmp_path / name)
        assert told.value.code == "registry_corrupt", name
    for version, code in ((99, "registry_newer"), (3, "registry_older")):
        shutil.copyfile(saved, tmp_path / "other")
        with closing(sqlite3.connect(tmp_path / "other")) as connection:
            connection.execute(f"PRAGMA user_version = {version}")
        assert kit.code(Registry.restore, path, tmp_path / "other") == code
    with closing(sqlite3.connect(tmp_path / "broken")) as connection, closing(sqlite3.connect(saved)) as source:
        source.backup(connection)
        connection.execute("UPDATE endpoints SET next_version = 9")
        connection.commit()
    with pytest.raises(RegistryError, match="an endpoint whose versions have a gap: digits; nothing was changed"):
        Registry.restore(path, tmp_path / "broken")
    assert kit.code(Registry.restore, path, tmp_path / "nowhere") == "registry_missing"
    assert kit.code(Registry.restore, path, tmp_path) == "registry_missing"
    with pytest.raises(UsageError, match="is the registry itself"):
        Registry.restore(path, path)
    assert count(path) == 2
    assert {file.name for file in path.parent.iterdir()} == {"registry.db", ".gitignore"}


def test_an_older_backup_is_migrated_and_stays_as_it_is(path, saved, monkeypatch):
    before = saved.read_bytes()
    monkeypatch.setattr(schema, "STEPS", (*schema.STEPS, lambda db: db.execute("CREATE TABLE more (x)")))
    Registry.restore(path, saved)
    assert saved.read_bytes() == before
    with Registry.open(path) as registry:
        assert registry.check().lines[0].endswith(f"schema version {schema.latest()}")
    with Registry.open(saved) as registry:
        assert registry.is_backup


@pytest.mark.sampled(1)
@pytest.mark.parametrize("kind", ["quiet", "crashed"])
@pytest.mark.parametrize("what", ["restore", "backup"])
def test_one_of_both_is_whole_whenever_it_is_killed(tmp_path, kind, what):
    import restored

    def scene():
        folder = Path(tempfile.mkdtemp(prefix=kind, dir=tmp_path))
        restored.made(folder)
        return folder

    history, judge = {
        "restore": (restored.restore, restored.one_of_both),
        "backup": (restored.backup, restored.whole_or_not_there),
    }[what]
    points = points_of(history, scene())
    names = [str(point) for point in points]
    assert any(name.startswith("link ") for name in names), names
    assert kill_at_each(points, history, judge, scene) == points


def test_drafts_of_the_dead_are_swept_and_those_of_the_living_stay(tmp_path):
    with drafts.draft(tmp_path, ".", ".new") as living:
        dead = [tmp_path / f".dead{more}" for more in (".new", ".new-journal", ".new-wal")]
        for file in dead:
            file.touch()
        os.mkfifo(tmp_path / ".pipe.new")
        with drafts.draft(tmp_path, ".", ".new") as other:
            assert set(tmp_path.iterdir()) == {living, other, tmp_path / ".pipe.new"}
            with living.open() as again, pytest.raises(BlockingIOError):
                fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert [file.name for file in tmp_path.iterdir()] == [".pipe.new"]


def test_who_opens_a_registry_while_it_is_replaced_is_told(path, saved, monkeypatch):
    """Whoever waited for the restore has the old file open, and would read the new one's log with it."""
    found = file.version_of

    def meanwhile(place, connection):
        monkeypatch.setattr(file, "version_of", found)
        Registry.restore(path, saved)
        raise RegistryError("database disk image is malformed", code="registry_corrupt")

    monkeypatch.setattr(file, "version_of", meanwhile)
    with pytest.raises(RegistryError, match="replaced while it was opened; try again") as refused:
        Registry.open(path)
    assert refused.value.code == "registry_replaced"
    assert count(path) == 1


NOBODY = 65534


@pytest.mark.parametrize("what", ["theirs", "open", "their link", "their log", "in an open folder"])
def test_a_backup_that_somebody_else_could_have_written_is_not_restored(path, saved, kit, monkeypatch, what):
    if what.startswith("their") and os.geteuid() != 0:
        pytest.skip("gives files to another user: needs root")
    backup, mended = saved, saved.parent
    if what == "theirs":
        os.chown(backup, NOBODY, NOBODY)
    elif what == "open":
        backup.chmod(0o666)
    elif what == "their link":
        backup = saved.with_name("link.db")
        backup.symlink_to(saved)
        os.chown(backup, NOBODY, NOBODY, follow_symlinks=False)
    elif what == "their log":
        shutil.copy(path, backup)  # a plain copy, with a log
        log = backup.with_name("good.db-wal")
        log.write_bytes(bytes(4096))
        os.chown(log, NOBODY, NOBODY)
    else:
        mended = saved.parent / "open"
        mended.mkdir()
        backup = mended / "good.db"
        shutil.copy(saved, backup)
        mended.chmod(0o777)
    before = path.read_bytes()
    with pytest.raises(ConfigInvalid) as refused:
        Registry.restore(path, backup)
    assert refused.value.code == "not_trusted" and "PENSTOCK_TRUST=" in str(refused.value)
    assert path.read_bytes() == before and not drafts_of(path)
    monkeypatch.setenv("PENSTOCK_TRUST", str(mended))
    Registry.restore(path, backup)
    assert count(path) == (2 if what == "their log" else 1)


def test_a_backup_is_restored_from_a_sticky_folder_but_not_into_one(path, saved):
    shared = saved.parent / "shared"
    shared.mkdir()
    shutil.copy(saved, shared / "good.db")
    (shared / "good.db").chmod(0o600)
    shared.chmod(0o1777)
    Registry.restore(path, shared / "good.db")
    assert count(path) == 1
    with pytest.raises(ConfigInvalid) as refused:
        Registry.restore(shared / "x.db", saved)
    assert refused.value.code == "not_trusted"
    assert os.listdir(shared) == ["good.db"]
    (shared / "good.db-journal").write_bytes(bytes(4096))  # somebody else could have, but for the owner
    with pytest.raises(ConfigInvalid):
        Registry.restore(path, shared / "good.db")


@pytest.mark.parametrize("mode", [0o640, 0o644, 0o600, 0o664, 0o666])
def test_who_was_let_in_to_read_stays_in(path, saved, monkeypatch, mode):
    """Rights are whole when the file gets its name, and nobody is ever let in to write."""
    path.chmod(mode)
    if os.geteuid() == 0:
        os.chown(path, -1, NOBODY)
    group, replace, seen = path.stat().st_gid, Path.replace, []

    def replaced(draft, place):
        seen.append((draft.stat().st_mode & 0o7777, draft.stat().st_gid))
        return replace(draft, place)

    monkeypatch.setattr(Path, "replace", replaced)
    kept = Registry.restore(path, saved)
    assert seen == [(mode & 0o664, group)] == [(path.stat().st_mode & 0o7777, path.stat().st_gid)]
    assert kept.stat().st_mode & 0o777 == mode
    assert saved.stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another group: needs root")
@pytest.mark.parametrize(("mode", "then"), [(0o640, 0o600), (0o644, 0o644), (0o664, 0o644), (0o604, 0o600)])
def test_where_the_group_cannot_be_kept_nobody_is_let_in_instead(path, saved, monkeypatch, mode, then):
    path.chmod(mode)
    os.chown(path, -1, NOBODY)

    def refused(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchown", refused)
    Registry.restore(path, saved)
    assert (path.stat().st_mode & 0o777, path.stat().st_gid) == (then, os.getegid())


def test_an_acl_goes_with_what_is_replaced(path, saved):
    """`user::rw-,user:65534:r--,group::---,mask::r--,other::---`: its mode is 0640, and its group is not let in."""
    entries = ((1, 6, -1), (2, 4, NOBODY), (4, 0, -1), (16, 4, -1), (32, 0, -1))
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
    try:
        os.setxattr(path, "system.posix_acl_access", acl)
    except OSError as error:
        pytest.skip(f"this file system has no ACLs: {error.strerror}")
    assert path.stat().st_mode & 0o777 == 0o640
    Registry.restore(path, saved)
    assert os.getxattr(path, "system.posix_acl_access") == acl


def drafts_of(path):
    return [entry for entry in path.parent.iterdir() if entry.name.startswith(".") and entry.name.endswith(".new")]
