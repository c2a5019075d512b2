"""Looks at a run: which sequences law 9 allows."""

from __future__ import annotations

from itertools import pairwise

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from penstock.contract.run import ENDED, RUN_STATES, RunReport, StepReport
from penstock.testing.helpers.observations import forward, rank, true_at_the_end
from penstock.testing.laws import LawBroken

STEP_STATES = (*RUN_STATES, "skipped")


def seen(state, *steps, attempt=1):
    return RunReport(
        state=state, steps=tuple(StepReport(name=f"s{n}", state=step, attempt=attempt) for n, step in enumerate(steps))
    )


@given(st.lists(st.sampled_from(RUN_STATES), min_size=2, max_size=6))
def test_states_go_forward_until_an_end_that_stays(states):
    def allowed():
        for before, after in pairwise(states):
            if rank(after) < rank(before) or (before in ENDED and after != before):
                return False
        return True

    if allowed():
        forward([seen(state) for state in states])
    else:
        with pytest.raises(LawBroken, match="law 9"):
            forward([seen(state) for state in states])


@pytest.mark.parametrize(
    "looks",
    [
        [seen("running", "succeeded"), seen("running", "running")],
        [seen("running", "succeeded"), seen("running", "failed")],
        [seen("running", "running"), seen("running", "queued")],
        [seen("running", "running"), seen("running")],
        [seen("running", "running", attempt=2), seen("running", "running", attempt=1)],
        [seen("canceled", "canceled"), evolve(seen("canceled", "canceled"), ended=None, error=None, steps=())],
    ],
    ids=["succeeded-running", "succeeded-failed", "running-queued", "forgotten", "attempt", "changed-after-the-end"],
)
def test_a_step_that_goes_back_breaks_the_law(looks):
    with pytest.raises(LawBroken) as caught:
        forward(looks)
    assert caught.value.law == 9


@pytest.mark.parametrize("state", [state for state in STEP_STATES if state not in ENDED])
def test_a_run_that_has_ended_has_no_step_that_has_not(state):
    with pytest.raises(LawBroken):
        true_at_the_end(seen("failed", state))
