"""The kit against faults planted on purpose in a backend: each is caught, and by the law that it breaks."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from planting.cases import asked_at_once, faults_below

from penstock.testing.checks import CHECKS
from penstock.testing.processes.subprocesses import in_subprocess
from penstock.testing.subject import Subject

FAULTS = faults_below(Path(__file__).parent / "planted", "conformance.planted")
OFTEN = 2
"""So many faults of each law are planted by `-m thorough`; `-m slow` plants the rest."""

CONTROL = "conformance.planted.law00_none:nothing"
BROKEN = "conformance.planted.law00_none:broken"
PLAIN = {
    1: ("changed_archives_are_not_run", "data_frozen"),
    7: ("arguments_arrive", "missing_values_leave_nothing"),
    8: ("handed_over_again",),
    9: ("states_go_forward", "timed_out", "many_are_told_as_one", "cleared_is_finished"),
    11: ("types_are_kept", "artifacts_are_downloaded", "logs_can_be_followed"),
    12: ("runs_need_nobody_to_wait", "moved_with_the_workspace", "lacking_files_end_no_run"),
    13: (
        "only_artifacts_of_the_run_are_handed_out",
        "secrets_are_refused_where_nobody_keeps_them",
        "secrets_are_their_runs_alone",
        "secrets_go_with_a_cancel",
        "copies_touch_nothing",
        "runs_begin_alike",
    ),
}
"""Checks that pass when nothing is planted."""


def verdict(folder: Path, law: int, fault: str, checks: tuple[str, ...]) -> tuple[str, str]:
    """What the kit makes of one law with a fault planted, and why, in a process of its own: that one stays as it is."""
    from caught import verdict as caught

    subject = Subject.of_options(folder, {"backend": "local", "idle": "1s"}, prepare=(fault,))
    return in_subprocess(partial(caught, subject, law, checks))


@pytest.fixture(scope="module")
def verdict_on(request, tmp_path_factory, engines_end):
    """What the kit makes of a fault."""
    folder = tmp_path_factory.mktemp("planted")
    cases = {fault: (law, check) for law, known in FAULTS.items() for fault, check in known.items()}

    def ask(fault):
        law, check = cases[fault]
        return verdict(folder / fault.rpartition(":")[2], law, fault, (check,))

    with asked_at_once(request, 4, ask) as answer:
        yield answer
    engines_end(folder)


@pytest.mark.parametrize(
    ("law", "fault", "check"),
    [
        pytest.param(
            *(law, fault, check),
            id=f"law{law:02}-{fault.rpartition(':')[2]}",
            marks=pytest.mark.thorough if place < OFTEN else pytest.mark.slow,
        )
        for law, known in FAULTS.items()
        for place, (fault, check) in enumerate(known.items())
    ],
)
def test_a_planted_fault_is_caught_by_the_law_that_it_breaks(law, fault, check, verdict_on):
    result, reason = verdict_on(fault)
    assert result == "fail", f"{check} finds nothing wrong; is what {fault} changes still there? {reason}"


@pytest.mark.thorough
@pytest.mark.sampled(1)
@pytest.mark.parametrize("law", PLAIN)
def test_what_is_not_planted_is_not_caught(law, tmp_path, engines_end):
    found = verdict(tmp_path, law, CONTROL, PLAIN[law])
    engines_end(tmp_path)
    assert found == ("pass", "")


def test_an_error_that_a_check_does_not_expect_is_no_verdict(tmp_path, engines_end):
    result, reason = verdict(tmp_path, 11, BROKEN, ("logs_are_the_same",))
    engines_end(tmp_path)
    assert (result, "planted to break" in reason) == ("error", True)


def test_a_check_that_a_fault_was_made_for_is_there():
    wanted = {check for known in FAULTS.values() for check in known.values()}
    assert wanted - {check.name for check in CHECKS} == set()


def test_there_are_a_few_faults_of_each_law_that_a_backend_can_break():
    counts = {law: len(known) for law, known in FAULTS.items()}
    assert {law: count for law, count in counts.items() if not 2 <= count <= 15} == {}
