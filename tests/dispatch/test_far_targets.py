"""A target that is far, slow, dead, gone or wrong costs only those who ask for it."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime

import pytest

from penstock.contract.run import RunReport, StepReport
from penstock.errors import BackendBroken, ConfigInvalid, Conflict, RegistryError, WaitTimeout
from penstock.registry import Owed

MINUTE = 60.0

COUNTED = """\
apiVersion: penstock/v1
kind: Pipeline
name: counted
steps:
  measure:
    command: ["true", "${{ outputs.level }}", "${{ outputs.count }}"]
    outputs: {level: number, count: integer}
outputs: {level: "${{ steps.measure.outputs.level }}", count: "${{ steps.measure.outputs.count }}"}
"""


def test_a_dead_target_is_left_alone_and_no_other_work_minds(ws, far, later):
    far.away.add("away")
    ws.submit("away")
    ws._services.registry.outbox.leave_alone("away", 300, "away does not answer")
    far.calls.clear()
    for _ in range(19):
        assert "away does not answer; it is tried again from" in ws.submit("away").warnings[0]
    other = later()
    assert other.submit("near").record.external is not None
    other.endpoints.disable("away")
    page = other.runs.list()
    assert {target for target, _ in far.calls} == {"near"}
    assert [run.stale for run in page.items].count("away does not answer") == 20
    assert other.admin.status().pending_hand_overs == 20


def test_the_pause_grows_each_time_and_ends_with_the_first_answer(ws, far, sql):
    far.away.add("away")
    run = ws.submit("away")
    far.RETRY = 1.0
    outbox, owed = ws._services.registry.outbox, Owed(kind="submit", subject=run.id, target="away")
    for failures in range(1, 8):
        assert outbox.failures("away") == failures
        begin = datetime.now(UTC)
        ws._services.outbox.try_now(owed)
        pause = (outbox.breaker("away").until - begin).total_seconds()
        assert 2**failures * 0.75 <= pause < 300 * 1.25 + 5
    far.away.clear()
    ws._services.outbox.try_now(owed)
    assert (outbox.failures("away"), outbox.breaker("away")) == (0, None)
    assert sql("SELECT * FROM breakers") == []
    assert ws.admin.status().pending_hand_overs == 0
    ((attempt, *_),) = far.jobs[run.id]
    assert attempt == 9, "the backend is told that it may be a repeat"


def listed(ws):
    """What the list of targets says of `away`."""
    (found,) = (one for one in ws.targets.list() if one.name == "away")
    assert found.available == (found.problem is None)
    return found.problem


def test_a_target_that_was_away_is_not_said_to_be_there_while_something_waits_for_it(ws, far, later, sql):
    running = ws.submit("away")
    far.away.add("away")
    waiting = ws.submit("away")
    sql("UPDATE breakers SET until = 1")  # nobody has tried again since
    other = later()
    assert listed(other) == "away does not answer"
    assert far.calls[-1][0] == "away" and other.admin.status().pending_hand_overs == 1
    far.away.clear()
    sql("UPDATE outbox SET due = 1")
    other.runs.get(waiting.id)
    assert listed(other) is None
    far.away.add("away")
    assert running.refresh().record.stale == "away does not answer"
    sql("UPDATE breakers SET until = 1")
    assert listed(other) == "away does not answer", "two runs are followed there"
    sql("UPDATE runs SET ended = 1, state = 'canceled'")
    assert listed(other) is None


@pytest.mark.thorough
def test_who_waits_in_python_is_told_once_why(ws, far, caplog):
    far.away.add("away")
    far.RETRY = 0.05
    run = ws.submit("away")
    caplog.clear()
    with caplog.at_level("WARNING", "penstock"), pytest.raises(WaitTimeout):
        run.wait(timeout=1)
    assert [record.getMessage() for record in caplog.records] == [f"run {run.id}: waiting: away does not answer"]
    caplog.clear()
    with caplog.at_level("WARNING", "penstock"), pytest.raises(WaitTimeout):
        run.wait(timeout=0.2, watch=lambda record: None)
    assert caplog.records == [], "who watches sees it"


def test_a_look_that_is_answered_ends_a_series_of_failures(ws, far, in_time):
    run = ws.submit("away")
    outbox = ws._services.registry.outbox
    far.away.add("away")
    far.RETRY = 0.05
    for failures in (1, 2):
        in_time(lambda: outbox.breaker("away") is None)
        assert run.refresh().record.stale == "away does not answer"
        assert outbox.failures("away") == failures
    far.away.clear()
    in_time(lambda: outbox.breaker("away") is None)
    assert run.refresh().record.stale is None
    assert outbox.failures("away") == 0


def test_a_target_that_does_not_answer_holds_nobody_up(ws, far, impatient, in_time):
    far.seconds["away"] = MINUTE
    begin = time.monotonic()
    run = ws.submit("away")
    ws.endpoints.disable("away")
    assert time.monotonic() - begin < MINUTE / 2
    assert "target `away` has not answered within 0.2 s" in run.warnings[0]
    assert run.record.state == "queued"
    far.go_on.set()
    # Nobody hangs up on it: what it answers at last counts.
    in_time(lambda: ws._services.registry.runs.get(run.id).external is not None)
    assert list(far.jobs) == [run.id]


def test_a_target_that_does_not_answer_delays_no_look_at_another(ws, far):
    runs = [ws.submit("away").record, ws.submit("near").record]
    far.seconds["away"] = MINUTE
    late, fresh = ws._services.follower.look(runs, budget=1.0)
    assert (late.run.stale, late.hopeless) == ("target `away` has not answered within 1 s", False)
    assert (fresh.run.state, fresh.run.stale, fresh.trouble) == ("running", None, None)


def test_many_unfinished_runs_are_looked_at_in_one_call(ws, far):
    runs = [ws.submit("away") for _ in range(24)]
    assert {run.state for run in ws.runs.list().items} == {"running"}
    assert far.looks == [24]
    far.overlooked.add(runs[3].id)
    far.reports[runs[3].id] = RunReport(state="failed")
    states = {run.id: run.state for run in ws.runs.list().items}
    assert far.looks[1:] == [24, runs[3].id]
    assert [name for name, state in states.items() if state != "running"] == [runs[3].id]


def test_a_look_at_many_waiting_runs_asks_a_dead_target_once(ws, far, all_due):
    far.away.add("away")
    for _ in range(5):
        ws.runs.submit("away")
    all_due()
    far.calls.clear()
    assert {run.stale for run in ws.runs.list().items} == {"away does not answer"}
    assert far.calls == [("away", "submit")]


def test_looking_at_what_did_not_change_writes_nothing(ws):
    run = ws.submit("away").refresh()
    with closing(sqlite3.connect(ws.config.registry.value)) as watcher:
        before = watcher.execute("PRAGMA data_version").fetchone()
        with pytest.raises(WaitTimeout):
            ws.runs.wait(run.id, timeout=0.5)
        ws.runs.list()
        ws.endpoints.list()
        assert watcher.execute("PRAGMA data_version").fetchone() == before
        ws.endpoints.disable("away")
        assert watcher.execute("PRAGMA data_version").fetchone() != before


def test_a_report_writes_only_the_steps_that_changed(ws, far, monkeypatch):
    steps = [StepReport(name="measure", state="queued")]
    far.reports["*"] = RunReport(state="running", steps=tuple(steps))
    run = ws.runs.submit("near").run
    ws.runs.get(run.id)
    names = [f"s{number}" for number in range(1000)]
    many = tuple(StepReport(name=name, state="queued") for name in names)
    registry = ws._services.registry
    registry.runs.report(run.id, RunReport(state="running", steps=many))
    statements = []
    with registry._database.connection() as connection:
        connection.set_trace_callback(statements.append)
    changed = (StepReport(name="s500", state="running", attempt=1), *many[:500], *many[501:])
    record, news = registry.runs.report(run.id, RunReport(state="running", steps=changed))
    assert news
    assert [step.state for step in record.steps].count("running") == 1
    assert [step.name for step in record.steps][:3] == ["measure", "s0", "s1"]  # each stays in its place
    assert len([one for one in statements if "run_steps" in one and one.startswith("INSERT")]) == 1


def test_a_report_that_contradicts_the_pipeline_harms_nothing_but_its_run(ws, far, folder):
    (folder / "counted.yaml").write_text(COUNTED)
    ws.publish("counted.yaml", endpoint="counted", target="away")
    run, other = ws.submit("counted"), ws.submit("near")

    def said(state):
        odd = StepReport(name="measure", state=state, outputs={"level": "3.5", "more": "1", "count": "x"})
        return RunReport(state=state, steps=(odd, StepReport(name="stranger", state=state)))

    far.reports[run.id] = said("running")
    shown = {one.id: one for one in ws.runs.list().items}
    assert (shown[other.id].state, shown[other.id].stale) == ("running", None)
    odd = shown[run.id]
    assert (odd.state, [step.name for step in odd.steps]) == ("running", ["measure"])
    for what in ("`stranger`", "`more`", "`count`"):
        assert what in odd.stale
    assert odd.steps[0].outputs == {"level": 3.5}
    far.reports[run.id], far.outputs[run.id] = said("succeeded"), {"level": "3.5", "count": "x", "none": "1"}
    ended = ws.runs.wait(run.id, timeout=20)
    assert (ended.state, ended.outputs) == ("succeeded", {"level": 3.5})
    assert ended.error.code == "report_invalid"
    for what in ("`stranger`", "`more`", "`count`", "`none`"):
        assert what in ended.error.message
    assert ws.runs.outputs(run.id) == {"level": 3.5}
    assert ws.admin.check().ok


@pytest.mark.parametrize("handed", [True, False])
@pytest.mark.parametrize(("change", "error", "code"), [
    ("gone", ConfigInvalid, "target_unknown"),
    ("changed", Conflict, "target_changed"),
    ("broken", BackendBroken, "backend_broken"),
    ("copied", RegistryError, "registry_copied"),
])  # fmt: skip
def test_who_waits_for_what_can_never_be_seen_is_told(ws, far, folder, later, all_due, handed, change, error, code):
    if not handed:
        far.away.add("away")
    far.reports["*"] = RunReport(state="running", steps=(StepReport(name="measure", state="running", attempt=1),))
    run = ws.submit("away").refresh()
    far.away.clear()
    config = (folder / "penstock.yaml").read_text()
    other_place = "  away: {backend: far, place: there}\n" if change == "changed" else ""
    if change in ("gone", "changed"):
        (folder / "penstock.yaml").write_text(config.replace("  away: {backend: far}\n", other_place))
    elif change == "broken":
        far.broken.add("away")
        all_due()
    else:
        (folder / ".penstock" / "archives").rename(folder / "aside")
    other, state = later(), "running" if handed else "queued"
    shown = other.runs.get(run.id)
    assert (shown.state, shown.finished) == (state, False)
    assert shown.stale and "\n" not in shown.stale
    with pytest.raises(error) as refused:
        other.runs.wait(run.id, timeout=60)
    assert refused.value.code == code
    assert str(refused.value) == f"run {run.id} is {state} and cannot be followed: {shown.stale}"
    with pytest.raises(error) as followed:
        list(other.runs.logs(run.id, follow=True))
    assert followed.value.code == code
    assert [one.stale for one in other.runs.list().items] == [shown.stale]
