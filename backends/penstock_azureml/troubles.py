"""What Azure answers, and what it means as an error of penstock's: one line with a code.

Whoever stands between (a proxy, a page to sign in at, another server at the address) answers, too: what is not Azure's
is no answer, ends no run, and is not shown, as nobody knows what it says.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from html import unescape
from typing import Any

from attrs import frozen

from penstock.errors import PenstockError, TargetRefused, TargetUnavailable
from penstock_azureml.addresses import is_emulator
from penstock_azureml.credentials import remedy
from penstock_azureml.options import AzuremlOptions

_QUOTA = 60
"""Seconds after which what was too much may go through, where Azure says no time. A guess."""
_LONGEST_PAUSE = 24 * 3600.0
"""Seconds that an answer can ask for at the most."""
_DENIED = "ask for the role `AzureML Data Scientist` there"
"""The role that may do what we do in a workspace (learn.microsoft.com: Manage access to Azure Machine Learning)."""

_XML = {part: re.compile(f"<{part}>(.*?)</{part}>", re.DOTALL) for part in ("Code", "Message")}


@frozen
class Answer:
    """What came back from `host`: `body` is its bytes, `headers` have names in small letters. `what` begins errors."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    what: str = ""
    host: str = ""

    def json(self) -> dict[str, Any]:
        """The object that the body is. Raises TargetUnavailable where it is none."""
        found = _loaded(self.body)
        if not isinstance(found, dict):
            raise self.strange()
        return found

    def part(self, *keys: str) -> Any:
        """What the body has at the keys. Raises TargetUnavailable where there is nothing, as Azure always has it."""
        found: Any = self.json()
        for key in keys:
            found = found.get(key) if isinstance(found, dict) else None
            if found is None:
                raise self.strange()
        return found

    def strange(self) -> TargetUnavailable:
        """What to raise for an answer that cannot be Azure's."""
        return TargetUnavailable(
            f"{self.what}: what {self.host} answers ({self.status}) is not understood; is it Azure's, or a proxy's?",
            retry_after=self.pause or None,
        )

    @property
    def is_azure(self) -> bool:
        """Whether an error is of Azure's own making: ARM's and the services' have a code in JSON, those of storage in
        XML, and most say it in a header besides (learn.microsoft.com: Common error codes; Status and error codes). Who
        wants another token may say only that (RFC 6750); a proxy's 401 wants a password.
        """
        wants_token = self.headers.get("www-authenticate", "").lower().startswith("bearer")
        return bool(self.code) or (self.status == 401 and wants_token)

    @property
    def code(self) -> str:
        """Azure's code of an error, or nothing."""
        return str(_error(self.body).get("code") or self.headers.get("x-ms-error-code") or _in_xml(self.body, "Code"))

    @property
    def said(self) -> str:
        """Azure's own words of an error, in one line; nothing of what is not Azure's."""
        # After the first line, storage writes the id and the time of the request.
        text = _error(self.body).get("message") or _in_xml(self.body, "Message").partition("\n")[0] or self.code
        readable = "".join(char if char.isprintable() else " " for char in str(text))
        return " ".join(readable.split())[:400] or f"status {self.status}"

    @property
    def pause(self) -> float:
        """Seconds that the answer asks to wait for, in one of the three ways that Azure has; 0 where it asks nothing.

        `Retry-After` is a number of seconds or a date (RFC 9110); `retry-after-ms` and `x-ms-retry-after-ms` are
        milliseconds (azure-core: `policies/_utils.py`).
        """
        for name, unit in (("retry-after-ms", 0.001), ("x-ms-retry-after-ms", 0.001), ("retry-after", 1.0)):
            seconds = _number(self.headers.get(name, "")) * unit
            if seconds:
                return min(seconds, _LONGEST_PAUSE)
        try:
            until = parsedate_to_datetime(self.headers.get("retry-after", "")).timestamp()
        except (ValueError, TypeError, OverflowError):
            return 0.0
        return min(max(until - time.time(), 0.0), _LONGEST_PAUSE)


@frozen
class Place:
    """Where something is that was asked for, in words, and what to do for whoever may not, or where it is not."""

    where: str
    denied: str
    missing: str


def workspace_of(options: AzuremlOptions) -> Place:
    """The workspace of a target."""
    where = f"workspace `{options.workspace}`, resource group `{options.resource_group}`"
    return Place(where, _DENIED, "are the target's `subscription`, `resource_group` and `workspace` right?")


def meaning(what: str, answer: Answer, options: AzuremlOptions, place: Place | None = None) -> PenstockError:
    """What an answer that is an error means to us; it is one about the workspace, unless `place` is another."""
    place = place or workspace_of(options)
    status, said, pause = answer.status, answer.said, answer.pause or None
    if 300 <= status < 500 and not answer.is_azure:
        return TargetUnavailable(
            f"{what}: it is not Azure who answers {status} at {answer.host}; is a proxy between?", retry_after=pause
        )
    if status == 401:
        return TargetUnavailable(
            f"{what}: Azure does not take the credentials any more: {said}; sign in again: {remedy(options)}",
            code="credentials_expired",
        )
    if status == 403:
        return TargetUnavailable(
            f"{what}: permission denied in {place.where}: {said}; {place.denied}",
            code="permission_denied",
        )
    if status == 429:
        message = f"{what}: too many calls, or a quota is used up: {said}"
        return TargetUnavailable(message, code="quota_exhausted", retry_after=pause or _QUOTA)
    if status == 404:
        return TargetRefused(f"{what}: {said} (in {place.where}); {place.missing}", code="target_not_there")
    if status >= 500 and status != 501:
        words = f": {said}" if answer.is_azure else ""
        return TargetUnavailable(f"{what}: Azure answers {status}{words}", retry_after=pause)
    if status == 501 and not answer.is_azure:
        return TargetUnavailable(f"{what}: it is not Azure who answers 501 at {answer.host}", retry_after=pause)
    if status < 400 or status == 408:
        return TargetUnavailable(f"{what}: Azure answers {status}: {said}", retry_after=pause)
    return TargetRefused(f"{what}: {said}")


def unreached(what: str, host: str, error: Exception, options: AzuremlOptions) -> TargetUnavailable:
    """What to raise where no answer came."""
    reason = type(getattr(error, "inner_exception", None) or error).__name__
    if "SSL" in reason:
        hint = "; name a file with the certificates that it is trusted by as the target's `ca`"
    elif is_emulator(options) and "Timeout" not in reason:
        hint = "; is the emulator running?"
    else:
        hint = "; does this machine reach it, and does HTTPS_PROXY say the proxy if there is one?"
    return TargetUnavailable(f"{what}: {host} cannot be reached ({reason}){hint}")


def _loaded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _error(body: bytes) -> Mapping[str, Any]:
    """The error that a body of JSON holds."""
    found = _loaded(body) if body[:64].lstrip().startswith((b"{", b"\xef\xbb\xbf")) else None
    error = found.get("error") if isinstance(found, dict) else None
    return error if isinstance(error, dict) else {}


def _in_xml(body: bytes, part: str) -> str:
    """A part of an error in XML, as storage writes it."""
    text = body[:65536].decode("utf-8-sig", "replace")
    found = _XML[part].search(text) if text.lstrip().startswith("<?xml") and "<Error>" in text else None
    return unescape(found[1]).strip() if found else ""


def _number(text: str) -> float:
    found = re.fullmatch(r"\s*([0-9]{1,12})(?:\.[0-9]{1,12})?\s*", text, re.A)
    return float(found[0]) if found else 0.0
