"""Patterns of `.gitignore`: git itself is the judge, and none takes long."""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penstock.snapshot.ignoring import is_ignored, read_rules
from penstock.snapshot.walking import NotBundled, files_in

_PIECES = st.sampled_from([
    "a", "b", "*", "**", "?", "/", "/", ".", "-", "!", "^", "#", " ", "\\", "\\*", "\\/", "\\ ", "[ab]", "[!a]", "[^b]",
    "[a-c]", "[]a]", "[!]a]", "[a-]", "[-a]", "[\\]a]", "[a", "]", "[[:alpha:]]", "[[:digit:]b]", "[[:foo:]]", "[[:a]",
    "[\\\\-a]", "[a\\-c]", "[/]", "**/", "/**", "/**/", "***", "\xe9", "[\xe9]", "\udcff", "[\udcff]", "*a*", "a*b",
    "\r", "\t", "{a,b}", "$", "+",
])  # fmt: skip
_LINES = st.lists(_PIECES, max_size=5).map("".join).filter(lambda line: "\n" not in line)
_NAMES = st.one_of(
    st.sampled_from(["a", "b", "ab", "aa", "ba", "a.b", "\xe9"]),
    st.text("ab.-!^# ]\\*\xe9c1\r$+{\udcff", min_size=1, max_size=4).filter(lambda name: name not in (".", "..")),
)
_PATHS = st.tuples(st.lists(_NAMES, min_size=1, max_size=4).map("/".join), st.booleans())


def _by_git(cases: list[tuple[list[str], str, bool]]) -> list[bool]:
    """Whether git ignores each path, each in a folder of its own with its own rules."""
    with tempfile.TemporaryDirectory() as home:
        root = Path(os.path.realpath(home))
        clean = {"PATH": os.environ["PATH"], "HOME": home, "GIT_CONFIG_NOSYSTEM": "1"}
        subprocess.run(["git", "init", "-q", "--template="], cwd=root, env=clean, check=True)
        asked = []
        for number, (lines, path, is_folder) in enumerate(cases):
            folder = root / f"f{number}"
            target = folder / path
            target.parent.mkdir(parents=True)
            (folder / ".gitignore").write_bytes(os.fsencode("".join(f"{line}\n" for line in lines)))
            target.mkdir() if is_folder else target.touch()
            asked.append(f"f{number}/{path}")
        command = ["git", "check-ignore", "--no-index", "--stdin", "-z", "-v", "-n"]
        done = subprocess.run(command, cwd=root, env=clean, input=os.fsencode("\0".join(asked)), capture_output=True)
        assert done.returncode in (0, 1), done.stderr
        fields = os.fsdecode(done.stdout).split("\0")[:-1]
        assert fields[3::4] == asked
        return [
            bool(source) and not pattern.startswith("!")
            for source, pattern in zip(fields[::4], fields[2::4], strict=True)
        ]


def _by_us(lines: list[str], path: str, is_folder: bool) -> bool:
    with tempfile.TemporaryDirectory() as home:
        (Path(home) / ".gitignore").write_bytes(os.fsencode("".join(f"{line}\n" for line in lines)))
        rules = read_rules(Path(home), "")
    assert rules is not None
    parts = path.split("/")
    above = ["/".join(parts[:length]) + "/" for length in range(1, len(parts))]
    return any(is_ignored((rules,), each) for each in (*above, f"{path}/" if is_folder else path))


@pytest.mark.skipif(shutil.which("git") is None, reason="git is the judge")
@settings(max_examples=25, deadline=None)
@example(
    [(["/a?b"], ("a/b", False)), (["/*b"], ("a/b", False)), (["/a[!c]b"], ("a/b", False)), (["?"], ("\xe9", True))]
)
@example([
    (["a**/b"], ("a/c/b", False)), (["a**/b"], ("ac/b", False)), (["a**/b"], ("ab", False)),
    (["a**//b"], ("a/b", False)), (["ab**\\/b"], ("ab/c/b", False)), (["c/a**/b"], ("c/a/c/b", False)),
    (["?a**/b"], ("aa/b/b", False)), (["*/a**/b"], ("c/a/c/b", False)), (["a**"], ("a/b/c", False)),
    (["a/*"], ("a", True)), (["a/**"], ("a", True)),
])  # fmt: skip
@given(st.lists(st.tuples(st.lists(_LINES, min_size=1, max_size=3), _PATHS), min_size=30, max_size=60))
def test_git_agrees_about_every_pattern(drawn):
    cases = [(lines, path, is_folder) for lines, (path, is_folder) in drawn]
    ours = [_by_us(*case) for case in cases]
    wrong = [(case, git) for case, git, us in zip(cases, _by_git(cases), ours, strict=True) if git != us]
    assert wrong == []


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*a" * 60 + "b", "a" * 250),
        ("*" * 60 + "b", "a" * 250),
        ("/" + "**/a/" * 40 + "b", "a/" * 120 + "c"),
        ("**/" + "*a*a/" * 30 + "b", "aaaaaaaa/" * 100 + "c"),
        ("**/*a*a*a/" * 12 + "b", "aaaaaaaa/" * 100 + "c"),
        ("**\\/a" * 30 + "b", "a/" * 120 + "c"),
        ("?*" * 60 + "b", "a" * 250),
        ("*[!/]" * 60 + "b", "a" * 250),
    ],
)
def test_no_pattern_takes_long(pattern, path):
    started = time.process_time()
    assert not _by_us([pattern], path, False)
    assert time.process_time() - started < 5


def test_more_rules_than_can_be_matched_are_said_so_in_place_of_bundling_what_they_keep_out(tmp_path, monkeypatch):
    monkeypatch.setattr("penstock.snapshot.ignoring._MEMORY", 2**10)
    (tmp_path / ".gitignore").write_text("*.env\n*.key\n")
    (tmp_path / "secret.env").touch()
    with pytest.raises(NotBundled, match="more rules than can be matched") as refused:
        files_in(tmp_path, tmp_path / "none", top=tmp_path)
    assert refused.value.code == "file_unreadable"
