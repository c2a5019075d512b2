"""Laws 9 and 12: hand-over marked before it happens, states that only go forward, cancelling, listing runs."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.contract.run import ENDED, Absent, Failure, RunReport, StepReport, Submission
from penstock.contract.target import Publication
from penstock.errors import Conflict, NotFound
from penstock.records import Placement, Waiting
from penstock.registry import Owed

EARLY = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def run(registry, kit):
    """An accepted run."""
    kit.publish(registry, "a", endpoint="digits")
    return kit.submit(registry)


def test_a_run_is_due_until_its_target_has_it(registry, kit, run, clock):
    owed = submit_of(run)
    assert kit.due(registry) == [run.id]
    assert run.waiting == Waiting(tries=0, due=now(clock), message="")
    for senseless in (float("inf"), float("nan"), -1.0):
        registry.outbox.defer(owed, senseless, "?")
    assert kit.due(registry) == [run.id]
    work = registry.runs.start_handover(run.id)
    assert work.placement == Placement(target="laptop", backend="local", identity="{}", options="{}")
    assert (work.request.id, work.request.attempt, work.cancel_requested) == (run.id, 1, False)
    assert (work.request.endpoint, work.request.version, work.request.label) == ("digits", "0", "1")
    assert work.request.publication == Publication(external="x-a", details={"digest": "a"})
    assert kit.due(registry) == []  # whoever started it has a moment to finish it
    clock.pass_seconds(16)
    assert kit.due(registry) == [run.id]
    registry.outbox.defer(owed, 60, "the target is away")
    waiting = registry.runs.get(run.id).waiting
    due = now(clock) + timedelta(seconds=60)
    assert waiting == Waiting(tries=1, due=due, message="the target is away")
    assert registry.outbox.tries(owed) == 1
    clock.pass_seconds(59)
    assert kit.due(registry) == []
    clock.pass_seconds(1)
    assert kit.due(registry) == [run.id]
    assert registry.runs.start_handover(run.id).request == evolve(work.request, attempt=2)
    finished = registry.runs.finish_handover(run.id, Submission(external="job-1", details={"console": "https://x"}))
    assert (finished.external, finished.state, finished.details) == ("job-1", "queued", {"console": "https://x"})
    assert registry.runs.start_handover(run.id) is None
    assert (kit.due(registry), finished.waiting, registry.outbox.is_owed(owed)) == ([], None, False)
    registry.outbox.defer(owed, 1, "too late")
    assert registry.outbox.tries(owed) == 0
    assert registry.runs.get(run.id) == finished
    ref, placement = registry.runs.ref(run.id)
    assert (ref.id, ref.external, placement) == (run.id, "job-1", work.placement)
    again = registry.runs.finish_handover(run.id, Submission(external="job-2", details={"console": "other"}))
    assert again == finished


def submit_of(run):
    return Owed(kind="submit", subject=run.id, target=run.target)


def now(clock):
    return datetime.fromtimestamp(clock.now / 1e6, UTC)


def test_what_a_clock_that_was_ahead_put_off_is_due_now(registry, kit, run, clock):
    registry.outbox.defer(submit_of(run), 60, "away")
    registry.outbox.leave_alone("laptop", 60, "away")
    assert registry.outbox.due() == []
    assert registry.outbox.breaker("laptop") is not None
    clock.pass_seconds(-2 * 3600)
    assert registry.outbox.breaker("laptop") is None
    assert kit.due(registry) == [run.id]


def test_a_target_that_is_left_alone_is_owed_nothing_for_a_while_and_others_do_not_mind(registry, kit, run, clock):
    kit.publish(registry, "a", target="spare", endpoint="elsewhere")
    other = kit.submit(registry, "elsewhere")
    for failures in (1, 2):
        registry.outbox.leave_alone("laptop", 30, f"away {failures}")
        assert registry.outbox.failures("laptop") == failures
    breaker = registry.outbox.breaker("laptop")
    assert (breaker.until, breaker.message) == (now(clock) + timedelta(seconds=30), "away 2")
    assert {owed.target for owed in registry.outbox.due()} == {"spare"}
    assert registry.outbox.due(target="laptop") == []
    assert kit.due(registry, target="spare") == [other.id]
    assert (registry.outbox.breaker("spare"), registry.outbox.failures("spare")) == (None, 0)
    clock.pass_seconds(31)
    assert registry.outbox.breaker("laptop") is None
    assert registry.outbox.failures("laptop") == 2  # it is still not known to be back
    assert kit.due(registry) == [run.id, other.id]
    registry.outbox.reached("laptop")
    assert registry.outbox.failures("laptop") == 0


def test_what_waited_longest_is_due_first(registry, kit, run, clock):
    runs = [run]
    for _ in range(2):
        clock.pass_seconds(1)
        runs.append(kit.submit(registry))
    assert kit.due(registry) == [one.id for one in runs]
    registry.outbox.defer(submit_of(runs[0]), 0, "again")
    assert kit.due(registry) == [runs[1].id, runs[0].id, runs[2].id]
    assert kit.due(registry, limit=2) == [runs[1].id]  # the endpoint, told before them, counts too


def test_a_refused_run_ends_failed_once(registry, kit, run):
    registry.runs.start_handover(run.id)
    failure = Failure(code="dispatch_failed", message="no such machine type")
    ended = registry.runs.refuse_handover(run.id, failure)
    assert (ended.state, ended.error) == ("failed", failure)
    assert registry.runs.start_handover(run.id) is None
    assert registry.runs.refuse_handover(run.id, Failure(code="x", message="y")) == ended
    other = kit.hand_over(registry, kit.submit(registry))
    assert registry.runs.refuse_handover(other.id, failure).state == "queued"


def test_a_job_that_vanished_is_lost_but_only_after_its_hand_over(registry, kit, run):
    registry.runs.start_handover(run.id)
    assert not registry.runs.is_news(run.id, Absent(), None, {})
    assert registry.runs.report(run.id, Absent(), None, {}) == (registry.runs.get(run.id), False)
    registry.runs.finish_handover(run.id, Submission(external="job"))
    lost, changed = registry.runs.report(run.id, Absent(), None, {})
    assert (changed, lost.state, lost.error.code) == (True, "failed", "run_lost")
    assert not registry.runs.is_news(run.id, RunReport(state="running"), None, {})
    assert registry.runs.report(run.id, RunReport(state="running"), None, {}) == (lost, False)


def test_a_report_is_kept_with_typed_outputs_and_its_times(registry, kit, run):
    kit.hand_over(registry, run)
    steps = (
        StepReport(name="train", state="running", attempt=1, started=EARLY),
        StepReport(name="after", state="queued"),
    )
    running, _ = registry.runs.report(run.id, RunReport(state="running", started=EARLY, steps=steps), None, {})
    assert (running.state, running.started, [step.state for step in running.steps]) == (
        "running",
        EARLY,
        ["running", "queued"],
    )
    again = RunReport(state="running", started=EARLY, steps=steps)
    assert not registry.runs.is_news(run.id, again, None, {})
    assert registry.runs.report(run.id, again, None, {})[1] is False
    end = EARLY + timedelta(seconds=5, microseconds=7)
    failure = Failure(code="step_failed", message="exit 1", step="after")
    steps = (
        StepReport(name="train", state="succeeded", attempt=2, started=EARLY, ended=end, exit_code=0),
        StepReport(name="after", state="failed", attempt=1, exit_code=1, error=failure),
    )
    outputs = {"train": {"big": 2**53 + 1, "whole": 1.0}}
    report = RunReport(state="failed", ended=end, steps=steps, error=failure)
    assert registry.runs.is_news(run.id, report, {"big": 2**53 + 1}, outputs)
    ended, changed = registry.runs.report(run.id, report, {"big": 2**53 + 1}, outputs)
    assert changed
    assert (ended.state, ended.started, ended.ended, ended.error) == ("failed", EARLY, end, failure)
    assert repr(ended.steps[0].outputs) == "{'big': 9007199254740993, 'whole': 1.0}"
    assert (ended.steps[0].attempt, ended.steps[1].exit_code, ended.steps[1].error) == (2, 1, failure)
    assert ended.outputs == {"big": 2**53 + 1}
    assert registry.runs.get(run.id) == ended
    rows = kit.history(registry, subject=run.id).items
    assert [row.action for row in rows] == ["run_ended", "run_started", "run_accepted"]
    # What happened at the target happened when it says; when it was recorded is another time.
    assert [row.happened for row in rows] == [end, EARLY, run.created]
    assert [row.subject_id for row in rows] == [run.id] * 3
    assert rows[0].at > rows[1].at > rows[2].at == run.created > end


def test_a_report_of_many_steps_writes_what_changed_in_it(registry, kit, run):
    kit.hand_over(registry, run)
    steps = [StepReport(name=f"step-{number}", state="queued") for number in range(1000)]
    registry.runs.report(run.id, RunReport(state="running", steps=tuple(steps)), None, {})
    steps[500] = StepReport(name="step-500", state="running", attempt=1, started=EARLY)
    before = kit.sql(registry, "SELECT total_changes()")[0][0]
    after, changed = registry.runs.report(run.id, RunReport(state="running", steps=tuple(steps)), None, {})
    assert changed
    # A row that is replaced counts once or twice.
    assert kit.sql(registry, "SELECT total_changes()")[0][0] - before <= 2
    assert [step.name for step in after.steps] == [step.name for step in steps]
    assert [step.state for step in after.steps] == [step.state for step in steps]


def test_an_end_without_a_time_ends_now_and_may_come_straight_from_queued(registry, kit, run, clock):
    clock.pass_seconds(5)
    registry.runs.start_handover(run.id)
    ended, _ = registry.runs.report(run.id, RunReport(state="succeeded"), {}, {})
    assert (ended.state, ended.external, ended.ended > run.created) == ("succeeded", None, True)
    assert kit.due(registry) == []
    assert ended.waiting is None
    assert registry.runs.finish_handover(run.id, Submission(external="job")).external == "job"


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


@pytest.mark.thorough
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(reports=st.lists(st.builds(RunReport, state=states, steps=step_reports.map(tuple)), max_size=8))
def test_whatever_is_reported_states_only_go_forward_and_an_end_is_final(registry, kit, reports):
    kit.publish(registry, "a", endpoint="digits")
    seen = [kit.hand_over(registry, kit.submit(registry))]
    for report in reports:
        news = registry.runs.is_news(seen[-1].id, report, None, {})
        after, changed = registry.runs.report(seen[-1].id, report, None, {})
        assert news == changed == (after != seen[-1])
        assert after == registry.runs.get(after.id)
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
    outcome = registry.runs.request_cancel(run.id, kit.caller, reason="typo")
    assert (outcome.ended, outcome.requested, outcome.run.state) == (True, False, "canceled")
    assert (outcome.run.cancel_requested, outcome.run.cancel_reason) == (True, "typo")
    assert (kit.due(registry), kit.due(registry, "cancel")) == ([], [])
    assert registry.runs.start_handover(run.id) is None
    again = registry.runs.request_cancel(run.id, kit.caller)
    assert (again.ended, again.requested, again.run) == (False, False, outcome.run)


def test_cancelling_later_is_a_request_that_the_target_answers(registry, kit, run):
    registry.runs.start_handover(run.id)
    outcome = registry.runs.request_cancel(run.id[:8], kit.caller, reason="wrong data")
    assert (outcome.ended, outcome.requested, outcome.run.state) == (False, True, "queued")
    assert outcome.run.cancel_requested
    assert registry.runs.request_cancel(run.id, kit.caller, reason="other").requested is False
    owed = Owed(kind="cancel", subject=run.id, target="laptop")
    assert kit.due(registry, "cancel") == []  # the target may not have it yet
    registry.outbox.done(owed)  # and so cannot have been told
    assert registry.runs.start_handover(run.id).cancel_requested
    registry.runs.finish_handover(run.id, Submission(external="job"))
    assert kit.due(registry, "cancel") == [run.id]
    assert registry.counts().pending_cancels == 1
    registry.outbox.done(owed)
    assert kit.due(registry, "cancel") == []
    ended, _ = registry.runs.report(run.id, RunReport(state="succeeded"), {}, {})
    assert (ended.state, ended.cancel_requested, ended.cancel_reason) == ("succeeded", True, "wrong data")


def test_a_cancel_that_could_not_be_told_counts_its_tries_and_ends_with_its_run(registry, kit, run, clock):
    kit.hand_over(registry, run)
    registry.runs.request_cancel(run.id, kit.caller)
    owed = Owed(kind="cancel", subject=run.id, target="laptop")
    for tries in (1, 2):
        registry.outbox.defer(owed, 5, "away")
        assert registry.outbox.tries(owed) == tries
    assert kit.due(registry, "cancel") == []
    clock.pass_seconds(5)
    assert kit.due(registry, "cancel") == [run.id]
    registry.runs.report(run.id, RunReport(state="canceled"), None, {})
    assert not registry.outbox.is_owed(owed)
    assert registry.counts().pending_cancels == 0


def test_a_run_is_found_by_the_beginning_of_its_id(registry, kit, run):
    assert registry.runs.get(run.id[:6]).id == run.id
    for ref in (run.id[:5], "ffffff-no", "", "run"):
        with pytest.raises(NotFound, match="no run") as missing:
            registry.runs.get(ref)
        assert missing.value.code == "run_not_found"
    with pytest.raises(NotFound):
        registry.runs.ref("nothing")
    other = kit.submit(registry)
    with registry.write() as tx:
        tx.run("UPDATE runs SET id = ? WHERE id = ?", run.id[:7] + "-twin", other.id)
        tx.run("UPDATE requests SET run = run")
    with pytest.raises(Conflict, match=run.id[:7] + "-twin") as ambiguous:
        registry.runs.get(run.id[:6])
    assert ambiguous.value.code == "ambiguous"
    with registry.write() as tx:
        tx.run("UPDATE runs SET id = ? WHERE id = ?", other.id, run.id[:7] + "-twin")


def test_runs_are_listed_newest_first_by_what_they_have(registry, kit, run):
    runs = [run] + [kit.submit(registry) for _ in range(4)]
    kit.publish(registry, "z", name="letters", endpoint="letters")
    other = kit.submit(registry, "letters")
    registry.runs.request_cancel(runs[1].id, kit.caller)
    ids = [one.id for one in [*runs, other]][::-1]
    page = kit.runs(registry, limit=4)
    assert ([one.id for one in page.items], page.more) == (ids[:4], True)
    assert [one.id for one in kit.runs(registry, limit=4, before=page.next).items] == ids[4:]
    assert [one.id for one in kit.runs(registry, endpoint="letters").items] == [other.id]
    assert [one.id for one in kit.runs(registry, pipeline="digits", state="canceled").items] == [runs[1].id]
    assert len(kit.runs(registry, experiment="trials", endpoint=run.endpoint_id).items) == 5
    assert kit.runs(registry, experiment="nothing").items == ()
    assert kit.code(kit.runs, registry, endpoint="nothing") == "endpoint_not_found"
    assert kit.code(kit.runs, registry, state="asleep") == "value_invalid"
    registry.runs.request_cancel(other.id, kit.caller)
    registry.endpoints.delete("letters", kit.caller)
    assert [one.id for one in kit.runs(registry, endpoint="letters").items] == [other.id]
    assert registry.runs.unfinished() == [one.id for one in runs if one.id != runs[1].id]
    assert registry.runs.unfinished(endpoint=run.endpoint_id) == registry.runs.unfinished()
    assert registry.runs.unfinished(endpoint=other.endpoint_id) == []
    assert registry.runs.unfinished(published=run.published) == registry.runs.unfinished()
    assert registry.runs.unfinished(published=other.published) == []
    assert registry.counts().runs == {"queued": 4, "running": 0, "succeeded": 0, "failed": 0, "canceled": 2}
