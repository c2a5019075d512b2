"""Wrong calls: one line with what was meant, exit status 2, and the same as JSON."""

from __future__ import annotations

import pytest

CASES = {
    "publsh": "did you mean `publish`?",
    "endpoint lst": "did you mean `list`?",
    "endpoint add_version": "did you mean `add-version`?",
    "run": "",
    "run list --limt 3": "did you mean `--limit`?",
    "run list --limit none": "'none' is not a valid integer",
    "run list --limit 0": "0 is not in the range",
    "run list --state runing": "'runing' is not one of",
    "endpoint list --registry x": "`penstock --registry ... endpoint list`",
    "submit": "Missing argument 'REF'",
    "submit x -p depth": "-p takes `name=value`, not `depth`",
    "submit x -p =1": "-p takes `name=value`, not `=1`",
    "submit x -p a=1 -p a=2": "-p `a` is given twice",
    "submit x --tag team": "--tag takes `name=value`, not `team`",
    "publish": "give a spec file or --from REF",
    "publish x.yaml --from y": "give a spec file or --from REF",
    "publish x.yaml --default": "--default needs --endpoint NAME",
    "endpoint history x --at noon": "`noon` is not a time",
    "history --since 2026-13-01": "`2026-13-01` is not a time",
    "run wait x --timeout soon": "`soon` is not a duration",
    "validate": "Missing argument 'FILE...'",
    "status extra": "unexpected extra argument",
}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    assert not list(tmp_path.iterdir()), "a wrong call writes nothing"


@pytest.mark.parametrize("line", CASES)
def test_a_wrong_call_is_one_line_and_exit_2(cli, line):
    answer = cli(*line.split()).refused(2)
    assert answer.out == ""
    assert CASES[line] in answer.err
    if CASES[line]:
        first, *rest = answer.err.splitlines()
        assert first.startswith("error: ")
        assert rest in ([], [rest[0] if rest and rest[0].startswith("see: penstock") else None])


@pytest.mark.parametrize("line", CASES)
def test_a_wrong_call_is_one_document_with_json_anywhere(cli, line):
    for arguments in (["--json", *line.split()], [*line.split(), "--json"]):
        answer = cli(*arguments).refused(2)
        assert answer.err == ""
        error = answer.json["error"]
        assert set(error) == {"code", "message", "details"}
        assert error["code"] == "usage_error"


def test_json_after_two_dashes_is_an_argument(cli):
    answer = cli("submit", "--", "--json", "more").refused(2)
    assert answer.err.startswith("error: ")


def test_a_bare_call_shows_the_help_and_exit_2(cli):
    assert "Commands:" in cli().refused(2).err
    assert "rollback" in cli("endpoint").refused(2).err


def test_the_version_is_shown(cli):
    from importlib.metadata import version

    assert cli("--version").ok().out == f"penstock {version('penstock')}\n"
    assert cli("--version", "--json").ok().json == {"version": version("penstock")}
