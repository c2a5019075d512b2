"""A walk asks of no entry again where the folders above it are, and follows nothing that was swapped for a link."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from penstock.snapshot.refused import NotBundled
from penstock.snapshot.walking import files_in


@pytest.fixture
def root(tmp_path):
    made = Path(os.path.realpath(tmp_path)) / "src"
    made.mkdir()
    return made


def walk(root: Path, **more):
    return files_in(root, root.parent / "store", top=root.parent, **more)


def test_only_links_are_resolved(root, monkeypatch):
    for name in ("a/b/f", "a/g", "h"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    (root / "a" / ".gitignore").write_text("*.o\n")
    asked = []
    resolve = os.path.realpath
    monkeypatch.setattr(os.path, "realpath", lambda path, **more: asked.append(str(path)) or resolve(path, **more))
    found = walk(root).found
    assert [one.source for one in found] == [root / name for name in ("a/.gitignore", "a/b/f", "a/g", "h")]
    assert [path for path in asked if path.startswith(str(root))] == []


@pytest.mark.parametrize("is_told", [True, False], ids=["the kernel tells", "nobody tells"])
def test_a_link_is_where_it_leads_whether_the_kernel_tells_that_at_once_or_not(root, monkeypatch, is_told):
    if not is_told:
        monkeypatch.setattr(os, "readlink", _of_no_handle(os.readlink))
    (root / "real" / "deep").mkdir(parents=True)
    (root / "real" / "deep" / "x").write_text("x")
    (root / "one").symlink_to("real/../two")
    (root / "two").symlink_to(root / "real" / "deep" / "x")
    (root / "way").symlink_to("real")
    assert {one.path: one.source for one in walk(root).found} == dict.fromkeys(
        ("one", "two", "real/deep/x", "way/deep/x"), root / "real" / "deep" / "x"
    )


def _of_no_handle(readlink):
    def refusing(path, **more):
        if str(path).startswith("/proc/self/fd"):
            raise FileNotFoundError(path)
        return readlink(path, **more)

    return refusing


@pytest.mark.parametrize("swap", ["a link", "another folder", "a file"])
def test_a_folder_that_becomes_something_else_while_it_waits_is_not_looked_into(root, swap):
    elsewhere = root.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "secret").touch()
    for name in ("a", "b"):
        (root / name).mkdir()
        (root / name / "f").touch()
    seen = []

    def stays(entry: Path) -> bool:
        seen.append(entry.name)
        if len(seen) == 1:  # in the first of the two, while the other one waits
            other = root / ("b" if entry.parent.name == "a" else "a")
            other.rename(root.parent / "aside")
            if swap == "a link":
                other.symlink_to(elsewhere)
            elif swap == "another folder":
                elsewhere.rename(other)
            else:
                other.touch()
        return False

    with pytest.raises(NotBundled) as refused:
        walk(root, stays=stays)
    assert refused.value.code == "file_changed"
    assert "became something else while it was read" in str(refused.value)
    assert "secret" not in seen


@pytest.mark.parametrize("what", ["a folder", "a file"])
def test_a_path_that_is_too_long_for_the_system_is_refused_in_one_line(root, what, monkeypatch):
    monkeypatch.chdir(root)
    name = "n" * 200
    most = os.pathconf("/", "PC_PATH_MAX")
    length = len(str(root))
    while length + 201 < most:
        Path(name).mkdir()
        os.chdir(name)
        length += 201
    Path(name).mkdir() if what == "a folder" else Path(name).touch()
    monkeypatch.undo()
    with pytest.raises(NotBundled) as refused:
        files_in(root, root.parent / "store")
    assert refused.value.code == "file_unreadable"
    assert str(refused.value).endswith(f"{name}` cannot be read: file name too long")
    assert "\n" not in str(refused.value)
