"""The key `server` of the configuration: where the server listens, how callers reach it, and its limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import Attribute, field, fields, frozen

from penstock.config.model import Config, Setting
from penstock.config.oidc import OidcIssuer, one_of_each, split_url
from penstock.config.structuring import structure_options

DOORS = ("azureml_v1",)
"""Our own doors, plugins that the server has without being configured."""

_LONGEST = 86_400
"""How long, in seconds, anything may be waited for."""


def _url(_: Any, attribute: Attribute[Any], value: str | None) -> None:
    """Refuse what would be no URL in a `Location`."""
    if value is not None and (problem := _url_problem(value)):
        raise ValueError(f"{problem}, like `https://penstock.example`")


def _origins(_: Any, attribute: Attribute[Any], value: Sequence[str]) -> None:
    """Refuse what no browser sends as an `Origin`: it would allow nothing."""
    for one in value:
        problem = _url_problem(one) or ("an origin has no path" if "/" in one.split("://")[1] else None)
        if problem:
            raise ValueError(f"`{one}`: {problem}, like `https://pages.example`")


def _url_problem(url: str) -> str | None:
    try:
        parts = split_url(url)
    except ValueError as problem:
        return str(problem)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        return "write it with `https://` or `http://` and its host"
    if not parts.hostname or parts.username is not None or "?" in url or "#" in url:
        return "it has a host, no user, no query and no fragment"
    return None


def _between(least: float, most: float, otherwise: str = "") -> Callable[[Any, Attribute[Any], Any], None]:
    """Refuse numbers outside of these two; `otherwise` says what to do instead."""

    def check(_: Any, attribute: Attribute[Any], value: float | None) -> None:
        if value is not None and not least <= value <= most:
            limit = f"at least {least}" if value < least else f"at most {most}"
            raise ValueError(f"{limit}, got {value}" + (f"; {otherwise}" if otherwise else ""))

    return check


def _seconds(_: Any, attribute: Attribute[Any], value: float) -> None:
    if not 0 < value < _LONGEST:
        raise ValueError(f"more than 0 and less than {_LONGEST} seconds, got {value:g}")


_MANY = 2**31 - 1
"""More than anything that is counted here may be."""


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
    port: int = field(default=8642, validator=_between(0, 65_535))
    public_url: str | None = field(default=None, validator=_url)
    allow_origins: Sequence[str] = field(default=(), validator=_origins)
    max_body_bytes: int = field(default=1_048_576, validator=_between(1, _MANY))
    max_header_bytes: int = field(default=32_768, validator=_between(1, _MANY))
    max_url_bytes: int = field(default=8_192, validator=_between(1, _MANY))
    max_requests: int = field(default=1_000, validator=_between(1, _MANY))
    head_seconds: float = field(default=10.0, validator=_seconds)
    body_seconds: float = field(default=30.0, validator=_seconds)
    write_seconds: float = field(default=60.0, validator=_seconds)
    anonymous_per_minute: int = field(
        default=60, validator=_between(1, _MANY, "`penstock endpoint access NAME --private` asks for a token again")
    )
    max_unfinished_runs: int | None = field(default=None, validator=_between(1, _MANY, "leave it out for no limit"))
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
    options: ServerOptions = structure_options(config, ("server",), {**config.server, **flags}, ServerOptions)
    return options
