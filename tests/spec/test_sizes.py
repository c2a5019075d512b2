"""What becomes a file name, an argument or a variable is measured: the kernel and the file system are the judges."""

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.spec import Defaults, Output, Parameter, Pipeline, Retry, Step
from penstock.spec.names import tags_problem
from penstock.spec.problems import check
from penstock.spec.sizes import MAX_KEY, MAX_WORD, MAX_WORDS, Sizes


def problems(**keys):
    steps = keys.pop("steps", None) or {"a": Step(command="run", **keys)}
    return [(problem.code, problem.path) for problem in check(Pipeline(name="p", steps=steps))]


def test_names_that_become_file_names():
    longest, longer = "s" * MAX_KEY, "s" * (MAX_KEY + 1)
    assert problems(steps={longest: Step(command="run")}) == []
    assert problems(steps={longer: Step(command="run")}) == [("key_invalid", ("steps", longer))]
    assert problems(outputs={longer: "file"}) == [("key_invalid", ("steps", "a", "outputs", longer))]
    often = Retry(attempts=1000)
    assert problems(steps={longest: Step(command="run", retry=often)}) == [("key_invalid", ("steps", longest))]
    assert problems(steps={longest[1:]: Step(command="run", retry=often)}) == []
    (problem,) = check(Pipeline(name="p", steps={longer: Step(command="run")}))
    assert f"252 bytes long; at most {MAX_KEY}" in problem.message


@pytest.mark.parametrize("char", ["x", "\u00e9", "\U0001f600"])
def test_an_argument_is_as_long_as_the_kernel_takes(char):
    longest = char * (MAX_WORD // len(char.encode()))
    longest += "x" * (MAX_WORD - len(longest.encode()))
    assert problems(steps={"a": Step(command=["true", longest], env={"A": longest[2:]})}) == []
    assert subprocess.run(["true", longest], env={"A": longest[2:]}).returncode == 0
    assert problems(steps={"a": Step(command=["true", longest + "x"])}) == [
        ("argument_too_large", ("steps", "a", "command", 1))
    ]
    with pytest.raises(OSError, match="too long"):
        subprocess.run(["true", longest + "x"])
    longer = longest[1:] + char
    assert problems(env={"A": longer}) == [("argument_too_large", ("steps", "a", "env", "A"))]


def test_all_arguments_together():
    words = ["x" * 100_000] * (MAX_WORDS // 100_009)
    assert problems(steps={"a": Step(command=["true", *words])}) == []
    assert subprocess.run(["true", *words], env={}).returncode == 0
    assert problems(steps={"a": Step(command=["true", *words, *words[:1]])}) == [("argument_too_large", ("steps", "a"))]


@given(
    st.lists(
        st.lists(st.sampled_from(["${{ parameters.x }}", "${{ inputs.y }}", "$${{", "abc", "\u00e9"]), max_size=4)
    ),
    st.integers(0, MAX_WORD),
    st.integers(0, MAX_WORD),
)
def test_a_word_is_measured_as_it_is_filled(words, x, y):
    texts = ["".join(word) for word in words]
    step = Step(command=["run", *texts], inputs={"y": "${{ parameters.y }}"})
    pipeline = Pipeline(name="p", parameters={"x": Parameter("string"), "y": Parameter("string")}, steps={"a": step})
    filled = [
        text.replace("$${{", "\0").replace("${{ parameters.x }}", "x" * x).replace("${{ inputs.y }}", "y" * y)
        for text in texts
    ]
    sizes = [len(text.replace("\0", "${{").encode()) for text in filled]
    wrong = {size for size in sizes if size > MAX_WORD}
    found = list(Sizes(pipeline).oversized({"x": x, "y": y}))
    assert {one.size for one in found if one.word} == wrong
    assert bool([one for one in found if one.word is None]) == (12 + sum(sizes) + 9 * len(sizes) > MAX_WORDS)


def test_notes_are_measured():
    long = "x" * 65_537
    assert problems(description=long) == [("text_too_large", ("steps", "a", "description"))]
    assert problems(outputs={"o": Output("file", description=long)}) == [
        ("text_too_large", ("steps", "a", "outputs", "o", "description"))
    ]
    pipeline = Pipeline(
        name="p",
        description=long,
        parameters={"x": Parameter("string", description=long)},
        steps={"a": Step(command="run")},
        defaults=Defaults(env={"description": long}),
    )
    assert [problem.path for problem in check(pipeline)] == [("description",), ("parameters", "x", "description")]


def test_tags_are_measured():
    assert tags_problem({f"t{number}": "x" * 4096 for number in range(100)}) is None
    assert tags_problem({"a": "x" * 4097}) == "the tag `a` is 4,097 bytes long; at most 4,096"
    assert tags_problem({"\u00e9" * 128: ""}) == "the name of a tag is 256 bytes long; at most 255"
    assert tags_problem(dict.fromkeys(map(str, range(101)), "")) == "there are 101 tags; at most 100"
