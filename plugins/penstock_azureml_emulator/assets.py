"""Versioned assets: components, codes, environments, data and models. What a version is cannot be changed."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from penstock_azureml_emulator import documents as docs
from penstock_azureml_emulator.arm import Call, Route, answer, below, page, within
from penstock_azureml_emulator.documents import Documents
from penstock_azureml_emulator.errors import ArmError, invalid, missing
from penstock_azureml_emulator.spec import check as check_component
from penstock_azureml_emulator.storage import Storage
from penstock_emulator.http import Answer

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}")  # an anonymous asset's is a digest
_ANONYMOUS = {"components": "azureml_anonymous", "environments": "CliV2AnonymousEnvironment"}
ALWAYS = frozenset({"description", "tags", "properties", "isArchived", "isAnonymous"})


@dataclass(frozen=True)
class Kind:
    """A kind of versioned asset: what of it cannot be changed, and what it needs."""

    name: str
    frozen: frozenset[str]
    needs: tuple[str, ...]
    more: frozenset[str] = frozenset()


KINDS = (
    Kind("components", frozenset({"componentSpec"}), ("componentSpec",), frozenset({"stage"})),
    Kind("codes", frozenset({"codeUri"}), ("codeUri",)),
    Kind(
        "environments",
        frozenset({"image", "build", "condaFile", "osType"}),
        (),
        frozenset({"autoRebuild", "inferenceConfig", "stage", "environmentType"}),
    ),
    Kind(
        "data",
        frozenset({"dataUri", "dataType"}),
        ("dataUri", "dataType"),
        frozenset({"referencedUris", "stage", "autoDeleteSetting", "intellectualProperty"}),
    ),
    Kind("models", frozenset({"modelUri", "modelType"}), ("modelUri",), frozenset({"jobName", "flavors", "stage"})),
)
"""Sources: the properties of `.../versions` in ARM's schemas. That they are frozen: Azure ML's page on assets."""


class Assets:
    """Puts, gets and lists for every kind."""

    def __init__(self, documents: Documents, storage: Storage) -> None:
        self._documents = documents
        self._storage = storage

    def routes(self) -> list[Route]:
        """What is answered."""
        found = []
        for kind in KINDS:
            base, schema = f"WORKSPACE/{kind.name}", f"workspaces_{kind.name}"
            one = f"{base}/{{name}}/versions/{{version}}"
            found += [
                Route("PUT", one, f"{kind.name}.put", self._for(kind, self._put), schema=f"{schema}_versions"),
                Route("GET", one, f"{kind.name}.get", self._for(kind, self._get)),
                Route("DELETE", one, f"{kind.name}.delete", self._for(kind, self._delete)),
                Route("GET", f"{base}/{{name}}/versions", f"{kind.name}.list", self._for(kind, self._versions)),
                Route("GET", f"{base}/{{name}}", f"{kind.name}.container", self._for(kind, self._container)),
                Route(
                    "PUT",
                    f"{base}/{{name}}",
                    f"{kind.name}.putContainer",
                    self._for(kind, self._put_container),
                    schema=schema,
                ),
                Route("GET", base, f"{kind.name}.names", self._for(kind, self._containers)),
            ]
        upload = "WORKSPACE/codes/{name}/versions/{version}/startPendingUpload"
        return [*found, Route("POST", upload, "codes.startPendingUpload", self._upload)]

    def component(self, identifier: str) -> dict[str, Any]:
        """The specification of a component by its id. Raises ArmError."""
        path = within(identifier)
        found = self._documents.get(path) if path.lower().startswith("components/") else None
        if found is None:
            raise invalid(f"the component {identifier} does not exist")
        return dict(found["properties"]["componentSpec"])

    def _for(self, kind: Kind, handler: Callable[[Kind, Call], Answer]) -> Callable[[Call], Answer]:
        return lambda call: handler(kind, call)

    def _put(self, kind: Kind, call: Call) -> Answer:
        name, version = call.names["name"], call.names["version"]
        if not _NAME.fullmatch(name) or not _VERSION.fullmatch(version):
            raise invalid(f"{kind.name}/{name}/versions/{version}: neither a name nor a version is of this form")
        properties = self._read(kind, call)
        path = f"{kind.name}/{name}/versions/{version}"
        before = self._documents.get(path)
        docs.check_match(call.request, before)
        if before is None:
            self._check(kind, properties)
        else:
            properties = _changed(kind, path, before["properties"], properties)
        properties["provisioningState"] = "Succeeded"
        found = self._documents.put(path, {"properties": properties})
        return answer(found, 200 if before else 201, ETag=docs.etag(found))

    def _read(self, kind: Kind, call: Call) -> dict[str, Any]:
        body = call.body()
        properties = body.get("properties")
        unknown = sorted(set(body) - {"properties", "id", "name", "type", "systemData"})
        if not isinstance(properties, dict) or unknown:
            raise invalid(f"body: `properties` is needed, an object, and no {', '.join(unknown) or 'other type'}")
        readonly = {"provisioningState"}
        unknown = sorted(set(properties) - ALWAYS - kind.frozen - kind.more - readonly)
        if unknown:
            raise invalid(f"properties: {', '.join(unknown)}: unknown")
        kept = {key: value for key, value in properties.items() if value is not None and key not in readonly}
        for key in kind.needs:
            if not kept.get(key):
                raise invalid(f"properties.{key}: a value is needed")
        for key in ("tags", "properties"):
            if not isinstance(kept.setdefault(key, {}), dict):
                raise invalid(f"properties.{key}: an object is needed")
        for key in ("isArchived", "isAnonymous"):
            if not isinstance(kept.setdefault(key, False), bool):
                raise invalid(f"properties.{key}: true or false is needed")
        return kept

    def _check(self, kind: Kind, properties: dict[str, Any]) -> None:
        if kind.name == "components":
            spec = properties["componentSpec"]
            check_component(spec, self.component)
            self._check_reference(spec.get("code"), "codes")
            self._check_reference(spec.get("environment"), "environments")
        elif kind.name == "environments" and not (properties.get("image") or properties.get("build")):
            raise invalid("properties: an environment has an image or a build")
        elif kind.name == "codes" and self._storage.place(str(properties["codeUri"])) is None:
            raise invalid(f"properties.codeUri: {properties['codeUri']} is no place in this workspace's storage")

    def _check_reference(self, identifier: Any, kind: str) -> None:
        """Refuse what names no asset of the workspace; what a registry has is not looked for."""
        if identifier is None or str(identifier).startswith("azureml://registries/"):
            return
        path = within(identifier)
        if not path.lower().startswith(f"{kind}/") or self._documents.get(path) is None:
            raise invalid(f"componentSpec: {identifier} does not exist")

    def _get(self, kind: Kind, call: Call) -> Answer:
        name, version = call.names["name"], call.names["version"]
        if version == "azureml_default":
            found = next(iter(self._active(kind, name)), None)
        else:
            found = self._documents.get(f"{kind.name}/{name}/versions/{version}")
        if found is None:
            raise missing(kind.name, f"{name}:{version}")
        return answer(found, ETag=docs.etag(found))

    def _delete(self, kind: Kind, call: Call) -> Answer:
        path = f"{kind.name}/{call.names['name']}/versions/{call.names['version']}"
        docs.check_match(call.request, self._documents.get(path))
        return Answer(200 if self._documents.delete(path) else 204)

    def _active(self, kind: Kind, name: str) -> list[dict[str, Any]]:
        found = self._documents.all_in(f"{kind.name}/{name}/versions")
        return [one for one in found if not one["properties"]["isArchived"]]

    def _versions(self, kind: Kind, call: Call) -> Answer:
        asked, name = call.request, call.names["name"]
        # Source: `hash` of a listing of code versions, which finds them whatever their name.
        names = self._documents.names(kind.name) if asked.one("hash") else [name]
        versions = [one for name in names for one in self._documents.all_in(f"{kind.name}/{name}/versions")]
        found = seen(call, versions)
        if asked.one("hash"):
            told = [one["properties"]["properties"] for one in found]
            pairs = zip(found, told, strict=True)
            wanted = (asked.one("hash"), asked.one("hashVersion"))
            found = [one for one, has in pairs if (has.get("hash_sha256"), str(has.get("hash_version", ""))) == wanted]
        if "asc" in asked.one("$orderBy").lower():
            found.reverse()
        return page(call, found)

    def _container(self, kind: Kind, call: Call) -> Answer:
        found = self._shown(kind, call.names["name"])
        if found is None:
            raise missing(kind.name, call.names["name"])
        return answer(found, ETag=docs.etag(found))

    def _put_container(self, kind: Kind, call: Call) -> Answer:
        name = call.names["name"]
        if not _NAME.fullmatch(name):
            raise invalid(f"{kind.name}/{name}: a name is not of this form")
        properties = call.body().get("properties")
        if not isinstance(properties, dict):
            raise invalid("properties: an object is needed")
        kept = {key: properties[key] for key in ALWAYS & set(properties) if properties[key] is not None}
        docs.check_match(call.request, self._shown(kind, name))
        there = self._documents.get(f"{kind.name}/{name}") is not None
        self._documents.put(f"{kind.name}/{name}", {"properties": {"isArchived": False, **kept}})
        return answer(self._shown(kind, name), 200 if there else 201)

    def _containers(self, kind: Kind, call: Call) -> Answer:
        made = [one["name"] for one in self._documents.all_in(kind.name)]
        names = list(dict.fromkeys([*self._documents.names(kind.name), *made]))
        shown = [found for name in names if name not in _ANONYMOUS.values() and (found := self._shown(kind, name))]
        return page(call, seen(call, shown))

    def _shown(self, kind: Kind, name: str) -> dict[str, Any] | None:
        """A name with its versions; nothing if it has neither those nor a body of its own."""
        versions = self._documents.all_in(f"{kind.name}/{name}/versions")
        own = self._documents.get(f"{kind.name}/{name}")
        if own is None and not versions:
            return None
        numbers = [int(one["name"]) for one in versions if re.fullmatch(r"[0-9]{1,18}", one["name"])]
        about = {
            "isArchived": False,
            **(own["properties"] if own else {}),
            "latestVersion": versions[0]["name"] if versions else None,
            "nextVersion": str(max(numbers, default=0) + 1),
            "provisioningState": "Succeeded",
        }
        base = own or {"id": below(kind.name, name), "name": name, "systemData": versions[0]["systemData"]}
        return {"type": f"Microsoft.MachineLearningServices/workspaces/{kind.name}", **base, "properties": about}

    def _upload(self, call: Call) -> Answer:
        """A container to upload to, another one at each call. Source: `startPendingUpload` of code versions."""
        if call.body().get("pendingUploadType") != "TemporaryBlobReference":
            raise invalid("pendingUploadType: TemporaryBlobReference is all there is for code")
        name = str(uuid.uuid4())
        container = f"{name[:8]}-{uuid.uuid4()}"
        self._storage.blobs.ensure(container)
        uri = self._storage.url(call.url, container)
        return answer(
            {
                "pendingUploadId": name,
                "pendingUploadType": "TemporaryBlobReference",
                "blobReferenceForConsumption": {
                    "blobUri": uri,
                    "storageAccountArmId": self._storage.arm_id,
                    "credential": {"credentialType": "SAS", "sasUri": f"{uri}?{self._storage.sas('rcwl')}"},
                },
            }
        )


def seen(call: Call, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a list shows by `listViewType`: what is not archived, or what is, or all."""
    view = call.request.one("listViewType").lower() or "activeonly"
    if view not in ("activeonly", "archivedonly", "all"):
        raise ArmError("UserError", f"listViewType: {view!r} is none of ActiveOnly, ArchivedOnly, All")
    return [one for one in found if view == "all" or one["properties"]["isArchived"] == (view == "archivedonly")]


def _changed(kind: Kind, path: str, before: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """What a version is after another PUT. Raises ArmError for what is frozen."""
    different = sorted(key for key in kind.frozen if given.get(key) != before.get(key))
    if different:
        raise invalid(
            f"{path}: a version with this name exists, and its {', '.join(different)} cannot be changed; only"
            " description, tags, properties and isArchived can"
        )
    return {**before, **given}
