"""Patterns of `.gitignore`: git itself is the judge, and none takes long."""

import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penstock.snapshot.globs import regex_of
from penstock.snapshot.ignoring import Ignoring, read_rules
from penstock.snapshot.refused import NotBundled
from penstock.snapshot.walking import files_in

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
    return any(Ignoring().decide((rules,), each) for each in (*above, f"{path}/" if is_folder else path))


@pytest.mark.skipif(shutil.which("git") is None, reason="git is the judge")
@settings(max_examples=10, deadline=None)
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


@pytest.mark.parametrize("memory", [2**10, 2**16, 2**18], ids=["to compile", "to match", "to match"])
def test_more_rules_than_can_be_matched_are_said_so_in_place_of_bundling_what_they_keep_out(
    tmp_path, monkeypatch, memory, capfd
):
    monkeypatch.setattr("penstock.snapshot.ignoring._MEMORY", memory)
    (tmp_path / ".gitignore").write_text("*.env\n" + "".join(f"*{'a?' * 10}{number}\n" for number in range(150)))
    (tmp_path / "secret.env").touch()
    with pytest.raises(NotBundled, match=r"`\.gitignore` has more rules than can be matched") as refused:
        files_in(tmp_path, tmp_path / "none", top=tmp_path)
    assert refused.value.code == "ignore_rules_large"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (["a", "# " + "x" * 5000, "b" * 4096, "[!x]" * 1025], "`src/.gitignore:4` is a rule of more than 4,096 bytes"),
        (["!" + "[!x]" * 250_000], "`src/.gitignore:1` is a rule of more than 4,096 bytes"),
        (
            ["*".join("ab" * 40) + f"{number:04}" for number in range(5000)],
            "`src/.gitignore:805` has more than 131,072 bytes of rules with wildcards up to here",
        ),
        (["a"] * 600_000, "`src/.gitignore` is larger than 1,048,576 bytes"),
    ],
    ids=["long", "very long", "many", "large"],
)
def test_rules_have_their_limits(tmp_path, rules, said, capfd):
    (tmp_path / "src").mkdir()
    (tmp_path / "src/.gitignore").write_text("\n".join(rules))
    with pytest.raises(NotBundled) as refused:
        files_in(tmp_path, tmp_path / "none", top=tmp_path)
    assert (refused.value.code, str(refused.value)) == ("ignore_rules_large", said)
    assert capfd.readouterr() == ("", "")


def test_any_number_of_names_without_wildcards_is_a_rule_each(tmp_path):
    (tmp_path / ".gitignore").write_text("".join(f"f{number}.log\n" for number in range(80_000)))
    rules = read_rules(tmp_path, "")
    assert rules is not None
    assert rules.work("a/f7.log") == 0
    assert [rules.decide(path) for path in ("f79999.log", "a/f7.log", "f7.logs", "xf7.log", "f7.log/")] == [
        True, True, None, None, True,
    ]  # fmt: skip


def test_the_product_of_rules_and_names_has_a_limit(tmp_path, monkeypatch):
    for number in range(10):
        (tmp_path / f"{number:0100}").touch()
    (tmp_path / ".gitignore").write_text("*a*b\n" * 100 + "!" + "c" * 100)
    assert len(files_in(tmp_path, tmp_path / "none", top=tmp_path).found) == 11
    monkeypatch.setattr("penstock.snapshot.ignoring._MOST_WORK", 400 * 900)
    with pytest.raises(NotBundled, match="more rules with wildcards than can be held against so many") as refused:
        files_in(tmp_path, tmp_path / "none", top=tmp_path)
    assert refused.value.code == "ignore_rules_large"


@given(st.sets(st.characters(min_codepoint=1, max_codepoint=255, exclude_characters="/"), min_size=1), st.booleans())
def test_a_set_is_written_shortly_whatever_is_in_it(chosen, negated):
    inside = "".join(f"\\{char}" for char in sorted(chosen))
    regex = regex_of(f"[{'!' if negated else ''}{inside}]", path=False)
    assert len(regex) <= 2 + 9 * 128
    pattern = re.compile(regex)
    everything = [chr(code) for code in range(1, 256) if code != ord("/")]
    assert {char for char in everything if pattern.fullmatch(char)} == (set(everything) - chosen if negated else chosen)
