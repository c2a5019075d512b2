"""Laws 1 to 3 and 10 where there is more than a few of a thing: ten comes after nine, and nothing falls off the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from laws.error_codes import code_of, refusal
from laws.marks import not_by_the_wire

from penstock.records import Page
from penstock.testing.helpers.setup import set_up, unique
from penstock.testing.laws import require, same
from penstock.workspace import PublishedPipeline

pytestmark = not_by_the_wire

_MANY = 12
"""More than there are digits."""

_PAGES = 50
"""More pages than anything here fills."""


def test_ten_comes_after_nine(harness):
    """Do labels and versions go on beyond the tenth, in their order?"""
    with harness.workspace() as ws:
        name = unique("many")
        numbers = [str(number) for number in range(_MANY)]
        published: list[PublishedPipeline] = []

        def publish(number: str) -> None:
            published.append(set_up(harness, ws, f"{name} {number}", name=name, endpoint="one"))

        for number in numbers:
            same(1, code_of(publish, number), "", f"the refusal of one of {_MANY} pipelines, published without a label")
        labels = [str(number + 1) for number in range(_MANY)]
        same(1, [one.label for one in published], labels, f"the labels of {_MANY} pipelines, published without any")
        endpoint = ws.endpoint("one")
        found = [(one.version, one.published) for one in endpoint.versions]
        same(2, found, [(at, one.id) for at, one in zip(numbers, published, strict=True)], "the versions, in order")
        same(2, endpoint.add_version(published[10]), "10", "the version that the eleventh has already")
        ended = harness.wait(ws, endpoint.submit(version="10").id, 2)
        same(2, (ended.version, ended.outputs.get("which")), ("10", f"{name} 10"), "what the version 10 runs")


def test_every_move_is_taken_back(harness):
    """Can the default be rolled back over many moves, to where it began?"""
    with harness.workspace() as ws:
        endpoint = ws.create_endpoint("one", set_up(harness, ws, "a"))
        for word in "bc":
            endpoint.add_version(set_up(harness, ws, word))
        moves = [str((number + 1) % 3) for number in range(_MANY)]
        for version in moves:
            endpoint.set_default(version)
        for number, version in enumerate(["0", *moves[:-1]][::-1]):
            what = f"the default after {number + 1} of {_MANY} moves were taken back"
            same(3, code_of(ws.endpoints.rollback, "one") or ws.endpoint("one").default, version, what)
        refusal(3, "nothing_to_roll_back", "a rollback beyond the first move", ws.endpoints.rollback, "one")


def test_the_eleventh_is_not_the_first(harness):
    """Has each of more than ten versions a gate of its own, now and in what is said of the past?"""
    with harness.workspace() as ws:
        for number in range(_MANY):
            set_up(harness, ws, f"v{number}", name="many", endpoint="one")
        ws.endpoints.set_default("one", "1")
        ws.endpoints.disable("one@11")
        closed = [one.version for one in ws.endpoints.get("one").versions if not one.enabled]
        same(5, closed, ["11"], "the versions whose gates are closed")
        at = ws.admin.history(limit=1).items[0].at
        found = ws.endpoints.at("one", at).refused
        same(10, found, None, "what would have refused version 1 when version 11 was closed")


def test_runs_in_pages(harness):
    """Is every run listed once, in its order, when runs are listed in pages?"""
    with harness.workspace() as ws:
        published = set_up(harness, ws, "a")
        runs = [published.submit().id for _ in range(5)][::-1]
        same(12, list(_paged(partial(ws.runs.list, limit=2), 2, "id", law=12)), runs, "runs, in pages")
        for run in runs:
            harness.wait(ws, run)


def test_runs_are_found(harness):
    """Is each run listed by its endpoint, experiment and state, and by no other, whatever became of the endpoint?"""
    with harness.workspace() as ws:
        published = set_up(harness, ws, "a")
        old = ws.create_endpoint("one", published)
        first = old.submit(experiment="x").id
        harness.wait(ws, first)
        old.delete()
        two = ws.create_endpoint("two", published)
        second = two.submit(experiment="xy").id
        harness.wait(ws, second)
        asked: dict[str, tuple[dict[str, Any], list[str]]] = {
            "all runs": ({}, [second, first]),
            "runs of an experiment": ({"experiment": "x"}, [first]),
            "runs of an endpoint": ({"endpoint": "two"}, [second]),
            "runs that succeeded": ({"state": "succeeded"}, [second, first]),
            "runs that failed": ({"state": "failed"}, []),
        }
        for what, (filters, wanted) in asked.items():
            same(12, [run.id for run in ws.runs.list(**filters).items], wanted, what)


def test_history_in_pages(harness):
    """Is the history the same when it is read in pages, and since a time, as when it is read at once?"""
    with harness.workspace() as ws:
        endpoint = ws.create_endpoint("one", set_up(harness, ws, "a"))
        for number in range(_MANY):
            endpoint.rename(f"one {number}")
            if number % 4 == 0:
                harness.wait(ws, endpoint.submit().id, 10)
        whole = ws.admin.history(limit=10_000).items
        require(10, len(whole) > _MANY, f"the history has {len(whole)} rows after {_MANY} changes of a name")
        for runs in (False, True):
            rows = [row.seq for row in ws.admin.history(limit=10_000, runs=runs).items]
            read = partial(ws.admin.history, limit=4, runs=runs)
            found = list(_paged(read, 4, "seq", law=10))
            same(10, found, rows, f"the history {'with' if runs else 'without'} runs, read in pages")
        first = whole[_MANY // 2]
        later = {row.seq for row in ws.admin.history(since=first.at, limit=10_000).items}
        expected = {row.seq for row in whole if row.at >= first.at}
        require(10, later == expected, f"the history since row {first.seq} has not the rows {sorted(expected ^ later)}")


def _paged(read: Callable[..., Page[Any]], limit: int, name: str, *, law: int) -> Iterator[Any]:
    """What all pages have, by the name of a field; each but the last is full."""
    page = read()
    yield from (getattr(one, name) for one in page.items)
    for _ in range(_PAGES):
        if not page.more:
            return
        require(law, len(page.items) == limit, f"a page of {limit} has {len(page.items)} rows, and is not the last one")
        page = read(before=page.next)
        yield from (getattr(one, name) for one in page.items)
