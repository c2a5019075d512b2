"""What a request says of itself: its query, its headers, how it reached this server, and what it triggers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote

from starlette.requests import Request
from starlette.types import Scope

from penstock.contract.http import HttpRoute
from penstock.errors import UsageError

_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}(:\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?")

_ABSOLUTE = re.compile(rb"https?://([^/]*)(/.*)?", re.IGNORECASE | re.DOTALL)


def take_absolute(scope: Scope) -> None:
    """Read a target in absolute form, `http://host/path`, as the path at that host, whatever `Host` says (RFC 9112,
    section 3.2.2). Raises UsageError.
    """
    found = _ABSOLUTE.fullmatch(scope["raw_path"])
    if found is None:
        return
    host, path = found[1], found[2] or b"/"
    if not _HOST.fullmatch(host.decode("latin-1")):
        raise UsageError("the target of the request names no host", code="http_invalid")
    scope["raw_path"], scope["path"] = path, unquote(path.decode("latin-1"))
    scope["headers"] = [(b"host", host), *(pair for pair in scope["headers"] if pair[0] != b"host")]


def triggered(route: HttpRoute, request: Request) -> str | None:
    """The endpoint that a request triggers, if it does and says which."""
    if route.triggers is None:
        return None
    try:
        return route.triggers(request.path_params, query(request.scope["query_string"]))
    except UsageError:
        return None


def query(text: bytes) -> Mapping[str, tuple[str, ...]]:
    """Every value of each name of a query, in order. Raises UsageError."""
    found: dict[str, tuple[str, ...]] = {}
    if not text:
        return found
    try:
        pairs = parse_qsl(text.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=100)
    except ValueError:
        raise UsageError("the query of the URL cannot be read; percent-encode it as UTF-8") from None
    for name, value in pairs:
        found[name] = (*found.get(name, ()), value)
    return found


def headers(request: Request) -> Mapping[str, str]:
    """The headers that routes may see, by lower-case name. Raises UsageError for two idempotency keys."""
    found: dict[str, str] = {}
    for raw, value in request.scope["headers"]:
        name = raw.decode("latin-1")
        if name == "idempotency-key" and name in found:  # joined, they would be a third one
            raise UsageError("the request has `Idempotency-Key` more than once; say it once")
        if name != "authorization":  # the gatekeeper's alone
            text = _as_utf8(value)
            found[name] = f"{found[name]}, {text}" if name in found else text
    return found


def _as_utf8(value: bytes) -> str:
    """What a header says: UTF-8 where it is that, so that an idempotency key is the same one at every door."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def base_url(scope: Scope, public_url: str | None) -> str:
    """How the caller reaches this server, without a slash at the end."""
    if public_url is not None:
        return public_url.rstrip("/")
    hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
    host = hosts[0] if len(hosts) == 1 and _HOST.fullmatch(hosts[0]) else ""
    if not host:
        address, port = scope.get("server") or ("localhost", None)
        host = f"[{address}]" if ":" in address else address
        host = host if port is None else f"{host}:{port}"
    return f"{scope['scheme']}://{host}"
