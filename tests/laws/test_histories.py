"""The laws of names, versions, pointers, gates, keys and the history, as one property over any history of calls."""

from __future__ import annotations

import pytest
from laws.machine import explore
from laws.recorder import shortest
from laws.refusals import MAIN, OTHER, Refusals

EXAMPLES = {"python": 25, "cli": 4, "http": 6, "azureml_v1": 4}
"""How many histories; each command line reads its configuration anew, and each history has a server."""


def test_any_history_does_what_a_few_lines_of_python_say(harness):
    """Does any history of calls do what the model says? A failure shows the shortest one that was found."""
    refusals = Refusals(MAIN, OTHER)
    found = explore(harness, examples=EXAMPLES[harness.door], refusals=refusals)
    if found is not None:
        broken, history, pause = shortest(harness, found[1], found[0])
        calls = "\n".join(f"    ({verb!r}, {dict(arguments)!r})," for verb, arguments in history)
        pytest.fail(f"{broken}\nafter these calls, with {pause} s before each look at a run:\n{calls}")
    assert refusals.done() is None
