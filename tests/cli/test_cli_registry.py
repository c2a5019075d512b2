"""What commands say of a registry that is missing, and of what is only known from it."""

from __future__ import annotations


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


def test_status_counts_runs_as_they_were_last_seen(project, cli):
    assert "last seen" not in cli("status").ok().out
    cli("submit", "greet.yaml", "--wait").ok()
    assert "1 succeeded (as last seen)" in cli("status").ok().out
    assert cli("status", "--json").ok().json["runs"]["succeeded"] == 1
