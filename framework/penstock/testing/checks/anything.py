"""Laws 1 to 5 and 8 when several processes make any calls at the same time: some order of them explains the answers."""

from __future__ import annotations

from hypothesis import strategies as st

from penstock.testing.bench import Bench
from penstock.testing.checking import check
from penstock.testing.crowds.crowd import NAMES
from penstock.testing.crowds.watched import Parts, Watched, explained, refused
from penstock.testing.histories.player import VERBS
from penstock.testing.strategies.histories import Call, histories

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

_CROWD = NAMES[:3]

_OPTIONAL = {"cancel": "penstock_cancel_run", "logs": "penstock_read_logs"}


@check(1, 2, 3, 4, 5, 8)
def anything_at_once(bench: Bench) -> str | None:
    """Can the answers be put in order when several processes make any calls at all at the same time?"""
    offered = [verb for verb in VERBS if verb not in _OPTIONAL or bench.has(_OPTIONAL[verb])]
    verbs = [verb for verb in offered if verb not in _LEFT_OUT]
    crowds: list[Parts] = []

    def draw(parts: Parts) -> None:
        named = zip(_CROWD, parts, strict=True)
        crowds.append(
            tuple([(verb, {**asked, "by": who}) for verb, asked in filter(_at_a_moment, part)] for who, part in named)
        )

    crowd = st.tuples(*(histories(verbs=verbs, least=4, most=4, who=f"{who}-") for who in _CROWD))
    bench.forall(draw, examples=20, parts=crowd)
    return refused(explained(bench, crowds, _at_the_end))


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


CHECKS = (anything_at_once,)
"""What is asked here."""
