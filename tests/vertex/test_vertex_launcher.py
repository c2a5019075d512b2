"""The launcher in real shells: what reaches a program, what becomes of what it wrote, and how it ends."""

from __future__ import annotations

import base64
import json
import shutil
import signal
import sys
import tempfile
import time
import zlib
from pathlib import Path

import pytest
from attrs import frozen
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penstock.snapshot import Snapshot, take
from penstock.spec import Defaults, Parameter, Pipeline, Step
from penstock.spec.values import MAX_TEXT, ValueInvalid, read_output
from penstock.testing.probes import expected as probed
from penstock.testing.probes import probe
from penstock.testing.probes.pipelines import VALUE_TYPES
from penstock.testing.strategies.runnable import FOLDER, SHEET, TRAVELLING, lay_out
from penstock.testing.strategies.text import HOSTILE, hostile_text, literal
from penstock_vertex import launcher, launcher_outputs
from penstock_vertex.archives import write_portable
from penstock_vertex.compile import compile_pipeline
from penstock_vertex.options import VertexOptions
from penstock_vertex.reports import AttemptReport, read_report
from penstock_vertex.staging import code_object
from penstock_vertex.wire import MARKER, decode_value, encode_value

OPTIONS = VertexOptions(project="acme", staging="gs://acme/p")
TELL = """
import json, os, sys
with open(sys.argv[1], "w") as file:
    json.dump([*map(os.fsencode, sys.argv[2:]), os.environb[b"SAID"], os.environb[b"X"]], file, default=list)
"""
IMAGES = {
    "dash": ("dash", None),
    "bash": ("bash", None),
    "busybox": ("busybox", None),
    "dash without Python": ("dash", ...),
    "busybox alone": ("busybox", ()),
}


@pytest.fixture(scope="module")
def containers(importing):
    return importing(Path(__file__).with_name("containers.py"))


@pytest.fixture(scope="module", params=IMAGES)
def path(request, containers, tmp_path_factory):
    """The PATH of an image."""
    shell, tools = IMAGES[request.param]
    folder = tmp_path_factory.mktemp("image") / "bin"
    found = containers.image(folder, shell, containers.TOOLS if tools is ... else tools)
    return found or pytest.skip(f"{request.param}: not installed here")


@pytest.fixture
def container(containers, tmp_path):
    """Makes the container of a step."""
    return lambda step, parameters=None: contained(containers, step, parameters or {}, tmp_path)


def contained(containers, step, parameters, folder):
    pipeline = Pipeline(name="one", parameters=parameters, steps={"one": step})
    snapshot = Snapshot(pipeline=pipeline, archives={}, digest="", canonical="")
    return containers.Container(compile_pipeline(OPTIONS, snapshot), "one", folder)


def program(code: str, *arguments: str, **more) -> Step:
    return Step(command=[sys.executable, "-S", "-c", literal(code), *arguments], **more)


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
def test_every_text_reaches_the_program_as_it_is(containers, path, three):
    first, second, third = map(str, three)
    around = f"{literal(third)} ${{{{ parameters.a }}}}{literal(second)}"
    command = ["${{ outputs.said }}", "${{ parameters.a }}", literal(second), around, ""]
    step = program(TELL, *command, outputs={"said": "file"}, env={"SAID": f"${{{{ parameters.a }}}}{literal(third)}"})
    with tempfile.TemporaryDirectory() as folder:
        one = contained(containers, step, {"a": Parameter("string")}, Path(folder))
        assert one.run(path, values={"p_a": encode_value(first)}) == (0, "")
        said = [bytes(word).decode() for word in json.loads((one.made / "content" / "said").read_text())]
        assert list(one.scratch.iterdir()) == []
    assert said == [first, second, f"{third} {first}{second}", "", first + third, "expanded"]


def test_no_variable_of_a_step_is_one_of_the_launcher(container, path):
    names = ["_base", "_env", "_sh", "_run", "_word", "_text", "_child", "_env_A", "A", "PATH", "TMPDIR", "IFS"]
    names += ["a-b", "ü", "1", "A B", "-i"]
    code = "import json, os, sys; json.dump({n: os.environ[n] for n in sys.argv[2:]}, open(sys.argv[1], 'w'))"
    step = program(code, "${{ outputs.it }}", *names, outputs={"it": "file"}, env={n: f"of {n}" for n in names})
    one = container(step)
    assert one.run(path) == (0, "")
    assert json.loads((one.made / "content" / "it").read_text()) == {name: f"of {name}" for name in names}


def report(container) -> AttemptReport:
    return read_report(container.reports()[-1])


WRITE = "import base64, sys, zlib; open(sys.argv[1], 'wb').write(zlib.decompress(base64.b64decode(sys.argv[2])))"


def written(containers, path, folder, type_: str, data: bytes) -> tuple[str | None, str]:
    """What is handed on of an output, decoded, or None, and what is said of it."""
    step = program(WRITE, "${{ outputs.it }}", "${{ parameters.data }}", outputs={"it": type_})
    one = contained(containers, step, {"data": Parameter("string")}, Path(folder))
    status, log = one.run(path, values={"p_data": base64.b64encode(zlib.compress(data)).decode()})
    found = report(one)
    assert log == ""
    assert (status, found.code) in ((0, ""), (1, "output_invalid"))
    return decode_value(one.value("it")) if status == 0 else None, found.message


spellings = st.one_of(
    st.sampled_from(
        [b"true", b"True\n", b" FALSE ", b"yes", b"", b" ", b"-0", b"+0012\n", b"1.50", b".5", b"1.", b"."]
    ),
    st.sampled_from([b"-0.0", b"1e5", b"0.00001", b"nan", b"Infinity", b"1e999", b"00.00010", b"123456789012345.5"]),
    st.sampled_from(
        [b"[1, 1.0]", b'{"b": 1, "a": [null]}', b'"text"', b"[NaN]", b'["\\ud800"]', b'["\\u0000"]', b"[" * 101]
    ),
    st.sampled_from(
        [b"9" * 4300, b"9" * 4301, b"[" * 99 + b"]" * 99, b"a\0b", b"\xff", b"penstock-b64:", b"a\n", b"{{$}}"]
    ),
    st.integers().map(lambda number: str(number).encode()),
    st.floats().map(lambda number: repr(number).encode()),
    st.decimals(allow_nan=False, allow_infinity=False, places=5).map(lambda number: str(number).encode()),
    st.binary(max_size=20),
    hostile_text().map(str.encode),
    st.sampled_from([Large("\n"), Large("é"), Large("x", 1), Large("1")]),
)


def read(type_: str, data: bytes) -> str | None:
    """What penstock itself makes of an output."""
    try:
        if len(data) > 65_536:
            return None
        return read_output(type_, data)
    except ValueInvalid:
        return None


@settings(max_examples=400)
@given(type_=st.sampled_from(VALUE_TYPES), data=spellings)
def test_an_output_becomes_the_text_that_penstock_makes_of_it(tmp_path_factory, type_, data):
    data = str(data).encode() if isinstance(data, Large) else data
    folder = tmp_path_factory.getbasetemp()
    (folder / "from").write_bytes(data)
    try:
        launcher_outputs.main(["it", type_, str(folder / "from"), str(folder / "to")])
        made = decode_value((folder / "to").read_text())
    except SystemExit as error:
        assert str(error).startswith("the output `it`: ")
        made = None
    assert made == read(type_, data)


@settings(max_examples=20)
@given(type_=st.sampled_from(VALUE_TYPES), data=spellings)
@example(type_="string", data=bytes(range(1, 128)) + b"\n\n")
def test_an_output_is_the_same_from_every_image_or_refused(containers, path, type_, data):
    data = str(data).encode() if isinstance(data, Large) else data
    with tempfile.TemporaryDirectory() as folder:
        made, said = written(containers, path, folder, type_, data)
    wanted = read(type_, data)
    if made is None:
        assert wanted is None or "no Python" in said
    else:
        assert made == wanted


def test_a_program_that_fails_gives_its_exit_code_and_nothing_more(container, path):
    for code, status, said in (
        ("sys.exit(3)", 3, "exited with code 3"),
        ("os.kill(os.getpid(), 9)", 137, "exited with code 137"),
    ):
        one = container(program(f"import os, sys; print('mine', flush=True); {code}"))
        assert one.run(path) == (status, "mine\n")
        assert report(one) == AttemptReport(code="step_failed", message=said, exit_code=status)
    assert len(one.reports()) == 2
    assert list(one.scratch.iterdir()) == []


def test_a_program_that_cannot_be_started_is_told_apart(container, path):
    for name in ("./there is none", "there=is none", "none"):
        one = container(Step(command=[name, "x"], env={"PATH": "/nowhere:"}))
        status, log = one.run(path)
        assert status == 127 and name in log
        assert report(one) == AttemptReport(code="step_not_started", message=f"could not start `{name}`")
    one = container(program("import sys; sys.exit(127)"))
    assert one.run(path) == (127, "")
    assert report(one).code == "step_failed"


def test_a_program_may_have_any_name(container, path, tmp_path):
    for name in ("a=b", "-a", "a b"):
        (tmp_path / name).write_text(f"#!{sys.executable} -S\nimport sys; sys.exit(7)")
        (tmp_path / name).chmod(0o700)
        one = container(
            Step(command=["${{ parameters.name }}"], env={"PATH": str(tmp_path)}), {"name": Parameter("string")}
        )
        assert one.run(path, values={"p_name": name}) == (7, "")


WRONG = {
    "missing": ("file", "pass", "output_missing", "was not written"),
    "named otherwise": (
        "file",
        "open(path + '.npy', 'w')",
        "output_missing",
        "was not written; the step wrote `it.npy` beside",
    ),
    "a link": ("file", "os.symlink('/etc/passwd', path)", "output_invalid", "is a link; write the content itself"),
    "a broken link": (
        "string",
        "os.symlink('/nowhere', path)",
        "output_invalid",
        "is a link; write the content itself",
    ),
    "no folder": ("directory", "open(path, 'w')", "output_invalid", "is not a directory"),
    "no file": ("file", "os.mkdir(path)", "output_invalid", "is not a regular file"),
    "a pipe": ("integer", "os.mkfifo(path)", "output_invalid", "is not a regular file"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_an_output_that_is_not_what_was_declared_fails_the_step(container, path, wrong):
    type_, code, error, message = WRONG[wrong]
    outputs = {"it": type_, "fine": "string"}
    command = f"import os, sys; path = sys.argv[1]; open(sys.argv[2], 'w'); {code}"
    one = container(program(command, "${{ outputs.it }}", "${{ outputs.fine }}", outputs=outputs))
    assert one.run(path) == (1, "")
    found = report(one)
    assert (found.code, found.exit_code) == (error, 0)
    assert found.message.startswith(f"the output `it` {message}")


def test_content_is_copied_to_where_it_belongs_over_what_an_attempt_before_left(container, path):
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
    document = compile_pipeline(OPTIONS, snapshot)
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
    assert report(one) == AttemptReport(
        code="step_not_started", message=f"there is nothing to read at {one.gcs}/other/none"
    )


def test_code_that_cannot_be_read_is_said(containers, path, tmp_path):
    (tmp_path / "src").mkdir()
    pipeline = Pipeline(name="one", defaults=Defaults(code="./src"), steps={"one": Step(command=["true"])})
    one = containers.Container(compile_pipeline(OPTIONS, take(pipeline, tmp_path, tmp_path / "store")), "one", tmp_path)
    assert one.run(path) == (70, "")
    assert report(one).message.startswith(f"cannot read {one.gcs}/acme/p/code/")
    archive = next((tmp_path / "store").glob("*.tar"))
    (one.gcs / "acme" / "p" / "code" / archive.name).write_bytes(b"no archive" * 100)
    assert one.run(path) == (70, "")
    assert report(one).message.startswith(f"cannot unpack {one.gcs}/acme/p/code/")


def test_without_a_bucket_to_report_to_the_log_says_it(container, path):
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


def test_the_end_of_the_container_is_passed_on(container, path):
    one = container(program(WAITING))
    process = one.start(path)
    assert process.stdout.readline() == b"up\n"
    process.send_signal(signal.SIGTERM)
    log, _ = process.communicate(timeout=30)
    assert (process.returncode, log[:4]) == (143, b"told")
    assert report(one) == AttemptReport(message="it was canceled", exit_code=5)
    assert list(one.scratch.iterdir()) == []


def test_a_program_is_not_deaf_to_interrupts_where_the_image_can_help_it(container, containers, tmp_path):
    one = container(program(WAITING))
    process = one.start(containers.image(tmp_path / "bin", "dash", None))
    assert process.stdout.readline() == b"up\n"
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=30)[0] == b"told"


def test_a_program_that_takes_too_long_is_ended(container, path):
    one = container(program(WAITING, timeout=0.5))
    assert one.run(path)[0] == 5
    assert report(one) == AttemptReport(code="step_timeout", message="took longer than 0.5 s", exit_code=5)
    quick = container(program("", timeout=600))
    begin = time.monotonic()
    assert quick.run(path) == (0, "")
    assert time.monotonic() - begin < 300, "what watches the time kept the container"


def test_what_lacks_base64_decodes_with_python(containers, tmp_path, path):
    tools = [tool for tool in containers.TOOLS if tool != "base64"]
    python = containers.image(tmp_path / "with", "dash", tools)
    (tmp_path / "with" / "python3").symlink_to(sys.executable)
    step = program(TELL, "${{ outputs.said }}", literal("$(X)\n"), outputs={"said": "file"}, env={"SAID": "$"})
    one = contained(containers, step, {}, tmp_path)
    assert one.run(python) == (0, "")
    assert bytes(json.loads((one.made / "content" / "said").read_text())[0]) == b"$(X)\n"
    neither = containers.image(tmp_path / "without", "dash", tools)
    assert one.run(neither) == (70, "")
    assert report(one).message == "the image has neither base64 nor Python to decode a value with"
