"""Handing over and following in the background, for servers: accepted runs wait for nobody who called.

One thread finds what is due, and each target has a thread of its own while there is work for it, so that one which is
slow or away holds up no other, and one more for what it is told at once: that a gate has closed waits behind no
hand-over. Several dispatchers on one registry share the work: what one took is left alone by the
others for a while (`outbox.LEASE`), and is taken by another when this process dies.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import partial

from penstock.dispatch.follow import Follower
from penstock.dispatch.outbox import Outbox
from penstock.errors import PenstockError
from penstock.machine import lacks
from penstock.registry import AT_ONCE, Registry

_log = logging.getLogger("penstock")

_TICK = 0.25
"""Seconds between looks at what is due, for what other processes accepted; what this one accepts wakes it at once."""

_QUICK, _SLOW = 0.25, 5.0
"""Seconds between looks at the runs of a target: quick while they change, slower while they do not."""

_SWEEP = 5.0
"""Seconds between looks for sensitive values that a process killed meanwhile left behind."""


class Dispatcher:
    """Start it once, stop it once. `outbox` must be one that does not itself wake a dispatcher."""

    def __init__(self, registry: Registry, outbox: Outbox, follower: Follower) -> None:
        self._registry = registry
        self._outbox = outbox
        self._follower = follower
        self._news = threading.Event()
        self._stopped = threading.Event()
        self._workers: dict[str, threading.Thread] = {}
        self._follows: dict[str, tuple[float, float]] = {}  # when next, and the pause that led there
        self._seen = self._sweeps = 0.0
        self._starved = False
        self._thread = threading.Thread(target=self._run, name="penstock-dispatcher", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._seen = time.monotonic()
        self._thread.start()

    def wake(self) -> None:
        """Say that there is something new to do."""
        self._news.set()

    def stop(self, patience: float = 10.0) -> None:
        """End after what is being handed over; what hangs longer than `patience` seconds is left to its lease."""
        self._stopped.set()
        self._news.set()
        deadline = time.monotonic() + patience
        for thread in (self._thread, *self._workers.values()):
            if thread.is_alive():
                thread.join(max(0.0, deadline - time.monotonic()))

    @property
    def alive(self) -> bool:
        """Whether it goes round: it looked at the registry within the last 10 seconds, and had threads for all work."""
        return not self._starved and self._thread.is_alive() and time.monotonic() - self._seen < 10.0

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._news.clear()
            try:
                self._round()
                self._seen = time.monotonic()
            except PenstockError as error:
                _log.warning("the dispatcher waits: %s", error)
                self._stopped.wait(1.0)
            except Exception:
                _log.exception("the dispatcher stumbled; it goes on")
                self._stopped.wait(1.0)
            self._news.wait(_TICK)

    def _round(self) -> None:
        self._starved = False
        for target in self._registry.outbox.due_targets(AT_ONCE):
            self._start(f"tell {target}", partial(self._hand_over, target, at_once=True))
        for target in self._registry.outbox.due_targets():
            self._start(target, partial(self._hand_over, target))
        now = time.monotonic()
        if now >= self._sweeps:
            self._outbox.sweep_values()
            self._sweeps = now + _SWEEP
        for target in self._registry.runs.targets_running():
            due, _ = self._follows.get(target, (0.0, 0.0))
            if due <= now:
                self._start(f"follow {target}", partial(self._follow, target))

    def _start(self, name: str, work: Callable[[], None]) -> None:
        """Do it in a thread of that name, unless it is being done."""
        busy = self._workers.get(name)
        if busy is None or not busy.is_alive():
            thread = threading.Thread(target=work, name=f"penstock-{name}", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                self._starved = True
                _log.warning("what target %s is owed waits: %s", name.rpartition(" ")[2], lacks(error) or error)
            else:
                self._workers[name] = thread

    def _hand_over(self, target: str, *, at_once: bool = False) -> None:
        try:
            if self._outbox.work_on(target, at_once=at_once):
                self._follows.pop(target, None)  # what was just handed over changes soon
        except (PenstockError, OSError) as error:
            _log.warning("what target %s is owed waits: %s", target, error)
            self._stopped.wait(1.0)
        except Exception:
            _log.exception("what target %s is owed waits", target)
            self._stopped.wait(1.0)

    def _follow(self, target: str) -> None:
        changed, after = False, 0
        try:
            while not self._stopped.is_set():
                runs, after = self._registry.runs.list_unfinished(target, after=after)
                found = self._follower.ask(runs)
                changed |= any(seen.run != run for seen, run in zip(found, runs, strict=True))
                if not after:
                    break
        except PenstockError as error:
            _log.warning("the runs of target %s cannot be followed now: %s", target, error)
        except Exception:
            _log.exception("the runs of target %s cannot be followed now", target)
        _, pause = self._follows.get(target, (0.0, 0.0))
        pause = _QUICK if changed else min(_SLOW, max(_QUICK, pause * 1.5))
        self._follows[target] = (time.monotonic() + pause, pause)
