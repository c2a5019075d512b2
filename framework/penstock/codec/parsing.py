"""Text to YAML events and plain words to values: PyYAML, a parser of YAML 1.1, kept to YAML 1.2."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain, islice

import yaml

from penstock.errors import Problem, SpecInvalid

MAX_BYTES = 1_000_000
"""The largest document, in bytes of UTF-8."""

_WORDS: dict[str, bool | float | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((f"{sign}{word}" for sign in ("", "+") for word in (".inf", ".Inf", ".INF")), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_INTEGER = re.compile(r"[-+]?[0-9]+")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_BREAK = re.compile(r"\r\n|[\n\r]")
_REFUSED_CHARACTER = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f]")
_VEILED_CHARACTER = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_TO_DO = (
    ("expected ',' or ']'", "close the list with `]`; a value with `,`, `[` or `]` in it stands in quotes"),
    ("expected ',' or '}'", "close the mapping with `}`; a value with `,`, `{` or `}` in it stands in quotes"),
    ("mapping values are not allowed", "a value with `: ` in it stands in quotes, and each key on a line of its own"),
    ("expected ':'", "write `key: value`"),
    ("scanning a quoted scalar", "close the quotes where the value ends"),
    ("unknown escape character", "write a backslash twice, or the value in single quotes"),
    ("sequence entries are not allowed", "begin a list on the line below its key"),
    ("expected '-' indicator", "begin each entry of a list with `- `, all in one column"),
    ("expected key", "begin the keys of a mapping in one column; where quotes end, the value ends"),
    ("expected <block end>", "begin keys and entries in one column; where quotes end, the value ends"),
    ("%YAML", "leave the line with `%` out"),
    ("YAML document", "leave the line with `%` out"),
    ("directive", "leave the line with `%` out"),
)
"""What to do about what the parsers say, by a part of that; they say the same in slightly other words."""
_ELSE_TO_DO = "put the value in quotes, or indent it as its neighbours"
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def check_text(text: str, source: str) -> None:
    """Refuse what need not be parsed to be refused. Raises SpecInvalid."""
    try:
        size = len(text) if len(text) > MAX_BYTES else len(text.encode())
    except UnicodeEncodeError as error:
        position = _position_of(text, error.start)
        raise refused(source, position, "text_invalid", "a lone surrogate is not Unicode text") from None
    if size > MAX_BYTES:
        message = f"the document is larger than {MAX_BYTES:,} bytes"
        raise refused(source, (1, 1), "document_too_large", message, "data belongs in files beside it")
    found = _REFUSED_CHARACTER.search(text)
    if found:
        message = f"the control character U+{ord(found[0]):04X} cannot stand in YAML"
        hint = "inside double quotes, write it with a backslash"
        raise refused(source, _position_of(text, found.start()), "yaml_syntax", message, hint)


def refused(source: str, position: tuple[int, int], code: str, message: str, hint: str = "") -> SpecInvalid:
    """The error of one problem at a line and column."""
    where = f"{source}:{position[0]}:{position[1]}"
    return SpecInvalid.of([Problem(code, message, where=where, hint=hint)], source)


def _position_of(text: str, index: int) -> tuple[int, int]:
    breaks = [found.end() for found in _BREAK.finditer(text, 0, index)]
    return len(breaks) + 1, index - (breaks[-1] if breaks else 0) + 1


def veil(text: str) -> tuple[str, dict[int, str]]:
    """Put private characters for those that YAML 1.2 takes as text and the parser, of YAML 1.1, does not.

    One for one, so that places stay. Returns the text and how to get them back.
    """
    found = sorted(set(_VEILED_CHARACTER.findall(text)))
    spare = (chr(code) for code in chain(range(0xE000, 0xF900), range(0xF0000, 0xFFFFE)) if chr(code) not in text)
    veil = dict(zip(found, spare, strict=False))
    return text.translate(str.maketrans(veil)), {ord(private): char for char, private in veil.items()}


class _SlowLoader(yaml.SafeLoader):
    """The parser in Python, taught that JSON may be indented by tabs; the one in C knows."""

    def scan_to_next_token(self) -> None:
        super().scan_to_next_token()
        while self.flow_level and self.peek() == "\t":
            self.forward()
            super().scan_to_next_token()


def events(text: str) -> Iterator[yaml.Event]:
    """The events of a text, however deep it is nested. Raises yaml.YAMLError."""
    # The C parser refuses the surrogate pairs that JSON writes for emoji; the slow one lets us join them.
    fast = getattr(yaml, "CSafeLoader", None)
    if fast is None or _ESCAPED_SURROGATE.search(text):
        yield from yaml.parse(text, Loader=_SlowLoader)
        return
    done = 0
    try:
        for event in yaml.parse(text, Loader=fast):
            yield event
            done += 1
    except yaml.MarkedYAMLError as error:
        if "nesting depth" not in (error.problem or ""):
            raise
        # Since PyYAML 6.0.4 the C parser has a limit of its own, and complains ahead of its events: whoever reads
        # them has not seen where it became too deep for us. The slow one has no limit, and goes on from there.
        yield from islice(yaml.parse(text, Loader=_SlowLoader), done, None)


def syntax(error: yaml.MarkedYAMLError, text: str) -> tuple[str, tuple[int, int], str]:
    """What a syntax error says, where it is, and what to do about it."""
    mark = error.problem_mark or error.context_mark
    position = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    lines = _BREAK.split(text)
    line = lines[position[0] - 1] if position[0] <= len(lines) else ""
    indent = line[: len(line) - len(line.lstrip())]
    if "\t" in indent or line[position[1] - 1 : position[1]] == "\t":
        return "a tab cannot indent YAML", (position[0], line.index("\t") + 1), "use spaces"
    message = " ".join(" ".join(part for part in (error.problem, error.context) if part).split())
    begins = error.context_mark
    if error.context and begins and (begins.line, begins.column) != (position[0] - 1, position[1] - 1):
        message = f"{message} that begins at {begins.line + 1}:{begins.column + 1}"
    hint = next((hint for part, hint in _TO_DO if part in message), _ELSE_TO_DO)
    return message or "this is not YAML", position, hint


def resolve(text: str) -> str | int | float | bool | None:
    """The value of a plain (unquoted) scalar. Raises ValueError for a number of more digits than Python reads."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    return float(text) if _FLOAT.fullmatch(text) else text
