"""What crosses the line between the core and a backend about places: targets, publications, endpoints, health."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from attrs import field, frozen

from penstock.errors import Problem as Problem  # what a backend says of a pipeline; part of the contract

HOME_MARK = ".penstock-target"
"""A file by which a folder says that a target keeps its files there, so that it travels with no code and no data."""


@frozen(kw_only=True)
class Target:
    """A configured place. `options` is an instance of the attrs class that its backend declared.

    `home` is the workspace's state folder (`.penstock`): a backend that keeps files on this machine does so
    below it unless its options say otherwise; into a folder that they name it lays a file called `HOME_MARK`.
    """

    name: str
    backend: str
    options: Any
    home: Path


@frozen(kw_only=True)
class Compiled:
    """A pipeline in the backend's own language. Deterministic: the same snapshot and options, the same bytes."""

    media_type: str
    data: bytes


@frozen(kw_only=True)
class Publication:
    """What a backend calls a published snapshot. `external` comes from the digest alone.

    `native`: the backend has published pipelines of its own. `trigger_url`: a URL of the backend's own that
    starts runs; our gates do not cover it, so then `gated` is false. `details` are facts worth showing, and under keys
    that begin with `_` what the backend notes for itself.
    """

    external: str
    native: bool = False
    gated: bool = True
    trigger_url: str | None = None
    details: Mapping[str, str] = field(factory=dict)


@frozen(kw_only=True)
class NativeTrigger:
    """A URL of the backend's own that starts runs of an endpoint's default version, whatever client calls it.

    Unless it is `gated`, our gates do not cover it.
    """

    url: str
    gated: bool = False


@frozen(kw_only=True)
class Location:
    """Content that a trigger points a `file` or `directory` parameter at.

    `base` is the caller's folder when the caller is on this machine and may name any local path; None when
    the value came through a door where a local path is only allowed below what the target opened.
    """

    parameter: str
    type: Literal["file", "directory"]
    text: str
    base: Path | None = None


@frozen(kw_only=True)
class EndpointVersion:
    """One version of an endpoint as the backend that runs it should know it."""

    version: str
    external: str
    digest: str
    label: str
    enabled: bool
    published_enabled: bool


@frozen(kw_only=True)
class EndpointState:
    """The whole desired state of one endpoint on one target: its versions there, the default if it is there."""

    id: str
    name: str
    description: str
    enabled: bool
    default: str | None
    versions: tuple[EndpointVersion, ...]
    revision: int
    deleted: bool = False
    tags: Mapping[str, str] = field(factory=dict)


@frozen(kw_only=True)
class Health:
    """How a target is, in words: credentials, quotas, versions, space. One line each."""

    ok: bool
    lines: tuple[str, ...] = ()
