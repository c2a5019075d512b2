"""What can be made to happen between the acceptance of a run and the target that gets it."""

from __future__ import annotations

from collections.abc import Callable, Generator

from penstock.contract.hooks import Event, hookimpl
from penstock.contract.run import RunRequest, Submission


class AtHandOver:
    """A plugin that acts before the next run is handed over, and may keep it back by raising what a target raises.

    `handed` are the ids of the runs that reached the target, once for each time.
    """

    def __init__(self) -> None:
        self.handed: list[str] = []
        self._act: Callable[[], object] | None = None

    def once(self, act: Callable[[], object]) -> None:
        """Act at the next hand-over, and at no other."""
        self._act = act

    @hookimpl(wrapper=True)
    def penstock_submit_run(self, run: RunRequest) -> Generator[None, Submission, Submission]:
        """Act, and hand the run over."""
        act, self._act = self._act, None
        if act is not None:
            act()
        self.handed.append(run.id)
        return (yield)


class WhenAccepted:
    """A plugin that acts on the next run as soon as that is accepted, before anything was done for it."""

    def __init__(self) -> None:
        self._act: Callable[[str], object] | None = None

    def once(self, act: Callable[[str], object]) -> None:
        """Act on the next run, by its id, and on no other."""
        self._act = act

    @hookimpl
    def penstock_run_changed(self, event: Event) -> None:
        """Act."""
        act, self._act = self._act, None
        if act is not None:
            act(event.subject_id)
