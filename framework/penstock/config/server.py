"""The key `server` of the configuration: where the server listens, how callers reach it, and its limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import field, fields, frozen

from penstock.config.model import Config, Setting
from penstock.config.oidc import OidcIssuer, one_of_each
from penstock.config.structuring import structure_options
from penstock.errors import ConfigInvalid

_LONGEST = 86_400
"""How long, in seconds, anything may be waited for."""


@frozen(kw_only=True)
class ServerOptions:
    """How the server serves.

    `host` and `port` are where it listens; port 0 takes a free one. `public_url` is how callers reach it, when that is
    through a proxy. `allow_origins` are the origins of web pages that may call it, none unless given. A request may
    have a body of `max_body_bytes`, a head of `max_header_bytes` and a URL of `max_url_bytes`. `head_seconds` is how
    long its head may take to come, `body_seconds` how long its body, and `write_seconds` how long a caller may take
    none of its answer. `max_requests` are worked on at a time, of which a quarter is kept for those that read.
    `anonymous_per_minute` is how many triggers of public endpoints are taken without a token from each address, counted
    by each server process. `max_unfinished_runs` is how many runs of one endpoint may be unfinished for the server to
    take another, without a limit unless given. `oidc` are the issuers of OpenID Connect whose tokens are taken besides
    penstock's own.
    """

    host: str = "127.0.0.1"
    port: int = 8642
    public_url: str | None = None
    allow_origins: Sequence[str] = ()
    max_body_bytes: int = 1_048_576
    max_header_bytes: int = 32_768
    max_url_bytes: int = 8_192
    max_requests: int = 1_000
    head_seconds: float = 10.0
    body_seconds: float = 30.0
    write_seconds: float = 60.0
    anonymous_per_minute: int = 60
    max_unfinished_runs: int | None = None
    oidc: tuple[OidcIssuer, ...] = field(default=(), validator=one_of_each)


@frozen(kw_only=True)
class ServerSetting:
    """One option of the server and where its value came from: a place in the file, a variable, or `default`."""

    option: str
    value: Any
    origin: str


def server_settings(config: Config) -> tuple[ServerSetting, ...]:
    """Every option of the server with its value and origin. Raises ConfigInvalid."""
    found = server_options(config, {})
    return tuple(
        ServerSetting(
            option=option.name,
            value=getattr(found, option.name),
            origin=config.server[option.name].origin if option.name in config.server else "default",
        )
        for option in fields(ServerOptions)
    )


def server_options(config: Config, flags: Mapping[str, Setting[object]]) -> ServerOptions:
    """The options of the server: the file's, then those of `PENSTOCK_SERVER_*`, then flags.

    Raises ConfigInvalid with everything that is wrong, each with its place.
    """
    found: ServerOptions = structure_options(config, ("server",), {**config.server, **flags}, ServerOptions)
    if not 0 <= found.port <= 65_535:
        raise ConfigInvalid(f"server.port: there is no port {found.port}", code="value_invalid")
    for name in ("head_seconds", "body_seconds", "write_seconds"):
        if not 0 < getattr(found, name) < _LONGEST:
            raise ConfigInvalid(
                f"server.{name}: more than 0 and less than {_LONGEST}, got {getattr(found, name):g}",
                code="value_invalid",
            )
    if found.anonymous_per_minute < 1:
        raise ConfigInvalid(
            f"server.anonymous_per_minute: at least 1, got {found.anonymous_per_minute}; an endpoint is closed to "
            "callers without a token by `penstock endpoint access NAME --private`",
            code="value_invalid",
        )
    if found.max_unfinished_runs is not None and found.max_unfinished_runs < 1:
        raise ConfigInvalid(
            f"server.max_unfinished_runs: at least 1, got {found.max_unfinished_runs}; leave it out for no limit",
            code="value_invalid",
        )
    return found
