"""Opening what others may have put there: files only, no link followed, nothing waited for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from penstock.opening import open_file, open_folder, read_file


def _file(place: Path) -> None:
    place.write_bytes(b"mine")


def _link(place: Path) -> None:
    (place.parent / "elsewhere").write_bytes(b"theirs")
    place.symlink_to(place.parent / "elsewhere")


def _device(place: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root makes devices")
    os.mknod(place, 0o020600, os.makedev(1, 5))


WRONG = {"link": _link, "pipe": os.mkfifo, "folder": Path.mkdir, "device": _device}


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_WRONLY | os.O_APPEND | os.O_CREAT, os.O_RDWR | os.O_CREAT])
@pytest.mark.parametrize("below", [True, False])
@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_no_file_is_not_opened_and_nobody_waits_for_it(tmp_path, wrong, below, flags):
    WRONG[wrong](tmp_path / "x")
    with pytest.raises(OSError) as caught:
        open_file(tmp_path / "x", flags, below=tmp_path if below else None)
    assert caught.value.filename == str(tmp_path / "x")
    assert not (tmp_path / "elsewhere").exists() or (tmp_path / "elsewhere").read_bytes() == b"theirs"


def test_a_file_is_opened_to_wait_for_as_usual_and_not_inherited(tmp_path):
    (tmp_path / "a").mkdir()
    _file(tmp_path / "a" / "x")
    opened = open_file(tmp_path / "a" / "x", below=tmp_path)
    assert os.get_blocking(opened) and not os.get_inheritable(opened)
    assert os.read(opened, 9) == b"mine"
    os.close(opened)


def test_no_folder_on_the_way_is_a_link(tmp_path):
    (tmp_path / "real" / "deep").mkdir(parents=True)
    _file(tmp_path / "real" / "deep" / "x")
    assert read_file(tmp_path / "real" / "deep" / "x", 4, below=tmp_path) == b"mine"
    (tmp_path / "way").symlink_to("real")
    before = set(os.listdir("/proc/self/fd"))
    for path in ("way/deep/x", "real/deep/../deep/x", "missing/x"):
        with pytest.raises(OSError):
            read_file(tmp_path / path, 4, below=tmp_path)
    assert set(os.listdir("/proc/self/fd")) == before
    # The folder itself is the caller's business.
    assert read_file(tmp_path / "way" / "deep" / "x", 4, below=tmp_path / "way") == b"mine"
    os.close(open_folder(tmp_path, below=tmp_path))


def test_no_more_is_read_than_was_asked_for(tmp_path):
    _file(tmp_path / "x")
    assert read_file(tmp_path / "x", 4) == b"mine"
    with pytest.raises(OSError, match="larger than 3 bytes"):
        read_file(tmp_path / "x", 3)
