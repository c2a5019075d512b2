"""Whose a root is: its owner alone writes in it and starts its engine, not even root does that for somebody else."""

from __future__ import annotations

import contextlib
import os
import sqlite3

from penstock import acls, trust
from penstock.contract.target import Target
from penstock.drafts import SQLITE
from penstock.errors import ConfigInvalid
from penstock_local import foreign_log
from penstock_local.layout import Layout

_ASK = "ask for the right to read the root, or call penstock as that user"


def is_guest(layout: Layout) -> bool:
    """Whether the root is there and another user's."""
    try:
        return not trust.is_mine(layout.root.stat())
    except OSError:
        return False  # whoever needs it says so


def would_be_guest(target: Target) -> bool:
    """Whether the root of a target, or the state folder that it belongs to, is another user's or not to be used."""
    try:
        layout = Layout.of(target)
        return is_guest(layout) or not trust.is_mine(target.home.stat())
    except ConfigInvalid:
        return True
    except OSError:  # there is none yet
        return False


def refuse_guest(layout: Layout) -> None:
    """Raise ConfigInvalid `not_owned` when the root is another user's."""
    if is_guest(layout):
        raise not_owned(layout, "who alone writes there and starts its engine; call penstock as that user")


def make(layout: Layout) -> None:
    """Make the root and its folders, for this user.

    Raises ConfigInvalid `not_owned`, also when it would lie in a state folder of another user, and `not_trusted` when
    it would lie in any folder of such; TargetUnavailable.
    """
    refuse_guest(layout)
    if not layout.root.exists():
        with contextlib.suppress(OSError):
            state = layout.state
            if state is not None and state in layout.root.parents and not trust.is_mine(state.stat()):
                why = f"would lie in `{state}`, which belongs to {acls.name_of(state.stat().st_uid)}"
                raise ConfigInvalid(
                    f"the root `{layout.root}` {why}, who alone writes there; call penstock as that user",
                    code="not_owned",
                )
            distrust = trust.distrust_place(layout.root, "the root")
            if distrust is not None:
                raise ConfigInvalid(distrust, code="not_trusted")
    layout.make()


def connect(layout: Layout) -> sqlite3.Connection:
    """Read the queue of another user's root, beside which nothing is made.

    Raises ConfigInvalid `not_owned` where it is not for this user to read, TargetUnavailable `queue_log_foreign`,
    sqlite3.Error, OSError.
    """
    for more in ("", *SQLITE):
        path = layout.queue.with_name(layout.queue.name + more)
        if path.exists() and not os.access(path, os.R_OK):
            raise not_owned(layout, f"who lets nobody else read `{path}`; {_ASK}")
    foreign_log.refuse(layout.queue)
    try:
        mode = trust.guest_mode(layout.queue)
    except FileNotFoundError:
        raise not_owned(layout, "who has to look first, because a process that died left a log there") from None
    database = sqlite3.connect(f"{layout.queue.as_uri()}?mode={mode}", uri=True, isolation_level=None)
    database.row_factory = sqlite3.Row
    return database


def not_owned(layout: Layout, what: str) -> ConfigInvalid:
    """The error for whoever wants something of a root that is another user's."""
    owner = acls.name_of(layout.root.stat().st_uid)
    return ConfigInvalid(f"the root `{layout.root}` belongs to {owner}, {what}", code="not_owned")
