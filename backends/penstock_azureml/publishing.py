"""Registering what is compiled: code, environments, components, each named by its content and never overwritten."""

from __future__ import annotations

import json
import tempfile
from typing import Any
from urllib.parse import urlsplit

from penstock.contract.target import Compiled, Publication, Target
from penstock.launcher.archives import write_portable
from penstock.snapshot import Snapshot
from penstock_azureml import datastores
from penstock_azureml.client import Azure, connect
from penstock_azureml.command import VALUES
from penstock_azureml.components import set_archived
from penstock_azureml.datastores import put
from penstock_azureml.troubles import meaning

INPUTS = "inputs"
"""The key in a publication's details of what its inputs are that take data."""
_THERE = (400, 409)
"""How Azure refuses to change what is there already."""


def publish(target: Target, snapshot: Snapshot, compiled: Compiled) -> Publication:
    """Register what is not there yet, the pipeline's component last; what a broken publish left behind is used.

    Where a part was there already, `details` say how much of it: other pipelines share it, or a publish that broke off
    left it and this one repaired that. Raises TargetUnavailable, TargetRefused.
    """
    azure = connect(target.options)
    document = json.loads(compiled.data)
    found = 0
    component = document["component"]
    noted = {**datastores.noted(azure), **_kinds(document)}
    if _has(azure, component):  # it came last, so all is there
        restored = set_archived(azure, component, False)
        return _publication(
            snapshot, component, noted, "the component was archived, and is restored" if restored else ""
        )
    azure.arm("GET", "", "the workspace cannot be read")  # where it is missing, so is all in it
    for path, files in document["codes"].items():
        found += _has(azure, path) or not _upload(azure, snapshot, path, files)
    for path, properties in document["resources"]:
        found += _has(azure, path) or not _register(azure, path, properties)
    said = f"{found} of {len(document['codes']) + len(document['resources'])} parts were there already" if found else ""
    return _publication(snapshot, component, noted, said)


def _publication(snapshot: Snapshot, component: str, noted: dict[str, str], said: str) -> Publication:
    """`noted` is what a submit need not ask for then, in a process that knows nothing."""
    _, name, _, version = component.split("/")
    details = {
        "digest": snapshot.digest,
        "component": f"{name}:{version}",
        **noted,
        **({"reused": said} if said else {}),
    }
    return Publication(external=f"azureml:{name}:{version}", native=True, details=details)


def _kinds(document: dict[str, Any]) -> dict[str, str]:
    """What the pipeline's inputs are that take data, as ids of assets do not say: `{"inputs": "a=uri_file b=..."}`."""
    inputs = dict(document["resources"])[document["component"]]["componentSpec"]["inputs"]
    data = [f"{port}={about['type']}" for port, about in inputs.items() if about["type"] != "string" and port != VALUES]
    return {INPUTS: " ".join(data)} if data else {}


def _has(azure: Azure, path: str) -> bool:
    return azure.arm("GET", path, f"`{path}` cannot be looked for", allow=(404,)).status != 404


def _register(azure: Azure, path: str, properties: dict[str, Any]) -> bool:
    """Register a resource; whether it was this call that did. Somebody else's may have come first: it is the same."""
    answer = azure.arm("PUT", path, f"`{path}` cannot be registered", {"properties": properties}, allow=_THERE)
    if answer.status in _THERE:
        if not _has(azure, path):
            raise meaning(f"`{path}` cannot be registered", answer, azure.options)
        return False
    return answer.status == 201


def _upload(azure: Azure, snapshot: Snapshot, path: str, files: dict[str, Any]) -> bool:
    """Bring the files of a code asset to a place that Azure gives, and register it there."""
    body = {"pendingUploadType": "TemporaryBlobReference"}
    answer = azure.arm("POST", f"{path}/startPendingUpload", f"`{path}` cannot be uploaded", body).json()
    place = answer["blobReferenceForConsumption"]
    sas = urlsplit(place["credential"]["sasUri"]).query
    base = f"{place['blobUri'].partition('?')[0].rstrip('/')}/penstock"
    for name, about in files.items():
        if "text" in about:
            put(azure, f"{base}/{name}?{sas}", about["text"].encode())
            continue
        with tempfile.TemporaryFile(suffix=".tar") as file:
            write_portable(snapshot.archives[about["archive"]], file)
            put(azure, f"{base}/{name}?{sas}", file)
    return _register(azure, path, {"codeUri": base, "isAnonymous": False, "properties": {}, "tags": {}})
