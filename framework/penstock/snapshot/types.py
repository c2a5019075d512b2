"""What a snapshot is made of, free of what makes it, so that backends import it for next to nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from attrs import Factory, field, frozen

from penstock.spec import Pipeline


@frozen(kw_only=True)
class Archive:
    """One folder or file that travels. `path` is as the spec writes it; `digest` is over paths, executable bits
    and bytes; `location` is a plain tar file on this machine whose members are relative to the folder (or the
    one file, under its base name). `size` is the content's size in bytes. `normal` is the digest with all paths in
    NFC, which is what counts for the snapshot: the same, unless a name comes in another form, as from a Mac.
    """

    path: str
    kind: Literal["code", "directory", "file"]
    digest: str
    size: int
    location: Path
    normal: str = field(default=Factory(lambda archive: archive.digest, takes_self=True))


@frozen(kw_only=True)
class Bundled:
    """What a snapshot took of a path that the spec writes: files and bytes that travel, and what stays at home.

    `left_out` are paths below it, folders with `/` at the end; the first of `left_out_count`.
    """

    path: str
    kind: Literal["code", "directory", "file"]
    files: int
    size: int
    left_out: tuple[str, ...]
    left_out_count: int


@frozen(kw_only=True)
class Snapshot:
    """A pipeline and its archives, by the path that the spec writes. `canonical` is the spec's canonical JSON.

    `bundled` says what was taken, when it was taken just now.
    """

    pipeline: Pipeline
    archives: Mapping[str, Archive]
    digest: str
    canonical: str
    bundled: tuple[Bundled, ...] = field(default=(), eq=False)
