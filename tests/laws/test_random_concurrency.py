"""Laws 1 to 5 and 8 when several processes make any calls at the same time: some order of them explains the answers."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from laws.concurrency.clients import NAMES
from laws.concurrency.watched import Parts, Watched, explained, refused
from laws.marks import SHARES, at_one_moment
from laws.player import VERBS
from laws.strategies import Call, histories

pytestmark = [at_one_moment, pytest.mark.thorough]

_LEFT_OUT = (
    # A run is asked for by the name of an endpoint and accepted by its id: it may show the name given meanwhile.
    "rename",
    # Registries of one home share what a target keeps: what one lets go, another may need.
    "delete_published",
    # Every run is looked at by itself, one after the other.
    "runs",
    # The model keeps no history here: calls that commute must lead to the same.
    *("history", "moment", "endpoint_at"),
)
"""Verbs whose answers are not from one moment, or are not the same whatever order calls that commute come in."""

_CLIENTS = NAMES[:3]

_OPTIONAL = {"cancel": "penstock_cancel_run", "logs": "penstock_read_logs"}


def test_anything_at_once(harness):
    """Can the answers be put in order when several processes make any calls at all at the same time?"""
    offered = [verb for verb in VERBS if verb not in _OPTIONAL or harness.has(_OPTIONAL[verb])]
    verbs = [verb for verb in offered if verb not in _LEFT_OUT]
    groups: list[Parts] = []

    def draw(parts: Parts) -> None:
        named = zip(_CLIENTS, parts, strict=True)
        groups.append(
            tuple([(verb, {"by": who, **asked}) for verb, asked in filter(_at_a_moment, part)] for who, part in named)
        )

    group = st.tuples(*(histories(verbs=verbs, least=4, most=4, who=f"{who}-") for who in _CLIENTS))
    harness.forall(draw, examples=round(20 * SHARES[harness.door]), parts=group)
    refused(explained(harness, groups, _at_the_end))


def _at_a_moment(call: Call) -> bool:
    """Whether a call's answer is from one moment. What is behind an endpoint may change before it is published again;
    what was published never does.
    """
    verb, asked = call
    return verb != "publish_from" or ":" in asked["ref"]


def _at_the_end(watched: Watched) -> None:
    """Look at all that there is when everybody is done."""
    watched.finish_runs()
    for verb in ("endpoints", "published"):
        watched.ask(verb, all=True)
    watched.ask("runs")
