"""Artifact Registry as far as KFP's RegistryClient calls it: packages of pipelines, their versions and tags.

A repository is `/<project>/<repository>` of the emulator, and `/v1/projects/.../repositories/...` for its metadata, as
at Google. Sources: kfp's `registry/context/*.json` and Artifact Registry's discovery document. Every repository is
there and may be written, but for those whose names end as `_MISSING`, `_READ_ONLY` and `_DOCKER` say.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from email import message_from_bytes
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from penstock_emulator.http import Answer, Request
from penstock_emulator.store import Store
from penstock_vertex_emulator.errors import ApiError, invalid
from penstock_vertex_emulator.spec import Spec

_SHORT = re.compile(
    r"/(?P<project>(?!v1/|ui/|storage/|upload/|download/|emulator/)[^/]+)/(?P<repository>[^/]+)(?P<rest>/.*)?"
)
_LONG = re.compile(
    r"/v1/projects/(?P<project>[^/]+)/locations/[^/]+/repositories/(?P<repository>[^/:]+)"
    r"(?P<rest>/packages.*|:testIamPermissions|)"
)
_REST = re.compile(r"/packages(?:/(?P<package>[^/]+)(?:/(?P<kind>versions|tags)(?:/(?P<item>[^/]+))?)?)?")
_TEMPLATE = re.compile(r"https?://[^/]+/(?P<project>[^/]+)/(?P<repository>[^/]+)/(?P<package>[^/]+)/(?P<item>[^/]+)")
_TAG = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._~-]{0,127}")
_LOCATION = "us-central1"
_MISSING, _READ_ONLY, _DOCKER = "-missing", "-readonly", "-docker"
_WRITING = re.compile(r"artifactregistry\..+\.(create|update|delete|upload\w*)")
"""Permissions that are not held in a read-only repository."""


class Artifacts:
    """All repositories, with what was uploaded to them."""

    def __init__(self, store: Store, folder: Path) -> None:
        self._store = store
        self._folder = folder
        self._lock = threading.Lock()
        folder.mkdir(exist_ok=True)

    def find(self, request: Request) -> tuple[str, Callable[[], Answer]] | None:
        """The method's name and the call that answers; nothing for another path."""
        long = _LONG.fullmatch(request.path)
        match = long or _SHORT.fullmatch(request.path)
        if match is None:
            return None
        repository, rest = f"{unquote(match['project'])}/{unquote(match['repository'])}", match["rest"] or ""
        found = self._whole(request, repository, rest) if long else None
        found = found or self._inside(request, repository, rest)
        if found is None:
            return None
        name, call = found
        return name, lambda: _allowed(request, repository, call)

    def _whole(self, request: Request, repository: str, rest: str) -> tuple[str, Callable[[], Answer]] | None:
        """What is asked about a repository itself."""
        if rest == ":testIamPermissions" and request.verb == "POST":
            return "ArtifactRegistry.TestIamPermissions", lambda: _json({"permissions": _held(request, repository)})
        if not rest and request.verb == "GET":
            format_ = "DOCKER" if repository.endswith(_DOCKER) else "KFP"
            return "ArtifactRegistry.GetRepository", lambda: _json({"name": _name(repository), "format": format_})
        return None

    def _inside(self, request: Request, repository: str, rest: str) -> tuple[str, Callable[[], Answer]] | None:
        """What is asked about what lies in a repository."""
        if not rest and request.verb == "POST":
            return "ArtifactRegistry.UploadKfpArtifact", lambda: self._upload(request, repository)
        inside = _REST.fullmatch(rest)
        if inside is not None:
            parts = {name: unquote(value) for name, value in inside.groupdict().items() if value}
            name = f"ArtifactRegistry.{request.verb} {'/'.join(('packages', *(k for k in parts if k != 'kind')))}"
            return name, lambda: _json(self._metadata(request, repository, parts))
        package, _, item = rest.strip("/").partition("/")
        if request.verb == "GET" and item and "/" not in item:
            return "ArtifactRegistry.DownloadKfpArtifact", lambda: self._download(repository, package, item)
        return None

    def template(self, uri: str) -> tuple[str, Any]:
        """The version and the document that a `templateUri` names. Raises ApiError."""
        match = _TEMPLATE.fullmatch(uri)
        if match is None:
            raise invalid(f"templateUri: {uri!r} is no https://.../<project>/<repository>/<package>/<version or tag>")
        version, content = self.content(f"{match['project']}/{match['repository']}", match["package"], match["item"])
        return version, _document(content)

    def version(self, uri: str) -> str | None:
        """The version that a `templateUri` names, or nothing where it names none that is here."""
        try:
            return self.template(uri)[0]
        except ApiError:
            return None

    def content(self, repository: str, package: str, item: str) -> tuple[str, bytes]:
        """The version and the text of a version or tag. Raises ApiError (NOT_FOUND)."""
        found = self._package(repository, package)
        version = found["tags"].get(item, item)
        if version not in found["versions"]:
            raise ApiError("NOT_FOUND", f"{repository}/{package} has no version or tag {item}")
        return version, (self._folder / version.removeprefix("sha256:")).read_bytes()

    def _download(self, repository: str, package: str, item: str) -> Answer:
        _, content = self.content(repository, unquote(package), unquote(item))
        return Answer(200, {"Content-Type": "text/yaml"}, content)

    def _upload(self, request: Request, repository: str) -> Answer:
        fields = _form(request)
        if "content" not in fields:
            raise invalid("an upload has a field `content`")
        content, tags = fields["content"], [tag for tag in fields.get("tags", b"").decode().split(",") if tag]
        for tag in tags:
            _check_tag(tag)
        package = Spec(_document(content)).message.pipeline_info.name
        digest = hashlib.sha256(content).hexdigest()
        part = self._folder / f"{digest}.part"
        part.write_bytes(content)
        part.replace(self._folder / digest)
        with self._lock:
            try:
                found = self._package(repository, package)
            except ApiError:
                found = {"created": _now(), "versions": {}, "tags": {}}
            found["versions"].setdefault(f"sha256:{digest}", _now())
            found["tags"].update(dict.fromkeys(tags, f"sha256:{digest}"))
            self._keep(repository, package, found)
        return Answer(200, {"Content-Type": "text/plain"}, f"{package}/sha256:{digest}".encode())

    def _metadata(self, request: Request, repository: str, parts: dict[str, str]) -> Any:
        verb, kind, item = request.verb, parts.get("kind", ""), parts.get("item", "")
        if "package" not in parts:
            rows = self._store.rows("select name from packages where name like ? order by name", f"{repository}/%")
            names = [str(name).rpartition("/")[2] for (name,) in rows]
            return {"packages": [self._shown_package(repository, name) for name in names]}
        package = parts["package"]
        with self._lock:
            found = self._package(repository, package)
            if verb == "GET":
                if not kind:
                    return self._shown_package(repository, package)
                show = _shown_version if kind == "versions" else _shown_tag
                if item:
                    return show(repository, package, found, item)
                return {kind: [show(repository, package, found, one) for one in found[kind]]}
            if kind == "tags" and verb in ("POST", "PATCH"):
                return self._tag(request, repository, package, found, item)
            if verb != "DELETE":
                raise ApiError("UNIMPLEMENTED", f"the emulator does not do {verb} {request.path}")
            return self._delete(repository, package, found, kind, item)

    def _tag(self, request: Request, repository: str, package: str, found: dict[str, Any], item: str) -> Any:
        tag = item or request.one("tagId")
        _check_tag(tag)
        try:
            version = str(json.loads(request.body)["version"]).rpartition("/")[2]
        except (ValueError, KeyError, TypeError):
            raise invalid("a tag is an object with `version`") from None
        if request.verb == "POST" and tag in found["tags"]:
            raise ApiError("ALREADY_EXISTS", f"the tag {tag} already exists")
        if request.verb == "PATCH":
            _shown_tag(repository, package, found, tag)
        _shown_version(repository, package, found, version)
        found["tags"][tag] = version
        self._keep(repository, package, found)
        return _shown_tag(repository, package, found, tag)

    def _delete(self, repository: str, package: str, found: dict[str, Any], kind: str, item: str) -> Any:
        if kind == "tags":
            _shown_tag(repository, package, found, item)
            del found["tags"][item]
            self._keep(repository, package, found)
            return {}
        if kind == "versions":
            if _shown_version(repository, package, found, item)["relatedTags"]:
                raise ApiError("FAILED_PRECONDITION", f"the version {item} has tags: delete them first")
            del found["versions"][item]
            self._keep(repository, package, found)
        else:
            self._store.run("delete from packages where name = ?", f"{repository}/{package}")
        project = repository.partition("/")[0]
        name = f"projects/{project}/locations/{_LOCATION}/operations/{uuid.uuid4()}"
        return {"name": name, "done": True, "response": {"@type": "type.googleapis.com/google.protobuf.Empty"}}

    def _package(self, repository: str, package: str) -> dict[str, Any]:
        row = self._store.row("select body from packages where name = ?", f"{repository}/{package}")
        if not row:
            raise ApiError("NOT_FOUND", f"there is no package {repository}/{package}")
        return dict(json.loads(str(row[0])))

    def _keep(self, repository: str, package: str, found: dict[str, Any]) -> None:
        body = json.dumps({**found, "updated": _now()})
        self._store.run("insert or replace into packages values (?, ?)", f"{repository}/{package}", body)

    def _shown_package(self, repository: str, package: str) -> dict[str, Any]:
        found = self._package(repository, package)
        shown = {"createTime": found["created"], "updateTime": found["updated"]}
        return {"name": _name(repository, "packages", package), "displayName": package, **shown}


def _allowed(request: Request, repository: str, call: Callable[[], Answer]) -> Answer:
    """What a call answers, unless its repository is not there or not for it. Raises ApiError."""
    if repository.endswith(_MISSING):
        raise ApiError("NOT_FOUND", f"the repository {repository} does not exist")
    writes = request.verb != "GET" and not request.path.endswith(":testIamPermissions")
    if writes and repository.endswith(_READ_ONLY):
        raise ApiError("PERMISSION_DENIED", f"artifactregistry.repositories.uploadArtifacts denied on {repository}")
    if writes and repository.endswith(_DOCKER):
        raise ApiError("FAILED_PRECONDITION", f"the repository {repository} is not of format KFP")
    return call()


def _held(request: Request, repository: str) -> list[str]:
    """Those of the permissions that are asked for which are held: all, in a read-only repository those to read."""
    try:
        asked = [str(one) for one in json.loads(request.body)["permissions"]]
    except (ValueError, KeyError, TypeError):
        raise invalid("`permissions` are asked for as a list") from None
    return [one for one in asked if not (repository.endswith(_READ_ONLY) and _WRITING.fullmatch(one))]


def _name(repository: str, *more: str) -> str:
    project, _, name = repository.partition("/")
    return "/".join((f"projects/{project}/locations/{_LOCATION}/repositories/{name}", *more))


def _shown_version(repository: str, package: str, found: dict[str, Any], version: str) -> dict[str, Any]:
    if version not in found["versions"]:
        raise ApiError("NOT_FOUND", f"{repository}/{package} has no version {version}")
    moment = found["versions"][version]
    tags = [_shown_tag(repository, package, found, tag) for tag, of in found["tags"].items() if of == version]
    name = _name(repository, "packages", package, "versions", version)
    return {"name": name, "createTime": moment, "updateTime": moment, "relatedTags": tags}


def _shown_tag(repository: str, package: str, found: dict[str, Any], tag: str) -> dict[str, Any]:
    if tag not in found["tags"]:
        raise ApiError("NOT_FOUND", f"{repository}/{package} has no tag {tag}")
    version = _name(repository, "packages", package, "versions", found["tags"][tag])
    return {"name": _name(repository, "packages", package, "tags", tag), "version": version}


def _check_tag(tag: str) -> None:
    if not _TAG.fullmatch(tag):
        raise invalid(f"tag: {tag!r} does not match {_TAG.pattern}")


def _document(content: bytes) -> Any:
    """The first YAML document, which is the PipelineSpec. Raises ApiError."""
    import yaml

    try:
        return next(yaml.safe_load_all(content))
    except (yaml.YAMLError, UnicodeDecodeError, StopIteration) as error:
        raise invalid(f"the pipeline is no YAML: {' '.join(str(error).split())}") from None


def _form(request: Request) -> dict[str, bytes]:
    """The fields of a `multipart/form-data` body."""
    head = f"Content-Type: {request.headers.get('Content-Type', '')}\r\n\r\n".encode()
    message = message_from_bytes(head + request.body)
    if not message.is_multipart():
        raise invalid("an upload is multipart/form-data")
    found: dict[str, bytes] = {}
    for part in message.get_payload():
        assert not isinstance(part, str)
        name = part.get_param("name", header="content-disposition")
        data = part.get_payload(decode=True)
        found[str(name)] = data if isinstance(data, bytes) else b""
    return found


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def _json(data: Any) -> Answer:
    return Answer(200, {"Content-Type": "application/json; charset=UTF-8"}, json.dumps(data).encode())
