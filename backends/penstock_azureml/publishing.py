"""Registering what is compiled: code, environments, components, each named by its content and never overwritten."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any
from urllib.parse import urlsplit

from penstock.contract.target import Compiled, Publication, Target
from penstock.launcher.archives import write_portable
from penstock.snapshot import Snapshot
from penstock_azureml import content, datastores
from penstock_azureml.addresses import is_emulator, is_storage
from penstock_azureml.client import Azure, connect
from penstock_azureml.command import VALUES
from penstock_azureml.components import is_archived, set_archived

INPUTS = "_inputs"
"""The key in a publication's details of what its inputs are that take data."""
_THERE = (400, 409)
"""How Azure refuses to change what is there already: it says 400 in azure-docs issue 122250, and ARM's rule is 409."""


def publish(target: Target, snapshot: Snapshot, compiled: Compiled) -> Publication:
    """Register what is not there, the pipeline's component last, and see that what is there is what it should be.

    Where a part was there already, `details` say how much of it: other pipelines share it, or a publish that broke off
    left it and this one repaired that. Raises TargetUnavailable, and TargetRefused, `publication_damaged` where a part
    is not what its name says.
    """
    azure = connect(target.options)
    document = json.loads(compiled.data)
    component, resources = document["component"], dict(document["resources"])
    azure.arm("GET", "", "the workspace cannot be read")  # where it is missing, so is all in it
    before = _found(azure, component)
    found = sum(_code(azure, snapshot, path, files) for path, files in document["codes"].items())
    found += sum(_resource(azure, path, properties) for path, properties in resources.items())
    total = len(document["codes"]) + len(resources)
    said = ""
    if before is None:
        said = f"{found} of {total} parts were there already" if found else ""
    elif found < total:
        said = f"{total - found} of {total} parts were not there any more, and are again"
    if before is not None and is_archived(before):
        set_archived(azure, component, False)
        said = "the component was archived, and is restored"
    return _publication(snapshot, component, {**datastores.noted(azure), **_kinds(document)}, said)


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


def _found(azure: Azure, path: str) -> Any:
    """What lies at a path, or None."""
    answer = azure.arm("GET", path, f"`{path}` cannot be looked for", allow=(404,))
    return None if answer.status == 404 else answer.json()


def _resource(azure: Azure, path: str, properties: dict[str, Any]) -> bool:
    """See that a resource is there; whether it was before."""
    found = _found(azure, path)
    if found is None:
        return not _register(azure, path, properties, lambda there: content.check_resource(path, properties, there))
    content.check_resource(path, properties, found)
    return True


def _register(azure: Azure, path: str, properties: dict[str, Any], check: Callable[[Any], None]) -> bool:
    """Register a resource; whether it was this call that did. Somebody else's may have come first: it is checked."""
    what = f"`{path}` cannot be registered"
    answer = azure.arm("PUT", path, what, {"properties": properties}, allow=_THERE)
    if answer.status in _THERE:
        check(content.already_there(azure, path, what, answer).json())
    return answer.status == 201


def _code(azure: Azure, snapshot: Snapshot, path: str, files: Mapping[str, Any]) -> bool:
    """See that a code asset is there, with its files; whether it was before."""

    def check(there: Any) -> None:
        base = str((there.get("properties") or {}).get("codeUri") or "").partition("?")[0].rstrip("/")
        if is_emulator(azure.options):  # it may have had another address when this was registered
            base = f"{azure.options.resource_manager}{urlsplit(base).path}"
        if not is_storage(azure.options, base):
            raise content.damaged(path, "it lies at no address of blobs of this cloud")
        for name, file in _files(snapshot, files):
            content.check_file(azure, path, f"{base}/{name}", file)

    found = _found(azure, path)
    if found is not None:
        check(found)
        return True
    # A place that Azure gives, where nothing lies yet.
    body, what = {"pendingUploadType": "TemporaryBlobReference"}, f"`{path}` cannot be uploaded"
    place = azure.arm("POST", f"{path}/startPendingUpload", what, body).json()["blobReferenceForConsumption"]
    sas = urlsplit(place["credential"]["sasUri"]).query
    base = f"{place['blobUri'].partition('?')[0].rstrip('/')}/penstock"
    for name, file in _files(snapshot, files):
        datastores.put(azure, f"{base}/{name}?{sas}", file)
    about = {"codeUri": base, "isAnonymous": False, "properties": {}, "tags": {}}
    return not _register(azure, path, about, check)


def _files(snapshot: Snapshot, files: Mapping[str, Any]) -> Iterator[tuple[str, IO[bytes]]]:
    """The files of a code asset with their content, each open until the next one."""
    for name, about in files.items():
        if "text" in about:
            yield name, io.BytesIO(about["text"].encode())
            continue
        with tempfile.TemporaryFile(suffix=".tar") as file:
            write_portable(snapshot.archives[about["archive"]], file)
            yield name, file
