"""`/v1/pipelines`: published pipelines, their gates, and publishing again what is published."""

from __future__ import annotations

from penstock.contract.http import HttpAnswer, HttpRequest
from penstock.server.answers import answer, location, page
from penstock.server.bodies import Data, expected_revision, flag, number, one
from penstock.server.rest.calling import calls
from penstock.workspace.pipelines import Pipelines


@calls(Pipelines.list)
def list_all(request: HttpRequest, data: Data) -> HttpAnswer:
    """A page of published pipelines, newest first; closed ones only with `all`."""
    found = request.workspace.pipelines.list(
        all=flag(request, "all"),
        limit=number(request, "limit", 50, least=1),
        before=one(request, "before"),
        name=one(request, "name"),
    )
    return page(request, "/v1/pipelines", found)


@calls(Pipelines.publish_from)
def publish_from(request: HttpRequest, data: Data) -> HttpAnswer:
    """Publish the snapshot behind `from` (an endpoint, a version, a published pipeline or a run) once more."""
    source = data.pop("from")
    done = request.workspace.pipelines.publish_from(source, **data)
    return answer(done, 201 if done.created else 200, location(request, "pipelines", done.published.id))


@calls(Pipelines.get)
def get(request: HttpRequest, data: Data) -> HttpAnswer:
    """One published pipeline."""
    return answer(request.workspace.pipelines.get(request.path["id"]))


@calls(Pipelines.delete)
def delete(request: HttpRequest, data: Data) -> HttpAnswer:
    """Delete a published pipeline that nothing points to."""
    return answer(request.workspace.pipelines.delete(request.path["id"]))


@calls(Pipelines.disable)
def disable(request: HttpRequest, data: Data) -> HttpAnswer:
    """Close the gate of a published pipeline."""
    return answer(
        request.workspace.pipelines.disable(request.path["id"], **data, expect_revision=expected_revision(request))
    )


@calls(Pipelines.enable)
def enable(request: HttpRequest, data: Data) -> HttpAnswer:
    """Open the gate of a published pipeline."""
    return answer(request.workspace.pipelines.enable(request.path["id"], expect_revision=expected_revision(request)))
