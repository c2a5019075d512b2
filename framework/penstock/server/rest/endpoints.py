"""`/v1/endpoints`: pipeline endpoints, their versions, the default pointer, gates and history."""

from __future__ import annotations

from penstock.codec import read_time
from penstock.contract.http import HttpAnswer, HttpRequest
from penstock.errors import NotFound, UsageError
from penstock.server.answers import answer, location, page
from penstock.server.bodies import Data, expected_revision, flag, number, one
from penstock.server.rest.calling import calls
from penstock.workspace.endpoints import Endpoints


@calls(Endpoints.list)
def list_all(request: HttpRequest, data: Data) -> HttpAnswer:
    """A page of endpoints, newest first; closed ones only with `all`."""
    found = request.workspace.endpoints.list(
        all=flag(request, "all"), limit=number(request, "limit", 50, least=1), before=one(request, "before")
    )
    return page(request, "/v1/endpoints", found)


@calls(Endpoints.create)
def create(request: HttpRequest, data: Data) -> HttpAnswer:
    """Create an endpoint with a published pipeline as version 0, its default."""
    made = request.workspace.endpoints.create(
        data["name"],
        data["published"],
        description=data.get("description", ""),
        tags=data.get("tags"),
    )
    return answer(made, 201, location(request, "endpoints", made.name))


@calls(Endpoints.get)
def get(request: HttpRequest, data: Data) -> HttpAnswer:
    """One endpoint with all its versions."""
    return answer(request.workspace.endpoints.get(request.path["name"]))


@calls(Endpoints.update)
def update(request: HttpRequest, data: Data) -> HttpAnswer:
    """Change several things of an endpoint at once; what is not given stays. `If-Match` is its ETag."""
    expected = expected_revision(request)
    return answer(request.workspace.endpoints.update(request.path["name"], **data, expect_revision=expected))


@calls(Endpoints.delete)
def delete(request: HttpRequest, data: Data) -> HttpAnswer:
    """Delete an endpoint that no unfinished run came through."""
    return answer(request.workspace.endpoints.delete(request.path["name"]))


@calls(Endpoints.disable)
def disable(request: HttpRequest, data: Data) -> HttpAnswer:
    """Close the gate of an endpoint or of one version. `If-Match` is the endpoint's ETag."""
    expected = expected_revision(request)
    return answer(request.workspace.endpoints.disable(_gated(request), **data, expect_revision=expected))


@calls(Endpoints.enable)
def enable(request: HttpRequest, data: Data) -> HttpAnswer:
    """Open the gate of an endpoint or of one version. `If-Match` is the endpoint's ETag."""
    return answer(request.workspace.endpoints.enable(_gated(request), expect_revision=expected_revision(request)))


@calls(Endpoints.set_default)
def set_default(request: HttpRequest, data: Data) -> HttpAnswer:
    """Move the default; `expect` is the version that it is believed to be, `If-Match` the endpoint's ETag."""
    endpoints, expected = request.workspace.endpoints, expected_revision(request)
    return answer(endpoints.set_default(request.path["name"], **data, expect_revision=expected))


@calls(Endpoints.access)
def access(request: HttpRequest, data: Data) -> HttpAnswer:
    """Take triggers from everybody (`public`), or from who has a token (`private`). `If-Match` is the ETag."""
    expected = expected_revision(request)
    return answer(request.workspace.endpoints.access(request.path["name"], data["access"], expect_revision=expected))


@calls(Endpoints.deduplicate)
def deduplicate(request: HttpRequest, data: Data) -> HttpAnswer:
    """Let the same request without an `Idempotency-Key` be the same run within a window. `If-Match` is the ETag."""
    endpoints, expected = request.workspace.endpoints, expected_revision(request)
    window = data["deduplication_window"]
    return answer(endpoints.deduplicate(request.path["name"], window, expect_revision=expected))


@calls(Endpoints.deduplicate)
def end_deduplication(request: HttpRequest, data: Data) -> HttpAnswer:
    """Let every request without an `Idempotency-Key` be a new run. `If-Match` is the endpoint's ETag."""
    endpoints, expected = request.workspace.endpoints, expected_revision(request)
    return answer(endpoints.deduplicate(request.path["name"], None, expect_revision=expected))


@calls(Endpoints.rollback)
def rollback(request: HttpRequest, data: Data) -> HttpAnswer:
    """Take the last move of the default back; `expect` is the version that it is believed to be."""
    endpoints, expected = request.workspace.endpoints, expected_revision(request)
    return answer(endpoints.rollback(request.path["name"], **data, expect_revision=expected))


@calls(Endpoints.history)
def history(request: HttpRequest, data: Data) -> HttpAnswer:
    """What happened to an endpoint, newest first."""
    name = request.path["name"]
    found = request.workspace.endpoints.history(
        name, limit=number(request, "limit", 50, least=1), before=one(request, "before")
    )
    return page(request, f"/v1/endpoints/{name}/history", found)


@calls(Endpoints.at)
def at(request: HttpRequest, data: Data) -> HttpAnswer:
    """What a trigger without a version would have run at a time."""
    text = one(request, "time")
    if text is None:
        raise UsageError("say when: `?time=2026-11-20T09:00:00Z`", code="time_invalid")
    return answer(request.workspace.endpoints.at(request.path["name"], read_time(text)))


@calls(Endpoints.add_version)
def add_version(request: HttpRequest, data: Data) -> HttpAnswer:
    """Add a published pipeline as the next version; what the endpoint has already is not added again."""
    expect = data.get("expect")
    outcome = request.workspace.endpoints.add_version(
        request.path["name"],
        data["published"],
        default=data.get("default", False),
        expect=None if expect is None else str(expect),
    )
    where = location(request, "endpoints", outcome.endpoint.name, "versions", outcome.version)
    return answer(outcome, 201 if outcome.added else 200, where)


@calls(Endpoints.get)
def version(request: HttpRequest, data: Data) -> HttpAnswer:
    """One version of an endpoint."""
    found = request.workspace.endpoints.get(request.path["name"])
    wanted = request.path["version"]
    for each in found.versions:
        if each.version == wanted:
            return answer(each)
    raise NotFound(f"endpoint `{found.name}` has no version {wanted}", code="version_not_found")


def _gated(request: HttpRequest) -> str:
    name, version = request.path["name"], request.path.get("version")
    return name if version is None else f"{name}@{version}"
