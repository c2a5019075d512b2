"""`GET /metrics`, in the format that the scraper asks for."""

from __future__ import annotations

import math

from prometheus_client.exposition import choose_encoder

from penstock.contract.http import HttpAnswer, HttpRequest, HttpRoute
from penstock.errors import PenstockError
from penstock_metrics.meters import Meters


def routes(meters: Meters, *, open: bool) -> tuple[HttpRoute, ...]:
    """The route. What it shows is of all endpoints, so unless it is `open` a token for some of them does not do."""

    def show(request: HttpRequest) -> HttpAnswer:
        meters.look(request.workspace.admin.status())  # which checks the caller's scope
        encode, media_type = choose_encoder(request.headers.get("accept", ""))
        return HttpAnswer(body=encode(meters.registry), media_type=media_type)

    return (HttpRoute(method="GET", path="/metrics", handler=show, refuse=_refuse, door="metrics", open=open),)


def _refuse(error: PenstockError, request_id: str) -> HttpAnswer:
    headers = {"Retry-After": str(math.ceil(error.retry_after))} if error.retry_after else {}
    if error.http_status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="penstock"'
    text = f"{error.code}: {error.message}\n"
    return HttpAnswer(
        status=error.http_status,
        body=text.encode("utf-8", "backslashreplace"),
        media_type="text/plain; charset=utf-8",
        headers=headers,
    )
