"""A run whose target cannot be told to end it ends by force, once, and stays ended whatever its target says later."""

from __future__ import annotations

import threading

import pytest

from penstock.cli.root import run as penstock
from penstock.contract.run import RunReport, StepReport
from penstock.errors import TargetRefused, TargetUnsupported
from penstock.workspace import Workspace

GONE = "target: near\ntargets:\n  near: {backend: far}\n"


def lose(far, folder, monkeypatch, how):
    """Make the target `away` one that cannot be told."""
    if how == "gone":
        (folder / "penstock.yaml").write_text(GONE)
    elif how == "changed":
        (folder / "penstock.yaml").write_text(GONE + "  away: {backend: far, place: there}\n")
    elif how == "unknown backend":
        (folder / "penstock.yaml").write_text(GONE + "  away: {backend: nowhere}\n")
    elif how == "unreachable":
        far.away.add("away")
        far.RETRY = 0.01
    elif how == "broken":
        far.broken.add("away")
    elif how == "cannot":
        monkeypatch.delattr(far, "penstock_cancel_run")
    elif how == "refuses":

        def refuse(target, what):
            if what == "cancel":
                raise TargetRefused("nobody ends my runs")

        monkeypatch.setattr(far, "reach", refuse)


CODES = {
    "gone": "target_unknown",
    "changed": "target_changed",
    "unknown backend": "backend_unknown",
    "unreachable": "target_unavailable",
    "broken": "backend_broken",
    "cannot": "target_unsupported",
    "refuses": "target_unavailable",
}


@pytest.mark.parametrize("asked", [False, True], ids=["at once", "asked before"])
@pytest.mark.parametrize("how", CODES)
def test_a_run_whose_target_cannot_be_told_is_ended_by_force(ws, far, folder, monkeypatch, sql, how, asked):
    run = ws.runs.submit("away").run
    if asked and how != "cannot":
        far.away.add("away")
        far.RETRY = 0.01
        assert not ws.runs.cancel(run.id).run.finished
        far.away.clear()
        ws._services.registry.outbox.reached("away")
    lose(far, folder, monkeypatch, how)
    with Workspace.open(folder, actor="ada") as later:
        outcome = later.runs.cancel(run.id, reason="the flood took it", force=True)
        ended = outcome.run
        assert (outcome.ended, ended.state, ended.error.code) == (True, "canceled", CODES[how])
        assert "ended here by force: target `away` was not told" in ended.error.message
        (row,) = [row for row in later.admin.history(subject=run.id).items if row.action == "run_ended"]
        assert (row.from_ in ("queued", "running"), row.to, row.by) == (True, "canceled", "ada")
        assert ended.error.message in row.reason
        assert asked or row.reason.startswith("the flood took it; ")
        again = later.runs.cancel(run.id, force=True)
        assert (again.ended, again.requested, again.run) == (False, False, ended)
        assert later.admin.status().pending_cancels == (how == "unreachable")
        assert later.admin.check().ok
        later.endpoints.delete("away")  # nothing of it is unfinished


@pytest.mark.parametrize("how", ["gone", "unreachable"])
def test_what_its_target_says_when_it_comes_back_changes_nothing(ws, far, folder, monkeypatch, sql, how):
    run = ws.runs.submit("away").run
    config = (folder / "penstock.yaml").read_text()
    lose(far, folder, monkeypatch, how)
    with Workspace.open(folder, actor="ada") as later:
        ended = later.runs.cancel(run.id, force=True).run
    (folder / "penstock.yaml").write_text(config)
    far.away.clear()
    far.reports[run.id] = RunReport(state="succeeded")
    far.calls.clear()
    with Workspace.open(folder, actor="ada") as later:
        registry = later._services.registry
        registry.outbox.reached("away")
        with registry.write() as tx:
            tx.run("UPDATE outbox SET due = 0")
        later._services.outbox.give_time()
        assert later.runs.get(run.id) == ended
        assert later.runs.wait(run.id, timeout=5) == ended
        assert registry.runs.report(run.id, RunReport(state="succeeded")) == (ended, False)
        assert later.admin.status().pending_cancels == 0
    told = [call for call in far.calls if call == ("away", "cancel")]
    assert len(told) == (how == "unreachable"), "the last try is for a target that may come back"
    assert len(far.jobs[run.id]) == 1


def test_a_last_try_that_is_refused_is_the_last(ws, far, folder, monkeypatch):
    run = ws.runs.submit("away").run
    lose(far, folder, monkeypatch, "unreachable")
    ws.runs.cancel(run.id, force=True)
    far.away.clear()
    far.broken.add("away")
    registry = ws._services.registry
    registry.outbox.reached("away")
    with registry.write() as tx:
        tx.run("UPDATE outbox SET due = 0")
    ws._services.outbox.give_time()
    assert ws.admin.status().pending_cancels == 0


@pytest.mark.thorough
def test_a_run_that_waits_for_a_target_that_is_gone_never_gets_there(ws, far, folder):
    far.away.add("away")
    far.RETRY = 0.01
    run = ws.runs.submit("away").run
    (folder / "penstock.yaml").write_text(GONE)
    with Workspace.open(folder, actor="ada") as later:
        assert not later.runs.cancel(run.id).run.finished  # it may have got there
        assert later.runs.cancel(run.id, force=True).run.state == "canceled"
        assert later.admin.status().pending_hand_overs == 0
    far.away.clear()
    ws._services.registry.outbox.reached("away")
    assert ws._services.outbox.hand_over(run.id, "away") is None
    assert (far.jobs, ws.runs.get(run.id).state) == ({}, "canceled")


def test_a_hand_over_that_was_under_way_is_told_to_end(ws, far, monkeypatch):
    """The target has the run after all: it ends there too, and here it has ended already."""
    inside, go_on = threading.Event(), threading.Event()
    reach = far.reach

    def slow(target, what):
        reach(target, what)
        if what == "submit":
            inside.set()
            go_on.wait(30)

    monkeypatch.setattr(far, "reach", slow)
    monkeypatch.setattr("penstock.dispatch.outbox.PATIENCE", 0.1)
    monkeypatch.setattr("penstock.dispatch.backoff.HANGS", 0.1)
    run = ws.runs.submit("away").run
    assert inside.wait(5)
    ended = ws.runs.cancel(run.id, force=True).run
    assert ended.state == "canceled"
    go_on.set()
    for thread in threading.enumerate():
        if thread.name == "penstock-away":
            thread.join(10)
    assert ("away", "cancel") in far.calls
    now = ws.runs.get(run.id)
    assert (now.state, now.ended, now.error) == ("canceled", ended.ended, ended.error)
    assert ws.admin.status().pending_cancels == 0
    assert ws.admin.check().ok


def test_a_healthy_target_is_told_and_its_answer_decides(ws, far, monkeypatch):
    run = ws.runs.submit("near").run
    outcome = ws.runs.cancel(run.id, force=True)
    assert (outcome.run.state, outcome.run.error) == ("canceled", None)
    assert ("near", "cancel") in far.calls
    slow = ws.runs.submit("near").run
    monkeypatch.setattr(far, "reports", {slow.id: RunReport(state="running")} | far.reports)
    monkeypatch.setattr(far, "report", lambda run: RunReport(state="running"))
    assert ws.runs.cancel(slow.id, force=True).run.state == "running"


def test_a_target_that_took_the_request_is_not_called_untold_for_an_odd_report(ws, far, folder, monkeypatch):
    """What it says of the run is of no use; that it was told to end it is known all the same."""
    run = ws.runs.submit("away").run
    odd = RunReport(state="running", steps=(StepReport(name="stranger", state="running"),))
    monkeypatch.setattr(far, "report", lambda run: odd)
    outcome = ws.runs.cancel(run.id, force=True)
    assert (outcome.ended, outcome.requested, outcome.run.state) == (False, True, "running")
    assert ("away", "cancel") in far.calls
    assert "stranger" in outcome.run.stale
    (folder / "penstock.yaml").write_text(GONE)
    with Workspace.open(folder, actor="ada") as later:
        again = later.runs.cancel(run.id, force=True)
    assert (again.ended, again.run.state) == (True, "canceled")
    assert "target `away` was told before and cannot be followed" in again.run.error.message


def test_a_run_that_ends_by_itself_at_the_last_moment_was_not_ended_by_force(ws, far, folder, monkeypatch):
    run = ws.runs.submit("away").run
    lose(far, folder, monkeypatch, "unreachable")
    runs = ws._services.registry.runs
    give_up = runs.give_up

    def too_late(*arguments, **options):
        runs.report(run.id, RunReport(state="succeeded"))
        return give_up(*arguments, **options)

    monkeypatch.setattr(runs, "give_up", too_late, raising=False)
    outcome = ws.runs.cancel(run.id, force=True)
    assert (outcome.ended, outcome.run.state, outcome.run.error) == (False, "succeeded", None)
    actions = [row.action for row in ws.admin.history(subject=run.id).items]
    assert actions.count("run_ended") == 1


def test_without_force_nothing_is_given_up(ws, far, folder, monkeypatch):
    run = ws.runs.submit("away").run
    lose(far, folder, monkeypatch, "cannot")
    with Workspace.open(folder, actor="ada") as later, pytest.raises(TargetUnsupported):
        later.runs.cancel(run.id)
    (folder / "penstock.yaml").write_text(GONE)
    with Workspace.open(folder, actor="ada") as later:
        assert later.run(run.id).cancel().record.state == "queued"
        assert later.run(run.id).cancel(force=True).record.state == "canceled"


def test_the_command_says_what_it_means(ws, far, folder, capsys):
    run = ws.runs.submit("away").run
    (folder / "penstock.yaml").write_text(GONE)
    assert penstock(["run", "cancel", run.id]) == 0
    assert capsys.readouterr().out == f"run {run.id} is asked to end\n"
    assert penstock(["run", "cancel", run.id, "--force", "--reason", "lost"]) == 0
    said = capsys.readouterr()
    assert said.out == f"run {run.id} is canceled\n"
    assert "warning: ended here by force: target `away` was not told" in said.err
