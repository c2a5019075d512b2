"""The keys of an issuer: fetched in the background, kept, and fetched again when a token names one that is new."""

from __future__ import annotations

import json
import logging
import math
import threading
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from attrs import field, frozen
from joserfc.jwk import JWKRegistry, Key, RSAKey

from penstock.config import OidcIssuer, is_loopback, url_problem
from penstock.errors import one_line

_log = logging.getLogger("penstock.server")

_FRESH = 900.0
"""Seconds after which keys are fetched again while they are used: so long lives one that the issuer withdrew."""
_STALE = 86_400.0
"""Seconds after which they are used no more, when the issuer is away."""
_PAUSE = 5.0
"""Seconds from the end of one fetching to the next, whatever tokens name: nobody can make us press the issuer."""
_PATIENCE = 5.0
"""Seconds that an answer may take, and that a request waits for keys."""
_GIVEN_UP = 60.0
"""Seconds after which fetching that does not end is left alone."""
_LARGEST = 1 << 20
_SMALLEST_RSA = 2048


class IssuerAway(Exception):
    """The keys of an issuer cannot be had just now."""


@frozen(eq=False)
class _Fetching:
    began: float
    done: threading.Event = field(factory=threading.Event)


class IssuerKeys:
    """The keys of one issuer. `waiting` is shared by all issuers: so many requests at most wait for keys at a time."""

    def __init__(self, issuer: OidcIssuer, waiting: threading.Semaphore) -> None:
        self._issuer = issuer
        self._waiting = waiting
        self._lock = threading.Lock()
        self._keys: dict[str, list[Key]] = {}
        self._fetched = -math.inf
        self._tried = -math.inf
        self._away = False
        self._fetching: _Fetching | None = None

    def prepare(self) -> None:
        """Begin to fetch the keys, and wait for nothing."""
        with self._lock:
            self._begin(time.monotonic())

    def named(self, kid: str) -> Sequence[Key]:
        """The keys of a name, none when the issuer has no such key. Raises IssuerAway."""
        with self._lock:
            now = time.monotonic()
            found = self._held(kid, now)
            if found:
                if now - self._fetched > _FRESH:
                    self._begin(now)
                return found
            running = self._begin(now)
            if self._away:  # nobody waits for who did not come last time
                raise IssuerAway
        if running is not None:
            self._wait(running)
        with self._lock:
            found = self._held(kid, time.monotonic())
            if not found and self._away:
                raise IssuerAway
            return found

    def _held(self, kid: str, now: float) -> Sequence[Key]:
        return self._keys.get(kid, ()) if now - self._fetched <= _STALE else ()

    def _begin(self, now: float) -> _Fetching | None:
        """What is being fetched, begun here if need be; None when that was just now."""
        if self._fetching is not None and now - self._fetching.began < _GIVEN_UP:
            return self._fetching
        if now - self._tried < _PAUSE:
            return None
        self._fetching = fetching = _Fetching(now)
        threading.Thread(target=self._fetch, args=(fetching,), name="penstock-oidc", daemon=True).start()
        return fetching

    def _wait(self, fetching: _Fetching) -> None:
        if not self._waiting.acquire(blocking=False):
            raise IssuerAway
        try:
            if not fetching.done.wait(max(0.0, fetching.began + _PATIENCE - time.monotonic())):
                raise IssuerAway
        finally:
            self._waiting.release()

    def _fetch(self, fetching: _Fetching) -> None:
        try:
            keys, wrong = _by_name(_read(self._issuer.jwks_uri or _discover(self._issuer))), ""
            if not keys:
                wrong = "there is no key that can be used"
        except Exception as error:  # whatever comes from there, it is the issuer's
            keys, wrong = {}, one_line(error)
        with self._lock:
            if self._fetching is fetching:
                self._fetching = None
                self._tried = time.monotonic()
                self._away = bool(wrong)
                if not wrong:
                    self._keys, self._fetched = keys, self._tried
        fetching.done.set()
        if wrong:
            _log.warning("the keys of %s cannot be had: %s", self._issuer.issuer, wrong)
        else:
            _log.info("the issuer %s has %d keys", self._issuer.issuer, sum(map(len, keys.values())))


def _discover(issuer: OidcIssuer) -> str:
    """Where the issuer's own document says that the keys are."""
    url = issuer.discovery or f"{issuer.issuer.rstrip('/')}/.well-known/openid-configuration"
    document = _read(url)
    if document.get("issuer") != issuer.issuer:
        raise ValueError("the document is of another issuer")
    uri = document.get("jwks_uri")
    problem = url_problem(uri, local_http=urlsplit(url).scheme == "http") if isinstance(uri, str) else "it is missing"
    if problem is not None:
        raise ValueError(f"jwks_uri: {problem}")
    return str(uri)


def _by_name(document: dict[str, Any]) -> dict[str, list[Key]]:
    """The public keys that have a name and are for signatures; what cannot be read is left out."""
    found: dict[str, list[Key]] = {}
    listed = document.get("keys")
    for data in listed if isinstance(listed, list) else ():
        kid = data.get("kid") if isinstance(data, dict) else None
        if not isinstance(kid, str) or not kid or data.get("kty") not in ("RSA", "EC", "OKP"):
            continue
        try:
            key = JWKRegistry.import_key(data)
            key.check_use("sig")
            key.check_key_op("verify")
            if isinstance(key, RSAKey) and key.public_key.key_size < _SMALLEST_RSA:
                continue
        except Exception as error:  # as it says in RFC 7517, section 5: one that is not understood is ignored
            _log.warning("a key of an issuer is left out: %s", type(error).__name__)
            continue
        found.setdefault(kid, []).append(key)
    return found


class _NoRedirects(HTTPRedirectHandler):
    """Who is asked answers: a redirect could lead to where nobody checked."""

    def redirect_request(self, *_: Any) -> None:
        """Follow none."""


def _read(url: str) -> dict[str, Any]:
    """The JSON object at a URL, within limits of time and size."""
    handlers = [_NoRedirects(), *([ProxyHandler({})] if is_loopback(urlsplit(url).hostname) else [])]
    request = Request(url, headers={"Accept": "application/json", "User-Agent": "penstock"})
    until = time.monotonic() + _PATIENCE
    chunks, size = [], 0
    with build_opener(*handlers).open(request, timeout=_PATIENCE) as answer:
        while chunk := answer.read1(65_536):
            chunks.append(chunk)
            size += len(chunk)
            if size > _LARGEST:
                raise ValueError("the answer is too large")
            if time.monotonic() > until:
                raise TimeoutError("the answer took too long")
    data = json.loads(b"".join(chunks))
    if not isinstance(data, dict):
        raise ValueError("the answer is no JSON object")
    return data
