"""Text that programs get wrong: what shells, YAML, JSON, file systems and templates each take for something else."""

from __future__ import annotations

import string
import unicodedata

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

HOSTILE: tuple[str, ...] = (
    # what YAML reads as something else
    "", " ", "yes", "no", "null", "~", "1", "0x10", "1e3", ".inf", "2020-01-01", "1:30", "- a", "a: b", "# x", "<<",
    # white space
    "a\nb", "a\n", "\n", " a", "a ", "\t", "a  b", "a\tb", "\r\n", "a\rb", "\v\f", "a b c", " -- ",
    # quotes and what shells expand
    "'", '"', "''", '"a b"', "it's", "\\", "\\n", "a\\", "\\\\ \\", "\\'", "$x", "$HOME", "${HOME}", "$(x)",
    "$(touch x)", "`x`", "; x", "| x", "&& x", "> x", "*", "?", "[a-z]*", "{a,b}", "{}", "[", "~/x", "!!", "%PATH%",
    # what templates expand
    "%s", "{{ x }}", "{0}", "${{ parameters.x }}", "${{ inputs.a }}", "${{outputs.args}}", "$${{", "${{", "$$", "}}",
    # what looks like options
    "-n", "--", "---", "-rf", "--help", "-c", "=", "a=b", "@x", "+1",
    # Unicode
    "é", "e\u0301", "日本", "\U0001f600", "\x85", "\u2028", "\ufeff", "\u202e", "\xa0", "\x01", "\x7f", "\x1b[0m",
    "a" * 200,
)  # fmt: skip
"""Texts that have broken something somewhere."""

KEY_START = string.ascii_letters + string.digits + "_"
_ODD_KEYS = (
    "1",
    "0",
    "007",
    "0x1",
    "1e3",
    "1_000",
    "true",
    "null",
    "no",
    "on",
    "y",
    "_",
    "__",
    "a-",
    "a--b",
    "0-0",
    "_-",
)

characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
"""Every character that an argument can carry."""


def hostile_text() -> SearchStrategy[str]:
    """Text that shells, YAML, JSON, templates and file systems get wrong: any Unicode but NUL and lone surrogates."""
    return st.one_of(
        st.sampled_from(HOSTILE), st.lists(st.sampled_from(HOSTILE), max_size=3).map("".join), st.text(characters)
    )


def keys() -> SearchStrategy[str]:
    """Keys of a spec, among them words and numbers that YAML would read as something else."""
    made = st.builds("".join, st.tuples(st.sampled_from(KEY_START), st.text(KEY_START + "-", max_size=8)))
    return st.one_of(st.sampled_from(_ODD_KEYS), made)


def names() -> SearchStrategy[str]:
    """Names of pipelines and endpoints: 1 to 255 bytes, printable, in NFC, without `/`, `:`, `@` and outer spaces."""
    allowed = characters.filter(lambda char: char.isprintable() and char not in "/:@")
    made = st.text(allowed, min_size=1, max_size=63).map(lambda text: unicodedata.normalize("NFC", text).strip())
    return st.one_of(made.filter(lambda name: 0 < len(name.encode()) <= 255), st.sampled_from(["n" * 255, "é" * 127]))


def literal(text: str) -> str:
    """A text as a command or an environment writes it so that it stays what it is."""
    return text.replace("${{", "$${{")


def templates(marks: list[str]) -> SearchStrategy[str]:
    """Arguments: literal text, a placeholder of `marks`, or one with text around it."""
    plain = hostile_text().map(literal)
    if not marks:
        return plain
    # A space keeps a `$` at the end of the literal from escaping the placeholder.
    around = st.builds("{} {}{}".format, plain, st.sampled_from(marks), plain)
    return st.one_of(plain, around, st.sampled_from(marks))
