"""The registry file: made whole, private, migrated behind a copy, and refused in one clear line when it is not ours."""

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from penstock.contract.run import Failure, RunReport, StepReport
from penstock.errors import Conflict, PenstockError, RegistryError, UsageError
from penstock.registry import Registry, schema
from penstock.registry.network import refuse_network


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def refusal(path, **options):
    """The error that opening is refused with: one line that names the file or its folder."""
    with pytest.raises(RegistryError) as refused:
        Registry.open(path, **options)
    assert "\n" not in str(refused.value)
    assert str(path.parent) in str(refused.value)
    return refused.value


@pytest.fixture
def filled(path, kit):
    """A closed registry with something in it."""
    with Registry.open(path) as registry:
        kit.publish(registry, "a", endpoint="digits")
    return path


def test_a_new_registry_is_private_and_kept_out_of_git(path, kit):
    with Registry.open(path) as registry:
        kit.publish(registry, "a")
        assert mode(path.parent) == 0o700
        files = {file.name: mode(file) for file in path.parent.iterdir()}
        assert files == dict.fromkeys(("registry.db", "registry.db-wal", "registry.db-shm", ".gitignore"), 0o600)
        assert (path.parent / ".gitignore").read_text() == "*\n"
        with registry._database.connection() as connection:
            assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
            assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2
            assert connection.execute("PRAGMA foreign_keys").fetchone()[0] == 1


def test_a_folder_that_was_there_is_left_as_it_is(tmp_path):
    tmp_path.chmod(0o755)
    Registry.open(tmp_path / "registry.db").close()
    assert mode(tmp_path) == 0o755
    assert [file.name for file in tmp_path.iterdir()] == ["registry.db"]


def test_both_counts_of_migrations_agree_and_nothing_is_imported_to_open(filled):
    with closing(sqlite3.connect(filled)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] == schema.latest()
        names = [row[0] for row in connection.execute("SELECT name FROM _sqlite_migrations ORDER BY id")]
    assert names == [step.__name__ for step in schema.STEPS]
    script = (
        "import sys; from pathlib import Path; from penstock.registry import Registry;"
        f"Registry.open(Path({str(filled)!r})).close(); print('sqlite_utils' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_newer_registry_is_refused(filled):
    with closing(sqlite3.connect(filled)) as connection:
        connection.execute("PRAGMA user_version = 99")
    error = refusal(filled)
    assert error.code == "registry_newer"
    assert "version 99" in str(error)


def _damage(path, how):
    content = path.read_bytes()
    if how == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif how == "cut in the first page":
        path.write_bytes(content[:100])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "garbage":
        path.write_bytes(b"not a database at all, though long enough to be one\n" * 100)
    elif how == "another program's":
        path.unlink()
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE bookmarks (url)")
    elif how == "a folder":
        path.unlink()
        path.mkdir()
    elif how == "only a log":
        path.rename(path.with_name("registry.db-wal"))
    elif how == "without its tables":
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("DROP TABLE outbox")
    else:  # "overwritten pages"
        path.write_bytes(content[:8192] + b"\x5a" * (len(content) - 8192))


@pytest.mark.sampled(8)
@pytest.mark.parametrize(
    "how",
    ["truncated", "cut in the first page", "empty", "garbage", "another program's", "a folder", "only a log"],
)
@pytest.mark.parametrize("read_only", [False, True])
def test_what_is_not_a_whole_registry_is_refused_and_left_alone(filled, how, read_only):
    _damage(filled, how)
    before = {file: file.read_bytes() for file in filled.parent.iterdir() if file.is_file()}
    missing = how == "only a log" and read_only
    assert refusal(filled, read_only=read_only).code == ("registry_missing" if missing else "registry_corrupt")
    after = {file: file.read_bytes() for file in filled.parent.iterdir() if file.is_file() and "-shm" not in file.name}
    assert {file: text for file, text in after.items() if text} == {file: text for file, text in before.items() if text}


@pytest.mark.parametrize("how", ["overwritten pages", "without its tables"])
def test_damage_further_in_is_a_clear_error_of_whatever_meets_it(filled, kit, how):
    _damage(filled, how)
    codes = set()
    try:
        with Registry.open(filled) as registry:
            for call in (registry.pipelines.list, registry.endpoints.list, registry.outbox.due, registry.counts):
                codes.add(kit.code(call))
            if how == "overwritten pages":
                assert not registry.check().ok
    except PenstockError as error:
        codes.add(error.code)
    assert "registry_corrupt" in codes
    assert codes <= {None, "registry_corrupt"}


def test_broken_laws_are_found_and_named(filled):
    with closing(sqlite3.connect(filled)) as connection, connection:
        connection.execute("UPDATE endpoints SET default_version = 4, next_version = 3")
        connection.execute("UPDATE published SET digest = 'other'")
    with Registry.open(filled) as registry:
        report = registry.check()
    assert not report.ok
    assert "an endpoint whose versions have a gap: digits" in report.lines
    assert "an endpoint whose default is not one of its versions: digits" in report.lines
    assert "a label that has two digests: digits:1" in report.lines


JSON = [
    ("endpoints", "tags"),
    ("published", "tags"),
    ("publications", "details"),
    ("runs", "tags"),
    ("runs", "parameters"),
    ("runs", "outputs"),
    ("runs", "details"),
    ("runs", "error"),
    ("run_steps", "outputs"),
    ("run_steps", "error"),
    ("requests", "texts"),
]


@pytest.mark.sampled(3)
@pytest.mark.parametrize("text", ["{", "", "[1]", "7", "nonsense"])
@pytest.mark.parametrize(("table", "column"), JSON)
def test_what_cannot_be_read_in_one_row_harms_no_other(path, kit, table, column, text):
    with Registry.open(path) as registry:
        for name in ("digits", "letters"):
            kit.publish(registry, name, name=name, endpoint=name)
            run = kit.hand_over(registry, kit.submit(registry, name))
            failed = Failure(code="exit", message="1")
            steps = (StepReport(name=f"train {name}", state="failed", error=failed),)
            registry.runs.report(run.id, RunReport(state="failed", error=failed, steps=steps), {}, {})
    with closing(sqlite3.connect(path)) as connection, connection:
        first = "run" if table in ("run_steps", "requests") else "seq"
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE {first} = 1", (text,))
    with Registry.open(path) as registry:
        runs = kit.runs(registry).items
        assert [run.pipeline for run in runs] == ["letters", "digits"]
        assert [endpoint.name for endpoint in registry.endpoints.list().items] == ["letters", "digits"]
        assert [each.name for each in registry.pipelines.list().items] == ["letters", "digits"]
        sound, damaged = (
            (runs[at], runs[at].steps[0], registry.endpoints.list().items[at], registry.pipelines.list().items[at])
            for at in (0, 1)
        )
        assert "registry_corrupt" not in str(sound)
        # It says so rather than something else that might be true.
        unread = table == "requests"
        assert ("registry_corrupt" in str(damaged)) is not unread
        assert kit.code(kit.submit, registry, "letters") is None
        strict = table == "publications" and text in ("{", "", "nonsense")
        assert kit.code(kit.submit, registry, "digits") == ("registry_corrupt" if strict else None)
        report = registry.check()
        assert report.ok is (text in ("[1]", "7"))
        assert report.ok or [line.startswith(f"a row of {table} whose {column} cannot") for line in report.lines] == [
            True
        ]


def test_what_cannot_be_read_is_handed_to_no_target(path, kit):
    with Registry.open(path) as registry:
        kit.publish(registry, "a", endpoint="digits")
        run, other = kit.submit(registry), kit.submit(registry)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE requests SET texts = '{\"n\": ' WHERE run = 1")
    with Registry.open(path) as registry:
        assert kit.code(registry.runs.start_handover, run.id) == "registry_corrupt"
        assert registry.runs.get(run.id).state == "queued"
        assert registry.runs.start_handover(other.id) is not None
        assert registry.check().lines == ("a row of requests whose texts cannot be read: 1",)


NOBODY = 65534


@contextmanager
def unprivileged():
    """Act as a user whom permissions bind, also when the tests run as root."""
    if os.getuid() != 0:
        yield
        return
    os.setresgid(NOBODY, NOBODY, 0)
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)
        os.setresgid(0, 0, 0)


@pytest.fixture
def visible(filled):
    """A folder that another user can reach, with a copy of the registry in it."""
    folder = Path(tempfile.mkdtemp(prefix="penstock-test-"))
    folder.chmod(0o755)
    shutil.copy(filled, folder)
    (folder / filled.name).chmod(0o644)
    yield folder / filled.name
    folder.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_registry_that_cannot_be_written_can_be_read(visible, kit, what, monkeypatch):
    monkeypatch.setenv("PENSTOCK_TRUST", str(visible.parent))
    visible.chmod(0o444)
    visible.parent.chmod(0o777 if what == "file" else 0o555)
    if os.getuid() == 0:
        os.chown(visible, NOBODY, NOBODY)
    with unprivileged(), Registry.open(visible) as registry:
        assert registry.endpoints.get("digits").default == "0"
        assert registry.check().ok
        with pytest.raises(RegistryError, match="read-only for this user") as refused:
            kit.publish(registry, "b")
        assert refused.value.code == "registry_read_only"


def test_a_registry_in_use_can_be_read_by_whom_may_not_write_it(visible, kit):
    with Registry.open(visible) as writer:
        kit.publish(writer, "b", endpoint="digits")
        for file in visible.parent.iterdir():
            file.chmod(0o444)
        with unprivileged(), Registry.open(visible) as reader:
            assert len(reader.endpoints.get("digits").versions) == 2
            kit.publish(writer, "c", endpoint="digits")
            assert len(reader.endpoints.get("digits").versions) == 3


def test_an_older_registry_that_cannot_be_written_says_so(visible, monkeypatch):
    monkeypatch.setattr(schema, "STEPS", (*schema.STEPS, lambda db: None))
    visible.chmod(0o444)
    visible.parent.chmod(0o555)
    with unprivileged():
        error = refusal(visible)
    assert error.code == "registry_read_only"
    assert f"older penstock (version {schema.latest() - 1})" in str(error)


def test_a_registry_that_cannot_be_made_says_so(visible):
    visible.parent.chmod(0o555)
    with unprivileged():
        assert refusal(visible.parent / "new.db").code == "registry_read_only"
        assert refusal(visible.parent / "deep" / "er" / "new.db").code == "registry_read_only"
    (visible.parent / "a-file").write_text("")
    assert refusal(visible.parent / "a-file" / "new.db").code == "registry_error"


def test_a_registry_that_cannot_be_read_says_so(visible):
    visible.chmod(0o200)
    with unprivileged():
        assert "cannot be read: permission denied" in str(refusal(visible))
    visible.parent.chmod(0o000)
    with unprivileged():
        assert refusal(visible).code == "registry_read_only"


def test_opening_to_read_only_changes_nothing(filled, kit):
    with Registry.open(filled, read_only=True) as registry:
        assert kit.code(kit.publish, registry, "b") == "registry_read_only"
        assert len(registry.pipelines.list().items) == 1


def test_a_full_disk_is_a_clear_error_that_leaves_nothing_half_done(registry, kit):
    kit.publish(registry, "a", endpoint="digits")
    pages = kit.sql(registry, "PRAGMA page_count")[0][0]
    kit.sql(registry, f"PRAGMA max_page_count = {pages + 8}")
    accepted = 0
    with pytest.raises(RegistryError, match="the disk is full; nothing was changed") as full:
        for _ in range(1000):
            kit.submit(registry, parameters={"text": "x" * 2000})
            accepted += 1
    assert full.value.code == "registry_disk_full"
    assert 0 < accepted == len(kit.runs(registry, limit=1000).items)
    kit.sql(registry, "PRAGMA max_page_count = 1000000")
    kit.submit(registry)


def test_a_registry_kept_busy_is_a_clear_error(registry, path, kit):
    kit.publish(registry, "a")
    kit.sql(registry, "PRAGMA busy_timeout = 20")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert kit.code(kit.publish, registry, "b") == "registry_busy"
        assert registry.pipelines.list().items[0].digest == "a"
        other.execute("ROLLBACK")
    assert kit.code(kit.publish, registry, "b") is None


def test_a_backup_is_whole_private_and_overwrites_nothing(registry, kit, tmp_path):
    kit.publish(registry, "a", endpoint="digits")
    backup = tmp_path / "copy.db"
    registry.backup(backup)
    kit.publish(registry, "b", endpoint="digits")
    assert mode(backup) == 0o600
    with pytest.raises(Conflict, match=r"copy\.db exists already") as refused:
        registry.backup(backup)
    assert refused.value.code == "file_exists"
    with Registry.open(backup) as copy:
        assert len(copy.endpoints.get("digits").versions) == 1
        assert copy.check().ok
    (tmp_path / "a-file").write_text("")
    for folder in (tmp_path / "a-file", tmp_path / "nowhere"):
        with pytest.raises(UsageError, match=f"`{folder}` is no folder, so no backup can be written there"):
            registry.backup(folder / "copy.db")
    assert sorted(file.name for file in tmp_path.iterdir()) == [".penstock", "a-file", "copy.db"]


MOUNTS = r"""
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
31 22 0:25 / /home rw,relatime - nfs4 server:/home rw,vers=4.2
32 31 0:26 / /home/ada/local rw - xfs /dev/vdb rw
33 22 0:27 / /mnt/cloud\040bucket rw,nosuid master:1 propagate_from:2 - fuse.gcsfuse bucket rw
34 22 0:28 / /mnt/usb rw - fuseblk /dev/sdb1 rw
35 22 0:29 / /mnt/twice rw - ext4 /dev/vdc rw
36 22 0:30 / /mnt/twice rw - cifs //server/share rw
short line
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/data/registry.db", None),
        ("/homework/registry.db", None),
        ("/home/ada/registry.db", "nfs4"),
        ("/home/ada/local/registry.db", None),
        ("/mnt/cloud bucket/deep/registry.db", r"fuse\.gcsfuse"),
        ("/mnt/usb/registry.db", None),
        ("/mnt/twice/registry.db", "cifs"),
    ],
)
def test_network_file_systems_are_refused(path, kind):
    if kind is None:
        refuse_network(Path(path), MOUNTS)
        return
    with pytest.raises(RegistryError, match=kind) as refused:
        refuse_network(Path(path), MOUNTS)
    assert refused.value.code == "registry_network_fs"


def test_opening_asks_the_machine_about_its_mounts(path, monkeypatch, tmp_path):
    table = tmp_path / "mountinfo"
    table.write_text("22 1 254:0 / / rw,relatime shared:1 - nfs server:/ rw\n")
    monkeypatch.setattr("penstock.registry.network._MOUNTS", table)
    assert refusal(path).code == "registry_network_fs"
    monkeypatch.setattr("penstock.registry.network._MOUNTS", tmp_path / "none")
    Registry.open(path).close()
