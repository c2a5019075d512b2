"""The launcher in real shells: what reaches a program, what becomes of what it wrote, and how it ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import pytest
from attrs import frozen
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penstock.launcher.archives import write_portable
from penstock.launcher.reports import AttemptReport
from penstock.launcher.wire import MARKER, NOTHING, encode_value
from penstock.snapshot import take
from penstock.spec import Defaults, Parameter, Pipeline, Step
from penstock.spec.values import MAX_TEXT
from penstock.testing.probes import expected as probed
from penstock.testing.probes import probe
from penstock.testing.strategies.runnable import FOLDER, SHEET, TRAVELLING, lay_out
from penstock.testing.strategies.text import HOSTILE, hostile_text, literal
from penstock_vertex import launcher
from penstock_vertex.compile import compile_pipeline
from penstock_vertex.staging import code_object
from penstock_vertex.wire import REFERENCE

TELL = """
import json, os, sys
with open(sys.argv[1], "w") as file:
    json.dump([*map(os.fsencode, sys.argv[2:]), os.environb[b"SAID"], os.environb[b"X"]], file, default=list)
"""


@pytest.fixture
def container(containers, tmp_path):
    """Makes the container of a step."""
    return lambda step, parameters=None: containers.contained(step, tmp_path, parameters)


@pytest.fixture(scope="session")
def program(containers):
    """Makes a step that runs a Python program."""
    return containers.program


def test_no_expander_finds_anything_in_the_launcher(containers):
    text = launcher.text()
    assert containers.kubernetes(text) == text and containers.filled(text, {}) == text
    assert "$(" not in text and "$$" not in text and "{{" not in text


@frozen
class Large:
    """As much of something as a value may be, and more, with a short `repr`."""

    part: str
    more: int = 0

    def __str__(self) -> str:
        return self.part * (MAX_TEXT // len(self.part.encode()) + self.more)


HARMFUL = [
    "$(X)",
    "$$(X)",
    "$$",
    "{{$.inputs.parameters['p_a']}}",
    "{{$}}",
    MARKER,
    f"{MARKER}eA==",
    f"{REFERENCE}acme/p/x",
    "=x",
    "end",
    "arg",
]
LARGE = st.sampled_from(["é", "\n", "'\"\\$"]).map(Large)
texts = st.one_of(hostile_text(), st.sampled_from(HARMFUL))


@settings(max_examples=15)
@given(three=st.tuples(texts | LARGE, texts, texts))
@example(three=("".join(map(chr, range(1, 0x180))), "".join(map(chr, range(0x2000, 0x2100))), "\U0001f600"))
@example(three=("".join(HOSTILE), Large("\n"), ""))
def test_every_text_reaches_the_program_as_it_is(containers, program, path, three):
    first, second, third = map(str, three)
    around = f"{literal(third)} ${{{{ parameters.a }}}}{literal(second)}"
    command = ["${{ outputs.said }}", "${{ parameters.a }}", literal(second), around, ""]
    step = program(TELL, *command, outputs={"said": "file"}, env={"SAID": f"${{{{ parameters.a }}}}{literal(third)}"})
    with tempfile.TemporaryDirectory() as folder:
        one = containers.contained(step, Path(folder), {"a": Parameter("string")})
        assert one.run(path, values={"p_a": encode_value(first)}) == (0, "")
        said = [bytes(word).decode() for word in json.loads((one.made / "content" / "said").read_text())]
        assert list(one.scratch.iterdir()) == []
    assert said == [first, second, f"{third} {first}{second}", "", first + third, "expanded"]


def test_a_long_text_is_read_from_where_it_lies(container, path, program):
    step = program(TELL, "${{ outputs.said }}", "${{ parameters.a }}", outputs={"said": "file"}, env={"SAID": "x"})
    one = container(step, {"a": Parameter("string")})
    text = "\u00e9$(X)\n" * 9_000 + "\n\n"
    (one.gcs / "acme" / "p" / "values").mkdir()
    (one.gcs / "acme" / "p" / "values" / "it").write_bytes(text.encode())
    assert one.run(path, values={"p_a": f"{REFERENCE}acme/p/values/it"}) == (0, "")
    assert bytes(json.loads((one.made / "content" / "said").read_text())[0]).decode() == text
    status, _ = one.run(path, values={"p_a": f"{REFERENCE}acme/p/values/none"})
    assert (status, one.report().code) == (70, "step_not_started")
    assert "may the service account read it" in one.report().message


def test_a_parameter_without_a_value_leaves_nothing(container, path, program):
    code = "import json, os, sys; json.dump([sys.argv[2:], sorted(n for n in os.environ if n[0] == 'P')], "
    mark, inside = "${{ parameters.a }}", "${{ inputs.t }}"
    words = ["--flag", "--a", mark, f"--a={mark}", f"-a{mark}", f"a={mark}", "--", mark, f"<{mark}>", "--t", inside]
    step = program(
        code + "open(sys.argv[1], 'w'))",
        *("${{ outputs.it }}", *words, f"x{inside}", "--b", "${{ parameters.b }}", "last"),
        outputs={"it": "file"},
        inputs={"t": "${{ parameters.t }}"},
        env={"PA": mark, "PB": "${{ parameters.b }}", "PC": f"x{mark}", "PT": inside},
    )
    declared = {"a": Parameter("integer", default=None), "t": Parameter("file", default=None)}
    one = container(step, {**declared, "b": Parameter("string", default=None)})

    def said(**values):
        assert one.run(path, values=values) == (0, "")
        arguments, variables = json.loads((one.made / "content" / "it").read_text())
        return arguments, [name for name in variables if len(name) == 2]

    assert said(p_a=NOTHING, in_t=NOTHING, p_b=encode_value("")) == (
        ["--flag", "--", "<>", "x", "--b", "", "last"],
        ["PB", "PC"],
    )
    (one.gcs / "acme" / "p" / "t.csv").write_text("1")
    file = str(one.gcs / "acme/p/t.csv")
    assert said(p_a="3", in_t="gs://acme/p/t.csv", p_b=encode_value(NOTHING)) == (
        [
            "--flag",
            "--a",
            "3",
            "--a=3",
            "-a3",
            "a=3",
            "--",
            "3",
            "<3>",
            "--t",
            file,
            f"x{file}",
            "--b",
            NOTHING,
            "last",
        ],
        ["PA", "PB", "PC", "PT"],
    )


def test_no_variable_of_a_step_is_one_of_the_launcher(container, path, program):
    names = ["_base", "_env", "_sh", "_run", "_word", "_text", "_child", "_env_A", "A", "PATH", "TMPDIR", "IFS"]
    names += ["a-b", "ü", "1", "A B", "-i"]
    code = "import json, os, sys; json.dump({n: os.environ[n] for n in sys.argv[2:]}, open(sys.argv[1], 'w'))"
    step = program(code, "${{ outputs.it }}", *names, outputs={"it": "file"}, env={n: f"of {n}" for n in names})
    one = container(step)
    assert one.run(path) == (0, "")
    assert json.loads((one.made / "content" / "it").read_text()) == {name: f"of {name}" for name in names}


def test_a_program_that_fails_gives_its_exit_code_and_nothing_more(container, path, program):
    for code, status, said in (
        ("sys.exit(3)", 3, "exited with code 3"),
        ("os.kill(os.getpid(), 9)", 137, "exited with code 137"),
    ):
        one = container(program(f"import os, sys; print('mine', flush=True); {code}"))
        assert one.run(path) == (status, "mine\n")
        assert one.report() == AttemptReport(code="step_failed", message=said, exit_code=status)
    assert len(one.reports()) == 2
    assert list(one.scratch.iterdir()) == []


def test_a_program_that_cannot_be_started_is_told_apart(container, path, program):
    for name in ("./there is none", "there=is none", "none"):
        one = container(Step(command=[name, "x"], env={"PATH": "/nowhere:"}))
        status, log = one.run(path)
        assert status == 127 and name in log
        assert one.report() == AttemptReport(code="step_not_started", message=f"could not start `{name}`")
    one = container(program("import sys; sys.exit(127)"))
    assert one.run(path) == (127, "")
    assert one.report().code == "step_failed"


def test_a_program_may_have_any_name(container, path, tmp_path):
    for name in ("a=b", "-a", "a b"):
        (tmp_path / name).write_text(f"#!{sys.executable} -S\nimport sys; sys.exit(7)")
        (tmp_path / name).chmod(0o700)
        one = container(
            Step(command=["${{ parameters.name }}"], env={"PATH": str(tmp_path)}), {"name": Parameter("string")}
        )
        assert one.run(path, values={"p_name": name}) == (7, "")


def test_content_is_copied_to_where_it_belongs_over_what_an_attempt_before_left(container, path, program):
    code = "import os, sys; os.makedirs(sys.argv[1] + '/a b/.c'); open(sys.argv[1] + '/a b/é', 'w').write('x')"
    one = container(program(code, "${{ outputs.it }}", outputs={"it": "directory"}))
    left = one.made / "content" / "it" / "left"
    left.mkdir(parents=True)
    assert one.run(path) == (0, "")
    found = one.made / "content" / "it"
    assert sorted(str(each.relative_to(found)) for each in found.rglob("*")) == ["a b", "a b/.c", "a b/é"]
    assert (found / "a b" / "é").read_text() == "x"


def test_inputs_are_local_paths_wherever_they_come_from(containers, path, tmp_path):
    lay_out(tmp_path)
    (tmp_path / "src").mkdir()
    shutil.copy(probe.__file__, tmp_path / "src" / "probe.py")
    words = ["digest", "${{ inputs.sheet }}", "${{ outputs.a }}", "digest", "${{ inputs.folder }}", "${{ outputs.b }}"]
    words += ["digest", "${{ inputs.made }}", "${{ outputs.c }}", "args", "${{ outputs.d }}"]
    parameters = {"sheet": Parameter("file", default=SHEET), "folder": Parameter("directory", default=FOLDER)}
    step = Step(
        command=[sys.executable, "-S", "probe.py", *words, "--", "${{ inputs.sheet }}", "${{ inputs.made }}"],
        inputs={name: f"${{{{ parameters.{name} }}}}" for name in parameters}
        | {"made": "${{ steps.first.outputs.made }}"},
        outputs={"a": "string", "b": "string", "c": "string", "d": "file"},
    )
    first = Step(command=["true"], outputs={"made": "file"})
    pipeline = Pipeline(
        name="two", parameters=parameters, defaults=Defaults(code="./src"), steps={"first": first, "then": step}
    )
    snapshot = take(pipeline, tmp_path, tmp_path / "store")
    document = compile_pipeline(containers.OPTIONS, snapshot)
    one = containers.Container(document, "then", tmp_path)
    for archive in snapshot.archives.values():
        with (one.gcs / "acme" / "p" / code_object(archive.digest)).open("wb") as file:
            write_portable(archive, file)
    made = tmp_path / "made before"
    made.write_bytes(b"made")
    defaults = json.loads(document)["spec"]["root"]["inputDefinitions"]["parameters"]
    bundled = {f"in_{name}": defaults[name]["defaultValue"] for name in parameters}
    assert one.run(path, values=bundled, artifacts={"in_made": made}) == (0, "")
    digests = [probed.digest_of(content) for content in (TRAVELLING[SHEET], TRAVELLING[FOLDER], b"made")]
    assert [one.value(name) for name in "abc"] == digests
    assert [Path(word).name for word in json.loads((one.made / "content" / "d").read_text())] == [
        "sheet.bin",
        "made before",
    ]

    shutil.copytree(tmp_path / "data", one.gcs / "other" / "data")
    uris = {"in_sheet": "gs://other/data/sheet.bin", "in_folder": "gs://other/data/folder"}
    assert one.run(path, values=uris, artifacts={"in_made": made}) == (0, "")
    assert [one.value(name) for name in "abc"] == digests

    status, log = one.run(path, values={**uris, "in_sheet": "gs://other/none"}, artifacts={"in_made": made})
    assert (status, log) == (70, "")
    assert one.report() == AttemptReport(code="step_not_started", message="there is nothing to read at gs://other/none")


def test_code_that_cannot_be_read_is_said(containers, path, tmp_path):
    (tmp_path / "src").mkdir()
    pipeline = Pipeline(name="one", defaults=Defaults(code="./src"), steps={"one": Step(command=["true"])})
    one = containers.Container(
        compile_pipeline(containers.OPTIONS, take(pipeline, tmp_path, tmp_path / "store")), "one", tmp_path
    )
    assert one.run(path) == (70, "")
    assert one.report().message.startswith(f"cannot read {one.gcs}/acme/p/code/")
    archive = next((tmp_path / "store").glob("*.tar"))
    (one.gcs / "acme" / "p" / "code" / archive.name).write_bytes(b"no archive" * 100)
    assert one.run(path) == (70, "")
    assert one.report().message.startswith(f"cannot unpack {one.gcs}/acme/p/code/")


def test_without_a_bucket_to_report_to_the_log_says_it(container, path, program):
    one = container(program("", outputs={"it": "file"}))
    shutil.rmtree(one.gcs)
    assert one.run(path) == (1, "penstock: the output `it` was not written\n")
    assert not one.gcs.exists()


WAITING = """
import os, signal, sys, time
def end(number, frame):
    deaf = signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    os.write(1, b"told and deaf" if deaf else b"told")
    sys.exit(5)
signal.signal(signal.SIGTERM, end)
os.write(1, b"up\\n")
time.sleep(60)
"""


def test_the_end_of_the_container_is_passed_on(container, path, program):
    one = container(program(WAITING))
    process = one.start(path)
    assert process.stdout.readline() == b"up\n"
    process.send_signal(signal.SIGTERM)
    log, _ = process.communicate(timeout=30)
    assert (process.returncode, log[:4]) == (143, b"told")
    assert one.report() == AttemptReport(message="it was canceled", exit_code=5)
    assert list(one.scratch.iterdir()) == []


def test_a_program_is_not_deaf_to_interrupts_where_the_image_can_help_it(container, containers, tmp_path, program):
    one = container(program(WAITING))
    process = one.start(containers.image(tmp_path / "bin", "dash", python=True))
    assert process.stdout.readline() == b"up\n"
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=30)[0] == b"told"


def test_a_program_that_takes_too_long_is_ended(container, path, program):
    one = container(program(WAITING, timeout=0.5))
    assert one.run(path)[0] == 5
    assert one.report() == AttemptReport(code="step_timeout", message="took longer than 0.5 s", exit_code=5)
    quick = container(program("", timeout=600))
    assert quick.run(path) == (0, "")
    deadline = time.monotonic() + 20
    while quick.processes() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert quick.processes() == []


def test_nothing_waits_for_a_program_that_ended_at_once(containers, path, tmp_path):
    one = containers.contained(Step(command=["true"], timeout=600), tmp_path)
    for _ in range(40):  # it is told before it can hear, and while what it starts has no number yet
        assert one.run(path) == (0, "")
    deadline = time.monotonic() + 20
    while (left := one.processes()) and time.monotonic() < deadline:
        time.sleep(0.01)
    for process in left:
        os.kill(int(process), signal.SIGKILL)
    assert left == []


def test_what_lacks_base64_decodes_with_python(containers, tmp_path, program):
    tools = [tool for tool in containers.TOOLS if tool != "base64"]
    python = containers.image(tmp_path / "with", "dash", python=False, tools=tools)
    (tmp_path / "with" / "python3").symlink_to(sys.executable)
    step = program(TELL, "${{ outputs.said }}", literal("$(X)\n"), outputs={"said": "file"}, env={"SAID": "$"})
    one = containers.contained(step, tmp_path)
    assert one.run(python) == (0, "")
    assert bytes(json.loads((one.made / "content" / "said").read_text())[0]) == b"$(X)\n"
    neither = containers.image(tmp_path / "without", "dash", python=False, tools=tools)
    assert one.run(neither) == (70, "")
    assert one.report().message == "the image has neither base64 nor Python to decode a value with"
