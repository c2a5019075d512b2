"""Commands: splitting as a shell splits words, placeholders kept whole, values never looked at again."""

import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.spec import Step
from penstock.spec.command import CommandInvalid, Reference, fill, pieces, references, sole_reference, split
from penstock.testing.strategies import hostile_text

_PIECES = st.sampled_from([
    "a", "b", "1", ",", ".", "..", "*", "?", "[", "]", "!", "-", "~", "/", "{", "}", "#", "=", "+", "'*'", '"?"', "''",
    "\\*", "\\~", "\\{", "'#'", "a", "b",
])  # fmt: skip


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
        ("run a#b '#c'", ("run", "a#b", "#c")),
        ("run '*.csv' \"part-?.txt\" \\*", ("run", "*.csv", "part-?.txt", "*")),
        ("run '~/x' a~ HEAD~1 --x=~ \\~", ("run", "~/x", "a~", "HEAD~1", "--x=~", "~")),
        (
            "run {} {a} a,b {../x} {a},{b} {a,{b} '{a,b}' {\"a,b\"}",
            ("run", "{}", "{a}", "a,b", "{../x}", "{a},{b}", "{a,{b}", "{a,b}", "{a,b}"),
        ),
        ("run [ a ] [] '[ab]' \\[a]", ("run", "[", "a", "]", "[]", "[ab]", "[a]")),
        ("'A=1' run", ("A=1", "run")),
        ("run A=1 --x=1 cd exit", ("run", "A=1", "--x=1", "cd", "exit")),
        ("'cd' a", ("cd", "a")),
        ("./a=1 a", ("./a=1", "a")),
        ("--a=1 a", ("--a=1", "a")),
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
        *(
            (f"cat {text}", "shell_operator")
            for text in ("data/*.csv", "*", "part-?.txt", "part-[0-9].txt", "[!a]b", "[a[]")
        ),
        *(
            (f"cat {text}", "shell_operator")
            for text in ("~/x.csv", "~", "~user/x", "of=~/x", "X=a:~/b", "X='a':~", "X+=~", "'a b'*", "x\\ *")
        ),
        *(
            (f"run {text}", "shell_operator")
            for text in ("{a,b}", "a{b,c}d", "{1..3}", "{a,{b}}", "{{a,b}", "{a{,b}c}", "#", "#c", "a #c")
        ),
        *((f"run --x={text}", "shell_operator") for text in ("*", "{${{ inputs.a }},b}", "${{ inputs.a }}/*")),
        *(
            (text, "shell_operator")
            for text in ("A=1 run", "A= run", "A='a b' B=2 run", "A+=1 run", "A=1", "#", "# run")
        ),
        *((f"{word} x", "shell_operator") for word in ("cd", "export", "source", ".", "if", "exit", "!", "[[", "exec")),
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


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is the judge")
def test_each_word_of_bash_is_refused_unless_it_is_a_program_too():
    said = subprocess.run(["bash", "--norc", "-c", "compgen -bk"], capture_output=True, text=True, check=True).stdout
    programs = {"[", "echo", "false", "kill", "printf", "pwd", "test", "true"}
    for word in said.split():
        if word in programs:
            assert split(f"{word} x") == (word, "x")
        else:
            with pytest.raises(CommandInvalid, match=r"is no program but a word of the shell: .*, and quote"):
                split(f"{word} x")
        assert split(f"'{word}' x") == (word, "x")
        assert split(f"run {word}") == ("run", word)


@pytest.mark.parametrize("word", ["--x=~/a", "a:~/b", "X=a=~/b", "x.y=a:~", "1=~", "X=a:b~", "'X'=a:~"])
def test_a_tilde_that_bash_leaves_is_text(word):
    assert split(f"run {word}") == ("run", word.replace("'", ""))


def test_what_is_refused_is_shown_with_what_to_do():
    with pytest.raises(
        CommandInvalid, match=r"`data/\*\.csv` would not be expanded: .*`\[bash, -c, \.\.\.\]`, and quote"
    ):
        split("cat data/*.csv")
    with pytest.raises(
        CommandInvalid, match=r"`A=1` would set no variable: write it below the step's `env`; a command"
    ):
        split("A=1 run")
    with pytest.raises(CommandInvalid, match="`cd` is no program but a word of the shell"):
        split("cd src")


def test_an_argument_list_is_taken_as_it_stands():
    words = ("cat", "data/*.csv", "~/x", "{a,b}", "#", "[a]")
    assert Step(command=words).command == words


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is the judge")
@settings(max_examples=15, deadline=None)
@given(st.lists(st.lists(_PIECES, min_size=1, max_size=6).map("".join), min_size=20, max_size=40))
def test_bash_sees_what_is_taken_as_we_do(words):
    """What is not refused is what bash would give the program, be there files of any name."""
    taken = []
    for word in words:
        try:
            taken.append((word, split(f"run {word}")[1:]))
        except CommandInvalid:
            continue
    with tempfile.TemporaryDirectory() as folder:
        for name in ("a", "b", "ab", "a.b", "a,b", "x1", "[", "]", "~a"):
            Path(folder, name).touch()
        lines = "".join(f"printf '%s\\0' {word}; printf '\\1'\n" for word, _ in taken)
        done = subprocess.run(["bash", "-c", lines], cwd=folder, capture_output=True, env={"HOME": "/home", "a": "1"})
    theirs = done.stdout.decode("utf-8", "surrogateescape").split("\1")[:-1]
    ours = ["".join(f"{argument}\0" for argument in arguments or ("",)) for _, arguments in taken]
    assert list(zip(taken, ours, strict=True)) == list(zip(taken, theirs, strict=True))


_plain = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)


@given(st.lists(_plain, max_size=5))
def test_words_are_those_of_a_shell(words):
    assert [fill(word, str) for word in split(shlex.join(["run", *words]))] == ["run", *words]


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


@pytest.mark.thorough
def test_a_long_word_takes_no_long_time():
    assert len(split("run " + "{[" * 200_000)[1]) == 400_000
    assert len(split("run " + "x" * 500_000)[1]) == 500_000
