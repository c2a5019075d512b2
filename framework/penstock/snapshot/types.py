"""What a snapshot is made of, free of what makes it, so that backends import it for next to nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from attrs import frozen

from penstock.spec import Pipeline


@frozen(kw_only=True)
class Archive:
    """One folder or file that travels. `path` is as the spec writes it; `digest` is over paths, executable bits
    and bytes; `location` is a plain tar file on this machine whose members are relative to the folder (or the
    one file, under its base name). `size` is the content's size in bytes.
    """

    path: str
    kind: Literal["code", "directory", "file"]
    digest: str
    size: int
    location: Path


@frozen(kw_only=True)
class Snapshot:
    """A pipeline and its archives, by the path that the spec writes. `canonical` is the spec's canonical JSON."""

    pipeline: Pipeline
    archives: Mapping[str, Archive]
    digest: str
    canonical: str
