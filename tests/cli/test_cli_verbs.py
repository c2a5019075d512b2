"""Publishing, endpoints, gates and history through the command line, as a person and as a program see them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from penstock.cli import main
from penstock.workspace import Workspace

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|\+00:00)")


@pytest.fixture
def second(project):
    """Another version of the spec."""
    text = (project / "greet.yaml").read_text().replace("hello", "good day")
    (project / "second.yaml").write_text(text)
    return "second.yaml"


@pytest.fixture
def two(project, second, cli):
    """`greet` with two versions, the first of them the default."""
    cli("publish", "greet.yaml", "--endpoint", "greet").ok()
    cli("publish", second, "--endpoint", "greet").ok()
    return "greet"


def test_publish_says_what_it_did(project, second, cli):
    digest = r"\(sha256:[0-9a-f]{12}…\)"
    first = cli("publish", "greet.yaml", "--endpoint", "greet").ok().out
    assert re.fullmatch(rf"published greet:1 on laptop {digest}\ngreet@0 is now the default\n", first)
    again = cli("publish", "greet.yaml", "--endpoint", "greet").ok().out
    assert re.fullmatch(
        rf"already published greet:1 on laptop {digest}\ngreet@0 was there already and is the default\n", again
    )
    added = cli("publish", second, "--endpoint", "greet").ok().out
    assert added.splitlines()[1] == "greet@1 added, default stays 0"
    moved = cli("publish", second, "--endpoint", "greet", "--default").ok().out
    assert moved.splitlines()[1] == "greet@1 is now the default"


def test_publish_answers_the_id_and_the_record(project, cli):
    quiet = cli("publish", "greet.yaml", "-q").ok().out.strip()
    assert UUID.fullmatch(quiet)
    data = cli("publish", "greet.yaml", "--endpoint", "greet", "--json").ok().json
    assert data["published"]["id"] == quiet
    assert data["created"] is False and data["version"] == "0" and data["default_moved"] is True
    assert data["endpoint"]["name"] == "greet"
    assert TIME.fullmatch(data["published"]["created"])


def test_publish_takes_name_label_and_target(project, cli):
    options = ["--name", "salute", "--label", "stable", "--target", "spare"]
    assert cli("publish", "greet.yaml", *options).ok().out.startswith("published salute:stable on spare (")


def test_publish_from_moves_the_same_snapshot(two, cli):
    digest = cli("pipeline", "show", "greet:1", "--json").ok().json["digest"]
    data = cli("publish", "--from", "greet@0", "--target", "spare", "--json").ok().json
    assert data["published"]["digest"] == digest and data["published"]["target"] == "spare"


def test_warnings_of_a_target_go_to_standard_error(project, cli):
    text = (project / "greet.yaml").read_text().replace("steps:", "defaults: {image: 'python:3.12'}\nsteps:", 1)
    (project / "greet.yaml").write_text(text)
    for arguments in (["publish", "greet.yaml"], ["validate", "greet.yaml"]):
        answer = cli(*arguments).ok()
        assert answer.err.startswith("warning: ") and "image" in answer.err
        assert "warning" not in answer.out
        data = cli(*arguments, "--json").ok().json
        warnings = data["warnings"] if "warnings" in data else data["files"][0]["warnings"]
        assert {"severity", "code", "message", "path"} <= set(warnings[0])


def test_validate_writes_nothing_and_checks_every_file(project, second, cli):
    before = sorted(project.rglob("*"))
    answer = cli("validate", "greet.yaml", second).ok()
    assert [line.partition(" (")[0] for line in answer.out.splitlines()] == [
        "greet.yaml: greet, 1 step, runs on laptop",
        "second.yaml: greet, 1 step, runs on laptop",
    ]
    (project / "bad.yaml").write_text("apiVersion: penstock/v1\nkind: Pipeline\nname: x\nstep: {}\n")
    mixed = cli("validate", "greet.yaml", "bad.yaml", "gone.yaml").refused(3)
    assert "greet.yaml: greet" in mixed.out
    assert mixed.err.startswith("error: 2 of 3 files are not valid\n")
    assert "bad.yaml:4:1" in mixed.err and "gone.yaml" in mixed.err
    document = cli("validate", "greet.yaml", "bad.yaml", "gone.yaml", "--json").refused(3)
    assert len(document.json["error"]["details"]) >= 2
    (project / "bad.yaml").unlink()
    assert sorted(project.rglob("*")) == before


def test_an_endpoint_lives(two, cli):
    assert cli("endpoint", "set-default", "greet", "1").ok().out == "greet@1 is now the default, was 0\n"
    assert cli("endpoint", "set-default", "greet", "1").ok().out == "greet@1 is the default already\n"
    assert cli("endpoint", "rollback", "greet").ok().out == "greet is rolled back from 1 to 0\n"
    assert cli("endpoint", "rollback", "greet", "--json").refused(8).json["error"]["code"] == "nothing_to_roll_back"
    assert cli("endpoint", "set-default", "greet", "1", "--expect", "0", "-q").ok().out == "1\n"
    refused = cli("endpoint", "set-default", "greet", "0", "--expect", "0", "--json").refused(8)
    assert refused.json["error"]["code"] == "default_changed"
    assert cli("endpoint", "rename", "greet", "salute").ok().out == "greet is now salute\n"
    assert cli("endpoint", "delete", "salute").ok().out == "deleted salute\n"
    assert cli("endpoint", "list").ok().out == "no endpoints\n"


def test_create_and_add_version_answer_ids_and_numbers(project, second, cli):
    one = cli("publish", "greet.yaml", "-q").ok().out.strip()
    two = cli("publish", second, "-q").ok().out.strip()
    assert cli("endpoint", "create", "hi", one).ok().out == "created hi; hi@0 is the default\n"
    assert cli("endpoint", "add-version", "hi", two).ok().out == "hi@1 added, default stays 0\n"
    assert cli("endpoint", "add-version", "hi", two).ok().out == "hi@1 was there already, default stays 0\n"
    assert (
        cli("endpoint", "add-version", "hi", two, "--default").ok().out
        == "hi@1 was there already, is now the default\n"
    )
    assert cli("endpoint", "create", "ho", "greet:1", "-q").ok().out.strip() != one


def test_an_endpoint_has_its_json_shape(two, cli):
    data = cli("endpoint", "show", "greet", "--json").ok().json
    assert {"id", "name", "default", "enabled", "versions", "description", "tags", "revision"} <= set(data)
    assert [one["version"] for one in data["versions"]] == ["0", "1"]
    for one in data["versions"]:
        assert {"version", "published", "pipeline", "label", "target", "enabled"} <= set(one)
    assert TIME.fullmatch(data["created"]) and TIME.fullmatch(data["modified"])


def test_lists_align_and_say_what_they_leave_out(two, cli):
    for number in range(3):
        cli("endpoint", "create", f"more {number}", "greet:1").ok()
    cli("endpoint", "disable", "more 1", "--reason", "maintenance").ok()
    head, *rows, note = cli("endpoint", "list").ok().out.splitlines()
    assert head.split() == ["NAME", "DEFAULT", "VERSIONS", "STATE", "TARGETS", "MODIFIED"]
    assert {row[: head.index("DEFAULT")].strip() for row in rows} == {"greet", "more 0", "more 2"}
    assert {row[head.index("STATE") :].split()[0] for row in rows} == {"enabled"}
    assert note == "1 closed not shown: --all shows them"
    everything = cli("endpoint", "list", "--all").ok().out
    assert "disabled" in everything and "closed not shown" not in everything
    assert cli("endpoint", "list", "--json").ok().json["hidden"] == 1


def test_a_page_says_how_to_go_on(two, cli):
    for number in range(3):
        cli("endpoint", "create", f"more {number}", "greet:1").ok()
    quiet = cli("endpoint", "list", "--limit", "2", "-q").ok()
    assert len(quiet.out.split()) == 2 and all(map(UUID.fullmatch, quiet.out.split()))
    token = re.search(r"there are more endpoints: --limit, or --before (\S+)", quiet.err)[1]
    rest = cli("endpoint", "list", "--before", token, "-q").ok().out.split()
    assert len(rest) == 2 and not set(rest) & set(quiet.out.split())
    page = cli("endpoint", "list", "--limit", "2", "--json").ok().json
    assert set(page) == {"items", "hidden", "more", "next"} and page["more"] is True
    assert cli("pipeline", "list", "--limit", "1", "--json").ok().json["items"][0]["label"] == "2"


@pytest.mark.parametrize(
    ("noun", "ref", "subject"),
    [("endpoint", "greet", "greet"), ("endpoint", "greet@1", "greet@1"), ("pipeline", "greet:2", "greet:2")],
)
def test_gates_close_and_open(two, cli, noun, ref, subject, monkeypatch):
    monkeypatch.setenv("PENSTOCK_ACTOR", "ada")
    closed = cli(noun, "disable", ref, "--reason", "bad data").ok().out
    assert re.match(rf"{subject}\S* is disabled, since \d{{4}}-\S+ \S+Z by ada: bad data\n", closed)
    assert " is already disabled, " in cli(noun, "disable", ref).ok().out
    shown = cli(noun, "show", ref.partition("@")[0]).ok().out
    assert "by ada: bad data" in shown
    assert " is enabled\n" in cli(noun, "enable", ref).ok().out
    assert " is already enabled\n" in cli(noun, "enable", ref).ok().out


def test_the_history_tells_who_did_what(two, cli, monkeypatch):
    monkeypatch.setenv("PENSTOCK_ACTOR", "grace")
    cli("endpoint", "set-default", "greet", "1").ok()
    cli("endpoint", "disable", "greet", "--reason", "audit").ok()
    text = cli("endpoint", "history", "greet").ok().out
    head, newest, moved, *_ = text.splitlines()
    assert head.split() == ["WHEN", "ACTION", "SUBJECT", "CHANGE", "BY", "DOOR", "REASON"]
    assert "grace (self-declared)" in newest and newest.endswith("audit") and " cli " in newest
    assert "0 -> 1" in moved
    published = cli("history").ok()
    assert max(map(len, published.out.splitlines())) < 200
    assert all(
        one["to"] in published.out or one["to"][:19] + "…" in published.out
        for one in cli("history", "--json").json["items"]
        if one["to"]
    )
    data = cli("history", "--by", "grace", "--json").ok().json
    assert {one["by"] for one in data["items"]} == {"grace"} and len(data["items"]) == 2
    assert {"seq", "at", "action", "kind", "subject", "from", "to", "reason", "by", "verified", "door"} <= set(
        data["items"][0]
    )
    assert cli("history", "--since", "2h", "--json").ok().json["items"]
    assert cli("history", "--since", "2999-01-01").ok().out == "no changes\n"


def test_the_history_tells_why_the_default_moved(two, cli):
    cli("endpoint", "set-default", "greet", "1", "--reason", "the median").ok()
    assert (
        cli("endpoint", "rollback", "greet", "--expect", "0", "--json").refused(8).json["error"]["code"]
        == "default_changed"
    )
    cli("endpoint", "rollback", "greet", "--expect", "1", "--reason", "nobody asked for it").ok()
    rows = cli("endpoint", "history", "greet", "--json").ok().json["items"]
    assert [(one["action"], one["reason"]) for one in rows[:2]] == [
        ("default_rolled_back", "nobody asked for it"), ("default_moved", "the median"),
    ]  # fmt: skip


def test_the_history_answers_what_would_have_run(two, cli):
    one = cli("endpoint", "history", "greet", "--at", "2999-01-01").ok()
    assert len(one.out.splitlines()) == 1 and "greet" in one.out
    data = cli("endpoint", "history", "greet", "--at", "2999-01-01", "--json").ok().json
    assert data["default"] == "0" and data["refused"] is None
    before = cli("endpoint", "history", "greet", "--at", "2001-01-01", "--json").ok().json
    assert before["default"] is None and before["refused"]


def test_targets_say_where_each_value_comes_from(project, cli, monkeypatch):
    monkeypatch.setenv("PENSTOCK_TARGETS_LAPTOP_SLOTS", "3")
    text = cli("target", "list").ok().out
    assert re.search(r"laptop \(default\) +local +penstock \S+ +available +penstock.yaml:3:", text)
    assert re.search(r"laptop +slots +3 +PENSTOCK_TARGETS_LAPTOP_SLOTS", text)
    assert re.search(r"laptop +idle +2\S* +penstock.yaml:3:", text)
    data = cli("target", "list", "--json").ok().json
    assert [one["name"] for one in data["items"]] == ["laptop", "spare"]
    assert cli("target", "list", "-q").ok().out == "laptop\nspare\n"
    assert cli("target", "check").ok().out.startswith("laptop: ok\n")
    assert cli("target", "check", "spare", "--json").ok().json["ok"] is True


def test_what_is_wrong_with_a_target_is_whole_below_the_table(project, cli):
    file = project / "penstock.yaml"
    file.write_text(file.read_text().replace("spare: {backend: local", "spare: {slotz: 2, backend: local"))
    answer = cli("target", "list").ok().out
    problem = next(one["problem"] for one in cli("target", "list", "--json").json["items"] if one["problem"])
    assert len(problem) > 60 and f"\nspare: {problem}\n" in answer
    assert problem not in answer.splitlines()[2]


def test_plugins_are_listed(project, cli):
    listed = cli("plugin", "list").ok().out
    assert re.search(r"audit +penstock \S+ +not used", listed)
    assert re.search(r"azureml_v1 +penstock \S+ +used by `serve`", listed)
    (project / "penstock.yaml").write_text((project / "penstock.yaml").read_text() + "plugins: {azureml_v1: {}}\n")
    assert re.search(r"azureml_v1 +penstock \S+ +used +penstock.yaml", cli("plugin", "list").ok().out)
    assert "audit" in cli("plugin", "list", "-q").ok().out.split()


def test_the_registry_is_checked_and_copied(two, cli, project):
    assert cli("registry", "check").ok().out.startswith("ok\n")
    assert cli("registry", "check", "--json").ok().json["ok"] is True
    assert cli("registry", "backup", "copy.db").ok().out == "wrote copy.db\n"
    assert cli("--registry", "copy.db", "endpoint", "list", "--json").ok().json["items"][0]["name"] == "greet"
    cli("registry", "backup", "copy.db").refused(8)


def test_a_damaged_registry_is_not_saved(two, cli, project):
    cli("registry", "backup", "good.db").ok()
    file = project / ".penstock" / "registry.db"
    content = file.read_bytes()
    half = len(content) // 2 // 4096 * 4096
    file.write_bytes(content[:half] + b"\x5a" * (len(content) - half))
    cli("registry", "check").refused(12)
    answer = cli("registry", "backup", "nightly.db").refused(12)
    assert answer.out == "" and len(answer.err.splitlines()) == 1 and "registry.db: " in answer.err
    assert cli("registry", "backup", "nightly.db", "--json").refused(12).json["error"]["code"] == "registry_corrupt"
    assert not (project / "nightly.db").exists()
    cli("registry", "restore", "good.db").ok()
    cli("registry", "backup", "nightly.db").ok()


def test_a_backup_is_put_back(two, cli, project):
    cli("registry", "backup", "copy.db").ok()
    cli("endpoint", "disable", "greet").ok()
    # Beside the registry it is for looking.
    assert "registry restore" in cli("--registry", "copy.db", "endpoint", "disable", "greet").refused(12).err
    said = cli("registry", "restore", "copy.db").ok().out
    kept = re.match(r"restored \S+registry\.db from copy\.db\nthe old registry is (\S+)\n", said)[1]
    assert "open again, though closed since: endpoint greet\n" in said
    assert cli("endpoint", "show", "greet", "--json").ok().json["gate"] is None
    assert cli("registry", "restore", kept, "-q").ok().out == f"{project / '.penstock/registry.db'}\n"
    assert cli("endpoint", "show", "greet", "--json").ok().json["gate"] is not None
    answer = cli("registry", "restore", "copy.db", "--json").ok().json
    assert set(answer) == {"registry", "backup", "replaced", "active_again", "open_again", "compared", "readers_kept"}
    assert (answer["active_again"], answer["open_again"]) == ([], ["endpoint greet"])
    assert Path(answer["replaced"]).is_file()
    with Workspace.open(project) as workspace:
        workspace.admin.status()
        assert "open" in cli("registry", "restore", "copy.db").refused(12).err
        assert workspace.admin.restore(Path(project / "copy.db")).replaced is not None
        assert workspace.endpoint("greet").default == "0"


def test_a_restore_says_what_holds_again(two, cli, project, answered):
    for name in ("tr", "kept", "old"):
        cli("token", "create", name, "--scope", "read").ok()
    cli("token", "revoke", "old").ok()
    cli("registry", "backup", "copy.db").ok()
    cli("token", "revoke", "tr").ok()
    cli("endpoint", "disable", "greet@0").ok()
    answer = cli("registry", "restore", "copy.db", "--json").ok().json
    answered("registry restore", answer)
    assert (answer["active_again"], answer["open_again"], answer["compared"]) == (["tr"], ["version greet@0"], True)
    cli("token", "revoke", "tr").ok()
    assert "active again, though revoked since: token tr\n" in cli("registry", "restore", "copy.db").ok().out
    assert "again" not in cli("registry", "restore", "copy.db").ok().out
    (project / ".penstock" / "registry.db").write_bytes(b"no database at all, " * 500)
    assert "what it had revoked or closed since is not known" in cli("registry", "restore", "copy.db").ok().out


def test_a_damaged_registry_is_said_in_one_line(two, cli, project):
    file = project / ".penstock" / "registry.db"
    file.write_bytes(b"no database at all, " * 500)
    answer = cli("endpoint", "list").refused(12)
    assert len(answer.err.splitlines()) == 1
    assert cli("endpoint", "list", "--json").refused(12).json["error"]["code"] == "registry_corrupt"


def test_status_before_and_after_the_first_publish(project, cli):
    before = cli("status").ok().out
    assert "made by the first publish" in before and not (project / ".penstock").exists()
    assert cli("status", "--json").ok().json["exists"] is False
    cli("publish", "greet.yaml", "--endpoint", "greet").ok()
    data = cli("status", "--json").ok().json
    assert (data["exists"], data["endpoints"], data["published"], data["target"]) == (True, 1, 1, "laptop")


def test_without_any_configuration_it_just_works(tmp_path, monkeypatch, cli, project):
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    assert cli("publish", project / "greet.yaml").ok().out.startswith("published greet:1 on local (")
    assert (empty / ".penstock" / "registry.db").is_file()


def test_init_writes_a_configuration_that_can_be_read_once(tmp_path, monkeypatch, cli):
    monkeypatch.chdir(tmp_path)
    assert cli("init").ok().out == f"wrote {tmp_path / 'penstock.yaml'}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["penstock.yaml"]
    text = (tmp_path / "penstock.yaml").read_text()
    assert cli("target", "list", "-q").ok().out == "local\n"
    answer = cli("init", "--json").refused(8)
    assert answer.json["error"]["code"] == "file_exists"
    assert (tmp_path / "penstock.yaml").read_text() == text


def test_schemas_are_printed(tmp_path, monkeypatch, cli):
    monkeypatch.chdir(tmp_path)
    kinds = cli("schema").ok().out.split()
    assert "Pipeline" in kinds
    for kind in kinds:
        document = cli("schema", kind).ok().json
        assert document == cli("schema", kind, "--json").ok().json
        assert "$schema" in document
    assert "did you mean `Pipeline`?" in cli("schema", "Pipelin").refused(2).err


def test_global_options_choose_the_workspace(project, tmp_path, monkeypatch, cli):
    monkeypatch.chdir(tmp_path)
    assert (
        "on spare ("
        in cli("--config", project / "penstock.yaml", "--target", "spare", "publish", project / "greet.yaml").ok().out
    )
    assert (project / ".penstock" / "registry.db").is_file()
    assert main(["--config", "gone.yaml", "status"]) == 4


def test_a_token_that_is_not_there_is_named(cli, project):
    cli("publish", "greet.yaml").ok()
    cli("token", "create", "cron", "--scope", "read").ok()
    answer = cli("token", "revoke", "corn", "--json").refused(6)
    assert answer.json["error"]["code"] == "token_not_found"
    assert "did you mean `cron`?" in answer.json["error"]["message"]


def test_a_token_that_is_revoked_again_was_revoked_already(cli, project):
    cli("token", "create", "cron", "--scope", "read").ok()
    identity = cli("token", "list", "-q").ok().out.strip()
    assert cli("token", "revoke", "cron").ok().out == "cron is revoked: nobody comes in by it any more\n"
    assert cli("token", "revoke", identity).ok().out == "cron is already revoked: nobody comes in by it any more\n"
