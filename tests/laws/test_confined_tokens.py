"""Law 13 for who comes in by a token: of what was not opened to it nothing is learned, not even whether it is there."""

from __future__ import annotations

import json
import re
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

from attrs import frozen
from laws.asked import DoorHarness
from laws.doors import DOORS
from laws.doors.http import Http, Reply
from laws.doors.http_verbs import url
from laws.doors.serving import token_of
from laws.marks import over_http

from penstock.testing.helpers.setup import set_up, unique
from penstock.testing.laws import require, same

pytestmark = over_http

_WS = "/pipelines/v1.0/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"
_HISTORY = _WS.replace("pipelines", "history", 1)

_ASKED: dict[str, tuple[tuple[str, str, Any], ...]] = {
    "http": (
        *(("GET", f"/v1/endpoints/{{endpoint}}{rest}", None) for rest in ("", "/history", "/runs", "/versions/0")),
        ("GET", "/v1/endpoints/{endpoint}/at?time=2040-01-01T00:00:00Z", None),
        *(("POST", f"/v1/endpoints/{{endpoint}}/{verb}", {}) for verb in ("runs", "disable", "enable", "rollback")),
        *(("POST", f"/v1/endpoints/{{endpoint}}/versions/0/{verb}", {}) for verb in ("disable", "enable")),
        ("PUT", "/v1/endpoints/{endpoint}/default", {"version": "0"}),
        ("PATCH", "/v1/endpoints/{endpoint}", {"description": "mine"}),
        ("DELETE", "/v1/endpoints/{endpoint}", None),
        ("POST", "/v1/endpoints/{endpoint}/versions", {"published": "{published}"}),
        *(("GET", f"/v1/runs/{{run}}{rest}", None) for rest in ("", "/outputs", "/logs/tell")),
        *(("POST", f"/v1/runs/{{run}}/{verb}", {}) for verb in ("cancel", "rerun")),
        ("GET", "/v1/runs?endpoint={endpoint}", None),
        ("GET", "/v1/pipelines/{published}", None),
        *(("POST", f"/v1/pipelines/{{published}}/{verb}", {}) for verb in ("runs", "disable", "enable")),
        ("POST", "/v1/pipelines", {"from": "{endpoint}"}),
        ("POST", "/v1/endpoints", {"name": "three", "published": "{published}"}),
        ("GET", "/v1/history?subject={run}", None),
        ("GET", "/openapi.json?endpoint={endpoint}", None),
    ),
    "azureml_v1": (
        *(("POST", f"{_WS}/PipelineRuns/{way}", {}) for way in ("PipelineSubmit/{published}",)),
        *(("POST", f"{_WS}/PipelineRuns/PipelineEndpointSubmit/Id/{{endpoint_id}}{rest}", {}) for rest in ("", "/0")),
        ("POST", f"{_WS}/PipelineRuns/PipelineEndpointSubmit/Name?name={{endpoint}}", {}),
        ("GET", f"{_WS}/PipelineEndpoints/Name?name={{endpoint}}", None),
        ("GET", f"{_WS}/PipelineEndpoints/Id/{{endpoint_id}}", None),
        ("GET", f"{_WS}/PipelineEndpoints/{{endpoint_id}}/pipelines", None),
        ("PUT", f"{_WS}/PipelineEndpoints/{{endpoint_id}}", {"Description": "mine"}),
        ("GET", f"{_WS}/Pipelines/{{published}}", None),
        ("PUT", f"{_WS}/Pipelines/{{published}}/status", "Disabled"),
        ("GET", f"{_WS}/PipelineRuns/Pipeline/{{published}}", None),
        ("GET", f"{_WS}/PipelineRuns/{{run}}", None),
        ("DELETE", f"{_WS}/PipelineRuns/{{run}}/Execution", None),
        ("GET", f"{_HISTORY}/runs/{{run}}", None),
        ("POST", f"{_HISTORY}/experiments/x/runs:query", {"value": [{"runId": "{run}"}]}),
    ),
}
"""What can be asked of an endpoint, by either door."""

_LISTS = {
    "http": (
        "/v1/endpoints?all=true",
        "/v1/runs",
        "/v1/endpoints/one/runs",
        "/v1/endpoints?limit=1",
        "/v1/runs?limit=1",
    ),
    "azureml_v1": (f"{_WS}/PipelineEndpoints?activeOnly=false",),
}


@frozen(kw_only=True)
class _Two:
    """Endpoints `one`, which is opened to a token, and `two`, which is not; `absent` names what there is not."""

    admin: Http
    tokens: dict[str, str]
    hidden: dict[str, str]
    absent: dict[str, str]
    own: str

    def answer(self, scope: str, method: str, path: str, data: Any, named: dict[str, str]) -> tuple[int, str]:
        """What one request answers whoever has the token, without what it named and what is the request's own."""
        body = None if data is None else json.loads(_filled(json.dumps(data), named, plain=True))
        reply: Reply = self.admin.send(method, _filled(path, named), body, token=self.tokens[scope])
        text = reply.body.decode()
        for name, value in named.items():
            text = text.replace(value, f"<{name.removesuffix('_id')}>")
        return reply.status, re.sub(r'"(request_id|RequestId|Operation)":"[^"]*"', "", text)


def test_a_token_learns_nothing_of_the_rest(harness):
    """Is whatever is asked of what is not opened to a token answered as for what is not there, and left as it is?"""
    with _two(harness) as two:
        before = _everything(two.admin)
        for method, path, data in _ASKED[harness.door]:
            for scope in two.tokens:
                what = f"what `{method} {path}` tells a token with `{scope}` on another endpoint"
                told = [two.answer(scope, method, path, data, named) for named in (two.hidden, two.absent)]
                same(13, told[0], told[1], what)
                require(13, "combination" not in told[0][1], f"{what} is a secret")
        same(13, _everything(two.admin), before, "what is there after tokens of another endpoint asked for it")


def test_a_token_lists_its_own(harness):
    """Do listings show a token just what is opened to it, however they are paged?"""
    with _two(harness) as two:
        for path in _LISTS[harness.door]:
            for scope in two.tokens:
                reply = two.admin.send("GET", path, token=two.tokens[scope])
                text = reply.body.decode()
                same(13, reply.status, 200, f"the status of `GET {path}` for a token with `{scope}` on `one`")
                found = [name for name, value in two.hidden.items() if f'"{value}"' in text]
                same(13, found, [], f"what `GET {path}` shows to a token with `{scope}` of what is not its own")
                require(13, two.own in text, f"`GET {path}` does not show a token what is its own")


def test_a_token_may_what_its_scope_says(harness):
    """Is everything above a token's scope refused, with every right on the endpoint as it is, and the rest granted?"""
    order = ("read", "submit", "publish", "admin")
    needs = {
        "http": (
            ("read", "GET", "/v1/endpoints/one", None),
            ("submit", "POST", "/v1/endpoints/one/runs", {}),
            ("publish", "POST", "/v1/endpoints/one/disable", {}),
            ("publish", "POST", "/v1/endpoints/one/enable", {}),
            ("publish", "PUT", "/v1/endpoints/one/default", {"version": "0"}),
            ("admin", "PUT", "/v1/endpoints/one/access", {"access": "private"}),
        ),
        "azureml_v1": (
            ("read", "GET", f"{_WS}/PipelineEndpoints/Name?name=one", None),
            ("submit", "POST", f"{_WS}/PipelineRuns/PipelineEndpointSubmit/Name?name=one", {}),
            ("publish", "PUT", f"{_WS}/PipelineEndpoints/{{own_id}}", {"Description": "mine"}),
        ),
    }
    with _two(harness) as two:
        own_id = two.admin.endpoints.get("one").id
        for needed, method, path, data in needs[harness.door]:
            for scope in two.tokens:
                reply = two.admin.send(method, path.format(own_id=own_id), data, token=two.tokens[scope])
                granted = order.index(scope) >= order.index(needed)
                what = f"the answer to `{method} {path}` for a token with `{scope}`"
                require(13, (reply.status < 300) == granted, f"{what} is {reply.status}, which needs `{needed}`")
                require(13, granted or b"scope_missing" in reply.body, f"{what} does not say that a scope is missing")


def test_a_revoked_token_triggers_nothing(harness):
    """Is no run accepted by a token that was revoked while the trigger waited to be decided?"""
    path = {
        "http": "/v1/endpoints/one/runs",
        "azureml_v1": f"{_WS}/PipelineRuns/PipelineEndpointSubmit/Name?name=one",
    }[harness.door]
    with _two(harness) as two:
        registry, token, opened = two.admin.config.registry.value, two.tokens["submit"], threading.Barrier(3)

        def trigger() -> list[int]:
            with DOORS[harness.door](harness.subject, registry.stem) as door:
                found = [door.send("POST", path, {}, token=token).status]
                for _ in range(2):  # until the lock is taken
                    opened.wait(harness.profile.patience)
                return [*found, door.send("POST", path, {}, token=token).status]

        with closing(sqlite3.connect(registry, isolation_level=None)) as other, ThreadPoolExecutor(2) as pool:
            asked = [pool.submit(trigger) for _ in range(2)]
            opened.wait(harness.profile.patience)
            other.execute("BEGIN IMMEDIATE")
            opened.wait(harness.profile.patience)
            time.sleep(0.3)  # they are let in, and wait for the lock
            other.execute("UPDATE tokens SET revoked = 1 WHERE scope = 'submit'")
            other.execute("COMMIT")
            before, found = zip(*(each.result() for each in asked), strict=True)
        require(13, set(before) <= {200, 201}, "the token triggers nothing")
        same(13, found, (401, 401), "the status of triggers whose token was revoked before they were decided")


@contextmanager
def _two(harness: DoorHarness) -> Iterator[_Two]:
    registry = harness.new_registry()
    with DOORS[harness.door](harness.subject, registry) as ws:
        assert isinstance(ws, Http)
        one = set_up(harness, ws, unique("own"), name="own", endpoint="one")
        hidden = set_up(
            harness, ws, unique("hidden"), name="hidden", endpoint="two", description="the combination is 7-19-33"
        )
        run, own = ws.runs.submit("two").run, ws.runs.submit("one").run
        require(13, own.published == one.id, "a run of `one` is not what that publishes")
        # Both: a run that is still ending changes what is there while it is being compared.
        for begun in (run, own):
            ws.runs.wait(begun.id, timeout=harness.profile.patience)
        ids = [ws.endpoints.get("one").id]
        yield _Two(
            admin=ws,
            own="one",
            tokens={
                scope: token_of(ws.config.registry.value, f"a {scope} token", scope, ids)
                for scope in ("read", "submit", "publish", "admin")
            },
            hidden={
                "endpoint": "two",
                "endpoint_id": ws.endpoints.get("two").id,
                "published": hidden.id,
                "run": run.id,
            },
            absent={
                "endpoint": "tow",
                "endpoint_id": "00000000-0000-4000-8000-000000000001",
                "published": "00000000-0000-4000-8000-000000000002",
                "run": "00000000-0000-4000-8000-000000000003",
            },
        )


def _filled(text: str, named: dict[str, str], *, plain: bool = False) -> str:
    for name, value in named.items():
        text = text.replace(f"{{{name}}}", value if plain else url(value))
    return text


def _everything(ws: Http) -> list[Any]:
    listed = (ws.pipelines.list(all=True), ws.endpoints.list(all=True), ws.runs.list(), ws.admin.history(runs=True))
    return [page.items for page in listed]
