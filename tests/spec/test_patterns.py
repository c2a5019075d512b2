"""Patterns: linear in the text, as Python reads them where both agree, and refused where they do not."""

import re
import subprocess
import sys
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penstock.spec import Parameter, Pipeline, Step
from penstock.spec.binding import bind
from penstock.spec.patterns import MAX_SIZE, PatternInvalid, compiled, matches
from penstock.spec.problems import check
from penstock.spec.values import MAX_TEXT


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("^(a+)+$", "a" * (MAX_TEXT - 1) + "b"),
        (r"^(\w+\s?)*$", "a" * (MAX_TEXT - 1) + "!"),
        ("(x+x+)+y", "x" * MAX_TEXT),
        ("(.*)(.*)(.*)(.*)(.*)z", "x" * MAX_TEXT),
        # No automaton of bounded size knows this one.
        ("|".join("[ab]*a[ab]{900}" + last for last in "cdef"), "ab" * (MAX_TEXT // 2)),
    ],
)
def test_no_value_holds_the_process(pattern, text):
    parameter = Parameter("string", pattern=pattern)
    started = time.process_time()
    (problem,) = bind(parameter, text).problems
    assert problem.code == "parameter_pattern"
    # Measured: at most 0.8 s here; Python's own engine would not come back.
    assert time.process_time() - started < 10


@pytest.mark.parametrize(
    ("pattern", "words", "hint"),
    [
        ("(?=a)b", "look-around", "enum"),
        ("(?!a)b", "look-around", "enum"),
        ("(?<=a)b", "look-around", "enum"),
        ("(?<!a)b", "look-around", "enum"),
        (r"(a)\1", "back-reference", "repeated"),
        ("(a)" * 12 + r"\12", "back-reference", "repeated"),
        (r"(?P<x>a)(?P=x)", "back-reference", "repeated"),
        ("a++", "possessive", "without the last"),
        ("a*+", "possessive", "without the last"),
        ("a{2}+", "possessive", "without the last"),
        ("(?>a)", "atomic", "(?:"),
        ("(?#a)b", "comment", "leave"),
        ("(a)?(?(1)b|c)", "condition", "both"),
        ("(?x)a b", "flags", "leave"),
        ("(?a)b", "flags", "leave"),
        (r"a\Z", r"\Z", r"\z"),
        (r"\C", r"\C", "."),
        (r"a\Bb", r"\B", "characters"),
        ("a{,3}", "{,3}", "{0,3}"),
        ("a{,}", "{,}", "{0,}"),
        ("a{1001}", "1000", "maxLength"),
        ("(a{50}){50}", "1000", "maxLength"),
        (r"\pL{900}", "too large", "maxLength"),
        ("a" * (MAX_SIZE + 1), "too large", "maxLength"),
        (r"\u0041", "escape", "RE2"),
        ("(", "missing", "RE2"),
        ("[b-a]", "range", "RE2"),
    ],
)
def test_what_cannot_be_read_is_refused_at_publish_with_what_to_do(pattern, words, hint):
    with pytest.raises(PatternInvalid):
        matches(pattern, "a")
    parameters = {"p": Parameter("string", pattern=pattern)}
    (problem,) = check(Pipeline(name="a", parameters=parameters, steps={"s": Step(command="r")}))
    assert (problem.code, problem.path) == ("pattern_invalid", ("parameters", "p", "pattern"))
    assert words in problem.message and hint in problem.hint
    assert len(str(problem)) < 300


def test_a_pattern_that_was_published_and_cannot_be_read_any_more_lets_nothing_pass():
    (problem,) = bind(Parameter("string", pattern="(?=a)a"), "a").problems
    assert problem.code == "parameter_pattern"


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("^a$", ["a"], ["a\n", "ba"]),
        (r"^a\z", ["a"], ["a\n"]),
        ("a", ["xax"], ["b"]),
        (r"^\d$", ["1"], ["٣", "1\n"]),
        (r"^\p{Nd}$", ["1", "٣"], ["a"]),
        (r"^\w$", ["a", "_"], ["é"]),
        (r"^\pL$", ["a", "é", "日"], ["1"]),
        (r"^\s$", [" ", "\t", "\n"], ["\v", "\xa0"]),
        ("^.$", ["é", "\U0001f600"], ["\n", "ab"]),
        ("(?s)^.$", ["\n"], [""]),
        ("(?m)^b$", ["a\nb\nc"], ["ab"]),
        ("(?i)^é$", ["É"], ["e"]),
        ("^[[:alpha:]]$", ["a"], [":", "é"]),
        (r"^\{,3\}\\Z$", ["{,3}\\Z"], ["{,3}Z"]),
        ("", ["", "a"], []),
    ],
)
def test_the_dialect(pattern, matching, other):
    assert [text for text in (*matching, *other) if matches(pattern, text)] == matching


_ATOMS = st.one_of(
    st.sampled_from(["a", "b", "é", "1", "_", " ", "-", r"\.", ".", r"\d", r"\D", r"\w", r"\W", r"\n", r"\b"]),
    st.sampled_from(
        ["^", "$", r"\A", "[a-c]", r"[^a\d]", "[]a]", "[^]a]", "[a-]", r"[\w-]", "(?i:A)", r"\x61", r"\07"]
    ),
)
_COUNTS = st.sampled_from(["", "", "", "*", "+", "?", "*?", "+?", "??", "{2}", "{1,}", "{0,2}", "{1,2}?"])
_PATTERNS = st.recursive(
    _ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=1, max_size=3).map("|".join),
        st.builds("({}){}".format, inner, _COUNTS),
        st.builds("(?:{}){}".format, inner, _COUNTS),
    ),
    max_leaves=6,
).filter(lambda pattern: pattern.count("?P<n>") <= 1)


@settings(max_examples=216, deadline=None)
@given(_PATTERNS, st.text("ab1_-é A.\n\x07", max_size=7))
@example("^a$", "a\n")
@example("(a|b*)*$", "ab\n")
def test_what_both_read_they_read_alike(pattern, text):
    """Python with ASCII classes, its `$` put as `\\Z`, is the same: there is no other difference in what both take."""
    strict = re.sub(r"\$", r"\\Z", pattern)
    assert matches(pattern, text) == bool(re.search(strict, text, re.ASCII))


@settings(max_examples=300, deadline=None)
@given(st.text(r"ab(){}[]*+?|^$.\,-:=!<>P#1xZC\é" + "\n", max_size=12), st.text("ab1\n", max_size=4))
def test_no_pattern_crashes(pattern, text):
    try:
        matches(pattern, text)
    except PatternInvalid as error:
        assert str(error).isprintable() and error.hint.isprintable()


def test_the_engine_is_loaded_for_a_pattern_alone():
    code = "import sys; from penstock.spec import Parameter; from penstock.spec.binding import bind; "
    code += "bind(Parameter('string', min_length=1), 'a'); print('re2' in sys.modules); "
    code += "bind(Parameter('string', pattern='a'), 'a'); print('re2' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("False\nTrue\n", "")


def test_the_engine_is_silent(capfd):
    with pytest.raises(PatternInvalid):
        compiled("(")
    matches("|".join("[ab]*a[ab]{500}" + last for last in "cdef"), "ab" * 10_000)
    assert capfd.readouterr() == ("", "")
