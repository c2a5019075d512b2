"""The laws of names, versions, pointers, gates, keys and the history, as one property over any history of calls."""

from __future__ import annotations

from penstock.testing.asking.tally import MAIN, OTHER, Tally
from penstock.testing.bench import Bench
from penstock.testing.checking import check
from penstock.testing.histories.machine import explore
from penstock.testing.histories.play import shortest
from penstock.testing.histories.script import script_of
from penstock.testing.laws import LawBroken


@check(1, 2, 3, 4, 5, 6, 8, 9, 10)
def histories(bench: Bench) -> str | None:
    """Does any history of calls do what a few lines of plain Python say?

    A failure carries the shortest history that was found, as a program that fails in the same way.
    """
    tally = Tally(MAIN, OTHER)
    found = explore(bench, examples=40, tally=tally)
    if found is None:
        return tally.done()
    broken, history = found
    pause = 0.0
    if bench.profile.shrink:
        broken, history, pause = shortest(bench, history, broken)
    told = LawBroken(broken.law, broken.message)
    told.add_note(f"This program makes the same calls again:\n\n{script_of(bench.subject, history, broken, pause)}")
    raise told


CHECKS = (histories,)
