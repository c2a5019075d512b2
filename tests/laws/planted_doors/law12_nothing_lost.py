"""Servers that leave what others accepted, or took, where it is or where it should not be."""

from __future__ import annotations


def only_what_was_accepted_here_is_handed_over():
    """A dispatcher has nothing to do until its own server accepts something."""
    from penstock.dispatch.dispatcher import Dispatcher
    from penstock.registry.registry import Outbox

    woken = []
    wake, due = Dispatcher.wake, Outbox.due_targets

    def wakes(self):
        woken.append(True)
        wake(self)

    Dispatcher.wake = wakes
    Outbox.due_targets = lambda self, *arguments: due(self, *arguments) if woken else ()


def what_is_taken_is_anybodys():
    """What one dispatcher is handing over is due for the others at once."""
    from penstock.registry import outbox
    from penstock.targets.facade import OpenTarget

    outbox.LEASE = 0.0
    OpenTarget.submit = _once_slowly(OpenTarget.submit)


def _once_slowly(real):
    """The first hand-over of all lasts until another dispatcher must have looked for what is due."""
    import functools
    import os
    import time

    from laws.doors.handing import FILE

    from penstock.dispatch import dispatcher

    @functools.wraps(real)
    def submit(self, run):
        answer = real(self, run)
        try:
            os.close(os.open(f"{os.environ[FILE]}.first", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            pass
        else:
            time.sleep(8 * dispatcher._TICK)
        return answer

    return submit


CASES = {
    only_what_was_accepted_here_is_handed_over: ("http", "the_default_of_acceptance_outlives_the_server"),
    what_is_taken_is_anybodys: ("http", "servers_share_a_registry"),
}
