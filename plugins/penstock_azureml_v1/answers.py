"""Answers and errors in the shape of the wire: PascalCase, and exactly 200 for everything that went well."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from penstock.contract.http import HttpAnswer
from penstock.errors import PenstockError, format_path

_PIECE = 1000
"""How many items of a long list are written at once."""


def answer(data: Any) -> HttpAnswer:
    """200 with JSON; clients of the wire fail on 201 and 202."""
    return HttpAnswer(body=_json(data))


def answer_list(items: Iterable[Any]) -> HttpAnswer:
    """200 with a bare list; the wire has no pages, so a long one is made and sent in pieces."""
    rest = iter(items)
    first = list(islice(rest, _PIECE))  # so that an error still has its status
    return answer(first) if len(first) < _PIECE else HttpAnswer(body=_pieces(first, rest))


def empty() -> HttpAnswer:
    """200 with nothing."""
    return HttpAnswer()


def refuse(error: PenstockError, request_id: str) -> HttpAnswer:
    """An error of ours: its stable code is the `Code`, each problem of its own a detail."""
    details = [
        {"Code": detail.code, "Message": str(detail), "Target": format_path(detail.path) if detail.path else None}
        for detail in error.details
    ]
    told = {
        "Code": error.code,
        "Message": str(error),
        "Target": None,
        "Details": details,
        "InnerError": {"Code": error.code, "InnerError": None},
    }
    headers = {"Retry-After": str(math.ceil(error.retry_after))} if error.retry_after else {}
    if error.http_status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="penstock"'
    correlation = {"RequestId": request_id, "Operation": request_id}
    return HttpAnswer(
        status=error.http_status, body=_json({"Error": told, "Correlation": correlation}), headers=headers
    )


def _pieces(some: list[Any], rest: Iterator[Any]) -> Iterator[bytes]:
    before = b"["
    while some:
        yield before + b",".join(_json(one) for one in some)
        before, some = b",", list(islice(rest, _PIECE))
    yield b"]"


def _json(data: Any) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode()
