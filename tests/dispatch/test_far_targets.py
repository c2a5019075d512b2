"""A target that is far, slow or dead costs only those who ask for it."""

from __future__ import annotations

import threading
import time

import pytest

from penstock.contract.run import RunReport, StepReport
from penstock.errors import BackendBroken, ConfigInvalid, Conflict, PenstockError, RegistryError, WaitTimeout
from penstock.workspace import Workspace


def later(folder):
    """The workspace as another process opens it."""
    return Workspace.open(folder, actor="ada")


def test_the_pause_grows_and_ends_with_the_first_answer(ws, far, sql):
    far.away.add("away")
    far.RETRY = 0.02
    services = ws._services
    run = services.outbox
    ws.runs.submit("away")
    grown = sql("SELECT failures, until FROM breakers")[0]
    assert grown[0] >= 5  # it was tried for a while, each time later
    far.away.clear()
    time.sleep(max(0.0, grown[1] / 1e6 - time.time()))
    run.give_time()
    assert sql("SELECT * FROM breakers") == []
    assert ws.admin.status().pending_hand_overs == 0
    assert next(iter(far.jobs.values()))[0][0] > 5  # the backend is told that it may be a repeat


def test_a_hand_over_that_nobody_answers_is_left_after_the_patience(ws, far, monkeypatch):
    monkeypatch.setattr("penstock.dispatch.outbox.PATIENCE", 0.05)
    monkeypatch.setattr("penstock.dispatch.outbox.BUDGET", 0.05)
    far.seconds["away"] = 5.0
    begin = time.monotonic()
    submitted = ws.runs.submit("away")
    assert time.monotonic() - begin < 4.0
    assert "has not answered within" in submitted.warnings[0]
    assert submitted.run.state == "queued"


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


@pytest.mark.parametrize("handed", [True, False])
@pytest.mark.parametrize(("change", "error", "code"), [
    ("gone", ConfigInvalid, "target_unknown"),
    ("changed", Conflict, "target_changed"),
    ("broken", BackendBroken, "backend_broken"),
    ("copied", RegistryError, "registry_copied"),
])  # fmt: skip
def test_who_waits_for_what_can_never_be_seen_is_told(ws, far, folder, handed, change, error, code):
    if not handed:
        far.away.add("away")
        far.RETRY = 60.0
    run = ws.runs.submit("away").run
    far.away.clear()
    if change == "gone":
        (folder / "penstock.yaml").write_text("target: near\ntargets:\n  near: {backend: far}\n")
    elif change == "changed":
        text = (folder / "penstock.yaml").read_text()
        (folder / "penstock.yaml").write_text(
            text.replace("away: {backend: far}", "away: {backend: far, place: there}")
        )
    elif change == "broken":
        far.broken.add("away")
        if not handed:
            ws._services.registry.outbox.reached("away")
            with ws._services.registry.write() as tx:
                tx.run("UPDATE outbox SET due = 0")
    else:
        (folder / ".penstock" / "archives").rename(folder / "aside")
    with later(folder) as other:
        shown = other.runs.get(run.id)
        assert (shown.state, shown.stale is not None) == ("queued", True)
        with pytest.raises(error) as caught:
            other.runs.wait(run.id)
        assert caught.value.code == code
        assert str(caught.value).startswith(f"run {run.id} is queued and cannot be followed: ")
        assert len(other.runs.list().items) == 1


@pytest.mark.parametrize(("change", "code"), [("gone", "target_unknown"), ("changed", "target_changed")])
def test_who_follows_the_logs_of_what_can_never_be_seen_is_told(ws, far, folder, change, code):
    far.reports["*"] = RunReport(state="running", steps=(StepReport(name="measure", state="running", attempt=1),))
    run = ws.runs.submit("away").run
    ws.runs.get(run.id)
    text = (folder / "penstock.yaml").read_text()
    now = "" if change == "gone" else "  away: {backend: far, place: there}\n"
    (folder / "penstock.yaml").write_text(text.replace("  away: {backend: far}\n", now))
    with later(folder) as other, pytest.raises(PenstockError) as caught:
        list(other.runs.logs(run.id, follow=True))
    assert caught.value.code == code


def test_a_run_that_waits_says_why_until_when_and_how_often_it_was_tried(ws, far):
    far.away.add("away")
    far.RETRY = 60.0
    run = ws.runs.submit("away").run
    assert run.waiting is not None
    assert (run.waiting.message, run.waiting.tries) == ("away does not answer", 1)
    assert run.waiting.due > run.created
    assert ws.runs.list().items[0].waiting == run.waiting
    with pytest.raises(WaitTimeout, match="is still queued after 0 s: away does not answer"):
        ws.runs.wait(run.id, timeout=0)


def test_two_threads_hand_over_without_getting_in_each_others_way(ws, far):
    far.seconds["near"] = 0.02
    errors = []

    def submit():
        try:
            for _ in range(5):
                ws.runs.submit("near")
        except PenstockError as error:
            errors.append(error)

    threads = [threading.Thread(target=submit) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(far.jobs) == 20
    assert all(len(attempts) == 1 for attempts in far.jobs.values())


def test_a_look_at_many_waiting_runs_asks_a_dead_target_once(ws, far):
    far.away.add("away")
    far.RETRY = 60.0
    for _ in range(5):
        ws.runs.submit("away")
    ws._services.registry.outbox.reached("away")
    with ws._services.registry.write() as tx:
        tx.run("UPDATE outbox SET due = 0")
    far.calls.clear()
    assert {run.stale for run in ws.runs.list().items} == {"away does not answer"}
    assert far.calls == [("away", "submit")]
