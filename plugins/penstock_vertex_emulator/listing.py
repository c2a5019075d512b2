"""Filter, order, pages and masks of a listing, as AIP-132, 158, 160 and 161 have them and as far as documented.

Source of the fields: the comments of `ListPipelineJobsRequest` in google-cloud-aiplatform.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

from penstock_vertex_emulator.errors import invalid
from penstock_vertex_emulator.filter_words import FilterWords

_WORD = re.compile(r'\s*(?:(?P<sign>[()]|!=|<=|>=|=|<|>|:)|"(?P<text>(?:[^"\\]|\\.)*)"|(?P<word>[^\s()=!<>:"]+))')
_TIMES = ("create_time", "update_time", "start_time", "end_time")
_SIGNS = ("=", "!=", "<", ">", "<=", ">=", ":")

Test = Callable[[Any], bool]


def matches(expression: str) -> Test:
    """A filter as a test of a job. Raises ApiError for one that is not understood."""
    if not expression.strip():
        return lambda job: True
    reader = _Reader(expression, _WORD, lambda text: re.sub(r"\\(.)", r"\1", text))
    test = reader.expression()
    if reader.words:
        raise reader.wrong(f"unexpected {reader.words[0][1]!r}")
    return test


class _Reader(FilterWords):
    def expression(self) -> Test:
        # In AIP-160 OR binds more closely than AND.
        parts = [self._either()]
        while self.take("AND"):
            parts.append(self._either())
        return lambda job: all(one(job) for one in parts)

    def _either(self) -> Test:
        parts = [self._term()]
        while self.take("OR"):
            parts.append(self._term())
        return lambda job: any(one(job) for one in parts)

    def _term(self) -> Test:
        if self.take("NOT", "-"):
            inner = self._term()
            return lambda job: not inner(job)
        if self.take("("):
            inner = self.expression()
            if not self.take(")"):
                raise self.wrong("`)` is missing")
            return inner
        return self._comparison()

    def _comparison(self) -> Test:
        kind, name = self.next("a field")
        if kind != "word":
            raise self.wrong(f"{name!r} is no field")
        if self.words and name == "labels." and self.words[0][0] == "text":
            name += self.words.pop(0)[1]
        _, sign = self.next("a comparison")
        if sign not in _SIGNS:
            raise self.wrong(f"{sign!r} is no comparison")
        _, value = self.next("a value")
        return self._test(name, sign, value)

    def _test(self, name: str, sign: str, value: str) -> Test:
        if name in _TIMES:
            moment = _moment(value)
            if sign == ":" or moment is None:
                raise self.wrong(f"{name} is compared with a time in RFC 3339")
            return lambda job: job.HasField(name) and _compare(getattr(job, name).ToNanoseconds(), sign, moment)
        if sign not in ("=", "!=", ":"):
            raise self.wrong(f"{name} cannot be compared by {sign}")
        if name == "labels" and sign == ":":
            return lambda job: value in job.labels
        if name.startswith("labels."):
            key = name.removeprefix("labels.").strip('"')
            if sign == ":":
                return lambda job: key in job.labels and (value == "*" or job.labels[key] == value)
            return lambda job: (job.labels.get(key) == value) == (sign == "=")
        if name not in _TEXTS:
            raise self.wrong(f"unknown field {name!r}")
        if sign == ":":
            if name in ("state", "pipeline_name"):
                raise self.wrong(f"{name} cannot be compared by :")
            pattern = value if "*" in value else f"*{value}*"
            return lambda job: fnmatchcase(_TEXTS[name](job), re.sub(r"([\[?])", r"[\1]", pattern))
        return lambda job: (_TEXTS[name](job) == value) == (sign == "=")


def _state(job: Any) -> str:
    return str(job.DESCRIPTOR.fields_by_name["state"].enum_type.values_by_number[job.state].name)


_TEXTS: dict[str, Callable[[Any], str]] = {
    "pipeline_name": lambda job: str(job.pipeline_spec.fields["pipelineInfo"].struct_value.fields["name"].string_value),
    "display_name": lambda job: str(job.display_name),
    "pipeline_job_user_id": lambda job: str(job.name.rpartition("/")[2]),
    "state": _state,
    "template_uri": lambda job: str(job.template_uri),
    "template_metadata.version": lambda job: str(job.template_metadata.version),
}


def _moment(text: str) -> int | None:
    from google.protobuf.timestamp_pb2 import Timestamp

    moment = Timestamp()
    try:
        moment.FromJsonString(text)
    except ValueError:
        return None
    return int(moment.ToNanoseconds())


def _compare(left: int, sign: str, right: int) -> bool:
    return {
        "=": left == right,
        "!=": left != right,
        "<": left < right,
        ">": left > right,
        "<=": left <= right,
        ">=": left >= right,
    }[sign]


def ordered(jobs: Iterable[Any], order: str) -> list[Any]:
    """Jobs in an order such as `create_time desc, end_time`. Raises ApiError for an unknown field."""
    found = list(jobs)
    for part in reversed([one.split() for one in order.split(",") if one.strip()]):
        if part[0] not in _TIMES or part[1:] not in ([], ["asc"], ["desc"]):
            raise invalid(f"orderBy {order!r}: {' '.join(part)!r} is not understood")
        found.sort(key=partial(_time_of, part[0]), reverse=part[1:] == ["desc"])
    return found


def _time_of(field: str, job: Any) -> int:
    return int(getattr(job, field).ToNanoseconds())


def page(jobs: Sequence[Any], size: int, token: str, most: int = 100) -> tuple[Sequence[Any], str]:
    """One page, and the token of the next. Raises ApiError for a size below 0 or a token that is not ours."""
    if size < 0:
        raise invalid(f"pageSize {size} is negative")
    try:
        first = int(base64.urlsafe_b64decode(token)) if token else 0
    except ValueError:
        raise invalid(f"pageToken {token!r} is not one that was answered") from None
    end = first + min(size or 50, most)
    return jobs[first:end], base64.urlsafe_b64encode(str(end).encode()).decode() if end < len(jobs) else ""


def masked(message: Any, paths: Sequence[str]) -> Any:
    """The message with only what the paths name; all of it without any. Raises ApiError for an unknown field."""
    if not paths or list(paths) == ["*"]:
        return message
    kept = type(message)()
    for path in paths:
        _keep(message, kept, path.split("."), path)
    return kept


def _keep(source: Any, target: Any, path: list[str], whole: str) -> None:
    name = path[0]
    if source.DESCRIPTOR.full_name == "google.protobuf.Struct":
        key = re.sub(r"_(.)", lambda found: found[1].upper(), name)
        if key in source.fields:
            target.fields[key].CopyFrom(source.fields[key])
        return
    field = source.DESCRIPTOR.fields_by_name.get(name)
    if field is None:
        raise invalid(f"readMask: there is no field {whole!r}")
    if len(path) > 1 and field.message_type is not None and not field.is_repeated:
        if source.HasField(name):
            _keep(getattr(source, name), getattr(target, name), path[1:], whole)
        return
    one = type(source)()
    one.CopyFrom(source)
    for other in [found.name for found, _ in one.ListFields()]:
        if other != name:
            one.ClearField(other)
    target.MergeFrom(one)
