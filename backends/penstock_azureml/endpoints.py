"""A pipeline endpoint as a batch endpoint, for native callers: a deployment for each open version, and the default.

A closed gate takes the deployments away that it closes, and the default with them, because a deployment of an archived
component still runs; what is to go goes first, so that no trouble with the rest keeps a gate open. The component of a
closed published pipeline is archived besides, which hides it. Native callers who may submit jobs can run the component
itself all the same: our gates end here.

Azure works at endpoints and deployments for minutes. One call of `sync` takes a few seconds; what is not done then is
looked at again by the core, and goes on from what is there.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from typing import Any

from attrs import frozen

from penstock.contract.target import EndpointState, EndpointVersion, NativeTrigger, Target
from penstock.errors import TargetRefused, TargetUnavailable
from penstock_azureml import components
from penstock_azureml.client import Azure, connect
from penstock_azureml.history import workspace
from penstock_azureml.troubles import Answer

REVISION = "penstock_revision"
"""The tag that says which state of ours an endpoint mirrors."""

_PATIENCE = 3.0
"""Seconds that one call of `sync` waits at the most: less than what the core takes for a target that hangs."""
_PAUSE = 0.5
"""Seconds between looks where Azure says nothing."""

_ENDED = frozenset({"Succeeded", "Failed", "Canceled"})
"""Provisioning states in which Azure works at nothing; the others are Creating, Updating, Deleting, Scaling and Pending
(https://learn.microsoft.com/rest/api/azureml/batch-endpoints/get, EndpointProvisioningState)."""


_BUSY = (409, 412)
"""What Azure answers while another operation goes on: ARM's Conflict, and PreconditionFailed."""


def endpoint_name(identifier: str, target: str) -> str:
    """The name of an endpoint at Azure: 3 to 32 letters, digits and dashes, of its own in its region, for ever.

    Two targets may be one workspace with different options; each has its versions of an endpoint to itself.
    """
    return f"penstock-{hashlib.sha256(f'{identifier} {target}'.encode()).hexdigest()[:16]}"


def deployment_name(version: str) -> str:
    """The name of a version's deployment."""
    return f"version-{version}"


def sync(target: Target, endpoint: EndpointState) -> NativeTrigger | bool:
    """Make the batch endpoint what `endpoint` says, but for old news, and say where it is called.

    Raises TargetUnavailable, with the code `sync_unfinished` while Azure works at it, and TargetRefused, also where an
    operation failed that Azure had begun.
    """
    azure = connect(target.options)
    path = f"batchEndpoints/{endpoint_name(endpoint.id, target.name)}"
    work = _Work(azure, path, time.monotonic() + _PATIENCE)
    there = work.look()
    if endpoint.deleted:
        if there is not None:
            work.delete("", "the endpoint cannot be deleted")
        return True
    if there is not None and _revision(there) > endpoint.revision:
        return _native(there)
    wanted = _open(endpoint)
    default = next((name for name, one in wanted.items() if one.version == endpoint.default), None)
    if there is None:
        found: dict[str, Mapping[str, Any]] = {}
    else:
        found = work.deployments()
        _take_away(work, endpoint, there, found, wanted)
    components.mirror_gates(azure, endpoint.versions)
    if there is None and not wanted:
        return True  # nothing to call: it is made with its first open version
    if there is None or _failed(there):
        work.put("", _endpoint(azure, endpoint, None, {}), "the endpoint cannot be made")
    for name, version in wanted.items():
        body = _deployment(azure, version)
        if name not in found or _failed(found[name]) or not _is(found[name], body):
            work.put(f"/deployments/{name}", body, f"the deployment `{name}` cannot be made")
    tags = {REVISION: str(endpoint.revision)}
    work.put("", _endpoint(azure, endpoint, default, tags), "the endpoint's default cannot be set")
    made = work.look()
    return True if made is None else _native(made)


def _take_away(
    work: _Work,
    endpoint: EndpointState,
    there: Mapping[str, Any],
    found: Mapping[str, Any],
    wanted: Mapping[str, EndpointVersion],
) -> None:
    """Remove what native callers may not run any more; the default first, for Azure removes none that is one."""
    gone = sorted(found.keys() - wanted.keys())
    if (there["properties"].get("defaults") or {}).get("deploymentName") in gone:
        body = _endpoint(work.azure, endpoint, None, {REVISION: str(_revision(there))})
        work.put("", body, "the endpoint's default cannot be removed")
    for name in gone:
        work.delete(f"/deployments/{name}", f"the deployment `{name}` cannot be removed")


@frozen
class _Work:
    """Changes of one batch endpoint and what is below it, until a moment of the monotonic clock."""

    azure: Azure
    path: str
    until: float

    def look(self) -> Mapping[str, Any] | None:
        """The endpoint, at which Azure does not work just now; None where there is none."""
        found = self.azure.find(self.path, "the endpoint cannot be read")
        return None if found is None else _settled(found.json(), "the endpoint")

    def deployments(self) -> dict[str, Mapping[str, Any]]:
        """What is deployed, by name, at which Azure does not work just now."""
        found = self.azure.pages(f"{self.path}/deployments", "the deployments cannot be listed")
        return {one["name"]: _settled(one, f"the deployment `{one['name']}`") for one in found}

    def put(self, below: str, body: Mapping[str, Any], what: str) -> None:
        """Write something, and wait for it."""
        self._done(self.azure.arm("PUT", f"{self.path}{below}", what, body, allow=_BUSY), what)

    def delete(self, below: str, what: str) -> None:
        """Remove something, and wait until it is gone."""
        self._done(self.azure.arm("DELETE", f"{self.path}{below}", what, allow=(404, *_BUSY)), what)

    def _done(self, answer: Answer, what: str) -> None:
        if answer.status in _BUSY:
            raise _unfinished("the endpoint")
        where = answer.headers.get("azure-asyncoperation") or answer.headers.get("location")
        while where is not None:
            self._rest(answer)
            answer = self.azure.call("GET", where, what)
            if answer.status == 202:
                continue
            said = answer.json() if answer.body else {}  # a result may have none
            status = said.get("status", "Succeeded")
            if status == "Succeeded":
                return
            if status in _ENDED:
                raise TargetRefused(f"{what}: Azure began it, and it failed: {answer.said}")

    def _rest(self, answer: Answer) -> None:
        pause = answer.pause or _PAUSE
        if time.monotonic() + pause > self.until:
            raise _unfinished("the endpoint")
        time.sleep(pause)


def _unfinished(what: str) -> TargetUnavailable:
    return TargetUnavailable(f"Azure still works at {what}; it is looked at again", code="sync_unfinished")


def _settled(resource: Mapping[str, Any], what: str) -> Mapping[str, Any]:
    """A resource that may be changed. Raises TargetUnavailable `sync_unfinished`."""
    if resource["properties"].get("provisioningState", "Succeeded") not in _ENDED:
        raise _unfinished(what)
    return resource


def _revision(endpoint: Mapping[str, Any]) -> int:
    known = str((endpoint.get("tags") or {}).get(REVISION, ""))
    return int(known) if known.isascii() and known.isdigit() and len(known) < 19 else 0


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
                "settings": {
                    "default_compute": options.compute or "serverless",
                    "default_datastore": options.datastore,
                },
            },
        },
    }


def _is(deployment: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
    """Whether a deployment runs what it should, where it should."""

    def of(resource: Mapping[str, Any]) -> tuple[str, Mapping[str, str]]:
        about = resource["properties"].get("deploymentConfiguration") or {}
        asset = str((about.get("componentId") or {}).get("assetId"))
        return asset.lower().removeprefix("azureml:"), about.get("settings") or {}

    (asset, settings), (wanted, ours) = of(deployment), of(body)
    return asset == wanted and all(settings.get(name) == value for name, value in ours.items())


def _failed(resource: Mapping[str, Any]) -> bool:
    return resource["properties"].get("provisioningState") in ("Failed", "Canceled")
