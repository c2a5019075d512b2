"""The class that strangers inherit, in sessions of pytest of their own; and the front door it comes through."""

import ast
import inspect
import re
import subprocess
import sys

import pytest

from penstock import testing

pytestmark = pytest.mark.thorough

QUESTIONS = '''
from pathlib import Path

from hypothesis import strategies as st

import penstock.testing.checks
from penstock.testing import LawBroken, Untested, check


@check(1)
def well(harness):
    """Is all well?"""
    return "it is"


@check(2, 1)
def doubled(harness):
    """Is each given once?"""
    error = LawBroken(2, "two is given twice")
    error.add_note("play.publish(variant='a')")
    raise error


@check(3, needs=("penstock_made_up",))
def pointed(harness):
    """Does it point?"""


@check(4)
def unseen(harness):
    """Can it be seen?"""
    raise Untested("steps here are not seen")


@check(5)
def drawn(harness):
    """Is the same drawn again?"""
    numbers = []
    harness.forall(lambda number: numbers.append(number), examples=9, number=st.integers())
    Path("drawn").write_text(f"{harness.seed} {numbers}")


@check(6)
def halved(harness):
    """Is it whole?"""
    for _ in range(2):
        harness.leave_out("half of it was left out")
    return "and nobody knows"


@check(7)
def stumbled(harness):
    """Does it stand?"""
    raise OSError("the pump has stopped")


penstock.testing.checks.CHECKS = (well, doubled, pointed, unseen, halved, stumbled, drawn)
'''

CLASS = """
import pytest
from penstock.testing import Conformance


class TestMine(Conformance):
    unsupported = {"penstock_read_logs": "upstream"}
    seed = 11

    @pytest.fixture(scope="class")
    @classmethod
    def options(cls):
        return {"backend": "local", "idle": "1s"}
"""


def pytest_in(folder, *arguments):
    """How a session of the class in that folder ends, and what it says."""
    (folder / "conftest.py").write_text(QUESTIONS)
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-W", "error", "-p", "no:cacheprovider", *arguments]
    command += ["--basetemp", str(folder / "scratch"), "--rootdir", str(folder)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def five(tmp_path_factory, engines_end):
    """Everything asked with the seed 5: the folder, how it ended, what was said."""
    folder = tmp_path_factory.mktemp("five")
    (folder / "test_mine.py").write_text(CLASS)
    yield folder, *pytest_in(folder, "--hypothesis-seed=5")
    engines_end(folder)


@pytest.fixture
def folder(tmp_path, engines_end):
    """A folder for a session of pytest of its own."""
    yield tmp_path
    engines_end(tmp_path)


def test_each_question_is_a_test_that_says_what_it_found(five):
    _, status, told = five
    assert status == 1, told
    assert "3 failed, 2 passed, 3 skipped" in told
    assert "law 2 (Counted) is broken: versions count from 0" in told
    assert "asked: Is each given once?\nfound: two is given twice\nplay.publish(variant='a')\n" in told
    assert "to see it again: --hypothesis-seed=5 -k law02-01-doubled" in told
    assert "Traceback" not in told
    assert "`penstock_made_up`: not yet" in told
    assert "the backend offers `penstock_read_logs` by now: take it out of `unsupported`" in told


def test_the_session_ends_with_the_seed_and_the_laws_by_result(five):
    _, _, told = five
    assert "test_mine.py::TestMine: backend local =" in told
    assert "\nseed 5, profile default\n" in told
    assert re.findall(r"^ ?(\d+) [A-Z][\w -]+? +(pass|fail|skip|core)\b(.*)$", told, re.MULTILINE)[:8] == [
        ("1", "skip", " doubled stopped when law 2 broke"),
        ("2", "fail", " doubled: two is given twice"),
        ("3", "skip", " `penstock_made_up`: not yet"),
        ("4", "skip", " steps here are not seen"),
        ("5", "pass", ""),
        ("6", "skip", " half of it was left out"),
        ("7", "fail", " stumbled: the check met an error that it did not expect: OSError: the pump has stopped"),
        ("8", "core", ""),
    ]


@pytest.mark.parametrize("seed", ["5", "None"])
def test_a_seed_draws_the_same_whoever_gives_it(five, folder, seed):
    (folder / "test_mine.py").write_text(CLASS.replace("seed = 11", f"seed = {seed}"))
    status, told = pytest_in(folder, "-k", "drawn or well")
    assert status == 0, told
    drawn, before = (folder / "drawn").read_text(), (five[0] / "drawn").read_text()
    assert (drawn == before) is (seed == "5")
    assert f"seed {drawn.split()[0]}, profile default" in told
    assert " 1 Frozen               skip 1 of its questions were not asked\n" in told


def test_a_seed_that_is_no_number_is_refused_in_a_line(folder):
    (folder / "test_mine.py").write_text(CLASS)
    status, told = pytest_in(folder, "-k", "well", "--hypothesis-seed=lucky")
    assert status != 0
    assert "--hypothesis-seed: the conformance kit takes a number, not `lucky`" in told


def test_where_no_step_can_run_nothing_is_asked_and_it_is_said_why(folder):
    (folder / "test_mine.py").write_text(CLASS.replace("seed = 11", 'python = "pyhton"'))
    status, told = pytest_in(folder, "-k", "well or unseen")
    assert status == 1, told
    assert "2 errors" in told and "Traceback" not in told
    assert "the smallest pipeline does not run on target `first`, so nothing else is asked: step `tell`" in told
    assert "could not start: `pyhton`" in told


def test_the_front_door_is_complete_and_says_how_to_begin():
    front = ast.parse(inspect.getsource(testing))
    checked = next(node for node in front.body if isinstance(node, ast.If))
    imports = [node for node in checked.body if isinstance(node, ast.ImportFrom)]
    assert {alias.name for node in imports for alias in node.names} == set(testing.__all__) == set(dir(testing))
    for name in testing.__all__:
        assert getattr(testing, name) is not None
    with pytest.raises(AttributeError, match="no attribute `Conformanse`"):
        _ = testing.Conformanse
    for word in (*testing.REASONS, "--hypothesis-seed", "penstock conformance", "unsupported", "DEEP", "one fixture"):
        assert word in testing.__doc__, word


def test_the_example_at_the_front_door_is_a_suite(tmp_path):
    shown = testing.__doc__.partition("        import pytest\n")[2].partition("\n    `options` are")[0]
    source = "import pytest\n" + inspect.cleandoc("\n" + shown).replace("\n        \n", "\n\n")
    (tmp_path / "test_shown.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-W", "error", "--rootdir", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test_shown.py::TestTiny::test_what_is_unsupported_is_not_there" in done.stdout


def test_the_front_door_imports_nothing_before_it_is_used():
    code = "import sys, penstock.testing; print([n for n in ('pytest', 'hypothesis', 'attr') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.stdout.strip() == "[]", done.stderr
