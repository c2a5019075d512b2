"""Laws 3, 5, 8, 9 and 12: a process of ours killed before each of its durable steps, and nothing lost or doubled."""

from __future__ import annotations

import pytest
from laws import interrupted_moves, interruptions
from laws.interrupted import interrupt_each
from laws.marks import python_only

pytestmark = [python_only, pytest.mark.thorough]

HISTORIES = {
    "a submit, repeated": interruptions.SUBMIT,
    "a hand-over, repeated": interruptions.HAND_OVER,
    "a submit, canceled": interruptions.SUBMIT_AND_CANCEL,
    "a cancel, repeated": interruptions.CANCEL,
    "a look": interruptions.REFRESH,
    "a publish, repeated": interruptions.PUBLISH,
    "closing a gate, repeated": interrupted_moves.CLOSE,
    "moving the default": interrupted_moves.MOVE,
}


@pytest.mark.parametrize("history", HISTORIES.values(), ids=HISTORIES)
def test_nothing_is_lost_wherever_it_is_killed(harness, history):
    """Is nothing lost or doubled when this was interrupted anywhere, and what comes next as if it were not?"""
    interrupt_each(harness, history)
