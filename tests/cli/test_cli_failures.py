"""How things that nobody foresaw end: one line, a status, and never a traceback unless it was asked for."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.cli.commands import admin
from penstock.errors import ParameterInvalid, Problem, WaitTimeout


@pytest.fixture
def broken(monkeypatch, tmp_path):
    """Make `penstock status` raise something."""
    monkeypatch.chdir(tmp_path)

    def raising(error: BaseException):
        def callback(session):
            raise error

        monkeypatch.setattr(admin.status, "callback", callback)

    return raising


def test_an_unexpected_error_is_one_line_and_its_traceback_lies_in_a_private_file(cli, broken):
    broken(KeyError("secret"))
    answer = cli("status").refused(70)
    assert answer.out == "" and len(answer.err.splitlines()) == 1
    assert "unexpected KeyError at " in answer.err and "secret" not in answer.err
    kept = Path(re.search(r"the details are in (\S+)$", answer.err.strip())[1])
    assert "KeyError: 'secret'" in kept.read_text()
    assert kept.stat().st_mode & 0o077 == 0
    kept.unlink()


def test_an_unexpected_error_is_one_document(cli, broken):
    broken(KeyError("secret"))
    error = cli("status", "--json").refused(70).json["error"]
    assert error["code"] == "internal" and error["details"] == []
    Path(error["message"].rpartition(" ")[2]).unlink()


def test_a_traceback_is_shown_when_it_is_asked_for(cli, broken, monkeypatch):
    broken(WaitTimeout("too late"))
    monkeypatch.setenv("PENSTOCK_DEBUG", "1")
    answer = cli("status")
    assert answer.status == 13
    assert "Traceback" in answer.err and "error: too late" in answer.err


def test_errors_of_sqlite_and_of_the_system_never_leak(cli, broken):
    broken(sqlite3.OperationalError("disk I/O error"))
    assert "error: the registry cannot be used: disk I/O error" in cli("status").refused(12).err
    broken(OSError(28, "No space left on device", "/data/x"))
    answer = cli("status", "--json").refused(70)
    assert answer.json["error"] == {
        "code": "system_error", "message": "No space left on device: /data/x", "details": [],
    }  # fmt: skip


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_an_interrupt_exits_130(cli, broken, error):
    broken(error)
    assert cli("status").refused(130).err == "interrupted\n"
    assert cli("status", "--json").refused(130).json["error"]["code"] == "interrupted"


def test_details_stand_on_lines_of_their_own(cli, broken):
    details = [
        Problem("parameter_unknown", "the pipeline has no such parameter", ("dept",), hint="did you mean `depth`?"),
        Problem("parameter_type", "expected integer, got string x", ("trees",), where="p.yaml:2:8"),
    ]
    broken(ParameterInvalid.of(details, "parameters"))
    assert cli("status").refused(5).err.splitlines() == [
        "error: parameters: 2 problems",
        "  $.dept: the pipeline has no such parameter (did you mean `depth`?)",
        "  p.yaml:2:8: $.trees: expected integer, got string x",
    ]
    told = cli("status", "--json").json["error"]
    assert [one["where"] for one in told["details"]] == [None, "p.yaml:2:8"]
    assert told["message"] == f"parameters: 2 problems: {'; '.join(map(str, details))}"


@given(st.lists(st.text(max_size=20).filter(str.strip), min_size=2, max_size=9))
def test_the_line_of_an_error_says_the_first_details_and_how_many_more(messages):
    details = [Problem("value_invalid", message, ("a",)) for message in messages]
    line = str(ParameterInvalid.of(details, "parameters"))
    said = "; ".join(str(one) for one in details[:3])
    more = f"; and {len(details) - 3} more" if len(details) > 3 else ""
    assert line == f"parameters: {len(details)} problems: {said}{more}"
    assert line.isprintable()


def test_one_detail_is_not_said_twice(cli, broken):
    broken(ParameterInvalid.of([Problem("parameter_missing", "a value is required", ("depth",))]))
    assert cli("status").refused(5).err == "error: $.depth: a value is required\n"


def test_control_characters_cannot_reach_the_terminal(cli, broken):
    broken(WaitTimeout("a\x1b[31mred\nline \udc80"))
    answer = cli("status").refused(13)
    assert answer.err == "error: a\\x1b[31mred\\nline \\udc80\n"


def test_a_reader_that_has_gone_ends_it_quietly(start):
    process = start("--help")
    process.stdout.close()
    assert process.wait() in (0, 141)
    assert process.stderr.read() == b""


def test_a_reader_that_goes_in_the_middle(start, tmp_path):
    process = start("schema", "Pipeline", cwd=tmp_path)
    process.stdout.close()
    assert process.wait() == 141
    assert process.stderr.read() == b""
