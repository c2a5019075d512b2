"""Public endpoints: their triggers are taken without a token, so often from each address, and nothing else is."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from penstock.callers import Caller, Rights
from penstock.config import load_config, server_options
from penstock.errors import ConfigInvalid, NotAuthenticated, TooManyRequests
from penstock.server.rates import PerAddress
from penstock.workspace import Workspace

V1 = (
    "/pipelines/v1.0/subscriptions/s/resourceGroups/g"
    "/providers/Microsoft.MachineLearningServices/workspaces/w/PipelineRuns/PipelineEndpointSubmit"
)
ANYBODY = Caller(actor="anonymous", door="rest", request_id="1", rights=Rights(scope="submit", public=True))


@pytest.fixture
def public(folder):
    """`hello`, which is public; afterwards it is not."""
    with Workspace.open(folder, env={}, actor="ada") as workspace:
        yield workspace.endpoints.access("hello", "public")
        workspace.endpoints.access("hello", "private")


def test_triggers_of_a_public_endpoint_are_taken_without_a_token_as_anonymous(served, public):
    made = served.call("POST", "/v1/endpoints/hello/runs", {"parameters": {"times": 2}})
    assert made.status == 201
    assert (made.json["by"], made.json["verified"], made.json["door"]) == ("anonymous", False, "rest")
    pinned = served.call("POST", f"/v1/endpoints/{public.id}/runs", {"version": 0})
    assert (pinned.status, pinned.json["resolved_from"]) == (201, "pinned")


@pytest.mark.parametrize("path", ["/Name?name=hello", "/Name?Name=hello&pipelineVersion=0", "/Id/{id}", "/Id/{id}/0"])
def test_triggers_of_azure_ml_v1_are_too(served, public, path):
    made = served.call("POST", V1 + path.format(id=public.id), {"ParameterAssignments": {"times": "3"}})
    assert made.status == 200, made.body
    assert served.call("POST", V1 + path.replace("hello", "hidden").format(id="0" * 8), {}).status == 401


def test_everything_else_about_it_stays_closed_as_of_one_that_is_not_there(served, public, tokens):
    run = served.call("POST", "/v1/endpoints/hello/runs").json["id"]
    for method, path in (
        ("GET", "/v1/endpoints/{}"),
        ("GET", "/v1/endpoints/{}/runs"),
        ("GET", "/v1/endpoints/{}/history"),
        ("GET", "/v1/endpoints/{}/openapi.json"),
        ("POST", "/v1/endpoints/{}/disable"),
        ("PUT", "/v1/endpoints/{}/access"),
        ("DELETE", "/v1/endpoints/{}"),
    ):
        told = [served.call(method, path.format(name)) for name in ("hello", "nothing")]
        assert [one.status for one in told] == [401, 401], path
        first, second = ({**one.json, "request_id": ""} for one in told)
        assert first == second
    for path in (f"/v1/runs/{run}", f"/v1/runs/{run}/outputs", "/v1/runs", "/v1/endpoints", "/v1/status"):
        assert served.call("GET", path).status == 401
    assert served.call("POST", f"/v1/runs/{run}/cancel").status == 401
    assert served.call("POST", f"/v1/runs/{run}/rerun").status == 401
    published = public.versions[0].published
    assert served.call("POST", f"/v1/pipelines/{published}/runs").status == 401


def test_a_private_endpoint_and_one_that_is_not_there_answer_alike(served, public):
    told = [served.call("POST", f"/v1/endpoints/{name}/runs", body=b"no json") for name in ("hidden", "nothing")]
    assert [one.status for one in told] == [401, 401]
    assert {**told[0].json, "request_id": ""} == {**told[1].json, "request_id": ""}


def test_a_token_that_is_wrong_is_refused_all_the_same(served, public):
    assert served.call("POST", "/v1/endpoints/hello/runs", {}, token="penstock_0_0").status == 401


def test_the_gate_holds_for_everybody(served, public, folder):
    with Workspace.open(folder, env={}, actor="ada") as workspace:
        workspace.endpoints.disable("hello", reason="no more")
        refused = served.call("POST", "/v1/endpoints/hello/runs", {})
        workspace.endpoints.enable("hello")
    assert (refused.status, refused.json["code"]) == (409, "endpoint_disabled")


def test_who_is_not_known_neither_takes_a_key_nor_learns_what_came_under_it(served, public, tokens):
    key = {"Idempotency-Key": "nightly"}
    known = served.call("POST", "/v1/endpoints/hello/runs", {}, token=tokens["submit"], headers=key).json
    first = served.call("POST", "/v1/endpoints/hello/runs", {}, headers=key)
    again = served.call("POST", "/v1/endpoints/hello/runs", {}, headers=key)
    assert (first.status, again.status) == (201, 200)
    assert first.json["id"] == again.json["id"] != known["id"]
    other = served.call("POST", "/v1/endpoints/hello/runs", {"parameters": {"times": 5}}, headers=key)
    assert (other.status, other.json["code"]) == (409, "idempotency_conflict")
    assert known["id"] not in other.json["detail"]
    replayed = served.call("POST", "/v1/endpoints/hello/runs", {}, token=tokens["submit"], headers=key)
    assert (replayed.status, replayed.json["id"]) == (200, known["id"])


def test_the_access_is_recorded_and_shown_and_compared(served, tokens, folder, serving):
    before = served.call("GET", "/v1/endpoints/hello", token=tokens["admin"])
    assert before.json["access"] == "private"
    stale = {"If-Match": '"1"'}
    refused = served.call(
        "PUT", "/v1/endpoints/hello/access", {"access": "public"}, token=tokens["admin"], headers=stale
    )
    assert (refused.status, refused.json["code"]) == (412, "revision_changed")
    now = {"If-Match": before.headers["etag"]}
    done = served.call("PUT", "/v1/endpoints/hello/access", {"access": "public"}, token=tokens["admin"], headers=now)
    assert (done.status, done.json["access"]) == (200, "public")
    assert done.headers["etag"] != before.headers["etag"]
    shown = serving.penstock(folder, "endpoint", "show", "hello")
    assert "public" in shown and "Authorization" not in shown
    row = json.loads(serving.penstock(folder, "endpoint", "history", "hello", "--json"))["items"][0]
    assert (row["action"], row["from"], row["to"], row["by"]) == ("access_changed", "private", "public", "admin")
    served.call("PUT", "/v1/endpoints/hello/access", {"access": "private"}, token=tokens["admin"])
    assert served.call("POST", "/v1/endpoints/hello/runs", {}).status == 401


def test_only_an_administrator_opens_an_endpoint_to_everybody(served, tokens):
    body = {"access": "public"}
    refused = served.call("PUT", "/v1/endpoints/hello/access", body, token=tokens["publish"])
    assert (refused.status, refused.json["code"]) == (403, "scope_missing")
    assert served.call("PUT", "/v1/endpoints/nothing/access", body, token=tokens["admin"]).status == 404
    wrong = served.call("PUT", "/v1/endpoints/hello/access", {"access": "open"}, token=tokens["admin"])
    assert (wrong.status, wrong.json["code"]) == (400, "value_invalid")


def test_so_many_a_minute_are_taken_from_an_address(folder, serving, public, tokens):
    server = serving.Served(folder, "--no-dispatch", env={"PENSTOCK_SERVER_ANONYMOUS_PER_MINUTE": "3"})
    try:
        told = [server.call("POST", "/v1/endpoints/hello/runs", {}) for _ in range(4)]
        assert [one.status for one in told] == [201, 201, 201, 429]
        assert told[3].json["code"] == "anonymous_limit"
        assert 1 <= int(told[3].headers["retry-after"]) <= 20
        assert server.call("POST", f"{V1}/Name?name=hello", {}).status == 429
        assert server.call("POST", "/v1/endpoints/hidden/runs", {}).status == 401
        assert server.call("POST", "/v1/endpoints/hello/runs", {}, token=tokens["one"]).status == 201
    finally:
        server.stop()


def test_a_limit_below_one_is_refused(folder):
    config = load_config(folder, env={"PENSTOCK_SERVER_ANONYMOUS_PER_MINUTE": "0"})
    with pytest.raises(ConfigInvalid, match="anonymous_per_minute: at least 1"):
        server_options(config, {})


def test_each_address_has_its_own_count_and_it_fills_up_again():
    now = 0.0
    rates = PerAddress(2, clock=lambda: now)
    for address in ("10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8:0:1::1"):
        rates.take(address)
        rates.take(address)
    for same in ("10.0.0.1", "::ffff:10.0.0.2", "2001:db8::ffff", "2001:db8:0:1:2:3:4:5"):
        with pytest.raises(TooManyRequests) as refused:
            rates.take(same)
        assert refused.value.code == "anonymous_limit" and refused.value.retry_after == 30
    now = 29.9
    with pytest.raises(TooManyRequests):
        rates.take("10.0.0.1")
    now = 30.0
    rates.take("10.0.0.1")
    now = 10_000.0
    rates.take("10.0.0.1")
    rates.take("10.0.0.1")
    with pytest.raises(TooManyRequests):
        rates.take("10.0.0.1")


def test_threads_share_one_count():
    rates, taken = PerAddress(50, clock=lambda: 0.0), []

    def take() -> None:
        for _ in range(40):
            try:
                rates.take("10.0.0.1")
            except TooManyRequests:
                continue
            taken.append(1)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(taken) == 50


def test_the_acceptance_itself_looks_whether_the_endpoint_is_public(folder: Path):
    """What the server looked at before may have changed: nothing that is private by then is triggered or replayed."""
    with Workspace.open(folder, env={}, actor="ada") as workspace:
        anybody = workspace.as_(ANYBODY)
        published = workspace.endpoints.get("hello").versions[0].published
        for ref in ("hello", "hello@0", "nothing", published, "greet:1"):
            with pytest.raises(NotAuthenticated):
                anybody.runs.submit(ref)
        for call in (
            lambda: anybody.endpoints.get("hello"),
            lambda: anybody.runs.list(),
            lambda: anybody.endpoints.access("hello", "public"),
            lambda: anybody.admin.status(),
        ):
            with pytest.raises(NotAuthenticated):
                call()
        workspace.endpoints.access("hello", "public")
        run = anybody.runs.submit("hello", idempotency_key="mine").run
        assert run.by == "anonymous"
        workspace.endpoints.access("hello", "private")
        with pytest.raises(NotAuthenticated):
            anybody.runs.submit("hello", idempotency_key="mine")
