"""Outputs on their way from a program to Google: each value its one text, and what is not as declared is told."""

from __future__ import annotations

import base64
import tempfile
import zlib
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penstock.launcher import outputs
from penstock.launcher.wire import decode_value
from penstock.spec import Parameter
from penstock.spec.values import MAX_TEXT, ValueInvalid, read_output
from penstock.testing.probes.pipelines import VALUE_TYPES
from penstock.testing.strategies.text import hostile_text

WRITE = "import base64, sys, zlib; open(sys.argv[1], 'wb').write(zlib.decompress(base64.b64decode(sys.argv[2])))"


def written(containers, path: str, folder: str, type_: str, data: bytes) -> tuple[str | None, str]:
    """What is handed on of an output, decoded, or None, and what is said of it."""
    step = containers.program(WRITE, "${{ outputs.it }}", "${{ parameters.data }}", outputs={"it": type_})
    one = containers.contained(step, Path(folder), {"data": Parameter("string")})
    status, log = one.run(path, values={"p_data": base64.b64encode(zlib.compress(data)).decode()})
    found = one.report()
    assert log == ""
    assert (status, found.code) in ((0, None), (1, "output_invalid"))
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
    st.tuples(st.sampled_from([b"\n", b"1", b"$"]), st.integers(MAX_TEXT - 1, MAX_TEXT + 1)),
)


def read(type_: str, data: bytes) -> str | None:
    """What penstock itself makes of an output."""
    try:
        if len(data) > MAX_TEXT:
            return None
        return read_output(type_, data)
    except ValueInvalid:
        return None


@settings(max_examples=400)
@given(type_=st.sampled_from(VALUE_TYPES), data=spellings)
def test_an_output_becomes_the_text_that_penstock_makes_of_it(tmp_path_factory, type_, data):
    data = data[0] * data[1] if isinstance(data, tuple) else data
    folder = tmp_path_factory.getbasetemp()
    (folder / "from").write_bytes(data)
    try:
        outputs.main("", ["it", type_, str(folder / "from"), str(folder / "to")])
        made = decode_value((folder / "to").read_text())
    except SystemExit as error:
        assert str(error).startswith("the output `it`: ")
        made = None
    assert made == read(type_, data)


@settings(max_examples=20)
@given(type_=st.sampled_from(VALUE_TYPES), data=spellings)
@example(type_="string", data=bytes(range(1, 128)) + b"\n\n")
@example(type_="integer", data="a\0é\n".encode())
def test_an_output_is_the_same_from_every_image_or_refused(containers, path, type_, data):
    data = data[0] * data[1] if isinstance(data, tuple) else data
    with tempfile.TemporaryDirectory() as folder:
        made, said = written(containers, path, folder, type_, data)
    wanted = read(type_, data)
    if made is None:
        assert wanted is None or "no Python" in said
    else:
        assert made == wanted


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
def test_an_output_that_is_not_what_was_declared_fails_the_step(containers, tmp_path, path, wrong):
    type_, code, error, message = WRONG[wrong]
    outputs = {"it": type_, "fine": "string"}
    command = f"import os, sys; path = sys.argv[1]; open(sys.argv[2], 'w'); {code}"
    step = containers.program(command, "${{ outputs.it }}", "${{ outputs.fine }}", outputs=outputs)
    one = containers.contained(step, tmp_path)
    assert one.run(path) == (1, "")
    found = one.report()
    assert (found.code, found.exit_code) == (error, 0)
    assert found.message.startswith(f"the output `it` {message}")
