"""The temporary folders of attempts: a short path to each, because the path of a socket may have 107 bytes.

The folders lie with their runs, on the disk of the root and guarded by it. In the root's folder `tmp` each has a link
with a short name, which is made before its folder and goes after it: so whatever a killed engine left is known to the
next one. A link in the machine's own temporary folder leads there; its name is random and kept in the root.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from penstock_local import places
from penstock_local.jobs import Step
from penstock_local.layout import Layout
from penstock_local.removal import held, open_up, remove_below

_PLACES = ("/tmp", "/var/tmp", "/dev/shm")  # nothing lies there but a link with a name of its own
_OLD = "old."
_TRUST = 10.0
"""Seconds after which to see again that nobody has cleared the link away."""


class Temporary:
    """The short paths of one root. Everything may be called in any thread."""

    def __init__(self, layout: Layout) -> None:
        self._root = layout.root
        self._runs = layout.runs
        self._links = layout.temporaries
        self._folder = os.fspath(layout.temporaries)
        self._kept = layout.temporaries / ".where"
        self._place = ""
        self._look_again = 0.0
        self._finding = threading.Lock()

    def prepare(self, step: Step) -> str:
        """The short path of the step's attempt, whose folder is to be made after that. Raises OSError."""
        with self._finding:
            if time.monotonic() >= self._look_again:
                if not self._leads_here(self._place):
                    self._place = self._find_place()
                self._look_again = time.monotonic() + _TRUST
            place = self._place
        target = f"../runs/{step.job.id}/tmp/{step.name}.{step.attempt}"
        self._link(target, self.link_of(step))
        return f"{place}/{_name(step)}"

    def _link(self, target: str, link: str) -> None:
        try:
            os.symlink(target, link)  # noqa: PTH211  # the path is text, and every step asks
        except FileExistsError:  # of an engine that died before it spawned; or a step put something there
            remove_below(link, self._root)
            os.symlink(target, link)  # noqa: PTH211  # as above
        except (FileNotFoundError, NotADirectoryError):
            places.make_folder(self._links)
            os.symlink(target, link)  # noqa: PTH211  # as above

    def link_of(self, step: Step) -> str:
        """What is to be removed after the folder of the step's attempt."""
        return f"{self._folder}/{_name(step)}"

    def leftovers(self, running: Iterable[Step]) -> list[str]:
        """Put aside what attempts of an earlier engine left that are not `running` any more; returns what to remove."""
        kept = {_name(step) for step in running}
        with contextlib.suppress(OSError):
            places.make_folder(self._links)
            for link in self._links.iterdir():
                if link.name not in kept and not link.name.startswith((".", _OLD)):
                    self._put_aside(link)
            return [os.fspath(folder) for folder in self._links.iterdir() if folder.name.startswith(_OLD)]
        return []

    def close(self) -> None:
        """Take the link out of the machine's temporary folder; no attempt runs any more."""
        if self._leads_here(self._place):
            with contextlib.suppress(OSError):
                Path(self._place).unlink()
                self._kept.unlink()

    def _put_aside(self, link: Path) -> None:
        """Bring the folder that a link names out of the way of its run's next attempt. A step may have changed it."""
        with contextlib.suppress(OSError):
            folder = Path(os.path.normpath(self._links / link.readlink()))
            inside = folder.relative_to(self._runs).parts if self._runs in folder.parents else ()
            if len(inside) == 3 and inside[1] == "tmp":
                with held(folder, self._root) as place:
                    if stat.S_ISDIR(os.lstat(place).st_mode):
                        open_up(place)
                        Path(place).rename(self._links / f"{_OLD}{secrets.token_hex(8)}")
        remove_below(link, self._root)

    def _find_place(self) -> str:
        """The short way to the root's folder of links; that folder itself where no link to it can be made."""
        places.make_folder(self._links)
        with contextlib.suppress(OSError):
            place = os.fspath(self._kept.readlink())  # of an engine that was killed
            if self._leads_here(place):
                return place
        _sweep()
        for parent in _PLACES:
            made = Path(f"{parent}/penstock-{secrets.token_hex(4)}")
            with contextlib.suppress(OSError):
                made.symlink_to(self._links)
                remove_below(self._kept, self._root)
                self._kept.symlink_to(made)
                return os.fspath(made)
        return self._folder

    def _leads_here(self, place: str) -> bool:
        try:
            return os.lstat(place).st_uid == os.geteuid() and os.readlink(place) == self._folder  # noqa: PTH115  # the path is text
        except OSError:
            return False


def _sweep() -> None:
    """Remove links of ours to roots that are gone, whose engines were killed."""
    for parent in _PLACES:
        with contextlib.suppress(OSError):
            for link in Path(parent).glob("penstock-????????"):
                if link.is_symlink() and link.lstat().st_uid == os.geteuid() and not link.exists():
                    link.unlink(missing_ok=True)


def _name(step: Step) -> str:
    return f"{step.job.seq}.{step.position}.{step.attempt}"
