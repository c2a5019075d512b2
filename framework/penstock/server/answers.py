"""Writing what callers get: records as JSON, pages with their `Link`, errors as RFC 9457 problem documents."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from penstock.codec import json_default, time_text
from penstock.contract.http import HttpAnswer, HttpRequest
from penstock.errors import GateClosed, PenstockError
from penstock.records import EndpointRecord, Page, PublishedRecord

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=json_default).encode

PROBLEM = "application/problem+json"


def answer(record: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> HttpAnswer:
    """A record, or a mapping or list of them; one that has a revision gets its ETag."""
    told = dict(headers or {})
    if isinstance(record, EndpointRecord | PublishedRecord):
        told["ETag"] = f'"{record.revision}"'
    return HttpAnswer(status=status, body=to_json(record), headers=told)


def page(request: HttpRequest, path: str, found: Page[Any]) -> HttpAnswer:
    """A page of a listing, with a `Link` to the next one that keeps the other query parameters."""
    headers = {}
    if found.next is not None:
        kept = [(name, value) for name, values in request.query.items() if name != "before" for value in values]
        query = urlencode([*kept, ("before", found.next)])
        headers["Link"] = f'<{request.base_url}{quote(path)}?{query}>; rel="next"'
    return HttpAnswer(body=to_json(found), headers=headers)


def location(request: HttpRequest, *parts: str) -> dict[str, str]:
    """The `Location` of what was made."""
    return {"Location": "/".join((f"{request.base_url}/v1", *(quote(part, safe="") for part in parts)))}


def problem(error: PenstockError, request_id: str) -> HttpAnswer:
    """An error as RFC 9457 has it, with our code and details; of a closed gate also since when, by whom and why."""
    data: dict[str, Any] = {
        "type": f"urn:penstock:error:{error.code}",
        "title": error.code.replace("_", " "),
        "status": error.http_status,
        "detail": str(error),
        "code": error.code,
        "details": [detail.to_dict() for detail in error.details],
        "request_id": request_id,
    }
    if isinstance(error, GateClosed) and error.since is not None:
        data |= {"since": time_text(error.since), "by": error.by, "reason": error.reason}
    headers = {}
    if error.retry_after:
        headers["Retry-After"] = str(math.ceil(error.retry_after))
    if error.http_status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="penstock"'
    return HttpAnswer(status=error.http_status, body=to_json(data), media_type=PROBLEM, headers=headers)


def to_json(data: Any) -> bytes:
    """JSON as bytes, of records too. Half a character, which UTF-8 does not have, is written as an escape."""
    try:
        return _encode(data).encode()
    except UnicodeEncodeError:
        return json.dumps(data, separators=(",", ":"), default=json_default).encode()
