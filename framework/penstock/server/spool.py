"""Artifacts that lie elsewhere, on their way to a caller: in a file without a name, which goes with its reader."""

from __future__ import annotations

import errno
import os
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

from penstock.contract.artifacts import Destination, Words
from penstock.contract.local_artifacts import read
from penstock.errors import PenstockError, TargetUnavailable
from penstock.server.artifacts import END, OpenFile, head, padded, together
from penstock.workspace import Artifact

_SPARED = 256 * 2**20
"""Bytes that are left free on the disk, which has the registry, too."""


@frozen
class _Entry:
    """Something in a directory; the bytes of a file begin at `start`."""

    path: str
    kind: bytes
    start: int = 0
    size: int = 0
    mode: int = 0o755
    to: str = ""


class Spool(Destination):
    """An artifact in a file of the state folder that only this has: it is gone when this is, even by `kill -9`.

    For a directory it remembers what is where, some hundred bytes of memory for each file, and makes the archive of it
    as it is read. With `only_head` nothing is kept but how long a file is. Once nobody `is_waiting` it takes no more.
    """

    def __init__(self, artifact: Artifact, home: Path, is_waiting: Callable[[], bool], *, only_head: bool) -> None:
        super().__init__(artifact.name, artifact.type)
        self._home = home
        self._is_waiting = is_waiting
        self._only_head = only_head
        self._entries: dict[str, _Entry] = {}
        self._began = int(time.time())
        self.length = 0
        with self._room():
            self._file = tempfile.TemporaryFile(dir=home, buffering=0)  # noqa: SIM115  # it is read after this

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self.close()

    def close(self) -> None:
        """Let it go now: an error of its fetching may be kept for a while by those who tell of it, and this with it."""
        self._file.close()

    def opened(self) -> OpenFile:
        """The one file of an artifact that is one."""
        return OpenFile(self.length, os.fdopen(os.dup(self._file.fileno()), "rb", buffering=0))

    def pieces(self) -> Iterator[bytes]:
        """A tar archive of a directory under its output's name. Raises PenstockError."""
        return together(self._tar())

    def _tar(self) -> Iterator[bytes]:
        for path, entry in self._entries.items():
            name = f"{self.name}/{path}" if path else self.name
            yield head(name, entry.kind, mode=entry.mode, modified=self._began, size=entry.size, to=entry.to)
            if entry.kind == tarfile.REGTYPE:
                self._file.seek(entry.start)
                yield from padded(read(self._file, entry.size), entry.size)
        yield END

    def _put_file(self, words: Words, size: int, pieces: Iterator[bytes], executable: bool) -> None:
        if words:
            mode = 0o755 if executable else 0o644
            self._add(words, _Entry("/".join(words), tarfile.REGTYPE, self.length, size, mode))
        if self._only_head:
            self.length += size
            return
        if size > _free(self._home) - _SPARED:
            raise self._too_large(f"{size} bytes of it would fill the disk")
        for piece in pieces:
            if not self._is_waiting():
                raise TargetUnavailable("the caller has gone, or the server ends, and no more is fetched; ask again")
            with self._room():
                view = memoryview(piece)
                while view:
                    view = view[self._file.write(view) :]
            self.length += len(piece)

    def _put_folder(self, words: Words) -> None:
        self._above((*words, ""))

    def _put_link(self, words: Words, to: str) -> None:
        self._add(words, _Entry("/".join(words), tarfile.SYMTYPE, mode=0o777, to=to))

    def _add(self, words: Words, entry: _Entry) -> None:
        self._above(words)
        if entry.path in self._entries:
            raise self._unsafe(f"`{entry.path[:200]}` twice")
        self._entries[entry.path] = entry

    def _above(self, words: Words) -> None:
        """Have the folders above something. Raises TargetRefused where one of them is a file or a link."""
        for count in range(len(words)):
            path = "/".join(words[:count])
            if self._entries.setdefault(path, _Entry(path, tarfile.DIRTYPE)).kind != tarfile.DIRTYPE:
                raise self._unsafe(f"`{path[:200]}` twice")

    @contextmanager
    def _room(self) -> Iterator[None]:
        """What the disk refuses, in our words."""
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise self._too_large(error.strerror or str(error)) from None
            message = f"the server cannot keep the output `{self.name}` for as long as it is sent: {error.strerror}"
            raise PenstockError(message, code="system_error") from None

    def _too_large(self, why: str) -> PenstockError:
        return PenstockError(
            f"the server has no room for the output `{self.name}`: {why}; fetch it where it lies",
            code="artifact_too_large",
        )


def fetched(
    artifact: Artifact, home: Path, is_waiting: Callable[[], bool], *, only_head: bool
) -> OpenFile | Iterator[bytes]:
    """An artifact of a far target: a file, or the pieces of an archive. Raises what `Artifact.send` and `Spool` do."""
    spool = Spool(artifact, home, is_waiting, only_head=only_head)
    try:
        artifact.send(spool)
    except BaseException:
        spool.close()
        raise
    return spool.opened() if artifact.type == "file" else spool.pieces()


def _free(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
