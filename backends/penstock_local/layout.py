"""Where everything of one root lies: folder and file names are made here, and `neighbours` knows some of them."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

from penstock import acls, trust
from penstock.contract.target import HOME_MARK, Target
from penstock.drafts import draft
from penstock.errors import ConfigInvalid, TargetUnavailable

DRAFTS = ".", ".partial"
"""How the names of drafts begin and end, see `penstock.drafts`."""


class Layout:
    """The paths below a root. Folders are made 0700 and files 0600, because runs hold their callers' data."""

    def __init__(self, root: Path, state: Path | None = None) -> None:
        self.root = root
        self.state = state
        """The state folder of the workspace that it was asked for by."""
        self.mark = root / HOME_MARK
        self.queue = root / "queue.db"
        self.wake = root / "wake"
        self.lock = root / "engine.lock"
        self.next = root / "engine.next"
        self.log = root / "engine.log"
        self.trouble = root / "engine.trouble"
        self.publications = root / "publications"
        self.owners = root / "owners"
        self.publishing = root / "publications.lock"
        self.syncing = root / "endpoints.lock"
        self.archives = root / "archives"
        self.unpacked = root / "unpacked"
        self.endpoints = root / "endpoints"
        self.environments = root / "environments"
        self.runs = root / "runs"
        self.interpreters = root / "interpreters"
        self.temporaries = root / "tmp"
        self.keepers = root / "keepers"
        self.waits = root / "waits"
        self._runs = os.fspath(self.runs)
        self._kept = self.publications, self.owners, self.archives, self.endpoints, self.runs

    @classmethod
    def of(cls, target: Target) -> Layout:
        """The layout of a target: its `root` option, else a folder below the workspace's state.

        Raises ConfigInvalid `not_trusted` when somebody else could have written there.
        """
        root = Path(target.options.root or target.home / "local" / target.name).absolute()
        with contextlib.suppress(OSError):  # what cannot be looked at is told of by whoever needs it
            distrust = trust.distrust(root, "the root")
            if distrust is not None:
                raise ConfigInvalid(distrust, code="not_trusted")
        return cls(root, target.home.absolute())

    def make(self) -> None:
        """Make the root and its folders. Raises TargetUnavailable when that is not possible. See `ownership.make`."""
        try:
            for folder in (*reversed(self.root.parents), self.root):  # `parents=True` would open them to everybody
                folder.mkdir(mode=0o700, exist_ok=True)
            for folder in self._kept:
                with contextlib.suppress(FileExistsError):
                    folder.mkdir(mode=0o700)
                _see(folder)
            with contextlib.suppress(FileExistsError):  # whatever lies there, nobody waits for it
                os.close(os.open(self.mark, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise unusable(self.root, error) from None

    def refuse_links(self) -> None:
        """Raise TargetUnavailable where something else lies in the place of a folder that nobody can make anew."""
        for folder in self._kept:
            try:
                _see(folder)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise unusable(folder, error) from None

    def see_runs(self) -> None:
        """Raise OSError where something else lies in the place of the folder of runs. Every step asks."""
        with contextlib.suppress(FileNotFoundError):
            _see(self._runs)

    def see_archives(self) -> None:
        """The same of the folder of archives."""
        with contextlib.suppress(FileNotFoundError):
            _see(self.archives)

    def see_owners(self, external: str) -> None:
        """The same of the folder that says whose a publication is."""
        with contextlib.suppress(FileNotFoundError):
            _see(self.owners_of(external))

    def has_queue(self) -> bool:
        """Whether anything was ever submitted here. Raises TargetUnavailable when it cannot be known.

        A root that may not be looked into is no empty root: what runs there is not lost.
        """
        try:
            self.queue.lstat()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise unusable(self.queue, error) from None
        return True

    def publication(self, external: str) -> Path:
        """The compiled document of a publication."""
        return self.publications / f"{external}.json"

    def owners_of(self, external: str) -> Path:
        """One file for each target that published it; several targets may have this root."""
        return self.owners / external

    def archive(self, digest: str) -> Path:
        """The tar file of an archive, by its content."""
        return self.archives / f"{digest.rpartition(':')[2]}.tar"

    def environment_of(self, run: str) -> Path:
        """The secret values that an unfinished run takes along. Only such a run has the file."""
        return self.environments / run

    def private_of(self, run: str) -> tuple[Path, ...]:
        """The folders in which a run's steps work, and which nobody reads but they; `tmp` is of earlier versions."""
        return self.runs / run / "work", self.runs / run / "tmp", self.inputs_of(run)

    def inputs_of(self, run: str) -> Path:
        """Copies of bundled data that the run's steps got for themselves."""
        return self.runs / run / "inputs"

    def run(self, run: str) -> Path:
        """Everything a run leaves behind."""
        return self.runs / run

    def log_of(self, run: str, step: str) -> Path:
        """What a step wrote to stdout and stderr, all attempts in sequence, in the order it was written."""
        return Path(f"{self._runs}/{run}/logs/{step}.log")

    def attempt(self, run: str, kind: str, step: str, attempt: int) -> str:
        """A folder of one attempt: its `work` copy of the code, `inputs`, `tmp`, `outputs`. Text, for speed."""
        return f"{self._runs}/{run}/{kind}/{step}.{attempt}"


def _see(folder: Path | str) -> None:
    """Raise OSError where no folder is, and for a link to one: what lies behind it is not ours."""
    found = os.lstat(folder)
    if stat.S_ISLNK(found.st_mode):
        raise OSError(errno.ELOOP, "it is a link", os.fspath(folder))
    if not stat.S_ISDIR(found.st_mode):
        raise OSError(errno.ENOTDIR, "it is no folder", os.fspath(folder))


def unusable(path: Path, error: OSError) -> TargetUnavailable:
    """The one line for a folder or file that the machine does not let us use."""
    why = error.strerror or str(error)
    where = error.filename or path
    todo = "check its permissions, or give the target a `root` that can be written"
    owner = _owner(Path(os.fsdecode(where)))
    if error.errno in (errno.EACCES, errno.EPERM) and owner not in (None, os.geteuid()):
        todo = f"it is {acls.name_of(owner or 0)}'s; ask for the right to read it, or call penstock as that user"
    elif error.errno in (errno.ENOSPC, errno.EDQUOT):
        todo = "free some space"
    elif error.errno in (errno.EMFILE, errno.ENFILE):
        todo = "allow more open files (`ulimit -n`)"
    elif error.errno in (errno.ELOOP, errno.EINVAL, errno.EISDIR, errno.EEXIST, errno.ENOTDIR):
        todo = "move away what lies in its place, or give the target a `root` that can be written"
    return TargetUnavailable(
        f"cannot use `{where}`: {why}; {todo}",
        retry_after=10.0,
    )


def _owner(path: Path) -> int | None:
    """Whose a path is, or the nearest of its folders that can be looked at; None where that is not known."""
    for place in (path, *path.parents):
        with contextlib.suppress(OSError):
            return place.lstat().st_uid
    return None


def write_file(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, private and on disk before it gets its name. Raises OSError.

    What killed processes left half done there goes first.
    """
    with draft(path.parent, *DRAFTS) as place:
        with place.open("r+b") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        place.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Put a folder's names on disk. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
