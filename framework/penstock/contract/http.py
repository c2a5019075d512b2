"""What crosses the line between the server and a door: requests, answers and routes, without any web framework.

A door is a plugin that contributes routes (`penstock_register_routes`). The server has read the request within its
limits and knows who calls before a route sees it; an error of ours that a route raises is answered in the door's own
shape.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import field, frozen

from penstock.errors import PenstockError

if TYPE_CHECKING:
    from penstock.workspace import Workspace


@frozen(kw_only=True)
class HttpRequest:
    """One request. `workspace` is bound to who calls; of a route that is `open` to all, to nobody in particular.

    `path` holds the parameters of the route's path, percent-decoded, and `query` every value of each name in order.
    `headers` has lower-case names; a header that came twice has its values joined by `, `, and one that is UTF-8 is
    read as that. `base_url` is how the caller reaches this server, without a slash at the end. A coroutine does what
    blocks `in_thread`, and a body in pieces `aside`, in threads of its own kind, so that those who read for long hold
    up nobody who asks for little; what lies at a target and takes as long as it has bytes is for `fetching`. Who waits
    for news has what there is when the server `is_stopping`, or `is_crowded`: it has hardly room for another request.
    What takes long is done for nobody when the caller `is_gone`; of one that only ended its side that is not known.
    """

    method: str
    path: Mapping[str, str]
    query: Mapping[str, tuple[str, ...]]
    headers: Mapping[str, str]
    body: bytes
    base_url: str
    workspace: Workspace
    is_stopping: Callable[[], bool] = field(default=lambda: False)
    is_crowded: Callable[[], bool] = field(default=lambda: False)
    in_thread: Callable[[Callable[[], Any]], Awaitable[Any]] | None = None
    aside: Callable[[Callable[[], Any]], Awaitable[Any]] | None = None
    fetching: Callable[[Callable[[], Any]], Awaitable[Any]] | None = None
    is_gone: Callable[[], Awaitable[bool]] | None = None


@frozen(kw_only=True)
class HttpAnswer:
    """One answer; a body in pieces is sent as they come, and holds a thread only while the next one is made."""

    status: int = 200
    body: bytes | Iterator[bytes] | AsyncIterator[bytes] = b""
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(factory=dict)


@frozen(kw_only=True)
class AnsweredRequest:
    """A request that was answered, for who measures.

    `route` is the path of its route as that has it, so there are few; it, `method` and `door` are empty where none was
    found. `code` is the stable code that it was refused with, empty where it was not. `seconds` is how long it took
    until the end of the answer was sent.
    """

    request_id: str
    method: str
    route: str
    door: str
    status: int
    code: str
    seconds: float


Handler: TypeAlias = Callable[[HttpRequest], "HttpAnswer | Awaitable[HttpAnswer]"]
"""What answers a route: a function, which is run in a thread, or a coroutine, which must not block."""


Triggers: TypeAlias = Callable[[Mapping[str, str], Mapping[str, tuple[str, ...]]], str | None]


@frozen(kw_only=True)
class HttpRoute:
    """One path and method. `path` is like `/v1/runs/{id}`; `refuse` puts an error into the door's shape.

    `open`: no token is asked for, and its body has at most 64 KiB. `door` is what records say of who came in this way.
    `triggers` is of a route that triggers an endpoint: given the parameters of the path and the query, it says which by
    name or id (None: the request does not say); when that endpoint is public, no token is asked for either.
    `asks_target`: its function may wait for a target, and is run in a thread of few so that one which hangs holds up
    nothing else.
    """

    method: str
    path: str
    handler: Handler
    refuse: Callable[[PenstockError, str], HttpAnswer]
    door: str
    open: bool = False
    triggers: Triggers | None = None
    asks_target: bool = False
