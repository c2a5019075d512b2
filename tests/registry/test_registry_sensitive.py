"""Where sensitive values wait for their hand-over: what somebody put in the place of folder or key is not used."""

from __future__ import annotations

import os
from contextlib import closing

import pytest

from penstock.errors import RegistryError
from penstock.registry import Registry, sensitive


@pytest.mark.parametrize("there", [True, False], ids=["something", "nothing"])
def test_what_lies_behind_a_link_in_the_place_of_the_folder_is_neither_filled_nor_swept(tmp_path, there):
    home, behind = tmp_path / "state", tmp_path / "else"
    home.mkdir(mode=0o700)
    if there:
        behind.mkdir()
        (behind / "precious").write_text('{"token": "x"}')
    (home / "sensitive").symlink_to(behind)
    with pytest.raises(RegistryError, match="its folder is a link"):
        sensitive.keep(home, "run", {"token": "x"})
    assert sensitive.read(home, "precious") is None
    assert sensitive.left(home) == []
    sensitive.forget(home, "precious")
    with closing(Registry.open(home / "registry.db")) as registry:
        registry.runs.sweep_values(home)
    assert [path.name for path in behind.rglob("*")] == ["precious"] * there
    (home / "sensitive").unlink()
    sensitive.keep(home, "run", {"token": "x"})
    assert sensitive.read(home, "run") == {"token": "x"}


PLANTED = {
    "a pipe": os.mkfifo,
    "a link": lambda path: path.symlink_to("/dev/zero"),
    "a folder": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("what", PLANTED)
def test_nobody_waits_for_what_lies_in_the_place_of_a_file(tmp_path, what):
    sensitive.keep(tmp_path, "run", {"token": "x"})
    (tmp_path / "sensitive/run").unlink()
    PLANTED[what](tmp_path / "sensitive/run")
    assert sensitive.read(tmp_path, "run") is None
    PLANTED[what](tmp_path / "sensitive.key")
    with pytest.raises(RegistryError, match=r"sensitive\.key: the registry cannot be used: it is"):
        sensitive.keyed_hash(tmp_path, "x")


def test_a_file_in_the_place_of_the_folder_is_said(tmp_path):
    (tmp_path / "sensitive").touch()
    with pytest.raises(RegistryError, match="its folder is no folder"):
        sensitive.keep(tmp_path, "run", {"token": "x"})
