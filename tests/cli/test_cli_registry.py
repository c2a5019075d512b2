"""What commands say of a registry that is missing, and of what is only known from it."""

from __future__ import annotations

import os

import pytest
from tests.faulty_disk import read_only

from penstock.workspace import Workspace


def test_a_lost_registry_is_no_empty_workspace(project, cli):
    (project / "src").mkdir()
    (project / "src" / "code.py").write_text("pass\n")
    spec = (project / "greet.yaml").read_text().replace("steps:", "defaults: {code: ./src}\nsteps:", 1)
    (project / "greet.yaml").write_text(spec)
    cli("publish", "greet.yaml", "--endpoint", "greet").ok()
    cli("registry", "backup", "copy.db").ok()
    registry = project / ".penstock" / "registry.db"
    registry.unlink()
    for listing in ("run list", "endpoint list", "pipeline list", "token list", "history", "status"):
        said = cli(*listing.split()).refused(12).err
        assert len(said.splitlines()) == 1 and f"{registry} is missing" in said and "registry restore" in said
    assert cli("run", "list", "--json").refused(12).json["error"]["code"] == "registry_missing"
    assert not registry.exists()
    cli("target", "list").ok()
    cli("registry", "restore", "copy.db").ok()
    assert "greet" in cli("endpoint", "list").ok().out
    registry.unlink()
    answer = cli("publish", "greet.yaml", "--endpoint", "greet").ok()
    assert answer.err.startswith("warning: ") and f"{registry} is missing" in answer.err and "version 0" in answer.err
    assert cli("publish", "greet.yaml", "--endpoint", "greet").ok().err == ""


def test_a_registry_whose_log_alone_is_left_is_lost_too(project, cli):
    """A pipeline without code has no archives to tell by."""
    cli("publish", "greet.yaml", "--endpoint", "greet").ok()
    cli("registry", "backup", "copy.db").ok()
    registry = project / ".penstock" / "registry.db"
    registry.rename(registry.with_name("registry.db-wal"))
    for listing in ("run list", "status"):
        said = cli(*listing.split()).refused(12).err
        assert f"{registry} is missing, whose log `-wal` is still there: put it back" in said
    cli("registry", "restore", "copy.db").ok()
    assert "greet" in cli("endpoint", "list").ok().out


def test_status_counts_runs_as_they_were_last_seen(project, cli):
    assert "last seen" not in cli("status").ok().out
    cli("submit", "greet.yaml", "--wait").ok()
    assert "1 succeeded (as last seen)" in cli("status").ok().out
    assert cli("status", "--json").ok().json["runs"]["succeeded"] == 1


def test_a_log_that_cannot_be_taken_in_on_a_read_only_mount_is_told(project, cli):
    """SQLite needs an index beside the log, and says only that it cannot open a file."""
    state = project / ".penstock"
    with Workspace.open(project, actor="ada") as workspace:
        workspace.publish("greet.yaml", endpoint="greet")
        files = {state / name: (state / name).read_bytes() for name in ("registry.db", "registry.db-wal")}
    for file, content in files.items():
        file.write_bytes(content)  # as `kill -9` leaves them
    looks = (("endpoint", "list"), ("run", "list"), ("registry", "check"), ("registry", "backup", "copy.db"))
    with read_only(state):
        for look in looks:
            said = cli(*look, "--json").refused(12).json["error"]
            assert said["code"] == "registry_read_only"
            assert "left a log, which cannot be taken in here, because the folder cannot be written" in said["message"]
    cli("registry", "check").ok()
    with read_only(state):
        assert "greet" in cli("endpoint", "list").ok().out
        for look in looks:
            cli(*look).ok()


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another group: needs root")
def test_a_restore_says_who_cannot_read_the_registry_any_more(project, cli, monkeypatch):
    cli("publish", "greet.yaml", "--endpoint", "greet").ok()
    cli("registry", "backup", "copy.db").ok()
    registry = project / ".penstock" / "registry.db"
    registry.chmod(0o640)
    os.chown(registry, -1, 65534)
    assert cli("registry", "restore", "copy.db", "--json").ok().json["readers_kept"] is True
    assert "cannot read" not in cli("registry", "restore", "copy.db").ok().out

    def refused(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchown", refused)
    assert "so others cannot read it any more: let them in again\n" in cli("registry", "restore", "copy.db").ok().out
    assert registry.stat().st_mode & 0o777 == 0o600
