"""How long to leave a target alone that could not be reached, and work with a limit of time."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

SHORTEST_PAUSE = 0.001
"""Seconds that it is left alone the first time at the least, whatever it says: so that the pause can grow."""

LONGEST_PAUSE = 300.0
"""Seconds that a target which cannot be reached is left alone at the most, unless it asks for more itself."""

RETRY_MISCONFIGURED = 30.0
"""Seconds until the next try when a target is misconfigured or broken rather than away."""


def pause_after(failures: int, retry_after: float) -> float:
    """Seconds to wait after so many failures in a row: twice as long each time, with jitter, so that not all come
    back at once. `retry_after` is what the target asks for, and the least that it gets.
    """
    retry_after = max(retry_after, SHORTEST_PAUSE)
    doubled = retry_after * 2.0 ** min(max(failures, 1) - 1, 30)
    return max(retry_after, min(doubled, LONGEST_PAUSE) * random.uniform(0.75, 1.25))


def within(seconds: float, work: Callable[[], object]) -> bool:
    """Do something for at most so many seconds; returns whether it was done. Raises what it raises.

    A backend's call cannot be interrupted: what takes longer goes on in the background, and ends with the process.
    Everything that is done this way may be interrupted anywhere.
    """
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run, name="penstock-dispatch", daemon=True)
    thread.start()
    thread.join(max(seconds, 0.0))
    if raised:
        raise raised[0]
    return not thread.is_alive()
