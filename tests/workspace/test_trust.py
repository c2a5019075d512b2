"""What somebody else could have written decides nothing: configuration, state folder, registry and root."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from penstock import trust
from penstock.config import find_config, load_config
from penstock.errors import ConfigInvalid, PenstockError, RegistryError
from penstock.registry import Registry, copying, file
from penstock.workspace import Workspace

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user: needs root")


@pytest.fixture
def workspace(project):
    """A workspace in which something was published; closed."""
    with Workspace.open(project, actor="ada") as opened:
        opened.publish("greet.yaml", endpoint="hello")
        opened.submit("hello").wait()
    return project


def state(project) -> Path:
    return project / ".penstock"


def give(folder: Path, *, user: int = NOBODY) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user, user, follow_symlinks=False)


def refusal(project, call=lambda opened: opened.runs.list()) -> PenstockError:
    with pytest.raises(PenstockError) as refused, Workspace.open(project, actor="ada") as opened:
        call(opened)
    assert "\n" not in str(refused.value)
    return refused.value


PLACES = {
    "the configuration": lambda project: project / "penstock.yaml",
    "the state folder": state,
    "the registry": lambda project: state(project) / "registry.db",
}


@pytest.mark.sampled(1)
@pytest.mark.parametrize("what", PLACES)
def test_what_everybody_can_write_is_not_used_unless_it_is_trusted(workspace, monkeypatch, what):
    place = PLACES[what](workspace)
    place.chmod(place.stat().st_mode | 0o002)
    error = refusal(workspace)
    assert (error.code, error.exit_code) == ("not_trusted", 4)
    assert f"{what} `{place}` can be written by everybody" in str(error)
    assert f"chmod o-w {place}" in str(error) and "PENSTOCK_TRUST=" in str(error)
    monkeypatch.setenv("PENSTOCK_TRUST", f"relative:/nowhere:{workspace.parent}ly")
    assert refusal(workspace).code == "not_trusted"
    monkeypatch.setenv("PENSTOCK_TRUST", f"/nowhere:{workspace.parent}")
    with Workspace.open(workspace, actor="ada") as opened:
        assert len(opened.runs.list().items) == 1


def test_a_root_that_everybody_can_write_is_not_used(workspace, monkeypatch):
    root = state(workspace) / "local" / "laptop"
    root.chmod(0o707)
    with Workspace.open(workspace, actor="ada") as opened:
        run = opened.runs.submit("hello")
        assert f"the root `{root}` can be written by everybody" in run.warnings[0]
        with pytest.raises(ConfigInvalid) as refused:
            opened.targets.check("laptop")
        assert refused.value.code == "not_trusted"
    monkeypatch.setenv("PENSTOCK_TRUST", str(root))
    with Workspace.open(workspace, actor="ada") as opened:
        assert opened.runs.wait(run.run.id).state == "succeeded"


@pytest.mark.parametrize("what", ["the configuration", "the state folder"])
def test_nothing_is_used_in_a_folder_in_which_everybody_can_replace_it(workspace, what):
    if what == "the state folder":
        (workspace / "penstock.yaml").unlink()
    workspace.chmod(0o777)
    error = refusal(workspace)
    assert error.code == "not_trusted"
    assert f"{what} `{PLACES[what](workspace)}` lies in `{workspace}`, which everybody can write" in str(error)
    workspace.chmod(0o1777)  # as /tmp is: nobody can replace what is another's
    with Workspace.open(workspace, actor="ada") as opened:
        assert opened.runs.list().items


def test_nothing_is_made_in_a_folder_in_which_everybody_can_replace_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    error = refusal(tmp_path / "open", lambda opened: opened.tokens.create("cron", scope="read"))
    assert error.code == "not_trusted"
    assert list((tmp_path / "open").iterdir()) == []


def test_the_search_for_a_configuration_goes_through_no_folder_that_everybody_can_write(tmp_path):
    work = tmp_path / "shared" / "me" / "work"
    work.mkdir(parents=True)
    planted = tmp_path / "shared" / "penstock.yaml"
    planted.write_text("target: planted\n")
    assert find_config(work) == planted
    for mode in (0o777, 0o1777):
        (tmp_path / "shared").chmod(mode)
        assert find_config(work) is None
        assert load_config(work).base == work


def test_a_group_that_can_write_is_warned_of_once(project, caplog, monkeypatch):
    monkeypatch.setattr(trust, "_warned", set())
    config = project / "penstock.yaml"
    config.chmod(0o664)
    if os.geteuid() == 0:
        os.chown(config, 0, NOBODY)
    for _ in range(2):
        load_config(project)
    lines = [line for line in caplog.messages if "can write the configuration" in line]
    assert len(lines) == (1 if config.stat().st_gid != os.getgid() or os.geteuid() == 0 else len(lines)) <= 1
    monkeypatch.setattr(trust, "_warned", set())
    caplog.clear()
    config.chmod(0o644)
    load_config(project)
    assert caplog.messages == []


@pytest.mark.sampled(1)
@as_root
@pytest.mark.parametrize("what", PLACES)
def test_what_belongs_to_another_user_is_not_used(workspace, monkeypatch, what):
    place = PLACES[what](workspace)
    os.chown(place, NOBODY, NOBODY)
    error = refusal(workspace)
    assert (error.code, error.exit_code) == ("not_trusted", 4)
    assert f"{what} `{place}` belongs to" in str(error) and "(uid 65534)" in str(error)
    assert "PENSTOCK_TRUST=" in str(error)
    monkeypatch.setenv("PENSTOCK_TRUST", str(workspace))
    with Workspace.open(workspace, actor="ada") as opened:
        assert len(opened.runs.list().items) == 1


@as_root
@pytest.mark.parametrize("what", ["penstock.yaml", ".penstock"])
def test_a_planted_link_is_not_used_whatever_it_leads_to(workspace, tmp_path, monkeypatch, what):
    mine = tmp_path / "mine"
    mine.mkdir()
    (workspace / what).rename(mine / what)
    (workspace / what).symlink_to(mine / what)
    with Workspace.open(workspace, actor="ada") as opened:
        assert opened.runs.list().items
    os.chown(workspace / what, NOBODY, NOBODY, follow_symlinks=False)
    assert refusal(workspace).code == "not_trusted"
    # A link is trusted by where it leads, not by where it lies.
    monkeypatch.setenv("PENSTOCK_TRUST", str(workspace))
    assert refusal(workspace).code == "not_trusted"
    monkeypatch.setenv("PENSTOCK_TRUST", str(mine))
    with Workspace.open(workspace, actor="ada") as opened:
        assert opened.runs.list().items
    monkeypatch.delenv("PENSTOCK_TRUST")
    (workspace / what).unlink()
    (workspace / what).symlink_to(mine / what)
    os.chown(mine / what, NOBODY, NOBODY)
    assert refusal(workspace).code == "not_trusted"


@as_root
def test_a_link_to_nothing_is_not_followed_where_somebody_else_laid_it(project, tmp_path):
    os.symlink(tmp_path / "later", state(project))
    os.chown(state(project), NOBODY, NOBODY, follow_symlinks=False)
    assert refusal(project, lambda opened: opened.publish("greet.yaml")).code == "not_trusted"
    assert not (tmp_path / "later").exists()


@as_root
def test_the_search_for_a_configuration_stops_where_the_owner_changes(tmp_path):
    work = tmp_path / "theirs" / "me" / "work"
    work.mkdir(parents=True)
    (tmp_path / "theirs" / "penstock.yaml").write_text("target: planted\n")
    (tmp_path / "penstock.yaml").write_text("target: ours\n")
    os.chown(tmp_path / "theirs", NOBODY, NOBODY)
    assert find_config(work) is None
    # Who stands in a folder of somebody else finds what is there, and is refused it.
    assert find_config(tmp_path / "theirs") == tmp_path / "theirs" / "penstock.yaml"
    os.chown(work, NOBODY, NOBODY)
    (tmp_path / "theirs" / "me" / "penstock.yaml").write_text("target: mine\n")
    assert find_config(work) == tmp_path / "theirs" / "me" / "penstock.yaml"


@as_root
def test_nothing_is_made_in_a_folder_of_somebody_else_unless_it_is_trusted(tmp_path, project, monkeypatch):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "greet.yaml").write_text((project / "greet.yaml").read_text())
    give(theirs)
    error = refusal(theirs, lambda opened: opened.publish(theirs / "greet.yaml"))
    assert error.code == "not_trusted" and f"PENSTOCK_TRUST={theirs}" in str(error)
    assert [path.name for path in theirs.iterdir()] == ["greet.yaml"]
    monkeypatch.setenv("PENSTOCK_TRUST", str(theirs))  # as root in a container, on a folder of the machine
    with Workspace.open(theirs, actor="ada") as opened:
        opened.publish(theirs / "greet.yaml", endpoint="hello")
        assert opened.submit("hello").wait().state == "succeeded"
        assert state(theirs).stat().st_uid == 0


@as_root
def test_in_a_workspace_of_somebody_else_everything_is_read_and_nothing_changed(
    workspace, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(trust, "_warned", set())
    with (workspace / "penstock.yaml").open("a") as file:
        file.write("plugins: [audit]\n")
    (state(workspace) / "audit.jsonl").touch()
    with Workspace.open(workspace, actor="ada") as opened:
        run = opened.runs.list().items[0].id
    give(workspace)
    before = there(workspace)
    monkeypatch.setenv("PENSTOCK_TRUST", str(workspace))
    with Workspace.open(workspace, actor="eve") as opened:
        assert opened.runs.get(run).state == "succeeded"
        assert opened.runs.outputs(run)
        assert list(opened.runs.logs(run)) is not None
        assert opened.admin.status().runs["succeeded"] == 1
        assert opened.admin.check().ok
        assert not opened.targets.check("laptop").ok
        backup = opened.admin.backup(tmp_path / "backup.db")
        assert backup.stat().st_uid == 0
        assert opened.runs.clean(older_than=0, dry_run=True).runs == (run,)
        for change in (
            lambda: opened.runs.submit("hello"),
            lambda: opened.runs.rerun(run),
            lambda: opened.publish("greet.yaml", label="new"),
            lambda: opened.endpoints.disable("hello", reason="no"),
            lambda: opened.endpoints.enable("hello"),  # it is: also where there is nothing to do
            lambda: opened.runs.clean(),
            lambda: opened.runs.clean(older_than=0),
            lambda: opened.tokens.create("cron", scope="read"),
            lambda: opened.admin.restore(backup),
        ):
            with pytest.raises(RegistryError) as refused:
                change()
            assert refused.value.code == "registry_not_owned"
            assert "(uid 65534), who alone changes it" in str(refused.value)
    assert len([line for line in caplog.messages if "belongs to" in line]) == 1
    assert there(workspace) == before


@as_root
def test_who_keeps_anothers_workspace_open_sees_what_its_owner_does(workspace, monkeypatch):
    """With and without a log beside the registry when it is opened."""
    monkeypatch.setenv("PENSTOCK_TRUST", str(workspace))
    give(workspace)
    with Workspace.open(workspace, actor="eve") as opened:
        assert opened.admin.status().runs["succeeded"] == 1
        for number in range(1, 4):
            give(workspace, user=0)
            with Workspace.open(workspace, actor="ada") as owner:
                owner.submit("hello").wait()
                give(workspace)
                assert opened.admin.status().runs["succeeded"] == number + 1
                give(workspace, user=0)
            give(workspace)
            assert opened.admin.status().runs["succeeded"] == number + 1
            assert opened.admin.check().ok


BESIDE = ["-wal", "-shm", "-journal"]


def attempt(path: Path, what: str) -> None:
    """Lay a file of somebody else, or one that everybody can write, or a link, at a path."""
    path.unlink(missing_ok=True)
    if what == "a link":
        path.symlink_to("/dev/null")
        return
    path.write_bytes(bytes(64))
    path.chmod(0o666 if what == "open" else 0o600)
    if what == "theirs":
        os.chown(path, NOBODY, NOBODY)


PLANTED = [pytest.param("theirs", marks=as_root), "open", "a link"]


@pytest.mark.sampled(1)
@pytest.mark.parametrize("what", PLANTED)
@pytest.mark.parametrize("more", BESIDE)
def test_what_somebody_laid_beside_a_registry_is_not_taken_for_part_of_it(workspace, monkeypatch, more, what):
    beside = state(workspace) / f"registry.db{more}"
    assert not beside.exists()  # the last connection was closed
    attempt(beside, what)
    error = refusal(workspace)
    assert (error.code, error.exit_code) == ("not_trusted", 4)
    assert f"`{beside}`" in str(error) and f"PENSTOCK_TRUST={state(workspace)}" in str(error)
    beside.unlink()
    with Workspace.open(workspace, actor="ada") as opened:
        assert len(opened.runs.list().items) == 1
        beside.unlink(missing_ok=True)  # once it is open it is asked again before each transaction
        attempt(beside, what)
        with pytest.raises(ConfigInvalid) as refused:
            opened.runs.list()
        assert refused.value.code == "not_trusted"
        beside.unlink()


@pytest.mark.sampled(1)
@pytest.mark.parametrize("more", BESIDE)
def test_what_somebody_lays_beside_a_registry_while_it_is_opened_is_found(workspace, monkeypatch, more):
    path = state(workspace) / "registry.db"

    def connect(path: Path, mode: str):
        attempt(path.with_name(path.name + more), "open")  # after the look and before SQLite opens it
        return copying.connect(path, mode)

    monkeypatch.setattr(file, "connect", connect)
    with pytest.raises(ConfigInvalid) as refused:
        Registry.open(path)
    assert refused.value.code == "not_trusted"


@as_root
def test_a_whole_log_of_somebody_else_does_not_become_this_user_s_registry(workspace, tmp_path):
    mine, theirs = state(workspace) / "registry.db", tmp_path / "theirs.db"
    planted = mine.with_name("registry.db-wal")
    shutil.copy(mine, theirs)
    with closing(sqlite3.connect(theirs, isolation_level=None)) as connection:
        connection.execute("UPDATE endpoints SET name = 'eve'")
        shutil.copy(tmp_path / "theirs.db-wal", planted)
    os.chown(planted, NOBODY, NOBODY)
    before = planted.read_bytes()
    assert len(before) > 4096
    assert refusal(workspace).code == "not_trusted"
    assert planted.read_bytes() == before


FOLDERS = [
    pytest.param(0o1777, 0, "everybody can write", id="sticky"),
    pytest.param(0o777, 0, "everybody can write", id="open"),
    pytest.param(0o755, NOBODY, "belongs to", id="of another", marks=as_root),
]


@pytest.mark.parametrize(("mode", "owner", "why"), FOLDERS)
def test_a_registry_does_not_lie_where_somebody_else_could_lay_files_beside_it(
    tmp_path, project, monkeypatch, mode, owner, why
):
    shared = tmp_path / "shared"
    shared.mkdir()
    monkeypatch.setenv("PENSTOCK_REGISTRY", str(shared / "x.db"))

    def open_up() -> None:
        shared.chmod(mode)
        if owner:
            os.chown(shared, owner, owner)

    open_up()
    make = lambda opened: opened.tokens.create("cron", scope="read")  # noqa: E731  # twice the same
    error = refusal(project, make)
    assert error.code == "not_trusted" and why in str(error) and f"PENSTOCK_TRUST={shared}" in str(error)
    assert not (shared / "x.db").exists()
    with monkeypatch.context() as patch:
        patch.setenv("PENSTOCK_TRUST", str(shared))
        with Workspace.open(project, actor="ada") as opened:
            make(opened)
    error = refusal(project)
    assert error.code == "not_trusted" and why in str(error)
    # A link elsewhere does not help: SQLite finds the log beside what it leads to.
    (tmp_path / "link.db").symlink_to(shared / "x.db")
    monkeypatch.setenv("PENSTOCK_REGISTRY", str(tmp_path / "link.db"))
    assert refusal(project).code == "not_trusted"


def there(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Every path below a folder, whose it is and its mode."""
    found = {str(path): path.lstat() for path in sorted(folder.rglob("*"))}
    return {path: (one.st_uid, one.st_gid, one.st_mode) for path, one in found.items()}


@pytest.mark.sampled(1)
@pytest.mark.parametrize("named", [".", "project", "./..", "~nobody-at-all", "/nowhere:."])
def test_a_relative_path_trusts_nothing_and_that_is_said(workspace, monkeypatch, caplog, named):
    state(workspace).chmod(0o777)
    monkeypatch.chdir(workspace)
    monkeypatch.setattr(trust, "_warned", set())
    monkeypatch.setenv("PENSTOCK_TRUST", named)
    for _ in range(2):
        assert refusal(workspace).code == "not_trusted"
    said = [
        record.getMessage() for record in caplog.records if "no absolute path and is ignored" in record.getMessage()
    ]
    relative = named.rpartition(":")[2]
    assert len(said) == 1 and f"`{relative}`" in said[0] and f"write `{os.path.abspath(relative)}`" in said[0]
