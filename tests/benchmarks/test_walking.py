"""Looking at what travels of a folder, against one with half as much in it: many files, deep folders, and their links.

Run with `pytest -m benchmark tests/benchmarks/test_walking.py -n 0 -s` to see the numbers.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from penstock.snapshot.walking import files_in

pytestmark = pytest.mark.benchmark

FILES = 20_000
DEPTH = 1_000


@contextmanager
def deep(top: Path, levels: int, lay: str) -> Iterator[Path]:
    """Folders within each other, with a file or a link in each; made and removed name by name, as a path it is long."""
    top.mkdir()
    before = Path.cwd()
    os.chdir(top)
    for _ in range(levels):
        Path("f").touch()
        if lay == "links":
            Path("link").symlink_to("f")
        Path("d").mkdir()
        os.chdir("d")
    os.chdir(before)
    try:
        yield top
    finally:
        for _ in range(levels):  # `rmtree` would go down by recursion
            (top / "d").rename(top.parent / "below")
            shutil.rmtree(top)
            (top.parent / "below").rename(top)
        top.rmdir()


def seconds(folder: Path, top: Path) -> float:
    """The processor's time for one walk, the best of three."""
    found = []
    for _ in range(3):
        begun = time.process_time()
        files_in(folder, top / "store", top=top)
        found.append(time.process_time() - begun)
    return min(found)


def test_twice_as_many_files_in_a_folder_cost_about_twice(tmp_path):
    for name, files in (("half", FILES // 2), ("whole", FILES)):
        (tmp_path / name).mkdir()
        for number in range(files):
            (tmp_path / name / f"f{number}").touch()
    some, all_of_them = seconds(tmp_path / "half", tmp_path), seconds(tmp_path / "whole", tmp_path)
    print(f"\n{FILES // 2} files {some:.2f} s, {FILES} {all_of_them:.2f} s")
    assert all_of_them < 3 * some


@pytest.mark.parametrize("lay", ["files", "links"])
def test_a_folder_that_is_twice_as_deep_costs_each_entry_its_depth_at_the_most(tmp_path, lay):
    """The kernel goes down a path name by name, so twice as many entries at twice the depth may cost four times."""
    with deep(tmp_path / "half", DEPTH // 2, lay) as half:
        some = seconds(half, tmp_path)
    with deep(tmp_path / "whole", DEPTH, lay) as whole:
        all_of_them = seconds(whole, tmp_path)
    print(f"\n{lay}: {DEPTH // 2} deep {some:.2f} s, {DEPTH} {all_of_them:.2f} s")
    assert all_of_them < 5 * some
