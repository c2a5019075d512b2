"""Compiled pipelines in a repository of Artifact Registry, for people and other programs.

What kfp's RegistryClient sends (kfp 2.16, `registry/registry_client.py`) is sent over google.auth's own session, so
that kfp is not needed. A version is named by its content, `sha256:...`, and is what everything here goes by. A tag says
the digest of the snapshot; nothing reads it, and it is never moved.
"""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from attrs import frozen

from penstock.errors import TargetRefused
from penstock_vertex.addresses import Repository, split_repository
from penstock_vertex.credentials import credentials_of, made_once, undisturbed
from penstock_vertex.repeating import repeated
from penstock_vertex.troubles import translated

if TYPE_CHECKING:
    from google.auth.transport.requests import AuthorizedSession

    from penstock_vertex.options import VertexOptions

_ANSWER = re.compile(r"([^/\s]+)/(sha256:[0-9a-f]{64})")
_NO_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
"""Characters that JSON takes as they are and YAML 1.1 does not, or reads as the end of a line."""

_PAGE = 1000
"""How many packages are counted: as many as one page has at most."""

NEEDED = ("artifactregistry.repositories.uploadArtifacts", "artifactregistry.tags.create")
"""Permissions that publish needs; the role `roles/artifactregistry.writer` has them (that it has is not tried)."""


def template_of(document: bytes) -> tuple[str, bytes]:
    """The name of a compiled pipeline (the package) and its spec alone, as kfp and Google's console read it.

    That is YAML, which is written as JSON. The same document, the same bytes.
    """
    spec = json.loads(document)["spec"]
    text = json.dumps(spec, sort_keys=True, indent=2, ensure_ascii=False) + "\n"
    return spec["pipelineInfo"]["name"], _NO_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode()


def tag_of(digest: str) -> str:
    """The tag that says a snapshot's digest (`sha256:...`), in letters, digits and `-`, which every registry takes."""
    return f"penstock-digest-{digest.removeprefix('sha256:')}"


@frozen
class Registry:
    """One repository, with the session to ask it by. Every method raises TargetUnavailable when it cannot be reached,
    does not answer in time or lets us not in, and TargetRefused when it says no for good.
    """

    options: VertexOptions
    _place: Repository
    _session: AuthorizedSession

    @property
    def api(self) -> str:
        """Where the repository's resource is in the REST API."""
        return self._place.api(self.options.location)

    def put(self, package: str, content: bytes, tag: str) -> str:
        """Put a pipeline there unless it is, and see that a version has the tag; the URI of this very version.

        Uploading the same again is the same version, so a repeat after a lost answer finds it.
        """
        from google.api_core.exceptions import Conflict

        version = f"sha256:{hashlib.sha256(content).hexdigest()}"
        what = f"the pipeline cannot be put into the repository `{self._place.url}`"
        if not self._has(package, version, what):
            with suppress(Conflict):  # somebody put the same there a moment ago
                version = self._upload(package, content, what)
        self._tag(package, version, tag)
        return f"{self._place.url}/{package}/{version}"

    def check(self) -> list[str]:
        """What is wrong with the repository, one line each: not of this format, permissions that we lack."""
        what = f"the repository `{self._place.url}` cannot be asked"
        found = self._ask("GET", self.api, what).json()
        if found.get("format") != "KFP":
            return [f"repository: {self._place.url} is of the format {found.get('format')}, and pipelines need KFP"]
        answer = self._ask("POST", f"{self.api}:testIamPermissions", what, json={"permissions": list(NEEDED)}).json()
        missing = [name for name in NEEDED if name not in answer.get("permissions", ())]
        return [f"repository: {self._place.url} lacks {', '.join(missing)}"] if missing else []

    def count(self) -> str:
        """How many pipelines lie there, in words; each may have several versions."""
        what = f"the repository `{self._place.url}` cannot be listed"
        answer = self._ask("GET", f"{self.api}/packages", what, params={"pageSize": str(_PAGE)}).json()
        number = len(answer.get("packages", ()))
        more = "at least " if answer.get("nextPageToken") else ""
        return f"{more}{number} {'pipeline' if number == 1 else 'pipelines'} in {self._place.url}"

    def _has(self, package: str, version: str, what: str) -> bool:
        answer = self._send("GET", f"{self.api}/packages/{package}/versions/{version}", what)
        return answer is not None

    def _upload(self, package: str, content: bytes, what: str) -> str:
        text = self._ask("POST", self._place.url, what, files={"content": (f"{package}.yaml", content)}).text
        found = _ANSWER.fullmatch(text.strip())
        if found is None or found[1] != package:
            raise TargetRefused(f"{what}: it answers `{text[:80]!r}`, which is no version of `{package}`")
        return found[2]

    def _tag(self, package: str, version: str, tag: str) -> None:
        from google.api_core.exceptions import Conflict

        name = f"{self.api.partition('/v1/')[2]}/packages/{package}"
        what = f"the pipeline cannot be tagged in the repository `{self._place.url}`"
        body = {"name": f"{name}/tags/{tag}", "version": f"{name}/versions/{version}"}
        with suppress(Conflict):  # it is there, and stays where it is
            self._ask("POST", f"{self.api}/packages/{package}/tags", what, params={"tagId": tag}, json=body)

    def _ask(self, verb: str, url: str, what: str, **given: Any) -> Any:
        """What is answered by something that has to be there. Raises Conflict (Google's), too."""
        answer = self._send(verb, url, what, **given)
        if answer is None:
            raise TargetRefused(
                f"{what}: it is not there; create it with the format KFP, as `gcloud artifacts repositories create "
                f"{self._place.name} --repository-format=kfp --location={self._place.location or self.options.location}"
                f" --project={self._place.project}` does",
                code="target_not_there",
            )
        return answer

    def _send(self, verb: str, url: str, what: str, **given: Any) -> Any:
        """The answer, or None for what is not there."""
        from google.api_core.exceptions import Conflict, NotFound, from_http_response

        def send() -> Any:
            answer = self._session.request(verb, url, timeout=self.options.poll_timeout, **given)
            if not answer.ok:
                raise from_http_response(answer)
            return answer

        with translated(what, self.options, f"project `{self._place.project}`", self._place.origin):
            try:
                return repeated(send)
            except NotFound:
                return None
            except Conflict as error:
                conflict = error
        raise conflict


def registry_of(options: VertexOptions, url: str) -> Registry:
    """The repository at a URL, with the credentials of a target. Raises TargetUnavailable without any."""
    place = split_repository(url)
    with translated("the repository cannot be reached", options, f"project `{place.project}`", place.origin):
        return Registry(options, place, _session(options.credentials, place.origin))


@made_once
def _session(credentials: str, origin: str) -> AuthorizedSession:
    """The session of one address, made once: it holds connections, and threads share it as they do storage's."""
    from google.auth.transport.requests import AuthorizedSession

    session = AuthorizedSession(credentials_of(credentials))
    undisturbed(session, origin)
    return session
