"""Addresses: which are on this machine, and where a repository of Artifact Registry is."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from attrs import frozen

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
"""Hosts that are this machine."""

_HOST = re.compile(r"([a-z]+(?:-[a-z]+[0-9]+)?)-kfp\.pkg\.dev")
_PATH = re.compile(r"/((?:[a-z0-9.-]+:)?[a-z][a-z0-9-]{0,61}[a-z0-9])/([a-z](?:[a-z0-9-]{0,61}[a-z0-9])?)")


def host_of(address: str) -> str:
    """The host of an address with or without a scheme; nothing where there is none."""
    return urlsplit(address if "//" in address else f"//{address}").hostname or ""


@frozen
class Repository:
    """A repository: `name` in a project, at a location (None at an emulator, which has every one)."""

    origin: str
    location: str | None
    project: str
    name: str

    @property
    def url(self) -> str:
        """Where pipelines are uploaded to, and what lies there is below: `/package/sha256:...`."""
        return f"{self.origin}/{self.project}/{self.name}"

    def api(self, location: str) -> str:
        """The URL of the repository's resource in the REST API (v1); an emulator's is at its own address.

        `location` is the one to name where the repository's own is not known.
        """
        service = self.origin if self.location is None else "https://artifactregistry.googleapis.com"
        return f"{service}/v1/projects/{self.project}/locations/{self.location or location}/repositories/{self.name}"


def split_repository(url: str) -> Repository:
    """The parts of a repository's URL. Raises ValueError.

    Credentials are sent there, so it is Artifact Registry's host for KFP (`LOCATION-kfp.pkg.dev`), or this machine.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # brackets that are no address, or a port that is no number
        raise _no_repository(url) from None
    host = parts.hostname or ""
    google, path = _HOST.fullmatch(host), _PATH.fullmatch(parts.path)
    plain = url == f"{parts.scheme}://{parts.netloc}{parts.path}" and "@" not in parts.netloc
    there = (google and parts.scheme == "https" and port is None) or (
        host in LOOPBACK and parts.scheme in ("http", "https")
    )
    if not (plain and there and path):
        raise _no_repository(url)
    return Repository(f"{parts.scheme}://{parts.netloc}", google[1] if google else None, path[1], path[2])


def _no_repository(url: str) -> ValueError:
    return ValueError(
        f"`{url[:80]}` is no repository of pipelines: write it like `https://us-central1-kfp.pkg.dev/acme/pipelines`"
    )
