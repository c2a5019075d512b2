"""`POST /{tenant}/oauth2/token`: what clients that log in as a service principal ask first.

The client's id is the name of a token and its secret the token itself (RFC 6749, section 4.4); they get a short-lived
token of the same scope. The tenant may be anything. The older of the two paths writes numbers as text, as Azure does.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import partial
from urllib.parse import parse_qsl

from penstock.contract.http import HttpAnswer, HttpRequest, HttpRoute
from penstock.errors import PenstockError
from penstock.server.answers import to_json
from penstock.workspace.services import Services

SECONDS = 3600
"""How long such a token lives."""


def oauth_routes(services: Services) -> tuple[HttpRoute, ...]:
    """The routes."""

    def token(request: HttpRequest, *, numbers_as_text: bool) -> HttpAnswer:
        try:
            pairs = parse_qsl(request.body.decode("ascii"), keep_blank_values=True, max_num_fields=50)
        except ValueError:
            return _error(400, "invalid_request", "the body is a form, percent-encoded")
        form = dict(pairs)
        if len(form) < len(pairs):
            return _error(400, "invalid_request", "a field is there twice")
        if form.get("grant_type") != "client_credentials":
            return _error(400, "unsupported_grant_type", "`grant_type` is `client_credentials`")
        name, secret = form.get("client_id", ""), form.get("client_secret", "")
        tokens = services.registry.tokens
        # Looked at first, so that who has none cannot hold up those who write.
        is_known = bool(name and secret) and tokens.verify(secret) is not None
        made = tokens.exchange(name, secret, SECONDS) if is_known else None
        if made is None:
            return _error(401, "invalid_client", "`client_id` is a token's name and `client_secret` the token itself")
        left = max(0, int((made.expires - datetime.now(UTC)).total_seconds()))
        now = int(time.time())
        numbers = {"expires_in": left, "ext_expires_in": left}
        if numbers_as_text:
            numbers |= {"expires_on": now + left, "not_before": now}
        data = {
            "token_type": "Bearer",
            **{key: str(value) if numbers_as_text else value for key, value in numbers.items()},
            "access_token": made.token,
        }
        if numbers_as_text and "resource" in form:
            data["resource"] = form["resource"]
        return HttpAnswer(body=to_json(data), headers={"Cache-Control": "no-store"})

    return tuple(
        HttpRoute(
            method="POST",
            path=path,
            handler=partial(token, numbers_as_text=old),
            refuse=_refuse,
            door="oauth",
            open=True,
        )
        for path, old in (("/{tenant}/oauth2/token", True), ("/{tenant}/oauth2/v2.0/token", False))
    )


def _error(status: int, word: str, message: str) -> HttpAnswer:
    """An error as RFC 6749, section 5.2, has it."""
    body = to_json({"error": word, "error_description": message})
    return HttpAnswer(status=status, body=body, headers={"Cache-Control": "no-store"})


def _refuse(error: PenstockError, request_id: str) -> HttpAnswer:
    return _error(error.http_status, "invalid_request" if error.http_status < 500 else "server_error", error.message)
