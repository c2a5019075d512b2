"""Laws 9 and 12: hand-over marked before it happens, states that only go forward, cancelling, listing runs."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.contract.run import ENDED, Absent, Failure, RunReport, StepReport, Submission
from penstock.errors import Conflict, NotFound

EARLY = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def run(registry, kit):
    """An accepted run."""
    kit.publish(registry, "a", endpoint="digits")
    return kit.submit(registry)


def test_a_run_is_due_until_its_target_has_it(registry, kit, run, clock):
    assert registry.due() == [run.id]
    assert registry.waiting(run.id).tries == 0
    for senseless in (float("inf"), float("nan"), -1.0):
        registry.defer_handover(run.id, senseless, "?")
    assert registry.due() == [run.id]
    work = registry.start_handover(run.id)
    assert (work.request.id, work.target, work.identity, work.digest) == (run.id, "laptop", "{}", "a")
    assert (work.request.endpoint, work.request.version, work.request.label) == ("digits", "0", "1")
    assert work.request.publication.external == "x-a"
    assert registry.due() == []  # whoever started it has a moment to finish it
    clock.pass_seconds(11)
    assert registry.due() == [run.id]
    registry.defer_handover(run.id, 60, "the target is away")
    waiting = registry.waiting(run.id)
    assert (waiting.tries, waiting.message, waiting.due) == (1, "the target is away", registry.next_due())
    assert registry.due() == []
    assert registry.due(now=waiting.due) == [run.id]
    assert registry.start_handover(run.id).request == work.request
    finished = registry.finish_handover(run.id, Submission(external="job-1"))
    assert (finished.external, finished.state) == ("job-1", "queued")
    assert registry.start_handover(run.id) is None
    assert (registry.due(), registry.next_due(), registry.waiting(run.id)) == ([], None, None)
    registry.defer_handover(run.id, 1, "too late")
    assert registry.next_due() is None
    ref, target, identity = registry.run_ref(run.id)
    assert (ref.id, ref.external, target, identity) == (run.id, "job-1", "laptop", "{}")
    assert registry.finish_handover(run.id, Submission(external="job-2")).external == "job-1"


def test_a_refused_run_ends_failed_once(registry, kit, run):
    registry.start_handover(run.id)
    failure = Failure(code="dispatch_failed", message="no such machine type")
    ended = registry.refuse_handover(run.id, failure)
    assert (ended.state, ended.error) == ("failed", failure)
    assert registry.start_handover(run.id) is None
    assert registry.refuse_handover(run.id, Failure(code="x", message="y")) == ended
    other = kit.hand_over(registry, kit.submit(registry))
    assert registry.refuse_handover(other.id, failure).state == "queued"


def test_a_job_that_vanished_is_lost_but_only_after_its_hand_over(registry, kit, run):
    registry.start_handover(run.id)
    assert registry.report(run.id, Absent(), None, {}) == (registry.get_run(run.id), False)
    registry.finish_handover(run.id, Submission(external="job"))
    lost, changed = registry.report(run.id, Absent(), None, {})
    assert (changed, lost.state, lost.error.code) == (True, "failed", "run_lost")
    assert registry.report(run.id, RunReport(state="running"), None, {}) == (lost, False)


def test_a_report_is_kept_with_typed_outputs_and_its_times(registry, kit, run):
    kit.hand_over(registry, run)
    steps = (
        StepReport(name="train", state="running", attempt=1, started=EARLY),
        StepReport(name="after", state="queued"),
    )
    running, _ = registry.report(run.id, RunReport(state="running", started=EARLY, steps=steps), None, {})
    assert (running.state, running.started, [step.state for step in running.steps]) == (
        "running",
        EARLY,
        ["running", "queued"],
    )
    assert registry.report(run.id, RunReport(state="running", started=EARLY, steps=steps), None, {})[1] is False
    end = EARLY + timedelta(seconds=5, microseconds=7)
    failure = Failure(code="step_failed", message="exit 1", step="after")
    steps = (
        StepReport(name="train", state="succeeded", attempt=2, started=EARLY, ended=end, exit_code=0),
        StepReport(name="after", state="failed", attempt=1, exit_code=1, error=failure),
    )
    outputs = {"train": {"big": 2**53 + 1, "whole": 1.0}}
    report = RunReport(state="failed", ended=end, steps=steps, error=failure)
    ended, changed = registry.report(run.id, report, {"big": 2**53 + 1}, outputs)
    assert changed
    assert (ended.state, ended.started, ended.ended, ended.error) == ("failed", EARLY, end, failure)
    assert repr(ended.steps[0].outputs) == "{'big': 9007199254740993, 'whole': 1.0}"
    assert (ended.steps[0].attempt, ended.steps[1].exit_code, ended.steps[1].error) == (2, 1, failure)
    assert ended.outputs == {"big": 2**53 + 1}
    assert registry.get_run(run.id) == ended
    assert [record.action for record in registry.history(subject=run.id).items] == [
        "run_ended",
        "run_started",
        "run_accepted",
    ]


def test_an_end_without_a_time_ends_now_and_may_come_straight_from_queued(registry, kit, run, clock):
    clock.pass_seconds(5)
    registry.start_handover(run.id)
    ended, _ = registry.report(run.id, RunReport(state="succeeded"), {}, {})
    assert (ended.state, ended.external, ended.ended > run.created) == ("succeeded", None, True)
    assert registry.due() == []
    assert registry.finish_handover(run.id, Submission(external="job")).external == "job"


RANK = {"queued": 0, "running": 1} | dict.fromkeys(ENDED, 2)
states = st.sampled_from(["queued", "running", "succeeded", "failed", "canceled"])
step_reports = st.lists(
    st.builds(
        StepReport,
        name=st.sampled_from(["one", "two", "three"]),
        state=st.sampled_from(sorted(RANK)),
        attempt=st.integers(0, 3),
    ),
    unique_by=lambda step: step.name,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(reports=st.lists(st.builds(RunReport, state=states, steps=step_reports.map(tuple)), max_size=8))
def test_whatever_is_reported_states_only_go_forward_and_an_end_is_final(registry, kit, reports):
    kit.publish(registry, "a", endpoint="digits")
    seen = [kit.hand_over(registry, kit.submit(registry))]
    for report in reports:
        after, changed = registry.report(seen[-1].id, report, None, {})
        assert changed == (after != seen[-1])
        assert after == registry.get_run(after.id)
        seen.append(after)
    for before, after in itertools.pairwise(seen):
        assert RANK[before.state] <= RANK[after.state]
        assert not before.finished or after == before
        assert (after.ended is not None) == after.finished
        later = {step.name: step for step in after.steps}
        assert len(later) == len(after.steps)
        for step in before.steps:
            assert RANK[step.state] <= RANK[later[step.name].state]
            assert step.state not in ENDED or later[step.name] == step


def test_cancelling_ends_at_once_before_the_hand_over_began(registry, kit, run):
    outcome = registry.request_cancel(run.id, kit.caller, reason="typo")
    assert (outcome.ended, outcome.requested, outcome.run.state) == (True, False, "canceled")
    assert registry.start_handover(run.id) is None
    again = registry.request_cancel(run.id, kit.caller)
    assert (again.ended, again.requested, again.run) == (False, False, outcome.run)


def test_cancelling_later_is_a_request_that_the_target_answers(registry, kit, run):
    registry.start_handover(run.id)
    outcome = registry.request_cancel(run.id[:8], kit.caller)
    assert (outcome.ended, outcome.requested, outcome.run.state) == (False, True, "queued")
    assert outcome.run.cancel_requested
    assert registry.request_cancel(run.id, kit.caller).requested is False
    assert registry.pending_cancels() == []  # the target may not have it yet
    registry.mark_cancel_sent(run.id)  # and so cannot have been told
    assert registry.start_handover(run.id).cancel_requested
    registry.finish_handover(run.id, Submission(external="job"))
    assert registry.pending_cancels() == [run.id]
    registry.mark_cancel_sent(run.id)
    assert registry.pending_cancels() == []
    ended, _ = registry.report(run.id, RunReport(state="succeeded"), {}, {})
    assert (ended.state, ended.cancel_requested) == ("succeeded", True)


def test_a_run_is_found_by_the_beginning_of_its_id(registry, kit, run):
    assert registry.get_run(run.id[:6]).id == run.id
    for ref in (run.id[:5], "ffffff-no", "", "run"):
        with pytest.raises(NotFound, match="no run") as missing:
            registry.get_run(ref)
        assert missing.value.code == "run_not_found"
    with pytest.raises(NotFound):
        registry.run_ref("nothing")
    other = kit.submit(registry)
    with registry._database.write() as tx:
        tx.run("UPDATE runs SET id = ? WHERE id = ?", run.id[:7] + "-twin", other.id)
        tx.run("UPDATE requests SET run = run")
    with pytest.raises(Conflict, match=run.id[:7] + "-twin") as ambiguous:
        registry.get_run(run.id[:6])
    assert ambiguous.value.code == "ambiguous"
    with registry._database.write() as tx:
        tx.run("UPDATE runs SET id = ? WHERE id = ?", other.id, run.id[:7] + "-twin")


def test_runs_are_listed_newest_first_by_what_they_have(registry, kit, run):
    runs = [run] + [kit.submit(registry) for _ in range(4)]
    kit.publish(registry, "z", name="letters", endpoint="letters")
    other = kit.submit(registry, "letters")
    registry.request_cancel(runs[1].id, kit.caller)
    ids = [one.id for one in [*runs, other]][::-1]
    page = registry.list_runs(limit=4)
    assert ([one.id for one in page.items], page.more) == (ids[:4], True)
    assert [one.id for one in registry.list_runs(limit=4, before=page.next).items] == ids[4:]
    assert [one.id for one in registry.list_runs(endpoint="letters").items] == [other.id]
    assert [one.id for one in registry.list_runs(pipeline="digits", state="canceled").items] == [runs[1].id]
    assert len(registry.list_runs(experiment="trials", endpoint=run.endpoint_id).items) == 5
    assert registry.list_runs(experiment="nothing").items == ()
    assert kit.code(registry.list_runs, endpoint="nothing") == "endpoint_not_found"
    assert kit.code(registry.list_runs, state="asleep") == "usage_error"
    registry.request_cancel(other.id, kit.caller)
    registry.delete_endpoint("letters", kit.caller)
    assert [one.id for one in registry.list_runs(endpoint="letters").items] == [other.id]
    assert registry.unfinished() == [one.id for one in runs if one.id != runs[1].id]
    assert registry.unfinished(limit=1) == [run.id]
    assert registry.counts().runs == {"queued": 4, "running": 0, "succeeded": 0, "failed": 0, "canceled": 2}
