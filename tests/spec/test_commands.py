"""Commands: splitting as a shell splits words, placeholders kept whole, values never looked at again."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.spec import Step
from penstock.spec.command import CommandInvalid, Reference, fill, pieces, references, sole_reference, split
from penstock.testing.strategies import hostile_text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("python a.py --x 1", ("python", "a.py", "--x", "1")),
        ("  run \t a\r\n", ("run", "a")),
        ("\n\nrun\n\n", ("run",)),
        ("run 'a b' \"c d\" e\\ f ''", ("run", "a b", "c d", "e f", "")),
        ("a\"b c\"'d e'f", ("ab cd ef",)),
        ('run "a\\"b\\\\c\\d"', ("run", 'a"b\\c\\d')),
        ("run '|' \"&&\" \\; '$HOME' \\$HOME", ("run", "|", "&&", ";", "$HOME", "$HOME")),
        ("run \\\n  --x 1", ("run", "--x", "1")),
        ("run a\\ ", ("run", "a ")),
        ("run a#b #c", ("run", "a#b", "#c")),
        ("run 5$ $ %", ("run", "5$", "$", "%")),
        ("run ${{ parameters.x }}", ("run", "${{ parameters.x }}")),
        ("run --x=${{parameters.x}},'${{ inputs.y }} z'", ("run", "--x=${{parameters.x}},${{ inputs.y }} z")),
        ("run $${{ parameters.x }}", ("run", "$${{ parameters.x }}")),
        ("run a\u00a0b", ("run", "a\u00a0b")),
        ("", ()),
    ],
)
def test_words(text, words):
    assert split(text) == words
    assert Step(command=text).command == words


@pytest.mark.parametrize(
    ("text", "code"),
    [
        *(
            (f"run {operator} x", "shell_operator")
            for operator in ("|", "||", "&", "&&", ";", ">", ">>", "2>&1", "<", "<<")
        ),
        *(
            (f"run {text}", "shell_operator")
            for text in ("$HOME", "${HOME}", "$(ls)", "`ls`", "(ls)", "$?", "$1", "$'a'")
        ),
        *((f'run "{text}"', "shell_operator") for text in ("$HOME", "${HOME}", "$(ls)", "`ls`")),
        ("run a\nrun b", "shell_operator"),
        ("run 'a", "command_invalid"),
        ('run "a', "command_invalid"),
        ("run a\\", "command_invalid"),
        ("run ${{ parameters.x", "placeholder_invalid"),
        ("run ${{ a b }}", "placeholder_invalid"),
        ("run '$'${{ parameters.x }}", "placeholder_invalid"),
        ("run \\$${{ parameters.x }}", "placeholder_invalid"),
    ],
)
def test_what_is_refused(text, code):
    with pytest.raises(CommandInvalid) as caught:
        split(text)
    assert caught.value.code == code
    if code == "shell_operator":
        assert "[bash, -c, ...]" in str(caught.value)


_plain = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)


@given(st.lists(_plain, max_size=5))
def test_words_are_those_of_a_shell(words):
    assert [fill(word, str) for word in split(shlex.join(words))] == words


@given(
    st.lists(st.sampled_from(["$", "{", "}", " ", "'", '"', "\\", "a", "${{", "$${{", "${{ inputs.x }}"])).map("".join)
)
def test_quoted_text_never_becomes_a_placeholder(text):
    """Quoted for a shell piece by piece, nothing but a whole placeholder is one."""
    quoted = "".join(shlex.quote(char) for char in text) or "''"
    (word,) = split(f"{quoted}")
    assert fill(word, lambda reference: pytest.fail(f"{reference} appeared")) == text


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a", ["a"]),
        ("a ${{ parameters.x }} b", ["a ", Reference("parameters", ("x",)), " b"]),
        ("${{steps.a.outputs.b}}", [Reference("steps", ("a", "outputs", "b"))]),
        ("$${{ parameters.x }}", ["${{", " parameters.x }}"]),
        ("$$${{", ["$", "${{"]),
        ("$${{ ${{ inputs.1 }}", ["${{", " ", Reference("inputs", ("1",))]),
        ("", []),
    ],
)
def test_pieces(text, found):
    assert list(pieces(text)) == found


def test_a_sole_reference_stands_alone():
    assert sole_reference("${{ inputs.x }}") == Reference("inputs", ("x",))
    assert sole_reference(" ${{ inputs.x }}") is None
    assert sole_reference("$${{") is None
    assert str(Reference("inputs", ("x",))) == "${{ inputs.x }}"
    assert [reference.scope for reference in references("${{ inputs.x }}${{ outputs.x }}")] == ["inputs", "outputs"]


@given(hostile_text(), hostile_text())
def test_a_value_is_put_in_verbatim_and_never_expanded_again(before, value):
    nasty = value + "${{ parameters.y }} $${{ '"
    template = before.replace("${{", "$${{") + " ${{ parameters.x }}|"
    assert fill(template, lambda _: nasty) == f"{before} {nasty}|"


def test_a_long_word_takes_no_long_time():
    assert len(split("run " + "x" * 500_000)[1]) == 500_000
