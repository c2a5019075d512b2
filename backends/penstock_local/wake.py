"""Waking the engine of a root, and starting one when none listens: no wake-up is lost and no two engines run.

Whoever starts an engine acquires the lock and opens the pipe first and hands both over, so from that moment on
everybody else finds somebody listening. An engine that wants to end closes the pipe first and looks at the
queue once more: whoever put a job in before that look is seen, whoever comes later finds nobody listening.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pwd
import stat
import time

from penstock import locks, trusted
from penstock.errors import TargetUnavailable
from penstock.opening import SAFELY, SWAPPED, open_file
from penstock_local import installation, interpreters, journal, ownership, removal, starting
from penstock_local.installation import Installation
from penstock_local.layout import Layout, unusable

_PATIENCE = 5.0
"""Seconds to wait for an engine that is ending itself; it takes milliseconds."""
_LAST_MOMENT = 1.0
"""Seconds to wait for the end of an engine that does not come up, so that nobody takes it for one that listens."""
_REST = 2.0
"""Seconds to leave an engine alone that gave up: whatever was in its way is probably still there."""

Claim = tuple[int, int]
"""Two open files: the engine's lock and the reading end of the pipe."""


def listening(layout: Layout) -> bool:
    """Whether an engine listens. It is not woken. Raises OSError."""
    pipe = _open_if_heard(layout)
    if pipe is None:
        return False
    os.close(pipe)
    return True


def ring(layout: Layout, word: bytes = b"\n") -> bool:
    """Wake the engine that listens, with a word for it; False without one. Raises OSError."""
    pipe = _open_if_heard(layout)
    if pipe is None:
        return False
    try:
        os.write(pipe, word)
    except BlockingIOError:
        pass  # full of wake-ups that it has not read yet
    except BrokenPipeError:
        return False
    finally:
        os.close(pipe)
    return True


def _open_if_heard(layout: Layout) -> int | None:
    try:
        return _open_pipe(layout, os.O_WRONLY)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.ENOENT, *SWAPPED):
            return None
        raise


def _open_pipe(layout: Layout, flags: int) -> int:
    """Open what is a pipe, and nothing else in its place. Raises OSError."""
    pipe = os.open(layout.wake, flags | SAFELY)
    if stat.S_ISFIFO(os.fstat(pipe).st_mode):
        return pipe
    os.close(pipe)
    raise OSError(errno.EINVAL, "it is no pipe", os.fspath(layout.wake))


def wake(layout: Layout) -> None:
    """Wake the engine, or start one.

    Raises TargetUnavailable when it cannot be started, the job is safe; ConfigInvalid `not_owned` in a root of another
    user, of which a process of this one would run that user's steps as this user.
    """
    ownership.refuse_guest(layout)
    give_up = time.monotonic() + _PATIENCE
    try:
        while not ring(layout):
            journal.refuse_elsewhere(layout.keepers)
            claimed = claim(layout)
            if claimed:
                # Our ends stay open until the shell is gone; should the engine have come and gone by then,
                # somebody may have woken nobody but us: look again.
                _start(layout, claimed)
            elif time.monotonic() > give_up:
                raise TargetUnavailable(
                    f"the engine of `{layout.root}` takes nothing more and has not ended for {_PATIENCE:g} s: it is "
                    f"{locks.holder(layout.lock) or 'another process'}; what was accepted waits, look again",
                    code="engine_not_started",
                    retry_after=1.0,
                )
            else:
                time.sleep(0.002)
    except OSError as error:
        raise unusable(layout.root, error) from None


def heal(layout: Layout, waiting: bool) -> None:
    """See to it that unfinished jobs have an engine, without haste when one gave up a moment ago.

    Raises as `wake`, and instead of starting another so soon.

    An engine that listens is woken only for a job that is `waiting` for its attention: whoever asked may have died
    before it could wake it.
    """
    try:
        resting = None
        if not listening(layout):
            resting = starting.trouble(layout, _REST)
        elif not waiting:
            return
    except OSError as error:
        raise unusable(layout.root, error) from None
    if resting is not None:
        raise resting
    wake(layout)


def claim(layout: Layout, ours: Installation | None = None) -> Claim | None:
    """Become the one who may be the engine of this root; None when somebody else is. Raises OSError.

    It is noted there whose engine that will be: `ours`, as it was before any code of it was loaded, or as it is now.
    """
    lock = open_file(layout.lock, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        installation.note(lock, ours or installation.here())
        return lock, open_pipe(layout)
    except BaseException as error:
        os.close(lock)
        if isinstance(error, BlockingIOError):
            return None
        raise


def open_pipe(layout: Layout) -> int:
    """The engine's end of the pipe, in the place of whatever else lies there. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISFIFO(os.lstat(layout.wake).st_mode):
            removal.remove(os.fspath(layout.wake))
    with contextlib.suppress(FileExistsError):
        os.mkfifo(layout.wake, 0o600)
    # Opened for both, the pipe never reports the end of its last writer.
    return _open_pipe(layout, os.O_RDWR)


def is_pipe(layout: Layout, pipe: int) -> bool:
    """Whether who wakes the engine reaches it by its end of the pipe. Raises OSError."""
    try:
        return os.path.samestat(os.lstat(layout.wake), os.fstat(pipe))
    except FileNotFoundError:
        return False


def _start(layout: Layout, claimed: Claim) -> None:
    try:
        starting.start(layout, claimed, environment())
    except TargetUnavailable:
        give_up = time.monotonic() + _LAST_MOMENT
        while listening(layout) and time.monotonic() < give_up:  # its files are open for a moment more
            time.sleep(0.002)
        raise


def environment() -> dict[str, str]:
    """What an engine is started with."""
    named = os.environ.get(trusted.VARIABLE)  # else it would refuse what its caller was told to trust
    return {**plain_environment(), **({trusted.VARIABLE: named} if named else {})}


def plain_environment() -> dict[str, str]:
    """What engine and steps have in common, nothing of it from whoever came first."""
    return {"PATH": interpreters.search_path(starting.interpreter()), "HOME": _home(), "LANG": "C.UTF-8"}


def _home() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:  # a user without an entry, as in some containers
        return "/"
