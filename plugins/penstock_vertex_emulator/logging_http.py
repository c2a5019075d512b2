"""Cloud Logging's JSON API as far as it is needed: entries are listed and written.

Requests are read strictly into Google's own messages (google-cloud-logging); sources: the comments of
`ListLogEntriesRequest`, `WriteLogEntriesRequest` and `LogEntry`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, unquote

from penstock_emulator.http import Answer, Request
from penstock_vertex_emulator.entries import Entries, Entry, Position, text_of
from penstock_vertex_emulator.errors import ApiError, invalid, unsupported
from penstock_vertex_emulator.logging_filter import expression
from penstock_vertex_emulator.messages import data_of, parse
from penstock_vertex_emulator.pipelines import numbered

_PROJECT = re.compile(r"projects/([^/]+)")
_LOG = re.compile(r"projects/([^/]+)/logs/([A-Za-z0-9/_.%-]{1,511})")
_QUERY = frozenset({"alt", "$alt", "prettyPrint"})
_MOST_PAGE, _MOST_ENTRY = 1000, 256_000
_DIRECTIONS = {"": False, "timestamp asc": False, "timestamp": False, "timestamp desc": True}


class LoggingHttp:
    """The calls of one state."""

    def __init__(self, entries: Entries) -> None:
        self._entries = entries

    def find(self, request: Request) -> tuple[str, Callable[[], Answer]] | None:
        """The method's name and the call that answers; nothing for another path."""
        calls = {"/v2/entries:list": ("list", self._list), "/v2/entries:write": ("write", self._write)}
        if request.verb != "POST" or request.path not in calls:
            return None
        name, call = calls[request.path]
        return f"logging.entries.{name}", lambda: call(request)

    def _list(self, request: Request) -> Answer:
        asked = _read(request, "ListLogEntriesRequest")
        if not asked.resource_names:
            raise invalid("resourceNames: at least one is needed")
        projects: dict[str, str] = {}
        for name in asked.resource_names:
            match = _PROJECT.fullmatch(name)
            if match is None:
                raise unsupported(f"resourceNames: {name!r} is no projects/*")
            projects[numbered(name).rpartition("/")[2]] = match[1]
        if not 0 <= asked.page_size <= _MOST_PAGE:
            raise invalid(f"pageSize: {asked.page_size} is not from 0 to {_MOST_PAGE}")
        if asked.order_by not in _DIRECTIONS:
            raise invalid(f"orderBy: {asked.order_by!r} is none of 'timestamp asc', 'timestamp desc'")
        where, values = expression(asked.filter)
        rest = f"{sorted(projects)} {asked.filter} {_DIRECTIONS[asked.order_by]}"
        mark = hashlib.sha256(rest.encode()).hexdigest()[:16]
        rows, after = self._entries.page(
            list(projects),
            where,
            values,
            descending=_DIRECTIONS[asked.order_by],
            after=_position(asked.page_token, mark),
            most=asked.page_size or 50,
        )
        text = ", ".join(text_of(row, projects[row[3]]) for row in rows)
        token = "" if after is None else f', "nextPageToken": {json.dumps(_token(after, mark))}'
        return _json(f'{{"entries": [{text}]{token}}}' if rows else "{}")

    def _write(self, request: Request) -> Answer:
        asked = _read(request, "WriteLogEntriesRequest")
        default = {key: value for key, value in data_of(asked).items() if key in ("logName", "resource", "labels")}
        made = []
        for number, message in enumerate(asked.entries):
            try:
                made.append(_entry(default, message))
            except ApiError as error:
                raise ApiError(error.status, f"entries[{number}]: {error.message}") from None
        if not asked.dry_run:
            self._entries.write(made)
        return _json("{}")


def _read(request: Request, name: str) -> Any:
    unknown = request.query.keys() - _QUERY
    if unknown:
        raise invalid(f"query: unknown parameter {min(unknown)!r}")
    try:
        from google.cloud.logging_v2 import types
    except ImportError:
        raise ApiError("UNIMPLEMENTED", "logs need google-cloud-logging: pip install 'penstock[vertex-logs]'") from None
    return parse(request.body or b"{}", getattr(types, name).pb()())


def _entry(default: dict[str, Any], message: Any) -> Entry:
    """An entry that somebody writes. Raises ApiError."""
    if message.WhichOneof("payload") not in ("text_payload", "json_payload"):
        raise unsupported("an entry without textPayload and jsonPayload")
    if message.ByteSize() > _MOST_ENTRY:
        raise invalid(f"{message.ByteSize()} bytes are more than {_MOST_ENTRY}")
    said = {**default, **data_of(message)}
    said["labels"] = {**default.get("labels", {}), **said.get("labels", {})}
    match = _LOG.fullmatch(said.pop("logName", ""))
    if match is None:
        raise invalid("logName: is to be projects/*/logs/*, percent-encoded")
    if not said.get("resource", {}).get("type"):
        raise invalid("resource: has no type")
    moment = message.timestamp.ToNanoseconds() if message.HasField("timestamp") else time.time_ns()
    for key in ("timestamp", "insertId", "receiveTimestamp"):
        said.pop(key, None)
    return Entry(
        project=numbered(f"projects/{match[1]}").rpartition("/")[2],
        log_id=quote(unquote(match[2]), safe=""),
        time=moment,
        insert_id=message.insert_id or uuid.uuid4().hex[:16],
        job=said["resource"].get("labels", {}).get("job_id", ""),
        rest=json.dumps(said),
    )


def _token(position: Position, mark: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([mark, *position]).encode()).decode()


def _position(token: str, mark: str) -> Position | None:
    """Where a page goes on. Raises ApiError for a token that is not of this question."""
    if not token:
        return None
    try:
        said, *position = json.loads(base64.urlsafe_b64decode(token))
    except ValueError:
        said, position = "", []
    if said != mark or len(position) != 4:
        raise invalid("pageToken: is not one that was answered to this question")
    return position[0], position[1], position[2], position[3]


def _json(text: str) -> Answer:
    return Answer(200, {"Content-Type": "application/json; charset=UTF-8"}, text.encode())
