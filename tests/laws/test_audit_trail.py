"""Law 10: every change leaves its row, nothing else does, and what was the case at a time can be said for ever."""

from __future__ import annotations

from datetime import datetime, timedelta

from attrs import frozen
from laws.changes import Row, changes
from laws.error_codes import code_of, refusal
from laws.handover import WhenAccepted
from laws.marks import not_by_the_wire, python_only

from penstock.records import HistoryRecord
from penstock.testing.helpers.setup import set_up
from penstock.testing.laws import require, same
from penstock.testing.probes.pipelines import variant
from penstock.workspace import Workspace

pytestmark = not_by_the_wire

_ALL = 10_000


@python_only
def test_every_change_is_a_row(harness):
    """Does each verb leave just its rows, with who, through which door, when, from, to and why?"""
    registry = harness.new_registry()
    with harness.workspace(registry) as ws:
        first, second = (f"{word}:1@{ws.config.target.value}" for word in "ab")
        digests: dict[str, str] = {}
        ids: dict[str, str] = {}
        before: tuple[HistoryRecord, ...] = ()
        for number, (what, act, rows) in enumerate(changes(harness, first, second, digests)):
            actor, door, verified = f"actor {number}", ("python", "rest", "cli")[number % 3], number % 2 == 1
            started = datetime.now().astimezone()
            with harness.workspace(registry, actor=actor, door=door, verified=verified) as other:
                act(other)
            ended = datetime.now().astimezone()
            after = ws.admin.history(limit=_ALL).items
            same(10, after[len(after) - len(before) :], before, f"the earlier history after {what}")
            new = after[: len(after) - len(before)][::-1]
            same(10, [_said(row) for row in new], rows(), f"what the history says of {what}")
            for row in new:
                who = (row.by, row.verified, row.door)
                same(10, who, (actor, verified, door), f"who did {what}, and through which door,")
                ids.setdefault(f"{row.kind} {row.subject}", row.subject_id)
                about = started - timedelta(seconds=1) <= row.at <= ended + timedelta(seconds=1)
                require(10, about, f"{what} is said to have been at {row.at}, and was between {started} and {ended}")
            same(10, len({row.request_id for row in new}), min(1, len(new)), f"the number of requests of {what}")
            before = after
        seqs = [row.seq for row in before]
        require(10, seqs == sorted(set(seqs), reverse=True), "the history's rows are not in their order")
        times = [row.at for row in before]
        require(10, times == sorted(times, reverse=True), "the history's times go back")
        for by in {row.by for row in before}:
            rows_of = [row.seq for row in before if row.by == by]
            same(10, [row.seq for row in ws.admin.history(by=by, limit=_ALL).items], rows_of, f"the rows of {by}")


@python_only
def test_refusals_leave_nothing(harness):
    """Does a refused verb leave no row?"""
    with harness.workspace() as ws:
        zero = set_up(harness, ws, "a", name="a", endpoint="one")
        set_up(harness, ws, "b", name="b", endpoint="one")
        verbs, pipelines = ws.endpoints, ws.pipelines
        verbs.disable("one@1", reason="flood")
        before = ws.admin.history(runs=True, limit=_ALL).items
        other = variant(harness.subject.python, "z")
        for what, code, call in (
            ("a closed version", "version_disabled", lambda: ws.submit("one@1")),
            ("a wrong parameter", "parameter_invalid", lambda: ws.submit("one", parameters={"depth": 0})),
            ("an unknown endpoint", "endpoint_not_found", lambda: ws.submit("none")),
            ("an unknown version", "version_not_found", lambda: ws.submit("one@7")),
            ("a default on a closed version", "version_disabled", lambda: verbs.set_default("one", "1")),
            ("a wrong expectation", "default_changed", lambda: verbs.set_default("one", "0", expect="1")),
            ("a rollback to nowhere", "nothing_to_roll_back", lambda: verbs.rollback("one")),
            ("a name that is taken", "name_taken", lambda: verbs.create("one", zero.id)),
            ("deleting what is used", "in_use", lambda: pipelines.delete(zero.id)),
            ("another digest", "label_frozen", lambda: set_up(harness, ws, other, name="a", label="1")),
            (
                "a publish whose endpoint refuses",
                "default_changed",
                lambda: set_up(harness, ws, other, name="z", endpoint="one", default=True, expect="1"),
            ),
        ):
            refusal(10, code, what, call)
            same(10, ws.admin.history(runs=True, limit=_ALL).items, before, f"the history after refusing {what}")


def test_nothing_changed_is_no_row(harness):
    """Does a verb that changes nothing leave no row?"""
    with harness.workspace() as ws:
        zero = set_up(harness, ws, "a", endpoint="one")
        verbs = ws.endpoints
        verbs.disable("one@0", reason="flood")
        before = ws.admin.history(limit=_ALL).items
        for what, call in (
            ("publishing again", lambda: set_up(harness, ws, "a", endpoint="one")),
            ("adding a version again", lambda: verbs.add_version("one", zero.id)),
            ("moving the default to where it is", lambda: verbs.set_default("one", "0")),
            ("closing a closed gate", lambda: verbs.disable("one@0", reason="another")),
            ("opening an open gate", lambda: verbs.enable("one")),
            ("renaming to the same name", lambda: verbs.rename("one", "one")),
            ("looking", lambda: (verbs.get("one"), verbs.list(), ws.pipelines.list(), verbs.history("one"))),
        ):
            call()
            same(10, ws.admin.history(limit=_ALL).items, before, f"the history after {what}")


def test_names_come_and_go(harness):
    """Is the history of an endpoint all of its own, under whatever names, and nothing of another's that had them?"""
    with harness.workspace() as ws:
        old = ws.create_endpoint("one", set_up(harness, ws, "a"))
        old.rename("two")
        new = ws.create_endpoint("one", set_up(harness, ws, "b"))
        new.add_version(set_up(harness, ws, "a"), default=True)
        ws.endpoints.disable("one@0", reason="flood")
        old.add_version(set_up(harness, ws, "b"))
        whole = ws.admin.history(limit=_ALL).items
        for ref, endpoint in (("one", new), ("two", old), (old.id, old)):
            rows = tuple(row for row in whole if row.subject_id == endpoint.id)
            same(10, ws.endpoints.history(ref, limit=_ALL).items, rows, f"the history of endpoint `{ref}`")
        same(10, len(ws.endpoints.history("two").items), 5, "the number of rows of a renamed endpoint")


@python_only
def test_runs_are_remembered(harness):
    """Are a run's acceptance, start and end in the history, with who, from what and to what?"""
    accepted, registry = WhenAccepted(), harness.new_registry()
    with (
        harness.workspace(registry, actor="a token", verified=True, door="rest") as rest,
        harness.workspace(registry, plugins=[("accepted", accepted)]) as ws,
    ):
        endpoint = ws.create_endpoint("one", set_up(harness, ws, "a", name="a"))
        run = harness.wait(ws, rest.submit("one").id, 10)
        who = (run.by, run.door, run.verified)
        same(10, who, ("a token", "rest", True), "who a run says triggered it, and through which door,")
        rows = [_said(row) for row in ws.admin.history(subject=run.id).items][::-1]
        same(10, rows[0], ("run_accepted", "run", "a", "default", "one@0", ""), "the first row of a run")
        same(10, (rows[-1][0], rows[-1][4]), ("run_ended", "succeeded"), "the last row of a run")
        last = ws.admin.history(subject=run.id).items[0]
        who = (last.by, last.door, last.verified)
        same(10, who, ("penstock", "dispatcher", True), "who noted, and through which door, how a run ended")
        states = [("queued" if row[0] == "run_accepted" else row[4]) for row in rows]
        same(10, [row[3] for row in rows[1:]], states[:-1], "from what each row of a run takes it on")
        accepted.once(lambda one: ws.runs.cancel(one, reason="never mind"))
        ended = endpoint.submit(version="0")
        rows = [_said(row) for row in ws.admin.history(subject=ended.id).items][::-1]
        expected = [
            ("run_accepted", "run", "a", "pinned", "one@0", ""),
            ("run_ended", "run", "a", "queued", "canceled", "never mind"),
        ]
        same(10, rows, expected, "the rows of a run that was canceled before its hand-over")
        plain = {row.kind for row in ws.admin.history(limit=_ALL).items}
        require(10, "run" not in plain, "rows of runs are in the plain history")


def test_any_time_has_an_answer(harness):
    """Is it known for every moment what a trigger would have run then, or by what it would have been refused?"""
    registry, moments = harness.new_registry(), list[_Moment]()
    with harness.workspace(registry) as ws:
        target = ws.config.target.value
        for what, act, _ in changes(harness, f"a:1@{target}", f"b:1@{target}", {}):
            act(ws)
            rows = ws.admin.history(limit=1).items
            if rows:
                moments.append(_now(ws, what, rows[0]))
    with harness.workspace(registry, actor="grace") as ws:
        endpoint = next(moment.endpoint for moment in moments if moment.endpoint)
        for moment, after in zip(moments, [*moments[1:], None], strict=True):
            times = [moment.at] if after is None else [moment.at, after.at - timedelta(microseconds=1)]
            for when in times:
                code = code_of(ws.endpoints.at, endpoint, when)
                same(10, code, "", f"the refusal to say what was the case after {moment.what}, at {when}")
                found = ws.endpoints.at(endpoint, when)
                answer = (found.refused or "", found.default, found.published)
                same(10, answer, moment.answer, f"what is said of the time after {moment.what}, at {when}")
        same(
            10, ws.endpoints.at(endpoint, moments[-1].at + timedelta(days=1)).refused, "endpoint_not_found", "tomorrow"
        )


@frozen(kw_only=True)
class _Moment:
    """What was the case after a change: the code of a refused trigger or "", the default, and what that published."""

    what: str
    at: datetime
    endpoint: str | None
    answer: tuple[str, str | None, str | None]


def _now(ws: Workspace, what: str, row: HistoryRecord) -> _Moment:
    """What is the case now, by asking for it: a trigger that gets past the gates comes to a wrong parameter."""
    found = ws.endpoints.list(all=True).items
    if not found:
        return _Moment(what=what, at=row.at, endpoint=None, answer=("endpoint_not_found", None, None))
    (endpoint,) = found
    code = code_of(ws.submit, endpoint.id, parameters={"depth": 99})
    published = {one.version: one.published for one in endpoint.versions}[str(endpoint.default)]
    answer = ("" if code == "parameter_invalid" else code, endpoint.default, published)
    return _Moment(what=what, at=row.at, endpoint=endpoint.id, answer=answer)


def _said(row: HistoryRecord) -> Row:
    return row.action, row.kind, row.subject, row.from_, row.to, row.reason
