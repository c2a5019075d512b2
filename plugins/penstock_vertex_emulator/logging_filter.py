"""The filter of a listing of log entries, as an expression of SQL over what `entries` keeps.

As far as the Logging query language is documented (cloud.google.com/logging/docs/view/logging-query-language): fields,
comparisons, `AND` (also by a space or a new line), `OR`, `NOT` and `-`, parentheses, several values of one field, and
`log_id`. OR binds more closely than AND. Regular expressions, words without a field and other functions are refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from penstock_vertex_emulator.errors import invalid, unsupported
from penstock_vertex_emulator.filter_words import FilterWords
from penstock_vertex_emulator.pipelines import numbered

_WORD = re.compile(
    r"\s*(?:(?P<sign>[()]|=~|!~|!=|<=|>=|=|<|>|:)"
    r'|"(?P<text>(?:[^"\\]|\\.)*)"'
    r'|(?P<word>(?:[^\s()=!<>:"]|(?<=\.)"(?:[^"\\]|\\.)*")+))'
)
_SIGNS = ("=", "!=", "<", "<=", ">", ">=", ":")
_MOST = 20_000
_PART = re.compile(r'"((?:[^"\\]|\\.)*)"|([^."]+)')
_KNOWN = ("resource", "labels", "jsonPayload", "textPayload", "severity", "operation", "split", "trace", "spanId")
_SEVERITIES = {
    **{"DEFAULT": 0, "DEBUG": 100, "INFO": 200, "NOTICE": 300, "WARNING": 400},
    **{"ERROR": 500, "CRITICAL": 600, "ALERT": 700, "EMERGENCY": 800},
}

Expression = tuple[str, list[object]]
"""SQL, and the values for its question marks."""


def expression(text: str) -> Expression:
    """A filter as SQL. Raises ApiError for one that is not understood."""
    if len(text) > _MOST:
        raise invalid(f"filter: longer than {_MOST} characters")
    if not text.strip():
        return "1", []
    reader = _Reader(text, _WORD, _unquoted)
    found = reader.all()
    if reader.words:
        raise reader.wrong(f"unexpected {reader.words[0][1]!r}")
    return found


class _Reader(FilterWords):
    def _follows(self) -> bool:
        return bool(self.words) and self.words[0][1:] not in ((")",), ("OR",))

    def all(self) -> Expression:
        parts = [self._either(self._term)]
        while self.take("AND") or self._follows():  # what stands side by side is joined, too
            parts.append(self._either(self._term))
        return _joined(" and ", parts)

    def _either(self, one: Callable[[], Expression]) -> Expression:
        parts = [one()]
        while self.take("OR"):
            parts.append(one())
        return _joined(" or ", parts)

    def _inside(self, what: Callable[[], Expression]) -> Expression:
        found = what()
        if not self.take(")"):
            raise self.wrong("`)` is missing")
        return found

    def _term(self) -> Expression:
        if self.take("NOT", "-"):
            return _not(self._term())
        if self.take("("):
            return self._inside(self.all)
        kind, name = self.next("a field")
        if name.startswith("-") and kind == "word":
            self.words.insert(0, (kind, name[1:]))
            return _not(self._term())
        if kind != "word":
            raise unsupported(f"filter {self.shown}: {name!r} without a field")
        if self.take("("):
            if name != "log_id":
                raise unsupported(f"filter: the function {name}")
            return self._inside(lambda: ("log_id = ?", [quote(self.next("a log's id")[1], safe="")]))
        _, sign = self.next("a comparison")
        if sign in ("=~", "!~"):
            raise unsupported("filter: regular expressions")
        if sign not in _SIGNS:
            raise self.wrong(f"{sign!r} is no comparison" if sign != ")" else "a comparison is missing")
        return self._values(name, sign)

    def _values(self, name: str, sign: str) -> Expression:
        """One value, or several in parentheses."""
        if self.take("("):
            return self._inside(lambda: self._values_of(name, sign))
        kind, value = self.next("a value")
        if kind == "sign":
            raise self.wrong(f"{value!r} is no value")
        return self._test(name, sign, value, quoted=kind == "text")

    def _values_of(self, name: str, sign: str) -> Expression:
        parts = [self._either(lambda: self._values(name, sign))]
        while self.take("AND"):
            parts.append(self._either(lambda: self._values(name, sign)))
        return _joined(" and ", parts)

    def _test(self, name: str, sign: str, value: str, *, quoted: bool) -> Expression:
        if name in ("timestamp", "receiveTimestamp"):
            moment = _moment(value)
            if sign == ":" or moment is None:
                raise self.wrong(f"{name} is compared with a time in RFC 3339")
            return f"{'time' if name == 'timestamp' else 'received'} {sign} ?", [moment]
        if name == "severity" and value.upper() in _SEVERITIES and sign != ":":
            ranks = " ".join(f"when '{word}' then {rank}" for word, rank in _SEVERITIES.items())
            column = f"case coalesce(json_extract(rest, '$.severity'), 'DEFAULT') {ranks} end"
            return f"({column}) {sign} ?", [_SEVERITIES[value.upper()]]
        if name == "resource.labels.job_id" and sign == "=":
            return "job = ?", [value]
        if name == "logName" and sign in ("=", "!="):
            return f"('projects/' || project || '/logs/' || log_id) {sign} ?", [numbered(value)]
        return _compared(self._column(name), sign, value, quoted=quoted)

    def _column(self, name: str) -> Expression:
        if name == "insertId":
            return "insert_id", []
        parts = [_unquoted(found[1]) if found[1] is not None else found[2] for found in _PART.finditer(name)]
        if not parts or parts[0] not in _KNOWN:
            raise self.wrong(f"unknown field {name!r}")
        if any('"' in part for part in parts):
            raise unsupported(f"filter: the field {name}")
        path = "$" + "".join(f'."{part}"' for part in parts)
        return "json_extract(rest, ?)", [path]


def _compared(column: Expression, sign: str, value: str, *, quoted: bool) -> Expression:
    """A field by its text, whatever the case; a field that is not there is nothing at all."""
    sql, given = column
    if sign == ":" and value == "*" and not quoted:
        return f"{sql} is not null", given
    if sign == ":":
        return f"coalesce(instr(lower({sql}), lower(?)) > 0, 0)", [*given, value]
    return f"coalesce(lower(cast({sql} as text)) {sign} lower(?), 0)", [*given, value]


def _joined(word: str, parts: list[Expression]) -> Expression:
    if len(parts) == 1:
        return parts[0]
    values: list[object] = []
    for _, given in parts:
        values += given
    return "(" + word.join(sql for sql, _ in parts) + ")", values


def _not(one: Expression) -> Expression:
    return f"not ({one[0]})", one[1]


def _moment(text: str) -> int | None:
    from google.protobuf.timestamp_pb2 import Timestamp

    moment: Any = Timestamp()
    try:
        moment.FromJsonString(re.sub(r"([+-]\d\d)(\d\d)$", r"\1:\2", text))  # as Google's own library writes it
    except ValueError:
        return None
    return int(moment.ToNanoseconds())


def _unquoted(text: str) -> str:
    try:
        return str(json.loads(f'"{text}"'))
    except ValueError:
        return re.sub(r"\\(.)", r"\1", text)
