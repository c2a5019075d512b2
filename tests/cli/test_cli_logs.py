"""Logs of several steps under their names while they are written, and as JSON that any standard output can hold."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.cli import output as output_module
from penstock.cli.logs import A_WHILE, MOST, UnderNames, show_as_json
from penstock.cli.output import Output
from penstock.workspace import LogPart, LogParts

PENSTOCK = [sys.executable, "-m", "penstock"]

BAR = """\
apiVersion: penstock/v1
kind: Pipeline
name: bar
parameters: {seen: {type: string}}
steps:
  train:
    command: [sh, -c, 'printf "\\r1%%"; until [ -e "$0.1" ]; do sleep 0.1; done; printf "\\r2%%\\r\\n"', "${{ parameters.seen }}"]
  other: {command: [sh, -c, 'until [ -e "$0.1" ]; do sleep 0.1; done; echo done', "${{ parameters.seen }}"]}
"""  # noqa: E501  # a command is one line

PIECES = st.lists(st.tuples(st.sampled_from(["a", "bb"]), st.text("xé\r\n", max_size=6).map(str.encode)), max_size=30)


class Shown:
    """What is written under names, and the time."""

    def __init__(self) -> None:
        self.data, self.now = b"", 0.0
        self.lines = UnderNames(self.write, 2, lambda: self.now)

    def write(self, data: bytes) -> None:
        self.data += data

    def of(self, step: str) -> list[bytes]:
        """The lines under a step's name."""
        head = f"{step:2} | ".encode()
        return [line.removeprefix(head) for line in self.data.split(b"\n") if line.startswith(head)]


def ended(data: bytes) -> list[bytes]:
    """The lines of a log, without the empty ones that a CR ends."""
    lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\r\n").split(b"\n")
    found = [line.removesuffix(b"\r") for line in lines if line != b"\r"]
    return found[:-1] if found and found[-1] == b"" else found


@given(PIECES)
def test_each_step_has_its_lines_however_they_come(pieces):
    shown = Shown()
    for step, data in pieces:
        shown.lines.add(step, data)
    shown.lines.end()
    for step in ("a", "bb"):
        assert shown.of(step) == ended(b"".join(data for name, data in pieces if name == step))
    assert shown.data == b"" or shown.data.endswith(b"\n")
    assert b"\r" not in shown.data


@given(PIECES, st.integers(1, 7))
def test_it_is_the_same_however_much_is_looked_through_at_once(pieces, size):
    whole, cut = Shown(), Shown()
    for step, data in pieces:
        whole.lines.add(step, data)
        for at in range(0, len(data), size):
            cut.lines.add(step, data[at : at + size])
    whole.lines.end()
    cut.lines.end()
    assert cut.data == whole.data


def test_empty_lines_are_written_in_pieces():
    written: list[bytes] = []
    UnderNames(written.append, 60).add("a", b"\n" * 2**20)
    assert b"".join(written) == (b"a" + b" " * 59 + b" | \n") * 2**20
    assert max(map(len, written)) < 2**21


@given(st.lists(st.tuples(st.sampled_from(["a", "bb"]), st.integers(1, 7)), max_size=20), st.data())
def test_no_line_of_another_step_comes_into_the_middle_of_a_character(pieces, data):
    shown, logs = Shown(), {"a": "é€😀x" * 40, "bb": "ü" * 80}
    left = {step: text.encode() for step, text in logs.items()}
    for step, size in pieces:
        shown.lines.add(step, left[step][:size])
        left[step] = left[step][size:]
        if data.draw(st.booleans()):
            shown.now += A_WHILE
            shown.lines.tick()
    for step in left:
        shown.lines.add(step, left[step] + b"\n")
    shown.lines.end()
    for step, text in logs.items():
        assert "".join(line.decode() for line in shown.of(step)) == text


def test_what_is_no_character_is_shown_as_it_is_and_so_is_half_of_one_at_the_end():
    shown = Shown()
    for piece in (b"bad \xff\xfe\xc3(", b"x" * MOST + b"\xe2\x82", b"\xac", b"\xf0\x9f"):
        shown.lines.add("a", piece)
    shown.lines.end()
    assert shown.of("a") == [b"bad \xff\xfe\xc3(" + b"x" * MOST + b"\xe2\x82\xac\xf0\x9f"]


@given(PIECES, st.data())
def test_nothing_is_lost_or_doubled_whenever_it_is_shown(pieces, data):
    shown = Shown()
    for step, piece in pieces:
        shown.lines.add(step, piece)
        if data.draw(st.booleans()):
            shown.now += A_WHILE
            shown.lines.tick()
    shown.lines.end()
    for step in ("a", "bb"):
        wrote = b"".join(piece for name, piece in pieces if name == step)
        assert b"".join(shown.of(step)) == wrote.replace(b"\r", b"").replace(b"\n", b"")


def test_what_has_no_end_for_a_while_is_shown_as_it_is_and_goes_on():
    shown = Shown()
    shown.lines.add("a", b"\r1%")
    shown.lines.tick()
    assert shown.data == b""
    shown.now = A_WHILE
    shown.lines.tick()
    assert shown.data == b"a  | 1%"
    shown.lines.add("a", b".")
    assert shown.data == b"a  | 1%."
    shown.lines.add("bb", b"x\n")
    assert shown.data == b"a  | 1%.\nbb | x\n"
    shown.lines.add("a", b" of 9\r")
    shown.lines.add("a", b"\nnext")
    shown.lines.end()
    assert shown.data == b"a  | 1%.\nbb | x\na  |  of 9\na  | next\n"


def test_what_never_ends_is_not_kept():
    shown = Shown()
    shown.lines.add("a", b"x" * MOST)
    assert shown.data == b""
    shown.lines.add("a", b"y")
    assert shown.data == b"a  | " + b"x" * MOST + b"y"


def test_a_bar_is_seen_while_it_moves(project, cli):
    (project / "bar.yaml").write_text(BAR)
    one = cli("submit", "bar.yaml", "-p", f"seen={project / 'seen'}", "-q").ok().out.strip()
    with subprocess.Popen([*PENSTOCK, "run", "logs", one, "--follow"], cwd=project, stdout=subprocess.PIPE) as follower:
        found = b""
        while found != b"train | 1%":  # who never shows it makes the test wait until it is ended
            byte = follower.stdout.read(1)
            assert byte, found
            found += byte
        (project / "seen.1").touch()
        rest = follower.stdout.read()
    assert follower.returncode == 0
    assert {b"train | 2%", b"other | done"} <= set(rest.splitlines())


CUT = """\
apiVersion: penstock/v1
kind: Pipeline
name: cut
parameters: {seen: {type: string}}
steps:
  long: {command: [sh, -c, 'echo first, and long; until [ -e "$0.1" ]; do sleep 0.1; done; LOSE; echo last', "${{ parameters.seen }}"]}
  other: {command: [sh, -c, 'echo other']}
"""  # noqa: E501  # a command is one line


@pytest.mark.sampled(1)
@pytest.mark.parametrize("form", ["--json", "--timestamps", "--"])
@pytest.mark.parametrize("lose", ["echo x > /dev/stderr", "rm $(readlink /proc/$$/fd/1)"], ids=["cut", "removed"])
def test_who_follows_is_warned_of_what_is_lost(project, cli, monkeypatch, form, lose):
    (project / "cut.yaml").write_text(CUT.replace("LOSE", lose))
    one = cli("submit", "cut.yaml", "-p", f"seen={project / 'seen'}", "-q").ok().out.strip()
    go, real = project / "seen.1", LogParts.look

    def look(parts):
        piece = real(parts)
        if piece is not None and b"first" in piece.data:
            go.touch()
        return piece

    monkeypatch.setattr(LogParts, "look", look)
    late = threading.Timer(10, go.touch)  # for who never reads it
    late.start()
    try:
        said = cli("run", "logs", one, "--follow", form).ok()
    finally:
        late.cancel()
    assert said.err == "warning: the log of step `long` was cut or removed while it was read\n"
    shown = said.json["steps"]["long"] if form == "--json" else said.out
    assert ("is not there any more" if "rm" in lose else "last") in shown


@pytest.fixture
def printed(monkeypatch):
    """What standard output of an encoding gets."""

    def into(encoding: str, call) -> bytes:
        raw = io.BytesIO()
        stream = io.TextIOWrapper(raw, encoding=encoding, write_through=True)
        with monkeypatch.context() as patch:
            patch.setattr(output_module.sys, "stdout", stream)
            call(Output(json=True))
            stream.flush()
        return raw.getvalue()

    return into


TEXTS = st.text(
    st.characters(codec="utf-8") | st.sampled_from("\x7f\x85\x9b\u061c\u200f\u2028\u202e\u2066é\ufeff\U0001f600")
)
ENCODINGS = ("ascii", "latin-1", "cp1252", "utf-8", "UTF8", "koi8-r")


@pytest.mark.sampled(2)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_json_is_whole_and_harmless_in_every_locale(printed, encoding):
    @given(TEXTS)
    def holds(text):
        for call in (lambda output: output.document({text: text}), lambda output: output.line({text: text}, "")):
            data = printed(encoding, call)
            assert json.loads(data.decode(encoding)) == {text: text}
            assert encoding.lower().startswith("utf") or data.isascii()
            kinds = {unicodedata.category(char) for char in data.decode(encoding)} - {"Cn", "Co"}
            assert not any(0x7F <= ord(char) <= 0x9F for char in data.decode(encoding))
            assert not {unicodedata.bidirectional(char) for char in data.decode(encoding)} & {
                *("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
            }
            assert not kinds & {"Zl", "Zp"}

    holds()


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(logs=st.lists(st.tuples(st.sampled_from("abc"), st.lists(st.binary(max_size=5), max_size=4)), max_size=3))
def test_streamed_logs_are_the_same_document(encoding, logs):
    by_step = dict(logs)
    parts = [LogPart(step=name, data=piece) for name, pieces in by_step.items() for piece in pieces]
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, write_through=True)
    kept, sys.stdout = sys.stdout, stream
    try:
        show_as_json(Output(json=True), "é", ["a", "z"], parts)
        stream.flush()
    finally:
        sys.stdout = kept
    wanted = {name: b"".join(pieces).decode(errors="replace") for name, pieces in by_step.items() if pieces}
    document = json.loads(raw.getvalue().decode(encoding))
    assert document == {"id": "é", "steps": {"a": "", "z": "", **wanted}}


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_an_error_is_json_in_every_locale(project: Path, encoding):
    name = "é\u202e☃"
    done = subprocess.run(
        [*PENSTOCK, "--json", "endpoint", "show", name],
        cwd=project,
        capture_output=True,
        env={**output_module.os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "LC_ALL": "C.UTF-8"},
        check=False,
    )
    assert "error" in json.loads(done.stdout.decode(encoding))
    assert b"\xe2\x80\xae" not in done.stdout
