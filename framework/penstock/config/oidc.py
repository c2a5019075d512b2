"""The key `server.oidc`: whose OpenID Connect tokens the server takes, and what a claim of one allows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from attrs import Attribute, field, frozen, validators

from penstock.callers import Scope
from penstock.spec.quantity import seconds_of

if TYPE_CHECKING:
    from urllib.parse import SplitResult

Algorithm: TypeAlias = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA"
]
"""What a token may be signed by: what has a private key that only the issuer has, so neither `HS256` nor `none`."""

_LONGEST_SKEW = 600.0


def is_loopback(host: str | None) -> bool:
    """Whether a host, or the address that one is, is this machine only."""
    import ipaddress

    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def split_url(url: str) -> SplitResult:
    """The parts of a URL. Raises ValueError that says what is wrong with one that has none."""
    from urllib.parse import urlsplit

    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("a URL has only ASCII characters, and no spaces")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError("this is not a URL") from None
    return parts


def url_problem(url: str, *, local_http: bool = True) -> str | None:
    """Why nothing can be fetched safely from a URL, or None: it is https, or with `local_http` http to this machine."""
    try:
        parts = split_url(url)
    except ValueError as problem:
        return str(problem)
    if not parts.hostname or parts.username is not None or parts.fragment:
        return "a URL has a host, no user and no fragment"
    if parts.scheme == "https" or (parts.scheme == "http" and local_http and is_loopback(parts.hostname)):
        return None
    return "only https is safe here; http is for this machine only, as http://127.0.0.1"


def _url(_: Any, attribute: Attribute[Any], value: str | None) -> None:
    problem = None if value is None else url_problem(value)
    if problem is not None:
        raise ValueError(problem)


def _issuer(instance: Any, attribute: Attribute[Any], value: str) -> None:
    _url(instance, attribute, value)
    if "?" in value:
        raise ValueError("an issuer has no query")


def _said(_: Any, attribute: Attribute[Any], value: str | Sequence[str] | None) -> None:
    """Refuse what is empty, and a list of which something is."""
    if value is None:
        return
    if not value or not all(one.strip() for one in ([value] if isinstance(value, str) else value)):
        raise ValueError("this is empty")


def _one_source(instance: Any, attribute: Attribute[Any], value: str | None) -> None:
    if value is not None and instance.discovery is not None:
        raise ValueError("give `discovery` or `jwks_uri`: whoever names the keys needs no document that does")


def _some(_: Any, attribute: Attribute[Any], value: Sequence[Any]) -> None:
    if not value:
        raise ValueError("this is empty")


def _texts(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


@frozen(kw_only=True)
class OidcScope:
    """What a token may that has a value in a claim.

    `claim` is the name of the claim (`roles`, `groups`, `scp`, `appid`), or the way to one that lies deeper
    (`realm_access.roles`). `value` is the text that the claim is or lists, by spaces in scp. `scope` is what that
    allows, on the `endpoints` that are named here, by name or id, or on all.
    """

    claim: str = field(validator=_said)
    value: str = field(validator=_said)
    scope: Scope
    endpoints: tuple[str, ...] | None = field(default=None, validator=_said)


@frozen(kw_only=True)
class OidcIssuer:
    """An issuer whose tokens are taken.

    `issuer` is what the claim `iss` says, to the character. `audience` is what `aud` has to name: one of these.
    `scopes` say who may what: the first one that a token fits is its scope, on the endpoints of all that it fits and
    that hold that scope; a token that fits none is refused. `algorithms` are those a token may be signed by. `actor` is
    the claim that histories show, `sub` unless given. `clock_skew`, in seconds or text like `60s`, is how far the
    issuer's clock may be from this one. The keys are at `jwks_uri`, or where the document at `discovery` says, which is
    `.well-known/openid-configuration` below the issuer unless given.
    """

    issuer: str = field(validator=_issuer)
    audience: tuple[str, ...] = field(converter=_texts, validator=_said)
    scopes: tuple[OidcScope, ...] = field(validator=_some)
    algorithms: tuple[Algorithm, ...] = field(default=("RS256",), validator=_some)
    actor: str = field(default="sub", validator=_said)
    clock_skew: float = field(
        default=60.0, converter=seconds_of, validator=[validators.ge(0), validators.le(_LONGEST_SKEW)]
    )
    discovery: str | None = field(default=None, validator=_url)
    jwks_uri: str | None = field(default=None, validator=[_url, _one_source])


def one_of_each(_: Any, attribute: Attribute[Any], value: Sequence[OidcIssuer]) -> None:
    """Refuse an issuer that is there twice: of which would a token be?"""
    names = [one.issuer for one in value]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"the issuer {name} is there twice")
