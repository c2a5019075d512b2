"""Artifacts of a run into a folder of this machine: whole or not at all, and over nothing that is there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TypeAlias

from attrs import frozen

from penstock.contract.artifacts import ArtifactType, Destination, Words
from penstock.errors import Conflict, UsageError
from penstock.records import RunRecord
from penstock.workspace.artifacts import artifact_names, find_artifact
from penstock.workspace.services import Services

Progress: TypeAlias = Callable[[str, int], None]
"""Told the name of an output, and how many bytes of it have come."""


@frozen(kw_only=True)
class Downloaded:
    """An artifact that was downloaded: where to, and what it came to. `left_out` counts links that lead out of it."""

    name: str
    type: ArtifactType
    path: Path
    files: int
    bytes: int
    left_out: int = 0


def download(
    services: Services, run: RunRecord, folder: Path, names: Sequence[str] | None, watch: Progress | None
) -> tuple[Downloaded, ...]:
    """Download artifacts of a run that has ended, all of them or those that are named, each to `folder/NAME`.

    They are fetched beside each other first, and appear when all are there; what fails leaves nothing. Raises Conflict
    `file_exists` before anything is fetched, UsageError `file_unwritable`, and as `find_artifact` and `Artifact.send`.
    """
    wanted = dict.fromkeys(artifact_names(services, run) if names is None else names)
    artifacts = [find_artifact(services, run, name) for name in wanted]
    for artifact in artifacts:
        if os.path.lexists(folder / artifact.name):
            raise _in_the_way(folder / artifact.name)
    if not artifacts:
        return ()
    done: list[Downloaded] = []
    with _staging(folder) as staging:
        for artifact in artifacts:
            destination = _Folder(artifact.name, artifact.type, staging / artifact.name, watch)
            artifact.send(destination)
            destination.make_links()
            done.append(
                Downloaded(
                    name=artifact.name,
                    type=artifact.type,
                    path=folder / artifact.name,
                    files=destination.files,
                    bytes=destination.bytes,
                    left_out=destination.left_out,
                )
            )
        for one in done:
            _appear(staging / one.name, one.path)
    return tuple(done)


class _Folder(Destination):
    """A file or folder of this machine, which is not there before."""

    def __init__(self, name: str, type: ArtifactType, top: Path, watch: Progress | None) -> None:
        super().__init__(name, type)
        self._top = top
        self._watch = watch
        self._links: list[tuple[Path, str]] = []
        self.files, self.bytes = 0, 0

    def make_links(self) -> None:
        """Make the links, when nothing is written any more that could go through one: their folders come first."""
        for path, _ in self._links:
            with self._written(path):
                path.parent.mkdir(parents=True, exist_ok=True)
        for path, to in self._links:
            with self._written(path):
                path.symlink_to(to)

    def _put_file(self, words: Words, size: int, pieces: Iterator[bytes], executable: bool) -> None:
        path = self._top.joinpath(*words)
        with self._written(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            file = os.fdopen(os.open(path, flags, 0o777 if executable else 0o666), "wb", buffering=0)
        with file:
            for piece in pieces:
                with self._written(path):
                    _write(file, piece)
                self.bytes += len(piece)
                if self._watch is not None:
                    self._watch(self.name, self.bytes)
        self.files += 1

    def _put_folder(self, words: Words) -> None:
        path = self._top.joinpath(*words)
        with self._written(path):
            path.mkdir(parents=True, exist_ok=True)

    def _put_link(self, words: Words, to: str) -> None:
        self._links.append((self._top.joinpath(*words), to))

    @contextmanager
    def _written(self, path: Path) -> Iterator[None]:
        """What the machine refuses, in our words; what is there already is another part of the same artifact."""
        try:
            yield
        except (FileExistsError, NotADirectoryError):
            raise self._unsafe(f"`{path.relative_to(self._top.parent)}` twice") from None
        except OSError as error:
            raise _unwritable(path.parent, error) from None


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    """A private folder within the one that things are to appear in, which goes at the end. Raises UsageError.

    Who is killed leaves it behind, as `.penstock-...`, and nothing else.
    """
    import shutil
    import tempfile

    made = [above for above in (folder, *folder.parents) if not os.path.lexists(above)]
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            staging = Path(tempfile.mkdtemp(prefix=".penstock-", dir=folder))
        except (OSError, ValueError) as error:  # the latter for a name with a NUL
            raise _unwritable(folder, error) from None
        try:
            yield staging
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    except BaseException:
        with suppress(OSError, ValueError):
            for above in made:  # those with something in them stay
                above.rmdir()
        raise


def _appear(staged: Path, path: Path) -> None:
    """Give something its name, at once, unless something else has it. Raises Conflict, UsageError."""
    try:
        if staged.is_dir():
            staged.rename(path)  # which takes nobody's place but that of an empty folder
            return
        try:
            path.hardlink_to(staged)
        except FileExistsError:
            raise
        except OSError:  # there are file systems without links
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            staged.replace(path)
    except OSError as error:
        if os.path.lexists(path):
            raise _in_the_way(path) from None
        raise _unwritable(path.parent, error) from None


def _in_the_way(path: Path) -> Conflict:
    return Conflict(
        f"`{path}` is there already, and nothing is written over; choose another folder, or name the outputs you want",
        code="file_exists",
    )


def _unwritable(folder: Path, error: OSError | ValueError) -> UsageError:
    why = getattr(error, "strerror", None) or error
    return UsageError(f"cannot write below `{folder}`: {why}; choose another folder", code="file_unwritable")


def _write(file: BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
