"""What touches Microsoft's libraries, `credentials` besides: calls of HTTP through azure-core, in our words and errors.

azure.ai.ml is not among them: it takes three seconds to import, and keeps what it knows of a cloud, and of a pinned
deployment, for the whole process. Each call has `poll_timeout` as the limit of connecting and of each pause in an
answer, and is repeated `REPEATS` times, at once, when its answer was lost or is 503: each may be repeated without
harm. What fails then is repeated by the core, or by whoever looks again. azure-core itself repeats nothing here.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Hashable, Iterator, Mapping
from functools import lru_cache
from typing import IO, Any
from urllib.parse import urlencode, urlsplit

from attrs import frozen

from penstock.errors import ConfigInvalid, PenstockError, TargetRefused, TargetUnavailable
from penstock_azureml.credentials import Tokens
from penstock_azureml.options import PUBLIC, AzuremlOptions

REPEATS = 2
"""How often a call whose answer was lost is sent once more, at once."""
VERSION = "2024-01-01-preview"
"""The api-version of components, codes, environments and jobs: the one that azure-ai-ml uses for pipelines."""

_QUOTA = 60
"""Seconds after which what was too much may go through, where Azure says no time."""


@frozen
class Answer:
    """What came back: `body` is its bytes, `headers` have names in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON has it; an empty object where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return {}

    @property
    def code(self) -> str:
        """Azure's code of an error, or nothing."""
        return str(_error(self.json()).get("code") or "")

    @property
    def said(self) -> str:
        """Azure's own words of an error, in one line."""
        text = str(_error(self.json()).get("message") or self.body[:300].decode("utf-8", "replace"))
        return " ".join(text.split())[:400] or f"status {self.status}"


@frozen
class Azure:
    """Calls to one workspace; `key` is the same for targets that are one place and sign in alike.

    Every method raises TargetUnavailable when Azure cannot be reached, does not answer in time or lets us not in, and
    TargetRefused when it says no for good.
    """

    options: AzuremlOptions
    key: Hashable
    tokens: Tokens
    _transport: Any

    @property
    def audience(self) -> str:
        """What tokens for Azure Resource Manager are for; an emulator's address takes those of the public cloud."""
        address = self.options.resource_manager
        return PUBLIC if urlsplit(address).port else address

    def arm(
        self,
        verb: str,
        path: str,
        what: str,
        body: Any = None,
        *,
        allow: Collection[int] = (),
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Call Azure Resource Manager about a path in the workspace (empty: the workspace itself).

        `what` begins the message of an error; statuses in `allow` are answers and no errors.
        """
        asked = urlencode({"api-version": VERSION, **(query or {})})
        slash = "/" if path else ""
        url = f"{self.options.resource_manager}{self.options.path}{slash}{path}?{asked}"
        return self.call(verb, url, what, body, allow=allow, headers=headers)

    def pages(
        self, path: str, what: str, query: Mapping[str, str] | None = None, *, allow: Collection[int] = ()
    ) -> Iterator[Any]:
        """Everything in a list, page by page; nothing where the answer is one of `allow`."""
        page = self.arm("GET", path, what, allow=allow, query=query).json()
        while True:
            yield from page.get("value") or []
            if not page.get("nextLink"):
                return
            page = self.call("GET", page["nextLink"], what).json()

    def call(
        self,
        verb: str,
        url: str,
        what: str,
        body: Any = None,
        *,
        allow: Collection[int] = (),
        headers: Mapping[str, str] | None = None,
        audience: str | None = "",
    ) -> Answer:
        """Call any address, with a token for the audience: ARM's if empty, and none for None.

        `body` is a file, bytes, or what JSON can hold.
        """
        told = {"Accept": "application/json", **(headers or {})}
        if audience is not None:
            told["Authorization"] = f"Bearer {self.tokens.token(audience or self.audience)}"
        if body is not None and not isinstance(body, bytes) and not hasattr(body, "read"):
            told["Content-Type"] = "application/json"
            body = json.dumps(body).encode()
        found = self._sent(verb, url, what, told, body)
        if found.status < 400 or found.status in allow:
            return found
        raise meaning(what, found, self.options)

    def _sent(self, verb: str, url: str, what: str, headers: dict[str, str], body: bytes | IO[bytes] | None) -> Answer:
        from azure.core.exceptions import AzureError, ServiceRequestError
        from azure.core.pipeline.transport import HttpRequest

        host = urlsplit(url).netloc
        for left in reversed(range(REPEATS + 1)):
            request = HttpRequest(verb, url, headers=dict(headers))
            if body is not None:
                if hasattr(body, "seek"):
                    body.seek(0)
                request.data = body
            try:
                answer = self._transport.send(request)
                found = Answer(
                    answer.status_code,
                    {name.lower(): value for name, value in answer.headers.items()},
                    answer.body(),
                )
            except ServiceRequestError as error:  # it never came to a connection
                raise _away(what, host, error) from None
            except AzureError as error:
                if not left:
                    raise _away(what, host, error) from None
                continue
            if found.status == 503 and left:
                continue
            return found
        raise AssertionError("unreachable")


def connect(options: AzuremlOptions) -> Azure:
    """The calls of a target. Raises ConfigInvalid `backend_unavailable` without the extra."""
    known = ("subscription", "resource_group", "workspace", "resource_manager", "poll_timeout")
    named = ("credentials", "tenant", "client_id", "authority", "ca")
    told = {name: value for name in (*known, *named) if (value := getattr(options, name)) is not None}
    key = tuple(told.items())
    return Azure(options, key, *_connected(key))


@lru_cache(maxsize=32)
def _connected(key: tuple[tuple[str, Any], ...]) -> tuple[Tokens, Any]:
    """Tokens and connections, made once for each address and credentials; threads may share them."""
    try:
        from azure.core.pipeline.transport import RequestsTransport
    except ModuleNotFoundError as error:
        raise ConfigInvalid(
            f"the backend `azureml` needs the package `{error.name}`, which is not installed. Install it with: "
            "pip install 'penstock[azureml]'",
            code="backend_unavailable",
        ) from None
    options = AzuremlOptions(**dict(key))
    transport = RequestsTransport(
        connection_timeout=options.poll_timeout,
        read_timeout=options.poll_timeout,
        connection_verify=str(options.ca) if options.ca else True,
    )
    return Tokens(options), transport


def meaning(what: str, answer: Answer, options: AzuremlOptions) -> PenstockError:
    """What an answer that is an error means to us."""
    where = f"workspace `{options.workspace}`, resource group `{options.resource_group}`"
    status = answer.status
    if status == 401:
        return TargetUnavailable(
            f"{what}: Azure does not take the credentials any more; sign in again", code="credentials_expired"
        )
    if status == 403:
        return TargetUnavailable(f"{what}: permission denied in {where}: {answer.said}", code="permission_denied")
    if status == 429:
        found = TargetUnavailable(
            f"{what}: too many calls, or a quota is used up: {answer.said}", code="quota_exhausted"
        )
        found.retry_after = _pause(answer)
        return found
    if status == 404:
        return TargetRefused(f"{what}: {answer.said} (in {where})", code="target_not_there")
    if (status >= 500 and status != 501) or status == 408:
        return TargetUnavailable(f"{what}: Azure answers {status}: {answer.said}")
    return TargetRefused(f"{what}: {answer.said}")


def _pause(answer: Answer) -> float:
    said = answer.headers.get("retry-after", "")
    return float(said) if said.isascii() and said.isdigit() and int(said) else _QUOTA


def _away(what: str, host: str, error: Exception) -> TargetUnavailable:
    reason = type(getattr(error, "inner_exception", None) or error).__name__
    return TargetUnavailable(f"{what}: {host} cannot be reached ({reason})")


def _error(body: Any) -> Mapping[str, Any]:
    found = body.get("error") if isinstance(body, dict) else None
    return found if isinstance(found, dict) else {}
