"""What is printed where: plain aligned text in a pipe, colour and folding only in a terminal."""

from __future__ import annotations

import ast
import io
import json
import os
import pty
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.cli.output import Output
from penstock.cli.tables import Table, record
from penstock.cli.times import moment_text, span_text
from penstock.text import printable

WHEN = datetime.fromisoformat


def plain(table: Table) -> str:
    stream = io.StringIO()
    table.print(stream, rich=False)
    return stream.getvalue()


def test_columns_align_and_nothing_is_cut():
    wide = "x" * 300
    text = plain(Table(("NAME", "STATE"), [("digits", "enabled"), (wide, None), ("数字", "disabled")]))
    head, first, second, third = text.splitlines()
    assert head.index("STATE") == first.index("enabled") == 302
    assert second == wide
    assert third.index("disabled") == 300  # two characters that are two cells wide each


@given(st.lists(st.tuples(*[st.text(st.sampled_from("ab {"), max_size=130)] * 3), min_size=1, max_size=4))
def test_a_cell_of_many_words_pushes_no_column_away(rows):
    table = Table(("ONE", "TWO", "THREE"), rows)
    for row, shown in zip(rows, table.rows, strict=True):
        assert shown[2] == row[2]
        for cell, cut in zip(row, shown[:2], strict=False):
            wide = len(cell) > 60 and " " in cell
            assert len(cut) <= 60 and cell.startswith(cut[:-1]) and cut[-1] == "…" if wide else cut == cell
    assert plain(table).endswith("is whole in --json\n") is table.is_short is (table.rows != rows)
    assert Table((), [row[:2] for row in rows]).rows == [row[:2] for row in rows]


def test_a_record_leaves_out_what_is_not_there():
    assert plain(record([("id", "1"), ("description", ""), ("error", None), ("count", 0)])) == "id     1\ncount  0\n"


def test_cells_cannot_break_the_table():
    assert plain(Table(("A",), [("one\ntwo\x1b[0m",)])).splitlines()[1] == "one\\ntwo\\x1b[0m"


@pytest.mark.parametrize("text", ["plain", "ünïcode 数字 …", "a b"])
def test_ordinary_text_is_left_alone(text):
    assert printable(text) == text


def test_json_keeps_any_text(capsys):
    Output(json=True).answer({"text": "a\nb\x1b \udc80 ü"}, [])
    assert json.loads(capsys.readouterr().out) == {"text": "a\nb\x1b \udc80 ü"}


def test_a_terminal_gets_colour_unless_nobody_wants_it(monkeypatch):
    table = Table(("NAME", "STATE"), [("a", "failed")])
    monkeypatch.setenv("TERM", "xterm-256color")
    for unwanted in (False, True):
        if unwanted:
            monkeypatch.setenv("NO_COLOR", "1")
        else:
            monkeypatch.delenv("NO_COLOR", raising=False)
        leader, follower = pty.openpty()
        with open(follower, "w") as stream:
            table.print(stream, rich=True)
        shown = os.read(leader, 65536)
        os.close(leader)
        assert b"failed" in shown
        assert (b"\x1b[31m" in shown) is not unwanted


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0ms"),
        (0.0304, "30ms"),
        (0.0996, "0.1s"),
        (2.14, "2.1s"),
        (59.97, "1m 00s"),
        (192, "3m 12s"),
        (3599.9, "1h 00m"),
        (7320, "2h 02m"),
    ],
)
def test_spans_read_well(seconds, text):
    from datetime import timedelta

    start = WHEN("2026-11-20T13:40:00+00:00")
    assert span_text(start, start + timedelta(seconds=seconds)) == text


def test_moments_are_utc_to_the_second():
    assert moment_text(WHEN("2026-11-20T14:40:01.999+01:00")) == "2026-11-20 13:40:01Z"
    assert moment_text(None) == "" and span_text(None, None) == ""


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-20T13:40:01.000002Z", "2026-11-20T13:40:01.000002+00:00"),
        ("2026-11-20T13:40:01+01:00", "2026-11-20T12:40:01+00:00"),
        ("2026-11-20 13:40", "2026-11-20T13:40:00+00:00"),
        ("2026-11-20", "2026-11-20T00:00:00+00:00"),
    ],
)
def test_moments_are_read_as_utc(text, moment):
    import click

    from penstock.cli.times import read_moment

    option = click.Option(["--at"])
    assert read_moment(click.Context(click.Command("x")), option, text) == WHEN(moment)


def test_ages_count_from_now():
    import click

    from penstock.cli.times import read_moment

    now = datetime.now(UTC)
    found = read_moment(click.Context(click.Command("x")), click.Option(["--since"]), "2h")
    assert 7190 < (now - found).total_seconds() < 7210


def test_nothing_is_printed_past_this_module():
    folder = Path(sys.modules["penstock.cli"].__file__).parent
    files = {str(file.relative_to(folder)): file for file in folder.rglob("*.py")}
    assert "commands/run.py" in files
    printing = {
        name
        for name, file in files.items()
        for node in ast.walk(ast.parse(file.read_text()))
        if (isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "click.echo", "click.secho"))
        or (isinstance(node, ast.Attribute) and ast.unparse(node) in ("sys.stdout.write", "sys.stderr.write"))
    }
    assert printing == {"output.py", "failures.py"}
