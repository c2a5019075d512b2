"""What Google's libraries raise, on either transport, as errors of penstock's: one line with a code."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from penstock.errors import PenstockError, TargetRefused, TargetUnavailable
from penstock_vertex.addresses import LOOPBACK, host_of
from penstock_vertex.credentials import forget

if TYPE_CHECKING:
    from penstock_vertex.options import VertexOptions

_QUOTA = 60
"""Seconds after which a quota that is used up may have room again; Google says no time."""

_AGAIN = frozenset({408, 499})
"""HTTP statuses of clients' errors that are none: too slow, and called off on the way."""

_ASKED = re.compile(r"(?:GET|POST|PUT|PATCH|DELETE) https?://\S+: ")
_UNCONNECTED = "failed to connect to all addresses"
"""How gRPC says that it found nobody who speaks it."""


@contextmanager
def translated(
    what: str, options: VertexOptions, where: str = "", place: str = "", missing: str = ""
) -> Iterator[None]:
    """Turn what their libraries raise into TargetUnavailable or TargetRefused; `what` begins the message.

    `where` says in words what was asked, `place` by its address; of the jobs of the target, unless they are given.
    `missing` is what to say of something that is not there, instead of Google's words.
    """
    try:
        yield
    except Exception as error:
        where = where or f"project `{options.project}`, location `{options.location}`"
        place = place or options.api_endpoint or f"{options.location}-aiplatform.googleapis.com"
        found = _meaning(what, where, place, missing, error)
        if found is None:
            raise
        raise found from None


def _meaning(what: str, where: str, place: str, missing: str, error: Exception) -> PenstockError | None:
    from google.api_core import exceptions as api
    from google.auth import exceptions as auth
    from google.protobuf.json_format import ParseError
    from requests import exceptions as http

    if isinstance(error, auth.RefreshError | auth.InvalidOperation | api.Unauthenticated):
        forget()
        return TargetUnavailable(
            f"{what}: Google does not take the credentials any more; sign in again", code="credentials_expired"
        )
    if isinstance(error, auth.DefaultCredentialsError):
        hint = "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS"
        if host_of(place) in LOOPBACK:
            hint = "an emulator takes `credentials: anonymous`"
        return TargetUnavailable(f"{what}: there are no Google credentials here; {hint}", code="credentials_missing")
    if isinstance(error, api.Forbidden):
        return TargetUnavailable(f"{what}: permission denied in {where}: {said(error)}", code="permission_denied")
    if isinstance(error, api.TooManyRequests):
        return TargetUnavailable(
            f"{what}: a quota is used up in {where}: {said(error)}", code="quota_exhausted", retry_after=_QUOTA
        )
    if isinstance(error, api.NotFound):
        return TargetRefused(f"{what}: {missing or f'{said(error)} (in {where})'}", code="target_not_there")
    if isinstance(error, api.ServiceUnavailable) and _UNCONNECTED in str(error):
        hint = "is anybody there, and is `transport: grpc` right?"
        return TargetUnavailable(f"{what}: {place} cannot be reached by gRPC; {hint}", retry_after=5)
    if isinstance(error, api.ServerError):
        return TargetUnavailable(f"{what}: Google answers {said(error)}", retry_after=5)
    if isinstance(error, api.ClientError) and error.code not in _AGAIN:
        return TargetRefused(f"{what}: {said(error)}")
    if isinstance(error, api.GoogleAPICallError):
        return TargetUnavailable(f"{what}: {place} answers {said(error)}", retry_after=5)
    if isinstance(error, http.RequestException | auth.TransportError | ConnectionError | TimeoutError):
        hint = ""
        if isinstance(error, http.SSLError) and host_of(place) in LOOPBACK:
            hint = "; an emulator's address begins with `http://`"
        elif host_of(place) in LOOPBACK and not isinstance(error, http.Timeout):
            hint = "; is the emulator running?"
        return TargetUnavailable(f"{what}: {place} cannot be reached ({type(error).__name__}){hint}", retry_after=5)
    if isinstance(error, ValueError | ParseError | AttributeError):  # the last: a list where they expect an object
        return TargetUnavailable(f"{what}: what {place} answers is not understood; is it Google's?", retry_after=5)
    return None


def from_google(error: Exception) -> bool:
    """Whether an error of google.api_core was answered by Google, and not by a proxy or a page in between."""
    read = getattr(getattr(error, "response", None), "json", None)
    if read is None:  # gRPC
        return True
    try:
        return "error" in read()
    except (ValueError, TypeError):
        return False


def said(error: Exception) -> str:
    """Google's own words, in one line, without what was sent; storage wraps them in that, and in JSON."""
    text = _ASKED.sub("", str(getattr(error, "message", None) or error).strip(), count=1)
    text, _, _ = text.partition(": ('Request failed")
    if text.startswith("{"):
        try:
            body, _ = json.JSONDecoder().raw_decode(text)
            text = str(body["error"]["message"])
        except (ValueError, KeyError, TypeError):
            pass
    lines = text.splitlines()
    return lines[0][:300] if lines else type(error).__name__
