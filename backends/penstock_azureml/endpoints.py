"""A pipeline endpoint as a batch endpoint, for native callers: a deployment for each open version, and the default.

A closed gate takes the deployments away that it closes, and the default with them, because a deployment of an archived
component still runs. The component of a closed published pipeline is archived besides, which hides it. Native callers
who may submit jobs can run the component itself all the same: our gates end here.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from typing import Any

from penstock.contract.target import EndpointState, EndpointVersion, NativeTrigger, Target
from penstock.errors import TargetUnavailable
from penstock_azureml import components
from penstock_azureml.client import Azure, connect
from penstock_azureml.history import workspace
from penstock_azureml.troubles import Answer

REVISION = "penstock_revision"
"""The tag that says which state of ours an endpoint mirrors."""

_WAITED = 60.0
"""Seconds that one operation is waited for here; what takes longer is looked at again by the core."""
_PAUSE = 2.0
"""Seconds between looks where Azure says nothing."""


def endpoint_name(identifier: str) -> str:
    """The name of an endpoint at Azure: 3 to 32 letters, digits and dashes, of its own in its region, for ever."""
    return f"penstock-{hashlib.sha256(identifier.encode()).hexdigest()[:16]}"


def deployment_name(version: str) -> str:
    """The name of a version's deployment."""
    return f"version-{version}"


def sync(target: Target, endpoint: EndpointState) -> NativeTrigger | bool:
    """Make the batch endpoint what `endpoint` says, but for old news, and say where it is called.

    Raises TargetUnavailable, TargetRefused.
    """
    azure = connect(target.options)
    path = f"batchEndpoints/{endpoint_name(endpoint.id)}"
    answer = azure.arm("GET", path, "the endpoint cannot be read", allow=(404,))
    there = None if answer.status == 404 else answer.json()
    if endpoint.deleted:
        if there is not None:
            _done(azure, azure.arm("DELETE", path, "the endpoint cannot be deleted", allow=(404,)), path)
        return True
    known = ((there or {}).get("tags") or {}).get(REVISION, "0")
    if there is not None and known.isdigit() and int(known) > endpoint.revision:
        return _native(there)
    components.mirror_gates(azure, endpoint.versions)
    wanted = _open(endpoint)
    default = next((name for name, one in wanted.items() if one.version == endpoint.default), None)
    if there is None or _failed(there):
        if not wanted:
            return True  # nothing to call: it is made with its first open version
        _put(azure, path, _endpoint(azure, endpoint, None, {}), "the endpoint cannot be made")
    found = _deployments(azure, path)
    for name, version in wanted.items():
        body = _deployment(azure, version)
        if name not in found or _failed(found[name]):
            _put(azure, f"{path}/deployments/{name}", body, f"the deployment `{name}` cannot be made")
    tags = {REVISION: str(endpoint.revision)}
    _put(azure, path, _endpoint(azure, endpoint, default, tags), "the endpoint's default cannot be set")
    for name in sorted(found.keys() - wanted.keys()):
        what = f"the deployment `{name}` cannot be removed"
        _done(azure, azure.arm("DELETE", f"{path}/deployments/{name}", what, allow=(404,)), what)
    return _native(azure.arm("GET", path, "the endpoint cannot be read").json())


def _native(endpoint: Mapping[str, Any]) -> NativeTrigger | bool:
    """Where native callers trigger an endpoint, with a default or without one."""
    url = endpoint["properties"].get("scoringUri")
    return NativeTrigger(url=str(url)) if url else True


def _open(endpoint: EndpointState) -> dict[str, EndpointVersion]:
    """The versions that native callers may run, by their deployments."""
    if not endpoint.enabled:
        return {}
    return {deployment_name(one.version): one for one in endpoint.versions if one.enabled and one.published_enabled}


def _endpoint(azure: Azure, endpoint: EndpointState, default: str | None, tags: Mapping[str, str]) -> dict[str, Any]:
    said = {"penstock_endpoint": endpoint.name[:256], "penstock_id": endpoint.id, **tags}
    return {
        "location": workspace(azure)["location"],
        "tags": said,
        "properties": {
            "authMode": "AADToken",
            "description": endpoint.description[:1000],
            "defaults": {"deploymentName": default},
        },
    }


def _deployment(azure: Azure, version: EndpointVersion) -> dict[str, Any]:
    options = azure.options
    settings = {"default_compute": options.compute} if options.compute else {}
    return {
        "location": workspace(azure)["location"],
        "tags": {
            "penstock_version": version.version,
            "penstock_digest": version.digest,
            "penstock_label": version.label,
        },
        "properties": {
            "deploymentConfiguration": {
                "deploymentConfigurationType": "PipelineComponent",
                "componentId": {
                    "referenceType": "Id",
                    "assetId": f"{options.path}/{components.path_of(version.external)}",
                },
                "settings": settings,
            },
        },
    }


def _deployments(azure: Azure, path: str) -> dict[str, Mapping[str, Any]]:
    found = azure.pages(f"{path}/deployments", "the deployments cannot be listed")
    return {one["name"]: one for one in found}


def _failed(resource: Mapping[str, Any]) -> bool:
    return resource["properties"].get("provisioningState") in ("Failed", "Canceled")


def _put(azure: Azure, path: str, body: Mapping[str, Any], what: str) -> None:
    _done(azure, azure.arm("PUT", path, what, body), what)


def _done(azure: Azure, answer: Answer, what: str) -> None:
    """Wait until an operation has ended. Raises TargetUnavailable where it failed, or is not done in time."""
    where = answer.headers.get("azure-asyncoperation") or answer.headers.get("location")
    until = time.monotonic() + _WAITED
    while where is not None:
        _rest(answer, until, what)
        answer = azure.call("GET", where, what)
        if answer.status == 202:
            continue
        said = answer.json() if answer.body else {}  # a result may have none
        status = said.get("status", "Succeeded")
        if status == "Succeeded":
            return
        if status in ("Failed", "Canceled"):
            raise TargetUnavailable(f"{what}: Azure began it, and it failed: {answer.said}")


def _rest(answer: Answer, until: float, what: str) -> None:
    said = answer.headers.get("x-ms-retry-after-ms", "")
    time.sleep(min(int(said) / 1000, 10.0) if said.isdigit() else _PAUSE)
    if time.monotonic() > until:
        raise TargetUnavailable(f"{what}: Azure has not done it after {_WAITED:.0f} s; it is looked at again")
