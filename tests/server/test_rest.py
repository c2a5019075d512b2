"""The neutral API: each route over a real socket, its status, its headers and its shape."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import pytest

from penstock.contract.http import HttpRequest
from penstock.errors import RegistryError
from penstock.server.rest import runs
from penstock.workspace import Workspace

ROOT = Path(__file__).parents[2]


@pytest.fixture
def admin(served, tokens):
    """Calls with every right."""

    def call(method, path, data=None, **more):
        return served.call(method, path, data, token=tokens["admin"], **more)

    return call


@pytest.fixture
def made(admin, request):
    """An endpoint of the test's own, with one version."""
    published = admin("GET", "/v1/endpoints/hello").json["versions"][0]["published"]
    name = request.node.name.replace("[", "-").replace("]", "")
    reply = admin("POST", "/v1/endpoints", {"name": name, "published": published, "tags": {"a": "b"}})
    assert reply.status == 201
    assert reply.headers["location"].endswith(f"/v1/endpoints/{name}")
    return name


def test_an_endpoint_is_read_changed_and_deleted(admin, made) -> None:
    path = f"/v1/endpoints/{made}"
    read = admin("GET", path)
    assert read.status == 200
    assert read.headers["etag"] == f'"{read.json["revision"]}"'
    changed = admin("PATCH", path, {"description": "new"}, headers={"If-Match": read.headers["etag"]})
    assert (changed.status, changed.json["description"]) == (200, "new")
    late = admin("PATCH", path, {"description": "late"}, headers={"If-Match": read.headers["etag"]})
    assert (late.status, late.json["code"]) == (412, "revision_changed")
    assert admin("DELETE", path).status == 200
    gone = admin("GET", path)
    assert (gone.status, gone.json["code"]) == (404, "endpoint_not_found")
    assert gone.headers["content-type"] == "application/problem+json"
    assert gone.json["request_id"] == gone.headers["x-request-id"]


def test_what_is_closed_says_since_when_by_whom_and_why(admin, made) -> None:
    path = f"/v1/endpoints/{made}"
    assert admin("POST", f"{path}/disable", {"reason": "dirty scanner"}).json["changed"] is True
    refused = admin("POST", f"{path}/runs", {})
    assert (refused.status, refused.json["code"]) == (409, "endpoint_disabled")
    assert (refused.json["by"], refused.json["reason"]) == ("admin", "dirty scanner")
    assert refused.json["since"].endswith("Z")
    assert admin("POST", f"{path}/enable").json["changed"] is True
    assert admin("POST", f"{path}/versions/0/disable", {}).status == 200
    assert admin("POST", f"{path}/runs").json["code"] == "version_disabled"
    assert admin("GET", f"{path}/versions/0").json["enabled"] is False


def test_a_trigger_answers_with_its_run_and_a_replay_with_the_same(admin, made) -> None:
    path, key = f"/v1/endpoints/{made}/runs", {"Idempotency-Key": "monday"}
    first = admin("POST", path, {"parameters": {"name": "you"}, "tags": {"by": "cron"}}, headers=key)
    assert (first.status, first.json["state"], first.json["door"]) == (201, "queued", "rest")
    assert first.json["by"] == "admin"
    assert first.json["verified"] is True
    assert first.headers["location"].endswith(f"/v1/runs/{first.json['id']}")
    again = admin("POST", path, {"parameters": {"name": "you"}, "tags": {"by": "cron"}}, headers=key)
    assert (again.status, again.json["id"], again.json["replayed"]) == (200, first.json["id"], True)
    other = admin("POST", path, {"parameters": {"name": "me"}}, headers=key)
    assert (other.status, other.json["code"]) == (409, "idempotency_conflict")
    by_id = admin("POST", f"/v1/pipelines/{first.json['published']}/runs", {})
    assert (by_id.status, by_id.json["resolved_from"]) == (201, "published")


@pytest.mark.parametrize(
    ("sent", "kept"), [("m\u00e5ndag".encode(), "m\u00e5ndag"), (b"m\xe5ndag", "m\u00e5ndag")], ids=["utf-8", "latin-1"]
)
def test_a_key_is_what_was_meant_in_either_encoding(admin, made, sent, kept) -> None:
    run = admin("POST", f"/v1/endpoints/{made}/runs", {}, headers={"Idempotency-Key": sent})
    assert (run.status, run.json["idempotency_key"]) == (201, kept)


def test_two_keys_are_refused_rather_than_made_a_third_one(served, serving, tokens, made) -> None:
    head = f"POST /v1/endpoints/{made}/runs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {tokens['admin']}\r\n"
    keys = "Idempotency-Key: a\r\nidempotency-key: b\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"
    reply = serving.answer_to(served, (head + keys).encode())
    assert (reply.status, reply.json["code"]) == (400, "usage_error")
    assert "`Idempotency-Key` more than once" in reply.json["detail"]


def test_parameters_are_refused_all_at_once(admin, made) -> None:
    reply = admin("POST", f"/v1/endpoints/{made}/runs", {"parameters": {"times": 9, "nmae": "x", "name": 5}})
    assert (reply.status, reply.json["code"]) == (422, "parameter_invalid")
    assert {one["path"] for one in reply.json["details"]} == {"$.times", "$.nmae", "$.name"}
    assert all(f"{one['path']}: {one['message']}" in reply.json["detail"] for one in reply.json["details"])


def test_no_file_of_the_server_can_be_named(admin, made, folder) -> None:
    for path in ("/etc/passwd", str(folder / "table.csv"), "table.csv", "../table.csv", "file:///etc/passwd"):
        reply = admin("POST", f"/v1/endpoints/{made}/runs", {"parameters": {"table": path}})
        assert (reply.status, reply.json["details"][0]["code"]) == (422, "location_refused"), path
    for name in ("./greet.yaml", "greet.yaml", "%2Fetc%2Fpasswd.yaml"):
        assert admin("POST", f"/v1/endpoints/{name}/runs", {}).status in (403, 404)


def test_the_default_moves_and_goes_back(admin, made) -> None:
    path = f"/v1/endpoints/{made}"
    other = admin("POST", "/v1/pipelines", {"from": "hello", "name": "other", "endpoint": made})
    assert (other.status, other.json["version"]) == (201, "1")
    wrong = admin("PUT", f"{path}/default", {"version": 1, "expect": "1"})
    assert (wrong.status, wrong.json["code"]) == (409, "default_changed")
    moved = admin("PUT", f"{path}/default", {"version": "1", "expect": "0"})
    assert (moved.status, moved.json["endpoint"]["default"]) == (200, "1")
    assert admin("POST", f"{path}/rollback", {"expect": 1, "reason": "too late"}).json["to"] == "0"
    assert admin("GET", f"{path}/history").json["items"][0]["reason"] == "too late"
    assert admin("POST", f"{path}/rollback").json["code"] == "nothing_to_roll_back"
    actions = [one["action"] for one in admin("GET", f"{path}/history").json["items"]]
    assert actions[:2] == ["default_rolled_back", "default_moved"]


def test_who_saw_an_old_revision_moves_nothing(admin, made) -> None:
    path = f"/v1/endpoints/{made}"
    old = {"If-Match": admin("GET", path).headers["etag"]}
    assert admin("POST", f"{path}/disable", {}, headers=old).status == 200
    for method, what, data in (
        ("POST", "enable", None),
        ("POST", "disable", {}),
        ("POST", "versions/0/disable", {}),
        ("PUT", "default", {"version": "0"}),
        ("POST", "rollback", {}),
    ):
        late = admin(method, f"{path}/{what}", data, headers=old)
        assert (late.status, late.json["code"]) == (412, "revision_changed"), what
    new = {"If-Match": admin("GET", path).headers["etag"]}
    assert admin("POST", f"{path}/enable", headers=new).json["changed"] is True
    strange = admin("POST", f"{path}/disable", {}, headers={"If-Match": 'W/"1"'})
    assert strange.status == 400


def test_pages_link_to_the_next(admin, made) -> None:
    for _ in range(3):
        assert admin("POST", f"/v1/endpoints/{made}/runs").status == 201
    first = admin("GET", f"/v1/endpoints/{made}/runs?limit=2&state=queued")
    link = first.headers["link"]
    assert link.endswith('; rel="next"')
    path = link.partition(">")[0].partition("/v1/")[2]
    rest = admin("GET", f"/v1/{path}")
    ids = [run["id"] for reply in (first, rest) for run in reply.json["items"]]
    assert len(set(ids)) == len(ids) == 3
    assert "link" not in rest.headers


def test_a_run_is_canceled_and_a_long_poll_sees_its_end(admin, made) -> None:
    run = admin("POST", f"/v1/endpoints/{made}/runs").json["id"]
    assert admin("GET", f"/v1/runs/{run}?wait=1").json["state"] == "queued"
    canceled = admin("POST", f"/v1/runs/{run}/cancel", {"reason": "no need"})
    assert canceled.json["run"]["state"] == "canceled"
    seen = admin("GET", f"/v1/runs/{run}?wait=30").json
    assert (seen["state"], seen["cancel_reason"]) == ("canceled", "no need")
    assert admin("POST", f"/v1/runs/{run}/rerun").json["rerun_of"] == run


def test_a_disk_that_is_full_for_a_while_ends_no_long_poll(made, admin, folder) -> None:
    run = admin("POST", f"/v1/endpoints/{made}/runs").json["id"]
    with Workspace.open(folder, env={}) as workspace:
        known = workspace._services.registry.runs.get(run)
    full = RegistryError("the disk is full", code="registry_disk_full", undone="nothing was changed")
    looks: list[object] = []

    def look(ref: str):
        looks.append(known if not looks else full)
        if looks[-1] is full:
            raise full
        return known

    async def in_thread(work):
        return work()

    request = HttpRequest(
        method="GET", path={"id": run}, query={"wait": ("1",)}, headers={}, body=b"", base_url="",
        workspace=SimpleNamespace(runs=SimpleNamespace(get=look)), in_thread=in_thread,
    )  # fmt: skip
    seen = json.loads(asyncio.run(runs.get(request, {})).body)
    assert (seen["state"], seen["stale"]) == ("queued", "the disk is full") and full in looks
    with pytest.raises(RegistryError):  # of which nothing is known there is nothing to say
        asyncio.run(runs.get(request, {}))


def test_what_the_server_keeps_to_itself(admin, folder) -> None:
    assert str(folder) not in admin("GET", "/v1/status").body.decode()
    targets = admin("GET", "/v1/targets").json["items"]
    assert targets == [{"name": "laptop", "backend": "local", "available": True, "default": True}]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "route_not_found"),
        ("PUT", "/v1/runs", 405, "method_not_allowed"),
        ("POST", "/v1/targets/nowhere/check", 404, "target_unknown"),
        ("POST", "/v1/endpoints/greet:1/runs", 404, "endpoint_not_found"),
        ("GET", "/v1/runs?limt=3", 400, "unknown_key"),
        ("GET", "/v1/runs?limit=0", 400, "value_invalid"),
        ("GET", "/v1/runs?limit=1&limit=2", 400, "usage_error"),
        ("GET", "/v1/runs?state=sleeping", 400, "value_invalid"),
        ("GET", "/v1/endpoints/hello/at?time=noon", 400, "time_invalid"),
        ("GET", "/v1/endpoints/hello/versions/9", 404, "version_not_found"),
        ("GET", "/v1/runs/00000000", 404, "run_not_found"),
    ],
)
def test_what_is_wrong_is_said_in_one_shape(admin, method, path, status, code) -> None:
    reply = admin(method, path)
    assert (reply.status, reply.json["code"], reply.json["status"]) == (status, code, status)
    assert "\n" not in reply.json["detail"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "json_invalid"),
        (b"[]", "json_invalid"),
        (b'{"parameters": {}, "parameters": {}}', "duplicate_key"),
        (b'{"parameters": []}', "type_mismatch"),
        (b'{"paramters": {}}', "unknown_key"),
        (b'{"parameters": {"times": NaN}}', "json_invalid"),
        (b'{"parameters": {"times": 1e999}}', "json_invalid"),
        (b"\xff\xfe", "json_invalid"),
        (b'{"parameters": ' + b"[" * 5000 + b"]" * 5000 + b"}", "json_invalid"),
        (b'{"parameters": {"times": ' + b"1" * 5000 + b"}}", "json_invalid"),
        (b" " * 1_100_000, "document_too_large"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(admin, body, code) -> None:
    reply = admin("POST", "/v1/endpoints/hello/runs", body=body)
    assert reply.json["code"] == code
    assert 400 <= reply.status < 500


def test_the_content_type_does_not_matter(admin) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-8"):
        reply = admin("POST", "/v1/endpoints/hello/runs", {"parameters": {}}, headers={"Content-Type": kind})
        assert reply.status == 201


def test_runs_and_errors_are_what_the_schema_says(admin) -> None:
    from jsonschema import Draft202012Validator

    schema = json.loads((ROOT / "specs/schema/output.schema.json").read_text())
    for path, name in (
        ("/v1/endpoints", "endpoint list"),
        ("/v1/endpoints/hello", "endpoint create"),
        ("/v1/runs?limit=3", "run list"),
        ("/v1/pipelines", "pipeline list"),
        ("/v1/history?limit=3", "history"),
    ):
        Draft202012Validator({**schema, "anyOf": [{"$ref": f"#/$defs/{name}"}]}).validate(admin("GET", path).json)


def test_a_page_of_an_endpoint_with_any_name_leads_to_the_next(served, folder, tokens) -> None:
    """A header holds ASCII only, and names are Unicode."""
    with Workspace.open(folder, env={}, actor="ada") as workspace:
        workspace.publish(folder / "greet.yaml", endpoint="数 <%41>")
    path = f"/v1/endpoints/{quote('数 <%41>', safe='')}"
    for part in ("history", "runs"):
        for _ in range(2):
            assert served.call("POST", f"{path}/runs", {}, token=tokens["admin"]).status == 201
        page = served.call("GET", f"{path}/{part}?limit=1", token=tokens["admin"])
        assert page.status == 200
        where = page.headers["link"].partition("<")[2].partition(">")[0]
        assert where.startswith(f"{served.url}{path}/{part}?")
        after = served.call("GET", where.removeprefix(served.url), token=tokens["admin"])
        assert len(after.json["items"]) == 1


@pytest.mark.parametrize("value", [1, None, True, ["x"], {"x": "y"}])
def test_a_tag_that_is_no_text_is_refused(served, tokens, value) -> None:
    """What is kept is what records say it is."""
    for method, path in (("PATCH", "/v1/endpoints/hello"), ("POST", "/v1/endpoints/hello/runs")):
        reply = served.call(method, path, {"tags": {"team": value}}, token=tokens["admin"])
        assert (reply.status, reply.json["code"]) == (400, "type_mismatch")
