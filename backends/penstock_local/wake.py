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
import subprocess
import sys
import time

from penstock_local.layout import Layout, unusable

STANDARD_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PATIENCE = 5.0
"""Seconds to wait for an engine that is ending itself; it takes milliseconds."""
_REST = 2.0
"""Seconds to leave an engine alone that gave up: whatever was in its way is probably still there."""
_LOG_LIMIT = 1024 * 1024

Claim = tuple[int, int]
"""Two open files: the engine's lock and the reading end of the pipe."""


def listening(layout: Layout) -> bool:
    """Whether an engine listens. It is not woken. Raises OSError."""
    pipe = _open_if_heard(layout)
    if pipe is None:
        return False
    os.close(pipe)
    return True


def _ring(layout: Layout) -> bool:
    """Wake the engine that listens; False without one. Raises OSError."""
    pipe = _open_if_heard(layout)
    if pipe is None:
        return False
    try:
        os.write(pipe, b"\n")
    except BlockingIOError:
        pass  # full of wake-ups that it has not read yet
    except BrokenPipeError:
        return False
    finally:
        os.close(pipe)
    return True


def _open_if_heard(layout: Layout) -> int | None:
    try:
        return os.open(layout.wake, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.ENOENT):
            return None
        raise


def wake(layout: Layout) -> None:
    """Wake the engine, or start one. Raises TargetUnavailable when it cannot be started; the job is safe."""
    give_up = time.monotonic() + _PATIENCE
    try:
        while not _ring(layout):
            claimed = claim(layout)
            if claimed:
                # Our ends stay open until the shell is gone; should the engine have come and gone by then,
                # somebody may have woken nobody but us: look again.
                _start(layout, claimed)
            elif time.monotonic() > give_up:
                return
            else:
                time.sleep(0.002)
    except OSError as error:
        raise unusable(layout.root, error) from None


def heal(layout: Layout, waiting: bool) -> None:
    """See to it that unfinished jobs have an engine, without haste when one gave up a moment ago. Raises as `wake`.

    An engine that listens is woken only for a job that is `waiting` for its attention: whoever asked may have died
    before it could wake it.
    """
    try:
        if not waiting and listening(layout):
            return
        log = layout.log.stat()
        resting = log.st_size > 0 and 0 <= time.time() - log.st_mtime < _REST
    except FileNotFoundError:
        resting = False
    except OSError as error:
        raise unusable(layout.root, error) from None
    if not resting:
        wake(layout)


def claim(layout: Layout) -> Claim | None:
    """Become the one who may be the engine of this root; None when somebody else is. Raises OSError."""
    lock = os.open(layout.lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return lock, open_pipe(layout)
    except BaseException as error:
        os.close(lock)
        if isinstance(error, BlockingIOError):
            return None
        raise


def open_pipe(layout: Layout) -> int:
    """The engine's end of the pipe. Raises OSError."""
    with contextlib.suppress(FileExistsError):
        os.mkfifo(layout.wake, 0o600)
    # Opened for both, the pipe never reports the end of its last writer.
    return os.open(layout.wake, os.O_RDWR | os.O_NONBLOCK)


def _start(layout: Layout, claimed: Claim) -> None:
    engine = [sys.executable, "-P", "-m", "penstock_local.engine"]
    try:
        log = os.open(layout.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            if os.fstat(log).st_size > _LOG_LIMIT:
                os.ftruncate(log, 0)
            # The shell ends at once: the engine has no parent that would have to wait for it.
            subprocess.run(
                ["/bin/sh", "-c", '"$@" &', "sh", *engine, str(layout.root), *map(str, claimed)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                pass_fds=claimed,
                start_new_session=True,
                cwd="/",
                env=plain_environment(),
                check=False,
            )
        finally:
            os.close(log)
    finally:
        for file in claimed:
            os.close(file)


def plain_environment() -> dict[str, str]:
    """What engine and steps have in common, nothing of it from whoever came first."""
    interpreter = os.path.dirname(sys.executable)  # noqa: PTH120  # a link in a virtual environment is meant as it is
    return {"PATH": f"{interpreter}{os.pathsep}{STANDARD_PATH}", "HOME": _home(), "LANG": "C.UTF-8"}


def _home() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:  # a user without an entry, as in some containers
        return "/"
