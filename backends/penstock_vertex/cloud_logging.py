"""Google Cloud Logging: the entries that the attempts of a step wrote, a page at a time, in our words and errors.

A container's output is kept under the monitored resource `ml_job` of its custom job, in the log `workerpool0-0`; lines
of Google's own about the job are in other logs. Sources: gcloud's `ml_engine` log reader and gcpdiag, which ask so.

The library's gRPC client has time limits, but not everybody's network lets gRPC through, and its other one, over HTTP,
has none to set. So the library's client makes the connection, and the call is made on that, with a limit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from attrs import frozen

from penstock.errors import TargetUnavailable
from penstock_vertex.credentials import credentials_of, made_once, undisturbed
from penstock_vertex.repeating import repeated
from penstock_vertex.troubles import translated

if TYPE_CHECKING:
    from google.cloud.logging import Client

    from penstock_vertex.options import VertexOptions

_PAGE = 1000
"""How many entries are asked for at once, which is as many as Google gives (`ListLogEntriesRequest.page_size`)."""

_PLACE = "https://logging.googleapis.com"


class Entry(NamedTuple):
    """One entry, ordered as Cloud Logging orders them: by time, then by id.

    `time` and `received` are nanoseconds since 1970. `text` is the bytes that it stands for: with the end of the line,
    unless the line goes on in the next entry.
    """

    time: int
    id: str
    received: int
    text: bytes


@frozen(kw_only=True)
class Page:
    """Some entries in their order, and what to ask for next; nothing when these were the last."""

    entries: Sequence[Entry]
    token: str


def is_installed() -> bool:
    """Whether Google's library is here, which the extra `vertex-logs` brings."""
    from importlib.util import find_spec

    return find_spec("google.cloud.logging") is not None


def filter_of(jobs: Sequence[str], received: int | None) -> str:
    """The filter for what custom jobs wrote; with a time, for what came in since then (nanoseconds since 1970)."""
    wanted = " OR ".join(json.dumps(job) for job in jobs)
    parts = ['resource.type="ml_job"', f"resource.labels.job_id=({wanted})", 'log_id("workerpool0-0")']
    if received is not None:
        parts.append(f'receiveTimestamp>="{_time_text(received)}"')
    return " AND ".join(parts)


def page_of(options: VertexOptions, filter_: str, token: str) -> Page:
    """One page of entries. Raises ImportError without the library, TargetUnavailable and TargetRefused.

    An empty page with a token is possible: then there may be more.
    """
    place = options.logging_endpoint or _PLACE
    asked: dict[str, Any] = {
        "resourceNames": [f"projects/{options.project}"],
        "filter": filter_,
        "orderBy": "timestamp asc",
        "pageSize": _PAGE,
    }
    if token:
        asked["pageToken"] = token
    try:
        with translated("the log cannot be read", options, place=place):
            client = _client(options.project, options.logging_endpoint, options.credentials)
            answer = repeated(
                lambda: client._connection.api_request(
                    method="POST", path="/entries:list", data=asked, timeout=options.poll_timeout
                )
            )
    except TargetUnavailable as error:
        if error.code != "permission_denied":
            raise
        hint = "`roles/logging.viewer` on the project lets one read logs"
        raise TargetUnavailable(f"{error.message}; {hint}", code=error.code) from None
    entries = [_entry(one) for one in answer.get("entries", ())]
    return Page(entries=entries, token=answer.get("nextPageToken", ""))


@made_once
def _client(project: str, endpoint: str | None, credentials: str) -> Client:
    """The client of one address, made once."""
    from google.cloud.logging import Client

    options = None if endpoint is None else {"api_endpoint": endpoint}
    client = Client(project=project, credentials=credentials_of(credentials), client_options=options, _use_grpc=False)
    undisturbed(client._http, endpoint or _PLACE)
    return client


def _entry(said: Mapping[str, Any]) -> Entry:
    """An entry as the REST API writes it."""
    split = said.get("split")
    # The part of a long line that is not its last, by the vendor's own numbers.
    goes_on = split is not None and split.get("index", 0) + 1 != split.get("totalSplits", 0)
    text = _text(said)
    if not goes_on and not text.endswith("\n"):
        text += "\n"
    time = _nanoseconds(said.get("timestamp", ""))
    received = _nanoseconds(said.get("receiveTimestamp", ""))
    return Entry(time=time, id=said.get("insertId", ""), received=received, text=text.encode("utf-8", "replace"))


def _text(said: Mapping[str, Any]) -> str:
    """What was written; of a line that Google's agent took for an object, its message or else all of it."""
    if "textPayload" in said:
        return str(said["textPayload"])
    data = said.get("jsonPayload", {})
    return data["message"] if isinstance(data.get("message"), str) else json.dumps(data, ensure_ascii=False)


def _nanoseconds(text: str) -> int:
    """A time as Google writes it, `2026-01-31T12:00:00.123456789Z`, in nanoseconds since 1970; 0 for none."""
    from datetime import datetime

    if not text:
        return 0
    whole, _, fraction = text.removesuffix("Z").partition(".")
    return int(datetime.fromisoformat(f"{whole}+00:00").timestamp()) * 1_000_000_000 + int(f"{fraction:0<9}"[:9])


def _time_text(nanoseconds: int) -> str:
    from datetime import UTC, datetime

    whole = datetime.fromtimestamp(nanoseconds // 1_000_000_000, UTC)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{nanoseconds % 1_000_000_000:09d}Z"
