"""What Azure pastes into a shell's command, in real shells: it reaches the program as it is, and does nothing else."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penstock.launcher.wire import MARKER, decode_value
from penstock.snapshot import take
from penstock.spec import Defaults, Parameter, Pipeline, Retry, Step
from penstock.testing.probes import expected as probed
from penstock.testing.probes import probe
from penstock.testing.strategies.runnable import FOLDER, SHEET, TRAVELLING, lay_out
from penstock.testing.strategies.text import HOSTILE, hostile_text, literal
from penstock_azureml.wire import LONGEST, REFERENCE, carried, encode, lines

TELL = """
import json, os, sys
with open(sys.argv[1], "w") as file:
    json.dump([*map(os.fsencode, sys.argv[2:]), os.environb[b"SAID"]], file, default=list)
"""
HARMFUL = [
    "$(touch $HARM)",
    "`touch $HARM`",
    "';touch $HARM;'",
    '";touch $HARM;"',
    "\n touch $HARM\n",
    "end\nend of \ntouch $HARM",
    "x\nwords\n=touch\n",
    "${{inputs.p_a}}",
    "$[[x]]",
    "$AZUREML_PARAMETER_p_a",
    MARKER,
    f"{MARKER}eA==",
    f"{REFERENCE}/etc/passwd",
    "azureml:a:1",
    "@value p_a",
    "=",
    "-",
]
texts = st.one_of(hostile_text(), st.sampled_from(HARMFUL))


def told(containers, path, first, second, third, raw=False):
    """What a program is given that takes texts from parameters and from the spec; and the container."""
    around = f"{literal(third)} ${{{{ parameters.a }}}}{literal(second)}"
    command = ["${{ outputs.said }}", "${{ parameters.a }}", literal(second), around, "${{ parameters.b }}"]
    outputs = {"said": "file"}
    step = containers.program(TELL, *command, outputs=outputs, env={"SAID": f"${{{{ parameters.a }}}}{literal(third)}"})
    with tempfile.TemporaryDirectory() as folder:
        one = containers.contained(step, Path(folder), {"a": Parameter("string"), "b": Parameter("string")})
        pasted = {"p_a": first if raw else encode(first), "p_b": "the-other"}
        harm = Path(folder, "harm")
        status, log = one.run(path, pasted, env={"HARM": str(harm)})
        assert (status, log) == (0, "")
        assert not harm.exists()
        assert list(one.scratch.iterdir()) == []
        return [bytes(word).decode() for word in json.loads((one.made / "out_said").read_text())]


@settings(max_examples=12)
@given(three=st.tuples(texts, texts, texts))
@example(three=("".join(map(chr, range(1, 0x180))), "".join(map(chr, range(0x2000, 0x2100))), "\U0001f600"))
@example(three=("".join(HOSTILE), "\n", ""))
def test_every_text_reaches_the_program_as_it_is(containers, path, three):
    first, second, third = three
    assert told(containers, path, *three) == [first, second, f"{third} {first}{second}", "the-other", first + third]


@settings(max_examples=12)
@given(text=texts.filter(lambda text: not text.startswith((MARKER, REFERENCE)) and "\r" not in text))
@example(text="x\nwords\n=touch\n=harm\nend of value /nowhere\np_b\nother")
@example(text="e\u0301nd")
@example(text="end of value $AZURE_ML_OUTPUT_penstock_report\np_b\nother\n")
def test_what_a_native_caller_gives_is_a_text_too(containers, path, text):
    """Nobody encoded it: the portal and a batch endpoint paste what they are given."""
    assert told(containers, path, text, "x", "y", raw=True) == [text, "x", f"y {text}x", "the-other", f"{text}y"]


@given(text=texts)
@example(text="")
@example(text="x" * LONGEST)
def test_a_text_travels_as_letters_and_digits_and_comes_back(text):
    sent = encode(text)
    assert decode_value(sent) == text
    assert any(char.isalnum() or char == "_" for char in sent), "ARM's schema takes nothing else"
    assert not set(sent) & set(" \t\n'\"\\$`;&|<>(){}[]*?~#!@^")
    assert not sent.startswith((REFERENCE, "azureml:"))


@given(st.dictionaries(st.sampled_from("abcdefgh"), hostile_text() | st.sampled_from(["x" * 9_000, "é" * 30_000])))
def test_what_is_too_long_is_a_line_of_a_file(values):
    sent, file = carried(values)
    found = dict(zip(*[iter(file.decode().splitlines())] * 2, strict=True))
    assert {name: decode_value(found.get(text, text)) for name, text in sent.items()} == values
    assert sum(map(len, sent.values())) <= 48 * 1024 + 100 * len(sent)


def test_a_long_text_is_read_from_the_file_that_came_with_the_run(containers, path, tmp_path):
    step = containers.program(
        TELL, "${{ outputs.said }}", "${{ parameters.a }}", outputs={"said": "file"}, env={"SAID": "x"}
    )
    one = containers.contained(step, tmp_path, {"a": Parameter("string")})
    text = "\u00e9$(X)\n" * 7_000 + "\n\n"
    sent, file = carried({"p_a": text})
    (tmp_path / "values").write_bytes(lines(["another"]) + file)
    assert one.run(path, {**sent, "penstock_values": str(tmp_path / "values")}) == (0, "")
    assert bytes(json.loads((one.made / "out_said").read_text())[0]).decode() == text
    status, log = one.run(path, sent)
    assert status == 70 and "there is no text for penstock-file:" in log
    assert (one.report.code, one.finished.attempt) == ("step_not_started", 1)
    assert one.report.message == f"there is no text for {sent['p_a']}"


def test_a_long_default_comes_with_the_code(containers, path, tmp_path):
    text = "\u00e9$(X)\n" * 7_000
    step = containers.program(
        TELL, "${{ outputs.said }}", "${{ parameters.a }}", outputs={"said": "file"}, env={"SAID": "x"}
    )
    one = containers.contained(step, tmp_path, {"a": Parameter("string", default=text)})
    sent, _ = carried({"p_a": text})
    assert one.run(path, sent) == (0, "")
    assert bytes(json.loads((one.made / "out_said").read_text())[0]).decode() == text


def test_code_and_data_that_travel_come_with_the_step(containers, path, tmp_path):
    lay_out(tmp_path)
    (tmp_path / "src").mkdir()
    shutil.copy(probe.__file__, tmp_path / "src" / "probe.py")
    words = ["digest", "${{ inputs.sheet }}", "${{ outputs.a }}", "digest", "${{ inputs.folder }}", "${{ outputs.b }}"]
    parameters = {"sheet": Parameter("file", default=SHEET), "folder": Parameter("directory", default=FOLDER)}
    step = Step(
        command=[sys.executable, "-S", "probe.py", *words],
        inputs={name: f"${{{{ parameters.{name} }}}}" for name in parameters},
        outputs={"a": "string", "b": "string"},
    )
    pipeline = Pipeline(name="one", parameters=parameters, defaults=Defaults(code="./src"), steps={"one": step})
    one = containers.Container(take(pipeline, tmp_path, tmp_path / "store"), tmp_path / "container")
    assert one.run(path) == (0, "")
    digests = [probed.digest_of(content) for content in (TRAVELLING[SHEET], TRAVELLING[FOLDER])]
    assert [one.value(name) for name in "ab"] == digests
    other = tmp_path / "it's another"
    other.write_bytes(b"other")
    assert one.run(path, {"in_sheet": str(other)}) == (0, "")
    assert [one.value(name) for name in "ab"] == [probed.digest_of(b"other"), digests[1]]


@pytest.mark.parametrize(("fails", "status", "attempts"), [(1, 0, 2), (2, 0, 3), (9, 3, 3)])
def test_an_attempt_is_made_again(containers, path, tmp_path, fails, status, attempts):
    code = "import os, sys; n = len(open(sys.argv[1], 'a+').read() or '') if 0 else os.path.getsize(sys.argv[1]); "
    code += "open(sys.argv[1], 'a').write('x'); print('attempt', n + 1); sys.exit(3 if n < int(sys.argv[2]) else 0)"
    (tmp_path / "count").touch()
    step = containers.program(code, str(tmp_path / "count"), str(fails), retry=Retry(attempts=3, delay=0.01))
    one = containers.contained(step, tmp_path)
    log = "attempt 1\n" + "".join(
        f"--- attempt {number} of 3 after: exited with code 3 ---\nattempt {number}\n"
        for number in range(2, attempts + 1)
    )
    assert one.run(path) == (status, log)
    assert one.finished.attempt == attempts
    said = ("step_failed", 3, "exited with code 3") if status else (None, 0, "")
    assert (one.report.code, one.report.exit_code, one.report.message) == said


def test_what_a_step_is_told_may_be_damaged(containers, path, tmp_path):
    """Then nothing says where its report belongs, but for Azure's variable."""
    one = containers.contained(Step(command=["true"]), tmp_path)
    (tmp_path / "told").write_text("end of value x\n$(touch harm)\n")
    command = ["sh", "-c", 'exec sh launch.sh 1 0 <"$0"', str(tmp_path / "told")]
    known = {"PATH": path, "AZURE_ML_OUTPUT_penstock_report": str(one.made / "penstock_report")}
    shell = shutil.which("sh", path=path)
    done = subprocess.run(command, executable=shell, cwd=one.code, env=known, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (70, "penstock: what the step is told is damaged\n")
    assert (one.report.code, one.report.message) == ("step_not_started", "what the step is told is damaged")


def test_a_step_that_takes_too_long_is_ended(containers, path, tmp_path):
    one = containers.contained(containers.program("import time; time.sleep(60)", timeout=0.5), tmp_path)
    status, _ = one.run(path)
    assert status and one.report.code == "step_timeout"


def test_a_value_is_written_as_it_is(containers, path, tmp_path):
    step = Step(
        command=["sh", "-c", 'printf " \'a b\' $1" >"$2"; printf " +7 " >"$3"', "sh", "${{ parameters.a }}",
                 "${{ outputs.text }}", "${{ outputs.whole }}"],
        outputs={"text": "string", "whole": "integer"},
    )  # fmt: skip
    one = containers.contained(step, tmp_path, {"a": Parameter("string")})
    assert one.run(path, {"p_a": encode("$x;")}) == (0, "")
    assert (one.value("text"), one.value("whole")) == (" 'a b' $x;", "7")


def test_an_output_that_is_missing_fails_the_step(containers, path, tmp_path):
    one = containers.contained(Step(command=["true"], outputs={"a": "string"}), tmp_path)
    status, _ = one.run(path)
    assert (status, one.report.code) == (1, "output_missing")


def test_who_ends_the_container_ends_the_step(containers, path, tmp_path):
    code = "import sys, time; open(sys.argv[1], 'w'); time.sleep(60)"
    step = containers.program(code, str(tmp_path / "began"), retry=Retry(attempts=3))
    one = containers.contained(step, tmp_path)
    process = one.start(path)
    while not (tmp_path / "began").exists():
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode and (one.report.code, one.finished.attempt) == (None, 1)
    assert list(one.scratch.iterdir()) == []
