"""Artifacts of a target: where one lies by now, and what `penstock_fetch_artifact` is given to put one into."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, TypeAlias

from attrs import frozen

from penstock.errors import TargetRefused, TargetUnavailable

ArtifactType: TypeAlias = Literal["file", "directory"]
Words: TypeAlias = tuple[str, ...]
"""A path below an artifact, name by name; that of the artifact itself is empty."""


@frozen
class ArtifactPlace:
    """Where an artifact lies by now: its path or URI, and of a path the folder that it is read below, and only there.

    No link on the way from that folder is followed.
    """

    text: str
    below: Path | None = None


class Destination(ABC):
    """Where a backend puts an artifact. It takes nothing that would lie outside of it, and nothing twice.

    `type` says what the output `name` is: a `file` is written once, under the empty path; what is in a `directory`
    under its path from there, with `/` between names. Folders above it are made. What a method raises ends the fetch:
    let it through. `left_out` counts the links that lead out of a directory and were not taken.
    """

    def __init__(self, name: str, type: ArtifactType) -> None:
        self.name = name
        self.type = type
        self.is_begun = False
        self.left_out = 0

    def file(self, path: str, size: int, pieces: Iterable[bytes], executable: bool = False) -> None:
        """Write a file of so many bytes, which come in pieces: each is written before the next is asked for.

        Raises TargetUnavailable when fewer or more come, and TargetRefused `artifact_unsafe`.
        """
        words = self._words(path)
        if bool(words) is not (self.type == "directory") or (self.is_begun and not words):
            raise self._unsafe(f"a file `{path[:200]}` in a {self.type}")
        self.is_begun = True
        self._put_file(words, size, self._whole(path, size, pieces), executable)

    def folder(self, path: str) -> None:
        """Make a folder, unless it is there. Raises TargetRefused `artifact_unsafe`."""
        words = self._words(path)
        if self.type != "directory":
            raise self._unsafe("a folder, and is a file")
        self.is_begun = True
        self._put_folder(words)

    def link(self, path: str, to: str) -> None:
        """Make a symbolic link, or leave one out that leads out of the directory. Raises TargetRefused."""
        words = self._words(path)
        if not words:
            raise self._unsafe("nothing but a link")
        if stays(to, len(words) - 1):
            self._put_link(words, to)
        else:
            self.left_out += 1

    @abstractmethod
    def _put_file(self, words: Words, size: int, pieces: Iterator[bytes], executable: bool) -> None:
        """Write a file; who wants none of its bytes asks for no piece."""

    @abstractmethod
    def _put_folder(self, words: Words) -> None:
        """Make a folder and those above it, where they are missing."""

    @abstractmethod
    def _put_link(self, words: Words, to: str) -> None:
        """Make a link, through which nothing is ever written."""

    def _words(self, path: str) -> Words:
        words = tuple(path.split("/")) if path else ()
        if "\0" in path or any(word in ("", ".", "..") for word in words):
            raise self._unsafe(f"the name `{path[:200]}`")
        return words

    def _unsafe(self, what: str) -> TargetRefused:
        """What is said of something that cannot be put where it says."""
        return TargetRefused(
            f"the output `{self.name}` holds {what}, which has no place below it; nothing of it was kept, look at it "
            "where it lies",
            code="artifact_unsafe",
        )

    def _whole(self, path: str, size: int, pieces: Iterable[bytes]) -> Iterator[bytes]:
        came = 0
        for piece in pieces:
            came += len(piece)
            if came > size:
                break
            yield piece
        if came != size:
            what = f"`{path[:200]}` of the output `{self.name}`" if path else f"the output `{self.name}`"
            raise TargetUnavailable(
                f"{what} has {size} bytes, and {'more' if came > size else f'only {came}'} came; try again"
            )


def stays(target: str, depth: int) -> bool:
    """Whether a link `depth` folders below the top leads to something below the top.

    It may go up first, out of real folders, and then only down: what it passes there stays within by the same rule.
    """
    words = [word for word in target.split("/") if word not in ("", ".")]
    ups = 0
    while ups < len(words) and words[ups] == "..":
        ups += 1
    is_relative = bool(target) and not target.startswith("/") and "\0" not in target
    return is_relative and ups <= depth and ".." not in words[ups:]
