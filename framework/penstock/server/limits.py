"""What a request must be before anything else is done with it: of one reading, within limits, and addressed to us."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.types import Scope

from penstock.config import ServerOptions, is_loopback
from penstock.errors import NotFound, PolicyRefused, UsageError
from penstock.server.requests import base_url


def check(scope: Scope, options: ServerOptions, *, asks_token: bool) -> None:
    """Refuse what is outside the limits of a server. Raises UsageError, PolicyRefused, NotFound."""
    if not scope["http_version"].startswith("1."):
        raise UsageError("this server speaks HTTP/1.1", code="http_invalid")
    headers = dict(scope["headers"])
    if b"transfer-encoding" in headers and b"content-length" in headers:
        # A proxy before us may have read another length than we do, and what we take for a request be a body's end.
        raise UsageError("a body has a length or is chunked, not both", code="http_invalid")
    if len(scope.get("raw_path", b"")) + len(scope["query_string"]) > options.max_url_bytes:
        raise UsageError(f"the URL is longer than {options.max_url_bytes} bytes", code="url_too_long")
    if sum(len(name) + len(value) for name, value in scope["headers"]) > options.max_header_bytes:
        raise UsageError(f"the headers are longer than {options.max_header_bytes} bytes", code="headers_too_large")
    if not asks_token:
        _check_host(scope, options)
    if b"origin" in headers:
        _check_origin(scope, options)
    if b"%2f" in scope["raw_path"].lower():
        # No name has a slash, and who guards this path before us may read another one than we do.
        raise NotFound("nothing is served at a path with an encoded slash", code="route_not_found")


def _check_host(scope: Scope, options: ServerOptions) -> None:
    """Without tokens, let in only who addressed this machine as such: a web page whose name was made to lead here is of
    the same origin as what it asks, so its origin says nothing.
    """
    for host in _values(scope, b"host"):
        if host != urlsplit(options.public_url or "").netloc and not is_loopback(_without_port(host)):
            raise PolicyRefused(
                "without authentication this server is addressed as `localhost` or by a loopback address",
                code="origin_not_allowed",
            )


def _check_origin(scope: Scope, options: ServerOptions) -> None:
    for origin in _values(scope, b"origin"):
        if origin != base_url(scope, options.public_url) and origin not in options.allow_origins:
            raise PolicyRefused(
                "requests from pages of another origin are refused unless `server.allow_origins` names it",
                code="origin_not_allowed",
            )


def _values(scope: Scope, header: bytes) -> list[str]:
    return [value.decode("latin-1") for name, value in scope["headers"] if name == header]


def _without_port(host: str) -> str:
    name, _, port = host.rpartition(":")
    return (name if name and port.isdigit() else host).removeprefix("[").removesuffix("]").lower()
