"""Law 3 at the doors: who says what they expect is refused when it is otherwise, and nothing moves."""

from __future__ import annotations

from typing import Any

from laws.error_codes import refusal
from laws.marks import over_http

from penstock.testing.helpers.setup import set_up
from penstock.testing.laws import require, same

pytestmark = over_http


def test_expected_at_the_doors(harness):
    """Is a move refused whose caller believes the default, or the endpoint, to be another than it is?"""
    with harness.workspace() as ws:
        published = [set_up(harness, ws, word, endpoint="one") for word in "abc"]
        ways = _by_the_wire if harness.door == "azureml_v1" else _by_expectation
        ws.endpoints.set_default("one", "1")
        ways(ws, [one.id for one in published])
        same(3, ws.endpoints.get("one").default, "2", "the default after moves as expected and others")


def _by_expectation(ws: Any, published: list[str]) -> None:
    verbs, code = ws.endpoints, "default_changed"
    refusal(3, code, "a move from another default", verbs.set_default, "one", "2", expect="0")
    refusal(3, code, "a rollback of another default", verbs.rollback, "one", expect="0")
    refusal(
        3, code, "a new default in place of another", verbs.add_version, "one", published[2], default=True, expect="0"
    )
    stale = f'"{verbs.get("one").revision}"'
    verbs.set_default("one", "0")
    for method, path, data in (
        ("PUT", "/default", {"version": "2"}),
        ("PATCH", "", {"default": "2"}),
        ("POST", "/disable", {}),
    ):
        reply = ws.send(method, f"/v1/endpoints/one{path}", data, revision=stale)
        told = f"`{method} {path}` of an endpoint that was changed since"
        require(3, reply.status == 412 and b"revision_changed" in reply.body, f"{told} is answered {reply.status}")
    same(3, (verbs.get("one").default, verbs.get("one").enabled), ("0", True), "the endpoint after refused changes")
    verbs.set_default("one", "2", expect="0")


def _by_the_wire(ws: Any, published: list[str]) -> None:
    entity = ws.wire("GET", "/PipelineEndpoints/Name", query={"name": "one"})
    path = f"/PipelineEndpoints/{entity['Id']}"
    ws.endpoints.rollback("one")
    refusal(3, "revision_changed", "an entity that was changed since", ws.wire, "PUT", path, entity)
    now = ws.wire("GET", "/PipelineEndpoints/Name", query={"name": "one"})
    same(3, now["DefaultVersion"], "0", "the default after an entity was refused")
    fewer = {**now, "PipelineVersionList": now["PipelineVersionList"][:2], "DefaultVersion": "1"}
    refusal(3, "version_lost", "an entity without a version that there is", ws.wire, "PUT", path, fewer)
    same(3, ws.endpoints.get("one").default, "0", "the default after an entity with fewer versions was refused")
    ws.wire("PUT", path, {**now, "DefaultVersion": "2"})
