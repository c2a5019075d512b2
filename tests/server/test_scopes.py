"""Which scope an operation needs: the documents say what is held, and a refusal says which token to ask for."""

from __future__ import annotations

import asyncio
import inspect
import uuid
from pathlib import Path
from typing import Any

import pytest

from penstock.callers import SCOPES
from penstock.contract.http import HttpRequest
from penstock.server.rest.calling import called_by
from penstock.server.rest.routes import REST_ROUTES, RestRoute
from penstock.workspace import Admin, Endpoints, Pipelines, Runs, Targets, Tokens
from penstock.workspace.asked import ASKED
from penstock.workspace.rights import SUBMIT_PUBLISHED, Verb
from penstock.workspace.verbs import verb_of

GROUPS = {"admin": Admin, "endpoints": Endpoints, "pipelines": Pipelines, "runs": Runs, "targets": Targets}
PAGE = Path(__file__).parents[2] / "docs" / "scopes.md"
V1 = "/pipelines/v1.0/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"


def page() -> str:
    """The page of the documentation: what it says above its table, and the table as it has to be."""
    head, rule, _ = PAGE.read_text().partition("|---|---|---|---|\n")
    found: dict[Verb, list[str]] = {verb_of(Endpoints.signature): ["`GET /endpoints/{name}/openapi.json`"]}
    for route in REST_ROUTES:
        found.setdefault(called_by(route.handler), []).append(f"`{route.method} {route.path}`")
    rows = [
        f"| `{verb.scope}` | {ASKED[verb.name]} | {', '.join(paths)} | {'all' if verb.within is None else ''} |\n"
        for scope in SCOPES
        for verb, paths in found.items()
        if verb.scope == scope
    ]
    return head + rule + "".join(rows)


def test_the_page_of_the_documentation_is_what_is_held() -> None:
    assert PAGE.read_text() == page(), "`python tests/server/test_scopes.py` writes docs/scopes.md anew"


def test_every_verb_has_words() -> None:
    verbs = {known.name for group in (*GROUPS.values(), Tokens) for known in _verbs(group)}
    assert verbs | {SUBMIT_PUBLISHED.name} == set(ASKED)


def _verbs(group: type) -> list[Verb]:
    found = []
    for _, method in inspect.getmembers(group):
        try:
            found.append(verb_of(method))
        except (KeyError, TypeError):
            continue
    return found


class Called(Exception):
    """What a handler called, in place of an answer."""


class Recording:
    """A workspace that says which verb is called."""

    def __getattr__(self, group: str) -> Any:
        class Group:
            def __getattr__(self, name: str) -> Any:
                def call(*args: Any, only: str | None = None, **kwargs: Any) -> Any:
                    raise Called(SUBMIT_PUBLISHED if only == "published" else verb_of(getattr(GROUPS[group], name)))

                return call

        return Group()


@pytest.mark.parametrize("route", REST_ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_a_handler_calls_the_verb_that_it_says(route: RestRoute) -> None:
    async def in_thread(work: Any) -> Any:
        return work()

    path = dict.fromkeys(("name", "version", "id", "step"), "0")
    body = dict.fromkeys(("name", "published", "version", "access", "deduplication_window", "from"), "x")
    query = {"time": ("2026-11-20T09:00:00Z",)}
    request = HttpRequest(
        method=route.method, path=path, query=query, headers={}, body=b"", base_url="", in_thread=in_thread,
        workspace=Recording(),  # type: ignore[arg-type]  # all that a handler asks of it
    )  # fmt: skip
    with pytest.raises(Called) as raised:
        answered: Any = route.handler(request, body)
        asyncio.run(answered)
    assert raised.value.args == (called_by(route.handler),)


def test_a_refusal_says_what_was_asked_and_which_token_may(served, folder, serving) -> None:
    one = serving.token(folder, "publisher", "publish", ["hello"])
    reader = serving.token(folder, "reader", "read")
    some = "publisher has `publish` on some endpoints only"
    alone = "made without `--endpoint`"
    for token, method, path, body, said in (
        (one, "DELETE", "/v1/endpoints/hello", None,
         f"deleting an endpoint needs a token with the scope `admin`; {some}"),
        (one, "POST", "/v1/endpoints/hello/versions", {"published": "greet:1"},
         f"adding a version to an endpoint needs a token with the scope `publish`, {alone}; {some}"),
        (one, "PATCH", "/v1/endpoints/hello", {"name": "other"},
         f"renaming an endpoint needs a token with the scope `publish`, {alone}; {some}"),
        (reader, "POST", "/v1/endpoints/hello/runs", {},
         "triggering an endpoint needs a token with the scope `submit`; reader has `read`"),
        (reader, "DELETE", "/v1/pipelines/x", None,
         f"deleting a published pipeline needs a token with the scope `admin`, {alone}; reader has `read`"),
    ):  # fmt: skip
        reply = served.call(method, path, body, token=token)
        assert (reply.status, reply.json["code"], reply.json["detail"]) == (403, "scope_missing", said)


def test_a_published_pipeline_is_triggered_by_a_token_for_all(served, tokens) -> None:
    """One for an endpoint is told so, and learns not whether there is such a one."""
    known = served.call("GET", "/v1/endpoints/hello", token=tokens["read"]).json["versions"][0]["published"]
    for path in ("/v1/pipelines/{}/runs", f"{V1}/PipelineRuns/PipelineSubmit/{{}}"):
        told = {}
        for published in (known, str(uuid.uuid4())):
            reply = served.call("POST", path.format(published), {}, token=tokens["one"])
            told[published] = reply.body.replace(reply.headers["x-request-id"].encode(), b"")
            assert reply.status == 403
            assert b"triggering a published pipeline by its id" in reply.body
            assert b"made without `--endpoint`" in reply.body
            assert b"scope_missing" in reply.body
        assert len(set(told.values())) == 1
        assert served.call("POST", path.format(known), {}, token=tokens["submit"]).status in (200, 201)


def test_the_document_says_which_scope_an_operation_needs(served) -> None:
    paths = served.call("GET", "/openapi.json").json["paths"]
    assert paths["/v1/endpoints/{name}"]["delete"]["security"] == [{"bearer": ["admin"]}]
    assert paths["/v1/endpoints/{name}/runs"]["post"]["security"] == [{"bearer": ["submit"]}, {}]
    adding = paths["/v1/endpoints/{name}/versions"]["post"]["description"]
    assert adding == "Needs a token with the scope `publish`, made without `--endpoint`."


if __name__ == "__main__":
    PAGE.write_text(page())
