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
    import time

    import penstock_memory

    from penstock.registry import outbox

    outbox.LEASE = 0.0
    submit = penstock_memory.penstock_submit_run
    # A target takes a moment, in which there is something to be taken twice.
    penstock_memory.penstock_submit_run = _slowly(submit, time.sleep)


def _slowly(real, sleep):
    import functools

    @functools.wraps(real)
    def submit(target, run):
        sleep(0.01)
        return real(target, run)

    return submit


CASES = {
    only_what_was_accepted_here_is_handed_over: ("http", "the_default_of_acceptance_outlives_the_server"),
    what_is_taken_is_anybodys: ("http", "servers_share_a_registry"),
}
