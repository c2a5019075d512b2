"""OpenID Connect: an issuer's signed token becomes a subject and what it may, or is refused with a reason for the log.

The library checks the signature and the claims: joserfc, which ties an algorithm to a type of key and a key to its use,
and fetches nothing by itself. What comes before is ours, and stricter than it has to be: one reading of a token that
nothing after it can read in another way, and no header that brings its own key.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import threading
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, cast

from attrs import frozen
from joserfc import jws
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import Key
from joserfc.jws import JWSRegistry
from joserfc.jwt import JWTClaimsRegistry

from penstock.callers import Rights
from penstock.config import OidcIssuer, OidcScope
from penstock.server.jwks import IssuerAway, IssuerKeys

_WAITING = 8
"""How many requests wait at a time for keys, of the threads that all requests share."""
_LONGEST_NAME = 255

_TYPES = (None, "jwt", "at+jwt", "application/jwt", "application/at+jwt")
_FORBIDDEN = ("crit", "b64", "jwk", "jku", "x5c", "x5u", "cty", "enc", "zip", "epk")
"""Headers that bring a key, wrap another token or change how this one is read; all others say nothing to us."""
_BOUND = ("cnf", "at_hash", "c_hash")
"""Claims of what is no bearer token: one that only the holder of a key may use, and one that says who logged in."""


_NAMED = ("iss", "sub", "aud", "exp", "nbf", "iat", "jti")


class TokenRefused(Exception):
    """Why a token is not taken, for the log: neither a part of the token nor for the caller."""


@frozen(kw_only=True)
class Subject:
    """Who a token is of, and what it may: `endpoints` are names or ids, None for all."""

    actor: str
    scopes: tuple[OidcScope, ...]

    def rights(self, ids: Mapping[str, str]) -> Rights:
        """Its rights, given the ids of the endpoints that are there by what they are called in the configuration."""
        scope = self.scopes[0].scope
        holding = [one.endpoints for one in self.scopes if Rights(scope=one.scope).holds(scope)]
        if None in holding:
            return Rights(scope=scope)
        return Rights(
            scope=scope, endpoints=frozenset(ids[ref] for refs in holding for ref in refs or () if ref in ids)
        )

    @property
    def named(self) -> frozenset[str]:
        """The endpoints that the configuration names."""
        return frozenset(ref for one in self.scopes for ref in one.endpoints or ())


class _Registry(JWSRegistry):
    """What the library reads of a header: those of real issuers may have more than 512 bytes."""

    max_header_length = 2048


class Oidc:
    """The issuers whose tokens are taken."""

    def __init__(self, issuers: Sequence[OidcIssuer]) -> None:
        # What it warns of is configured (`EdDSA`, which issuers still say) or refused here (keys that are too short).
        warnings.filterwarnings("ignore", category=SecurityWarning)
        waiting = threading.BoundedSemaphore(_WAITING)
        self._issuers = {one.issuer: (one, IssuerKeys(one, waiting)) for one in issuers}

    def prepare(self) -> None:
        """Begin to fetch everybody's keys, so that the first caller need not wait and the log says what is wrong."""
        for _, keys in self._issuers.values():
            keys.prepare()

    def verify(self, token: str) -> Subject:
        """Whose a token is. Raises TokenRefused, and IssuerAway when that cannot be found out just now."""
        header, claims = _parts(token)
        name = claims.get("iss")
        if not isinstance(name, str) or name not in self._issuers:
            raise TokenRefused("its issuer is not configured")
        issuer, keys = self._issuers[name]
        kid = _check_header(header, issuer)
        _check_signature(token, keys.named(kid), issuer)
        _check_claims(claims, issuer)
        scopes = tuple(one for one in issuer.scopes if one.value in _values(claims, one.claim))
        if not scopes:
            raise TokenRefused("no claim of it has a scope in the configuration")
        return Subject(actor=_actor(claims, issuer.actor), scopes=scopes)


def _parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims, of which nothing is known yet."""
    parts = token.split(".")
    if len(parts) != 3:
        raise TokenRefused("it has not three parts")
    header, claims, _ = (_decoded(part) for part in parts)
    return _object(header), _object(claims)


def _decoded(part: str) -> bytes:
    try:
        data = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if not data or base64.urlsafe_b64encode(data).rstrip(b"=") != part.encode():
        raise TokenRefused("a part of it is empty or no base64url")
    return data


def _object(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data.decode(), object_pairs_hook=_once, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError):
        raise TokenRefused("a part of it is no JSON that can be read in one way only") from None
    if not isinstance(found, dict):
        raise TokenRefused("a part of it is no JSON object")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError
    return found


def _refuse(_: str) -> None:
    raise ValueError


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return number


def _check_header(header: dict[str, Any], issuer: OidcIssuer) -> str:
    """Check the header; returns the name of the key."""
    if header.get("alg") not in issuer.algorithms:
        raise TokenRefused("its algorithm is not one that the issuer is configured with")
    forbidden = next((name for name in _FORBIDDEN if name in header), None)
    if forbidden is not None:
        raise TokenRefused(f"its header has `{forbidden}`")
    type_ = header.get("typ")
    if (type_.lower() if isinstance(type_, str) else type_) not in _TYPES:
        raise TokenRefused("its type is not that of an access token")
    kid = header.get("kid")
    if not isinstance(kid, str) or not 0 < len(kid) <= _LONGEST_NAME:
        raise TokenRefused("it names no key")
    return kid


def _check_signature(token: str, keys: Sequence[Key], issuer: OidcIssuer) -> None:
    if not keys:
        raise TokenRefused("the issuer has no key of that name")
    registry = _Registry(algorithms=issuer.algorithms, strict_check_header=False)
    for key in keys:
        try:
            jws.deserialize_compact(token, key, registry=registry)
            return
        except (JoseError, ValueError, TypeError):
            continue
    raise TokenRefused("the signature is not the issuer's")


def _check_claims(claims: dict[str, Any], issuer: OidcIssuer) -> None:
    rules = JWTClaimsRegistry(
        leeway=int(issuer.clock_skew),
        iss={"essential": True, "value": issuer.issuer},
        aud={"essential": True, "values": list(issuer.audience)},
        sub={"essential": True},
        exp={"essential": True},
    )
    try:
        rules.validate(claims)
    except JoseError as error:
        name = getattr(error, "claim", None)
        raise TokenRefused(f"{error.error} `{name}`" if name in _NAMED else error.error) from None
    bound = next((name for name in _BOUND if name in claims), None)
    if bound is not None:
        raise TokenRefused(f"it is no bearer token: it has `{bound}`")
    _name(claims["sub"], "sub")


def _actor(claims: dict[str, Any], claim: str) -> str:
    found = _at(claims, claim)
    return _name(found, claim)


def _name(value: Any, claim: str) -> str:
    """The value of a claim when it can be shown as somebody's name."""
    fits = isinstance(value, str) and value.isprintable() and value.strip() == value and value
    if not fits or len(value.encode()) > _LONGEST_NAME:
        raise TokenRefused(f"its claim `{claim}` is no name")
    return cast(str, value)


def _at(claims: dict[str, Any], claim: str) -> Any:
    """What a claim says, by its whole name or by the way to it."""
    if claim in claims:
        return claims[claim]
    found: Any = claims
    for name in claim.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _values(claims: dict[str, Any], claim: str) -> Sequence[str]:
    """The texts that a claim is or lists."""
    found = _at(claims, claim)
    if isinstance(found, str):
        return [found, *found.split(" ")] if claim in ("scp", "scope") else [found]
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []


__all__ = ["IssuerAway", "Oidc", "Subject", "TokenRefused"]
