"""Whoever signs in: tokens by what the option `credentials` says, each kept until shortly before it ends."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

from penstock.errors import TargetUnavailable
from penstock_azureml.options import AzuremlOptions

_EARLY = 300.0
"""Seconds before its end when a token is asked for again."""


class Tokens:
    """The tokens of one target. Threads may share it."""

    def __init__(self, options: AzuremlOptions) -> None:
        self._options = options
        self._credential: Any = None
        self._held: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()

    def token(self, audience: str) -> str:
        """A token for an audience such as `https://management.azure.com`. Raises TargetUnavailable."""
        if self._options.credentials == "anonymous":
            return "anonymous"
        with self._lock:
            held, ends = self._held.get(audience, ("", 0.0))
            if ends - _EARLY > time.time():
                return held
            found = self._ask(f"{audience}/.default")
            self._held[audience] = (found.token, float(found.expires_on))
            return str(found.token)

    def _ask(self, scope: str) -> Any:
        from azure.core.exceptions import ClientAuthenticationError
        from azure.identity import CredentialUnavailableError

        try:
            if self._credential is None:
                self._credential = credential(self._options)
            return self._credential.get_token(scope)
        except CredentialUnavailableError as error:
            raise TargetUnavailable(
                f"there are no Azure credentials here ({self._options.credentials}): {_line(error)}; run `az login`, "
                "or set the target's `credentials`",
                code="credentials_missing",
            ) from None
        except ClientAuthenticationError as error:
            raise TargetUnavailable(
                f"Azure does not take the credentials ({self._options.credentials}): {_line(error)}",
                code="credentials_expired",
            ) from None


def credential(options: AzuremlOptions) -> Any:
    """A credential of azure-identity. Raises TargetUnavailable where the secret of a service principal is missing."""
    import azure.identity as identity

    where: dict[str, Any] = {}
    if options.authority is not None:
        where = {"authority": options.authority}
    if options.ca is not None:
        where["connection_verify"] = str(options.ca)
    match options.credentials:
        case "service_principal":
            secret = os.environ.get("AZURE_CLIENT_SECRET")
            if not secret:
                raise TargetUnavailable(
                    "there are no Azure credentials here (service_principal): set AZURE_CLIENT_SECRET",
                    code="credentials_missing",
                )
            known = {"disable_instance_discovery": options.authority is not None}
            return identity.ClientSecretCredential(options.tenant, options.client_id, secret, **known, **where)
        case "managed_identity":
            given = {"client_id": options.client_id} if options.client_id else {}
            return identity.ManagedIdentityCredential(**given, **where)
        case "cli":
            return identity.AzureCliCredential(tenant_id=options.tenant or "")
    if options.authority is not None:
        where["disable_instance_discovery"] = True
    return identity.DefaultAzureCredential(
        **where, **({"managed_identity_client_id": options.client_id} if options.client_id else {})
    )


def _line(error: Exception) -> str:
    """What azure-identity says, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines)[:300].rstrip(".") if lines else type(error).__name__
