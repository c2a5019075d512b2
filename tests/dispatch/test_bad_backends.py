"""A backend that answers nonsense, is slow or dies harms what it was asked about, and nothing else."""

from __future__ import annotations

import pytest

from penstock.callers import Caller
from penstock.contract.run import Failure, RunReport, StepReport, Submission
from penstock.errors import BackendBroken, PenstockError
from penstock.spec import Parameter, Pipeline, Step


@pytest.mark.parametrize(
    "receipt",
    [
        Submission(external=""),
        Submission(external=None),
        Submission(external=2**70),
        Submission(external="a\udcff"),
        Submission(external="x", details=None),
        Submission(external="x", details={"a": object()}),
    ],
    ids=lambda receipt: ascii(receipt)[:60],
)
def test_a_receipt_that_is_none_keeps_the_run_waiting(ws, far, monkeypatch, receipt):
    monkeypatch.setattr(far, "Submission", lambda **_: receipt)
    submitted = ws.runs.submit("near")
    assert "whose words are no text" in submitted.warnings[0]
    assert submitted.run.waiting is not None
    assert ws.admin.check().ok
    with pytest.raises(BackendBroken):
        ws.runs.wait(submitted.run.id, timeout=5)
    monkeypatch.undo()
    assert ws.runs.get(submitted.run.id).waiting is None


@pytest.mark.parametrize("error", [SystemExit(3), GeneratorExit(), ValueError("odd")], ids=repr)
def test_a_backend_that_dies_while_it_takes_a_run_is_no_error_of_the_submit(ws, far, monkeypatch, error):
    def die(**_):
        raise error

    monkeypatch.setattr(far, "Submission", die)
    submitted = ws.runs.submit("near")
    assert "failed in hook `penstock_submit_run`" in submitted.warnings[0]


NONSENSE = [
    RunReport(state="running", steps=(StepReport(name="measure", state="succeeded", outputs={"level": 3.5}),)),
    RunReport(state="running", steps=None),
    RunReport(state="running", steps=(StepReport(name="measure", state="running", exit_code=2**70),)),
    RunReport(state="running", started="2020"),
    RunReport(state="sleeping"),
    RunReport(state="failed", error=Failure(code="x", message="a\udcffb")),
    RunReport(state="queued", waits_for="a\udcffb"),
    RunReport(state="queued", waits_for=7),
]


@pytest.mark.sampled(5)
@pytest.mark.parametrize("nonsense", NONSENSE, ids=lambda report: ascii(report)[:60])
def test_one_report_that_is_nonsense_hides_no_other_run(ws, far, nonsense):
    runs = [ws.runs.submit("near").run for _ in range(3)]
    far.reports["*"] = RunReport(state="succeeded")
    far.reports[runs[1].id] = nonsense
    found = {run.id: run for run in ws.runs.list().items}
    assert [found[run.id].state for run in runs][::2] == ["succeeded", "succeeded"]
    assert found[runs[1].id].stale
    with pytest.raises(PenstockError) as caught:
        ws.runs.wait(runs[1].id, timeout=5)
    assert caught.value.code == "backend_broken"


def test_what_a_run_waits_for_is_one_line_until_it_has_ended(ws, far):
    run = ws.runs.submit("near").run
    for told, kept in (("a quota\n of\tchips ", "a quota of chips"), ("x" * 10_000, "x" * 500), (" \n", None)):
        far.reports["*"] = RunReport(state="running", waits_for=told)
        assert ws.runs.get(run.id).waits_for == kept
    far.reports["*"] = RunReport(state="running", waits_for="a quota")
    before = ws.runs.get(run.id)
    assert before.trouble == "waiting for a quota"
    with pytest.raises(PenstockError, match=r"is still running after 0 s \(waiting for a quota"):
        ws.runs.wait(run.id, timeout=0)
    far.reports["*"] = RunReport(state="failed", waits_for="a quota")
    ended = ws.runs.get(run.id)
    assert (ended.state, ended.waits_for, ended.trouble) == ("failed", None, "")


@pytest.mark.parametrize("text", ["nan", "inf", "-Infinity", "1e999"])
def test_what_is_no_value_is_no_output(ws, far, text):
    run = ws.runs.submit("near").run
    far.reports["*"], far.outputs["*"] = RunReport(state="succeeded"), {"level": text}
    ended = ws.runs.get(run.id)
    assert (ended.state, ended.outputs, ended.error.code) == ("succeeded", {}, "report_invalid")


def test_an_unknown_state_of_a_step_is_left_out(ws, far):
    run = ws.runs.submit("near").run
    far.reports["*"] = RunReport(state="running", steps=(StepReport(name="measure", state="bogus"),))
    shown = ws.runs.get(run.id)
    assert (shown.steps, "a state `bogus` of step `measure`" in shown.stale) == ((), True)


def test_a_slow_target_is_not_all_that_everybody_tries(ws, far):
    far.seconds["near"] = 2.0
    with ws._services.registry.write() as tx:
        tx.run("INSERT OR IGNORE INTO outbox (kind, subject, target, due) SELECT 'sync', endpoint, target, 0"
               " FROM endpoint_targets ORDER BY target DESC")  # fmt: skip
    far.calls.clear()
    ws._services.outbox.give_time(0.3)
    ws._services.outbox.give_time(0.3)  # the next process, while the first still waits for its target
    assert ("away", "sync") in far.calls


def test_a_target_that_says_zero_is_left_alone_for_a_moment_all_the_same(ws, far, monkeypatch):
    monkeypatch.setattr("penstock.dispatch.outbox.PATIENCE", 1.0)
    far.RETRY = 0.0
    far.away.add("away")
    ws.runs.submit("away")
    assert far.calls.count(("away", "submit")) < 15


def test_who_looks_at_a_run_hands_it_over_whatever_else_is_due(ws, far, monkeypatch):
    monkeypatch.setattr("penstock.dispatch.outbox.BUDGET", 0.0)
    far.away.add("away")
    run = ws.runs.submit("away").run
    far.away.clear()
    registry = ws._services.registry
    registry.outbox.reached("away")
    with registry.write() as tx:
        tx.run("UPDATE outbox SET due = 1")
        for subject in range(10_000, 11_500):
            tx.run("INSERT INTO outbox (kind, subject, target, due) VALUES ('retire', ?, 'away', 0)", subject)
    assert ws.runs.get(run.id).waiting is None


def test_a_hand_over_that_takes_too_long_is_not_begun_again_meanwhile(ws, far, all_due, in_time, monkeypatch):
    monkeypatch.setattr("penstock.dispatch.outbox.PATIENCE", 0.1)
    far.seconds["near"] = 60.0
    run = ws.runs.submit("near").run
    all_due()
    ws.runs.get(run.id)
    ws._services.outbox.give_time(0.1)
    assert far.calls.count(("near", "submit")) == 1
    far.go_on.set()
    in_time(lambda: ws._services.registry.runs.get(run.id).external is not None)
    assert len(far.jobs[run.id]) == 1


def test_a_retirement_that_has_to_wait_closes_the_target_for_nobody(ws, far):
    ws.endpoints.delete("away")
    published = next(one for one in ws.pipelines.list().items if one.target == "away")
    far.away.add("away")
    ws.pipelines.delete(published.id)
    assert ws.admin.status().pending_retires == 1
    assert ws._services.registry.outbox.breaker("away") is None


def test_a_run_on_a_target_that_is_gone_can_be_asked_to_end(ws, far, folder):
    from penstock.workspace import Workspace

    run = ws.runs.submit("away").run
    (folder / "penstock.yaml").write_text("target: near\ntargets:\n  near: {backend: far}\n")
    with Workspace.open(folder, actor="ada") as other:
        assert other.runs.cancel(run.id, reason="nobody is there").requested
        assert other.admin.status().pending_cancels == 1


def test_who_names_no_file_names_none_by_way_of_another_target(ws, folder):
    (folder / "secret.txt").write_text("TOPSECRET")
    eve = ws.as_(Caller(actor="eve", verified=True, door="rest", folder=None))
    uri = (folder / "secret.txt").as_uri()
    pipeline = Pipeline(
        name="leak",
        parameters={"t": Parameter("file", default=uri)},
        steps={"copy": Step(command=["cp", "${{ inputs.t }}", "there"], inputs={"t": "${{ parameters.t }}"})},
    )
    eve.publish(pipeline, target="near")  # which takes any URI
    text = (folder / "penstock.yaml").read_text()
    (folder / "penstock.yaml").write_text(text + "  here: {backend: local}\n")
    from penstock.workspace import Workspace

    with Workspace.open(folder, actor="ada") as opened:
        other = opened.as_(eve.caller)
        with pytest.raises(PenstockError) as caught:
            other.pipelines.publish_from("leak:1", target="here")
        assert [one.code for one in caught.value.details] == ["location_refused"]
        with pytest.raises(PenstockError):
            other.pipelines.validate(pipeline, target="here")
