"""`/v1/targets`, `/v1/status`, `/v1/history`: the workspace itself."""

from __future__ import annotations

from attrs import fields, resolve_types

from penstock.codec import read_time, to_data
from penstock.contract.http import HttpAnswer, HttpRequest
from penstock.server.answers import answer, page
from penstock.server.bodies import Data, flag, number, one
from penstock.server.rest.calling import calls
from penstock.workspace.admin import Admin, Status
from penstock.workspace.targets import Targets

TARGET = {"name": str, "backend": str, "available": bool, "default": bool}
"""What callers see of a target; its options are not theirs to see."""
STATUS = {field.name: field.type for field in fields(resolve_types(Status)) if field.name not in ("config", "registry")}
"""What callers see of a workspace; where it lies on the server's disk is not theirs to see."""


@calls(Targets.list)
def targets(request: HttpRequest, data: Data) -> HttpAnswer:
    """Every configured target: its name, backend and whether it can be used."""
    found = [to_data(target) for target in request.workspace.targets.list()]
    return answer({"items": [{key: each[key] for key in TARGET} for each in found]})


@calls(Targets.check)
def check_target(request: HttpRequest, data: Data) -> HttpAnswer:
    """Ask a target how it is."""
    return answer(request.workspace.targets.check(request.path["name"]))


@calls(Admin.status)
def status(request: HttpRequest, data: Data) -> HttpAnswer:
    """What is in the workspace."""
    found = to_data(request.workspace.admin.status())
    return answer({key: found[key] for key in STATUS})


@calls(Admin.history)
def history(request: HttpRequest, data: Data) -> HttpAnswer:
    """A page of what happened, newest first; rows of runs only with `runs`."""
    since = one(request, "since")
    found = request.workspace.admin.history(
        since=None if since is None else read_time(since),
        by=one(request, "by"),
        subject=one(request, "subject"),
        limit=number(request, "limit", 50, least=1),
        before=one(request, "before"),
        runs=flag(request, "runs"),
    )
    return page(request, "/v1/history", found)
