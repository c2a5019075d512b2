"""The temporary folders of attempts: a short path to each, because the path of a socket may have 107 bytes.

They lie in the root's folder `tmp`, on its disk and guarded by it: so whatever a killed engine left is known to the
next one. A link in the machine's own temporary folder leads there; its name is random and kept in the root.

One that its attempt left as it was is given to another attempt, because a file system may take a third of a
millisecond to make a folder and as long to remove one (measured: ext4 without a journal, which looks for a number that
was not in use for minutes).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from penstock_local import places
from penstock_local.jobs import Step
from penstock_local.layout import Layout
from penstock_local.removal import make_fresh, remove_below

_PLACES = ("/tmp", "/var/tmp", "/dev/shm")  # nothing lies there but a link with a name of its own
_OLD = "old."
_TRUST = 10.0
"""Seconds after which to see again that nobody has cleared the link away."""
_SPARES = 8
"""How many folders are kept for other attempts."""
_SPARED = 0.5
"""Seconds after which a folder is kept no longer if no attempt has left another."""


class Temporary:
    """The temporary folders of one root. Everything may be called in any thread."""

    def __init__(self, layout: Layout) -> None:
        self._root = layout.root
        self._folders = layout.temporaries
        self._folder = os.fspath(layout.temporaries)
        self._kept = layout.temporaries / ".where"
        self._place = ""
        self._look_again = 0.0
        self._finding = threading.Lock()
        self._spare: deque[str] = deque()
        self._spared = 0.0

    def make(self, step: Step) -> tuple[str, str]:
        """Make the folder of the step's attempt: its path, and a short one to it. Raises OSError."""
        with self._finding:
            if time.monotonic() >= self._look_again:
                if not self._leads_here(self._place):
                    self._place = self._find_place()
                self._look_again = time.monotonic() + _TRUST
            place = self._place
        path = self.folder_of(step)
        places.make_folder(self._folders)
        if not self._take_spare(path):
            make_fresh(path, self._root)  # an engine may have died before it spawned, or a step put something there
        return path, f"{place}/{_name(step)}"

    def folder_of(self, step: Step) -> str:
        """Where the folder of the step's attempt lies."""
        return f"{self._folder}/{_name(step)}"

    # Folders for another attempt

    def _take_spare(self, path: str) -> bool:
        with contextlib.suppress(ValueError):
            self._spare.remove(path)  # its name is needed again, so it is nobody else's
        while (spare := self._next_spare()) is not None:
            try:
                if places.is_untouched(spare):  # whoever was told of it may have come back
                    os.rename(spare, path)  # noqa: PTH104  # the paths are text, and every step asks
                    return True
            except OSError:  # something lies there
                pass
            remove_below(spare, self._root)
        return False

    def spare(self, path: str) -> bool:
        """Keep the folder of an attempt that is over for another one, where nothing is in it; whether it is kept."""
        if len(self._spare) >= _SPARES or not places.is_untouched(path):
            return False
        self._spare.append(path)
        self._spared = time.monotonic()
        return True

    @property
    def stale(self) -> bool:
        """Whether there are folders for other attempts, of which none has come for a while."""
        return bool(self._spare) and time.monotonic() - self._spared > _SPARED

    def drop_spares(self) -> None:
        """Remove the folders that were kept for other attempts."""
        while (spare := self._next_spare()) is not None:
            remove_below(spare, self._root)

    def forget_spares(self) -> None:
        """Leave them where they are."""
        self._spare.clear()

    def _next_spare(self) -> str | None:
        try:
            return self._spare.popleft()
        except IndexError:  # asked first, another thread might have it by now
            return None

    # What engines leave

    def leftovers(self, running: Iterable[Step]) -> list[str]:
        """Put aside what attempts of an earlier engine left that are not `running` any more; returns what to remove."""
        kept = {_name(step) for step in running}
        with contextlib.suppress(OSError):
            places.make_folder(self._folders)
            for left in self._folders.iterdir():
                if left.name not in kept and not left.name.startswith((".", _OLD)):
                    with contextlib.suppress(OSError):  # one that cannot be moved makes way when its name is needed
                        left.rename(self._folders / f"{_OLD}{secrets.token_hex(8)}")
            return [os.fspath(one) for one in self._folders.iterdir() if one.name not in kept and one.name[0] != "."]
        return []

    def close(self) -> None:
        """Remove spare folders, and the link in the machine's temporary folder; no attempt runs any more."""
        self.drop_spares()
        if self._leads_here(self._place):
            with contextlib.suppress(OSError):
                Path(self._place).unlink()
                self._kept.unlink()

    def _find_place(self) -> str:
        """The short way to the root's folder `tmp`; that folder itself where no link to it can be made."""
        places.make_folder(self._folders)
        with contextlib.suppress(OSError):
            place = os.fspath(self._kept.readlink())  # of an engine that was killed
            if self._leads_here(place):
                return place
        _sweep()
        for parent in _PLACES:
            made = Path(f"{parent}/penstock-{secrets.token_hex(4)}")
            with contextlib.suppress(OSError):
                made.symlink_to(self._folders)
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
