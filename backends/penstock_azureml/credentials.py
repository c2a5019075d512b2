"""Whoever signs in: tokens by what the option `credentials` says, each kept until shortly before it ends."""

from __future__ import annotations

import logging
import math
import os
import re
import threading
import time
from concurrent.futures import Future
from typing import Any

from penstock.errors import ConfigInvalid, PenstockError, TargetUnavailable
from penstock_azureml.addresses import is_emulator
from penstock_azureml.options import AzuremlOptions

_EARLY = 300.0
"""Seconds before its end when a token is asked for again."""

_ENTRA = re.compile(r"AADSTS[0-9]+: [^\n]*?(?=\.?\s+(?:Trace ID|Content):|\n|$)")
"""What Microsoft Entra says, without the ids of the request (learn.microsoft.com: Microsoft Entra error codes)."""

_HTTP = re.compile(r"HTTP Error: (5[0-9]{2}|408|429)\b")
"""How msal says what is no answer of Microsoft Entra's (`throttled_http_client.py`)."""

_REMEDIES = {
    "default": "run `az login`, or set the target's `credentials`",
    "service_principal": "look at AZURE_CLIENT_SECRET, and at the target's `tenant` and `client_id`",
    "managed_identity": "give this machine an identity (`client_id` names a user-assigned one), or set `credentials`",
    "cli": "run `az login`",
    "anonymous": "`credentials: anonymous` is nobody",
}
_NOBODY = {
    "default": "nothing that azure-identity's chain asks has any",
    "managed_identity": "no managed identity answers on this machine",
    "cli": "`az` is not on PATH, or nobody has signed in with it",
}


class Tokens:
    """The tokens of one target. Threads may share it."""

    def __init__(self, options: AzuremlOptions) -> None:
        self._options = options
        self._credential: Any = None
        self._asked: dict[str, Future[tuple[str, float]]] = {}
        self._lock = threading.Lock()

    def token(self, audience: str) -> str:
        """A token for an audience such as `https://management.azure.com`. Raises TargetUnavailable.

        It is asked for in a thread of its own, by one for all who wait: azure-identity keeps to no limit of time.
        """
        if self._options.credentials == "anonymous":
            return "anonymous"
        with self._lock:
            found = self._asked.get(audience)
            if found is None or _is_over(found):
                found = self._asked[audience] = Future()
                threading.Thread(target=self._ask, args=(audience, found), daemon=True).start()
        try:
            return found.result(self._options.poll_timeout)[0]
        except TimeoutError:
            limit = f"{self._options.poll_timeout:g} s"
            raise TargetUnavailable(
                f"there is no token yet after {limit} ({self._options.credentials}): whoever gives it does not answer"
            ) from None

    def forget(self, token: str) -> None:
        """Ask anew, and whoever has signed in by then, instead of showing a token again that was refused."""
        with self._lock:
            self._credential = None
            for audience, found in list(self._asked.items()):
                if found.done() and found.exception() is None and found.result()[0] == token:
                    del self._asked[audience]

    def _ask(self, audience: str, found: Future[tuple[str, float]]) -> None:
        try:
            signer = self._credential or credential(self._options)
            self._credential = signer
            made = signer.get_token(f"{audience}/.default")
            found.set_result((str(made.token), float(made.expires_on)))
        except Exception as error:
            self._credential = None  # whoever signs in now is found by the next one who asks
            found.set_exception(_meaning(self._options, error))


def credential(options: AzuremlOptions) -> Any:
    """A credential of azure-identity. Raises TargetUnavailable where the secret of a service principal is missing."""
    import azure.identity as identity

    _quiet()
    where: dict[str, Any] = {}
    if options.authority is not None:
        where = {"authority": options.authority}
    if options.ca is not None:
        where["connection_verify"] = str(options.ca)
    once = {**where, "retry_total": 1}  # the core repeats
    waited = {"process_timeout": math.ceil(options.poll_timeout)}
    match options.credentials:
        case "service_principal":
            secret = os.environ.get("AZURE_CLIENT_SECRET")
            if not secret:
                raise TargetUnavailable(
                    "there are no Azure credentials here (service_principal): set AZURE_CLIENT_SECRET",
                    code="credentials_missing",
                )
            known = {"disable_instance_discovery": options.authority is not None}
            return identity.ClientSecretCredential(options.tenant, options.client_id, secret, **known, **once)
        case "managed_identity":
            given = {"client_id": options.client_id} if options.client_id else {}
            return identity.ManagedIdentityCredential(**given, **once)
        case "cli":
            return identity.AzureCliCredential(tenant_id=options.tenant or "", **waited)
    if options.authority is not None:
        where["disable_instance_discovery"] = True
    return identity.DefaultAzureCredential(
        **where, **waited, **({"managed_identity_client_id": options.client_id} if options.client_id else {})
    )


def _quiet() -> None:
    """Keep from standard error what their libraries log and we say in our words; whoever sets up logging has it all."""
    for logger in map(logging.getLogger, ("azure", "msal")):
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())


def remedy(options: AzuremlOptions) -> str:
    """What helps whoever has no credentials, or such as are not taken."""
    said = _REMEDIES[options.credentials]
    if is_emulator(options) and options.credentials != "anonymous":
        said += "; an emulator takes `credentials: anonymous`"
    return said


def needed(package: str) -> ConfigInvalid:
    """What to raise where a package of the extra is not installed."""
    return ConfigInvalid(
        f"the backend `azureml` needs the package `{package}`, which is not installed. Install it with: "
        "pip install 'penstock[azureml]'",
        code="backend_unavailable",
    )


def _is_over(found: Future[tuple[str, float]]) -> bool:
    return found.done() and (found.exception() is not None or found.result()[1] - _EARLY <= time.time())


def _meaning(options: AzuremlOptions, error: Exception) -> PenstockError:
    """What it means that azure-identity gives no token. Its own words fill pages, and may hold what was sent."""
    if isinstance(error, PenstockError):
        return error
    if isinstance(error, ModuleNotFoundError):
        return needed("azure-identity")
    from azure.core.exceptions import ClientAuthenticationError
    from azure.identity import CredentialUnavailableError

    kind = options.credentials
    entra = _ENTRA.search(str(error))
    if isinstance(error, CredentialUnavailableError) and entra is None:
        why = _NOBODY.get(kind, "none are found")
        return TargetUnavailable(
            f"there are no Azure credentials here ({kind}): {why}; {remedy(options)}", code="credentials_missing"
        )
    away = _away(error)
    if away is None and isinstance(error, ClientAuthenticationError):
        said = " ".join(entra[0].split())[:300] if entra else "it is not said why"
        return TargetUnavailable(
            f"Azure does not take the credentials ({kind}): {said}; {remedy(options)}", code="credentials_expired"
        )
    return TargetUnavailable(
        f"there is no token ({kind}): whoever gives it cannot be reached ({away or type(error).__name__}); does this "
        "machine reach it, and are the target's `authority` and `ca` right?"
    )


def _away(error: BaseException | None) -> str | None:
    """The name of what kept an answer from coming, which azure-identity calls an error of authentication, too."""
    from azure.core.exceptions import ServiceRequestError, ServiceResponseError

    seen = 0
    while error is not None and seen < 10:
        if isinstance(error, ServiceRequestError | ServiceResponseError | OSError):
            return type(getattr(error, "inner_exception", None) or error).__name__
        status = getattr(getattr(error, "response", None), "status_code", 0)
        found = _HTTP.search(str(error))
        if found is not None or (isinstance(status, int) and (status >= 500 or status in (408, 429))):
            return f"status {found[1] if found else status}"
        error, seen = error.__cause__ or error.__context__, seen + 1
    return None
