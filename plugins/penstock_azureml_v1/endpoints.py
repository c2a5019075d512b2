"""Endpoints on the wire: read whole, changed by writing the whole back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock.contract.http import HttpAnswer
from penstock.errors import Conflict, UsageError
from penstock.records import EndpointRecord
from penstock_azureml_v1.answers import answer
from penstock_azureml_v1.call import Call
from penstock_azureml_v1.entities import is_enabled
from penstock_azureml_v1.submissions import object_of, read_body, tags_of, text_of

_TRIES = 10
"""How often a change without an Etag is held against what others wrote meanwhile, before it is refused."""


def create(call: Call) -> HttpAnswer:
    """Create an endpoint; its first version is the default."""
    data = read_body(call.request.body)
    name, pipeline = text_of(data, "Name"), text_of(data, "PipelineId")
    if not name or not pipeline:
        raise UsageError("the body needs `Name` and `PipelineId`", code="missing_key")
    made = call.workspace.endpoints.create(
        name, pipeline, description=text_of(data, "Description") or "", tags=tags_of(data)
    )
    return answer(call.entities.endpoint(made))


def get(call: Call) -> HttpAnswer:
    """One endpoint by id."""
    return answer(call.entities.endpoint(call.workspace.endpoints.get(call.request.path["id"])))


def get_by_name(call: Call) -> HttpAnswer:
    """One endpoint by name."""
    name = call.asked("name")
    if name is None:
        raise UsageError("the query needs `name`", code="missing_key")
    return answer(call.entities.endpoint(call.workspace.endpoints.get(name)))


def list_all(call: Call) -> HttpAnswer:
    """Every endpoint, as a bare list."""
    return answer([call.entities.endpoint(one) for one in call.every(call.workspace.endpoints.list)])


def pipelines_of(call: Call) -> HttpAnswer:
    """The published pipelines of an endpoint's versions."""
    found = call.workspace.endpoints.get(call.request.path["id"])
    every = [call.workspace.pipelines.get(version.published) for version in found.versions]
    shown = [one for one in every if one.enabled or not call.active_only]
    return answer([call.entities.pipeline(one) for one in shown])


def put(call: Call) -> HttpAnswer:
    """Take a whole entity as the changes that it intends: name, description, versions, default, status.

    Refused when its Etag is not the present one, and when writing it would lose a version that somebody else added.
    """
    data = read_body(call.request.body)
    endpoints, ref = call.workspace.endpoints, call.request.path["id"]
    etag = text_of(data, "Etag")
    for _ in range(_TRIES):
        now = endpoints.get(ref)
        if etag is not None and etag.strip('"') != str(now.revision):
            raise _changed(now)
        try:
            done = endpoints.update(now.id, **_changes(data, now), expect_revision=now.revision)
        except Conflict as conflict:
            if conflict.code != "revision_changed" or etag is not None:
                raise
        else:
            return answer(call.entities.endpoint(done))
    raise _changed(now)


def _changes(data: Mapping[str, Any], now: EndpointRecord) -> dict[str, Any]:
    """What an entity changes of an endpoint; what it leaves out stays. Raises UsageError, Conflict."""
    changes: dict[str, Any] = {"reason": "set by an Azure ML v1 caller"}
    name, description, default = (text_of(data, key) for key in ("Name", "Description", "DefaultVersion"))
    if name is not None and name != now.name:
        changes["name"] = name
    if description is not None and description != now.description:
        changes["description"] = description
    if data.get("tags") is not None or data.get("Tags") is not None:
        changes["tags"] = tags_of(data)
    if data.get("PipelineVersionList") is not None:
        changes["add_versions"] = _added(data["PipelineVersionList"], now)
    if default is not None and default != now.default:
        changes["default"] = default
    if data.get("EntityStatus") is not None:
        wanted = is_enabled(data["EntityStatus"])
        if wanted is None:
            raise UsageError("`EntityStatus` is Active or Disabled", code="value_invalid")
        if wanted != now.enabled:
            changes["enabled"] = wanted
    object_of(data, "Properties")
    return changes


def _added(written: Any, now: EndpointRecord) -> list[str]:
    """The published pipelines that a list of versions adds. Raises UsageError, Conflict."""
    if not isinstance(written, list) or not all(isinstance(each, dict) for each in written):
        raise UsageError("`PipelineVersionList` is a list of {Version, PipelineId}", code="type_mismatch")
    wanted: dict[str, str] = {str(each.get("Version")): str(each.get("PipelineId")) for each in written}
    has = {version.version: version.published for version in now.versions}
    lost = [version for version, published in has.items() if wanted.get(version) != published]
    if lost or len(wanted) < len(written):
        raise Conflict(
            f"the list would lose version {', '.join(lost) or 'of a number that it names twice'} of endpoint "
            f"`{now.name}`; versions are never taken away: read the endpoint again and add to what it has",
            code="version_lost",
        )
    new = [version for version in wanted if version not in has]
    expected = [str(len(has) + number) for number in range(len(new))]
    if sorted(new, key=lambda one: (len(one), one)) != expected:
        raise Conflict(
            f"the next versions of endpoint `{now.name}` are {', '.join(expected)}, not {', '.join(new)}",
            code="version_lost",
        )
    return [wanted[version] for version in expected]


def _changed(now: EndpointRecord) -> Conflict:
    return Conflict(
        f"endpoint `{now.name}` was changed since it was read; read it again before writing it",
        code="revision_changed",
    )
