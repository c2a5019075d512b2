"""What `PENSTOCK_TRUST` names, and that what a refusal says to set does what it says when it is pasted into a shell."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock import trust, trusted
from penstock.config import load_config
from penstock.errors import ConfigInvalid
from penstock.text import printable

NAMES = st.binary(min_size=1, max_size=12).map(os.fsdecode) | st.text(":\\'\"$ \n\t~éa7-", min_size=1, max_size=8)
FOLDERS = NAMES.map(lambda name: name.replace("\0", "0").replace("/", "-")).filter(lambda name: name not in (".", ".."))


def pasted(line: str) -> bytes:
    """What a shell makes of the assignment that a line ends with, as a person copies it from a terminal."""
    script = line[line.index("PENSTOCK_TRUST=") :].encode() + b'\nprintf %s "$PENSTOCK_TRUST"'
    return subprocess.run(["bash", "-c", script], capture_output=True, check=True).stdout


@settings(max_examples=15)
@given(st.lists(FOLDERS, min_size=1, max_size=2))
def test_what_is_added_to_the_list_is_what_it_then_names(names):
    paths = [f"/{name}" for name in names]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PENSTOCK_TRUST", "relative")  # is ignored, and so not taken along
        for path in paths:
            line = trusted.advice(Path(path))
            assert line == printable(line)  # a terminal shows it as it is
            patch.setitem(os.environb, b"PENSTOCK_TRUST", pasted(line))
        assert trusted.listed() == paths
        assert all(trust.is_trusted(Path(path) / "below") for path in paths)


@pytest.mark.parametrize(
    ("value", "paths"),
    [
        ("/a:/b", ["/a", "/b"]),
        ("", []),
        ("::/a::", ["/a"]),
        (r"/a\:b:/c", ["/a:b", "/c"]),
        (r"/a\\:/c", ["/a\\", "/c"]),
        (r"/a\b\ c:/d", [r"/a\b\ c", "/d"]),
        ("/a\\", ["/a\\"]),
    ],
)
def test_a_backslash_before_a_colon_or_a_backslash_stands_for_that_character(monkeypatch, value, paths):
    monkeypatch.setenv("PENSTOCK_TRUST", value)
    assert trusted.listed() == paths


def test_a_folder_with_a_colon_in_its_name_trusts_no_part_of_that_name(monkeypatch, tmp_path):
    for name in ("a:b", "a"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("PENSTOCK_TRUST", f"{tmp_path}/a\\:b")
    assert trust.is_trusted(tmp_path / "a:b") and not trust.is_trusted(tmp_path / "a")


@pytest.mark.parametrize("name", ["a:b", "it's $HOME \\n", "line\nbreak", "é:é", os.fsdecode(b"\xff:\xe4")])
def test_what_a_refusal_says_to_set_or_to_do_works_when_it_is_pasted(monkeypatch, tmp_path, name):
    folders = [tmp_path / f"{name}{number}" for number in range(2)]
    for folder in folders:
        folder.mkdir()
        (folder / "penstock.yaml").write_text("target: local\n")
        folder.chmod(0o777)
    for folder in folders:
        with pytest.raises(ConfigInvalid) as refused:
            load_config(folder)
        monkeypatch.setitem(os.environb, b"PENSTOCK_TRUST", pasted(printable(str(refused.value))))
    for folder in folders:  # the second refusal does not take away what the first one gave
        assert load_config(folder).target.value == "local"
    monkeypatch.delenv("PENSTOCK_TRUST")
    with pytest.raises(ConfigInvalid) as refused:
        load_config(folders[0])
    mend = re.search("`(chmod o-w .*)`, or", printable(str(refused.value)))
    subprocess.run(["bash", "-c", mend[1].encode()], check=True)
    assert load_config(folders[0]).target.value == "local"
