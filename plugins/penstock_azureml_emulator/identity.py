"""Who calls: tokens that anybody gets, the documents by which they are found, and whether a call carries one.

Nothing is secret here: any client, secret and tenant will do. What is checked is that a caller asks for a token where
Microsoft's own libraries do, and sends it.
"""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Collection
from typing import Any
from urllib.parse import parse_qs

from penstock_azureml_emulator.blobs import ACCOUNT
from penstock_azureml_emulator.errors import ArmError
from penstock_emulator.http import Answer, Request

TENANT = "5e6f2a1c-0000-4000-8000-000000000003"
"""The tenant that answers to every name."""

IDENTITY_HEADER = "penstock-emulator"
"""What `IDENTITY_HEADER` is for a managed identity; it keeps nobody out."""

_ISSUER = f"https://sts.windows.net/{TENANT}/"
_ARM = ("https://management.core.windows.net", "https://management.azure.com")
"""What tokens for ARM are for. Source: the words of its error `InvalidAuthenticationTokenAudience`."""
_LEARNING = "https://ml.azure.com"
"""What tokens for Azure ML's services are for. Source: azure-ai-ml (`_restclient/runhistory/_configuration.py`)."""
BLOBS = ("https://storage.azure.com", f"https://{ACCOUNT}.blob.core.windows.net")
"""What tokens for blobs are for. Source: Azure's page on authorizing access to blobs."""

_LIFE = 3600
"""Seconds that a token is good for. Microsoft Entra's are good for 60 to 90 minutes."""


def token(audience: str) -> str:
    """An unsigned JWT for an audience."""
    now = int(time.time())
    claims = {
        "aud": audience,
        "iss": _ISSUER,
        "iat": now,
        "nbf": now,
        "exp": now + _LIFE,
        "oid": str(uuid.uuid5(uuid.NAMESPACE_URL, audience)),
        "tid": TENANT,
    }
    return f"{_part({'typ': 'JWT', 'alg': 'none'})}.{_part(claims)}.{base64.urlsafe_b64encode(b'none').decode()}"


def is_meant_for(text: str, audiences: Collection[str]) -> bool:
    """Whether a token is for one of these; of tokens that this emulator did not give nobody knows."""
    claims = _claims(text)
    if claims.get("iss") != _ISSUER:
        return True
    return str(claims.get("aud", "")).rstrip("/") in audiences


def check(request: Request, url: str, *, arm: bool) -> None:
    """Refuse who carries no token, or one that is over or for somebody else. Raises ArmError.

    `arm` says that it is Azure Resource Manager that is called, and not a service of Azure ML.
    """
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not value.strip():
        raise ArmError(
            "AuthenticationFailed",
            "Authentication failed. The 'Authorization' header is missing or not a bearer token.",
        )
    expires = _claims(value).get("exp")
    if isinstance(expires, int | float) and expires < time.time():
        raise ArmError(
            "ExpiredAuthenticationToken", "The access token expiry UTC time is earlier than current UTC time."
        )
    if not is_meant_for(value, {*_ARM, url} if arm else {*_ARM, url, _LEARNING}):
        raise ArmError(
            "InvalidAuthenticationTokenAudience",
            "The access token has been obtained for wrong audience or resource. It should match one of the allowed "
            f"audiences {', '.join(_ARM)}.",
        )


def issue(request: Request) -> Answer:
    """`POST /{tenant}/oauth2/v2.0/token`, as a client with a secret asks."""
    asked = {key: values[-1] for key, values in parse_qs(request.body.decode("latin-1")).items()}
    if asked.get("grant_type") != "client_credentials" or not asked.get("client_id"):
        return _json(
            {
                "error": "unsupported_grant_type",
                "error_description": "AADSTS70003: the emulator gives tokens to clients that have credentials",
            },
            400,
        )
    audience = asked.get("scope", "").removesuffix("/.default")
    found = {"token_type": "Bearer", "expires_in": _LIFE, "ext_expires_in": _LIFE, "access_token": token(audience)}
    return _json(found)


def managed(request: Request) -> Answer:
    """What `IDENTITY_ENDPOINT` answers: `GET ?api-version=2019-08-01&resource=...`, with `X-IDENTITY-HEADER`.

    Source: the protocol that azure-identity speaks on App Service and in jobs of Azure ML.
    """
    if request.headers.get("X-IDENTITY-HEADER", "") != IDENTITY_HEADER or not request.one("resource"):
        return _json({"statusCode": 400, "message": "resource and X-IDENTITY-HEADER are needed"}, 400)
    resource = request.one("resource")
    found = {
        "access_token": token(resource),
        "expires_on": str(int(time.time()) + _LIFE),
        "resource": resource,
        "token_type": "Bearer",
        "client_id": TENANT,
    }
    return _json(found)


def configuration(url: str, tenant: str) -> Answer:
    """The OpenID configuration of a tenant."""
    base = f"{url}/{tenant}"
    return _json(
        {
            "token_endpoint": f"{base}/oauth2/v2.0/token",
            "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
            "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
            "jwks_uri": f"{base}/discovery/v2.0/keys",
            "issuer": f"{base}/v2.0",
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
            "response_types_supported": ["code"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }
    )


def instances(url: str) -> Answer:
    """The instance discovery of Microsoft Entra, for callers that ask here."""
    host = url.removeprefix("https://")
    return _json(
        {
            "tenant_discovery_endpoint": f"{url}/{TENANT}/v2.0/.well-known/openid-configuration",
            "api-version": "1.1",
            "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
        }
    )


def _claims(text: str) -> dict[str, Any]:
    """What a token says of itself; nothing where it is none of ours."""
    parts = text.split(".")
    if len(parts) != 3:
        return {}
    try:
        found = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _part(data: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(data).encode()).decode().rstrip("=")


def _json(data: dict[str, Any], status: int = 200) -> Answer:
    return Answer(status, {"Content-Type": "application/json; charset=utf-8"}, json.dumps(data).encode())
