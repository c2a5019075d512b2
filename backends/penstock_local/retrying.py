"""Trying again what the machine did not let us do: later, and later still, with nothing new started meanwhile."""

from __future__ import annotations

from collections.abc import Callable

from penstock_local.clock import Clock
from penstock_local.layout import Layout
from penstock_local.troubles import COMES_AS, Pause, is_machines

Act = Callable[[], None]


def _nothing() -> None:
    """What is put off where the pause itself is all that is wanted."""


class Retrying:
    """What is put off for trouble of the machine, and the pause until the next try. Raises OSError when made."""

    def __init__(self, layout: Layout, clock: Clock) -> None:
        self._clock = clock
        self._pause = Pause(layout)
        self._put_off: list[Act] = []

    @property
    def pauses(self) -> bool:
        """Whether nothing may be started now."""
        return bool(self._pause.left)

    @property
    def any(self) -> bool:
        """Whether something waits for its next try."""
        return bool(self._put_off)

    @property
    def owes(self) -> bool:
        """Whether something of that is to be done, and not just the pause to be waited for."""
        return any(act is not _nothing for act in self._put_off)

    def surely(self, act: Act) -> None:
        """Do something, and where the machine does not let us, do it again later. Raises any other error."""
        try:
            act()
        except COMES_AS as error:
            if not is_machines(error):
                raise
            if act not in self._put_off:
                self.later(error, act)

    def later(self, error: Exception, act: Act = _nothing) -> None:
        """Start nothing for a while for trouble of the machine, and then do something. Raises any other error."""
        if not is_machines(error):
            raise error
        seconds = self._pause.begin(error)
        if act is not _nothing or act not in self._put_off:  # one wakes for all that only wait
            self._put_off_for(seconds, act)

    def _put_off_for(self, seconds: float, act: Act) -> None:
        self._put_off.append(act)
        self._clock.later(seconds, lambda: self._again(act))

    def _again(self, act: Act) -> None:
        self._put_off.remove(act)
        if act is _nothing and self.pauses:  # for trouble that came since
            self._put_off_for(self._pause.left, act)
        else:
            self.surely(act)

    def went_well(self) -> None:
        """A try went well: the next pause is as short as the first."""
        self._pause.over()
