"""What touches Microsoft's libraries, `credentials` and `shared_access` besides: HTTP through azure-core.

azure.ai.ml is not among them: it takes three seconds to import, and keeps what it knows of a cloud, and of a pinned
deployment, for the whole process. Each call has `poll_timeout` as the limit of connecting and of each pause in an
answer, and is repeated `REPEATS` times, at once, when its answer was lost or is 503 without a time to wait: each may be
repeated without harm. What fails then is repeated by the core, or by whoever looks again. azure-core itself repeats
nothing here, and follows no redirection.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Hashable, Iterator, Mapping
from typing import IO, Any, TypeVar
from urllib.parse import urlencode, urlsplit

from attrs import frozen

from penstock.errors import ConfigInvalid, TargetUnavailable
from penstock.opening import open_named
from penstock_azureml import addresses
from penstock_azureml.credentials import Tokens, needed
from penstock_azureml.kept import Kept
from penstock_azureml.options import AzuremlOptions
from penstock_azureml.troubles import Answer, Place, meaning, unreached

T = TypeVar("T")

REPEATS = 2
"""How often a call whose answer was lost is sent once more, at once."""
VERSION = "2024-01-01-preview"
"""The api-version of components, codes, environments and jobs: the one that azure-ai-ml uses for pipelines."""
MOST = 16 * 1024 * 1024
"""Bytes of an answer that are held. A page of a list is far less; ARM takes 4 MB (its limits of requests)."""

_PAGES = 10_000
"""Pages of a list that are read at the most; Azure's have 25 entries and more."""

_connections = Kept(32)


@frozen
class Azure:
    """Calls to one workspace; `key` is the same for targets that are one place and sign in alike.

    Every method raises TargetUnavailable when Azure cannot be reached, does not answer in time or lets us not in, and
    when it is not Azure who answers; and TargetRefused when it says no for good.
    """

    options: AzuremlOptions
    key: Hashable
    tokens: Tokens
    _transport: Any

    @property
    def audience(self) -> str:
        """What tokens for Azure Resource Manager are for."""
        return addresses.cloud_of(self.options).arm

    @property
    def learning(self) -> str:
        """What tokens for Azure ML's own services are for."""
        return addresses.cloud_of(self.options).learning

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

        `what` begins the message of an error; statuses in `allow` are answers and no errors, if they are Azure's.
        """
        asked = urlencode({"api-version": VERSION, **(query or {})})
        slash = "/" if path else ""
        url = f"{self.options.resource_manager}{self.options.path}{slash}{path}?{asked}"
        return self.call(verb, url, what, body, allow=allow, headers=headers)

    def find(self, path: str, what: str) -> Answer | None:
        """What is at a path in the workspace, or None: one `no` is no proof, so that is asked twice."""
        for _ in range(2):
            found = self.arm("GET", path, what, allow=(404,))
            if found.status != 404:
                found.part("name")  # every resource has one
                return found
        return None

    def pages(
        self, path: str, what: str, query: Mapping[str, str] | None = None, *, allow: Collection[int] = ()
    ) -> Iterator[Any]:
        """Everything in a list, page by page; nothing where the answer is one of `allow`."""
        first = self.arm("GET", path, what, allow=allow, query=query)
        if first.status not in allow:
            yield from self.all_of(first)

    def all_of(self, page: Answer) -> Iterator[Any]:
        """Everything in a list, whose first page it is. Raises TargetUnavailable also for what is no list."""
        asked: set[str] = set()
        while True:
            found = page.part("value")
            if not isinstance(found, list):
                raise page.strange()
            yield from found
            url = page.json().get("nextLink")
            if not url:
                return
            if not isinstance(url, str) or url in asked or len(asked) == _PAGES:  # it would never end
                raise page.strange()
            asked.add(url)
            page = self.call("GET", url, page.what)

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
        place: Place | None = None,
        most: int | None = None,
    ) -> Answer:
        """Call an address over TLS, with the token that is for it (ARM's, or that of Azure ML's services).

        `audience` None sends no token, and another one that token: then the caller has seen to the address, and answers
        need not be JSON. `body` is a file, bytes, or what JSON can hold. Of an answer that is longer than `most`, the
        beginning is returned; without it, it is an error when it is longer than `MOST`.
        """
        told = {"Accept": "application/json", **(headers or {})}
        wanted = addresses.audience_of(self.options, url) if audience == "" else audience
        if (wanted is None and audience is not None) or not addresses.is_secure(url):
            raise _foreign(what, url)
        token = None if wanted is None else self.tokens.token(wanted)
        if token is not None:
            told["Authorization"] = f"Bearer {token}"
        if body is not None and not isinstance(body, bytes) and not hasattr(body, "read"):
            told["Content-Type"] = "application/json"
            body = json.dumps(body).encode()
        found = self._sent(verb, url, what, told, body, most)
        if found.status == 401 and token is not None:
            self.tokens.forget(token)
        if 200 <= found.status < 300 or (found.status in allow and found.is_azure):
            if audience == "" and found.body:
                found.json()  # what is no object is not Azure's, also where nobody reads it
            return found
        raise meaning(what, found, self.options, place)

    def _sent(
        self, verb: str, url: str, what: str, headers: dict[str, str], body: bytes | IO[bytes] | None, most: int | None
    ) -> Answer:
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
                sent = self._transport.send(request, stream=True)
                told = {name.lower(): value for name, value in sent.headers.items()}
                found = Answer(sent.status_code, told, _body(sent, MOST + 1 if most is None else most), what, host)
            except ServiceRequestError as error:  # it never came to a connection
                raise unreached(what, host, error, self.options) from None
            except AzureError as error:
                if not left:
                    raise unreached(what, host, error, self.options) from None
                continue
            except OSError as error:  # requests cannot read the certificates any more
                _trusted(self.options)
                raise unreached(what, host, error, self.options) from None
            except ValueError:  # headers that nobody can read
                raise Answer(0, {}, b"", what, host).strange() from None
            if most is None and len(found.body) > MOST:
                raise TargetUnavailable(f"{what}: {host} answers more than {MOST:,} bytes")
            if found.status == 503 and left and not found.pause:
                continue
            return found
        raise AssertionError("unreachable")


def connect(options: AzuremlOptions) -> Azure:
    """The calls of a target. Raises ConfigInvalid `backend_unavailable` without the extra."""
    known = ("subscription", "resource_group", "workspace", "resource_manager", "poll_timeout")
    named = ("credentials", "tenant", "client_id", "authority", "ca")
    told = {name: value for name in (*known, *named) if (value := getattr(options, name)) is not None}
    key = tuple(told.items())
    tokens, transport = _connections.get(key, lambda: _connected(options))
    return Azure(options, key, tokens, transport)


def _connected(options: AzuremlOptions) -> tuple[Tokens, Any]:
    """Tokens and connections, made once for each address and credentials; threads may share them."""
    try:
        from azure.core.pipeline.transport import RequestsTransport
    except ModuleNotFoundError:
        raise needed("azure-core") from None
    _trusted(options)
    transport = RequestsTransport(
        connection_timeout=options.poll_timeout,
        read_timeout=options.poll_timeout,
        connection_verify=str(options.ca) if options.ca else True,
        # No proxy stands before what listens on this machine, whatever the environment says.
        use_env_settings=not addresses.is_emulator(options),
    )
    transport.open()
    assert transport.session is not None
    transport.session.auth = _signed  # else requests puts what a .netrc says in the place of our token
    return Tokens(options), transport


def _trusted(options: AzuremlOptions) -> None:
    """See that the file of certificates is one. Raises ConfigInvalid."""
    if options.ca is None:
        return
    import ssl

    try:
        os.close(open_named(options.ca))  # else a pipe would be waited for
        ssl.create_default_context(cafile=str(options.ca))
    except ssl.SSLError:
        raise ConfigInvalid(f"the option `ca` of the target: there is no certificate in `{options.ca}`") from None
    except OSError as error:
        why = (error.strerror or "unreadable").lower()
        raise ConfigInvalid(
            f"the option `ca` of the target: `{options.ca}` cannot be read ({why}); an emulator without `--state` takes"
            " its own along when it ends"
        ) from None


def _signed(request: T) -> T:
    return request


def _body(answer: Any, most: int) -> bytes:
    """The first bytes of an answer; the rest of a longer one is not waited for."""
    found = bytearray()
    for part in answer.stream_download(None):
        found += part
        if len(found) >= most:
            break
    answer.internal_response.close()
    return bytes(found[:most])


def _foreign(what: str, url: str) -> TargetUnavailable:
    scheme, _, rest = url.partition("://")
    host = re.split(r"[/?#\\]", rest)[0].rpartition("@")[2]  # the rest may hold what lets one in
    shown = "".join(char if char.isprintable() else " " for char in f"{scheme[:10]}://{host[:100]}")
    return TargetUnavailable(f"{what}: an answer names `{shown}`, which is no address of Azure's; it was not called")
