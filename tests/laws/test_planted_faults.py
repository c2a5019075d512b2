"""The laws of the core against faults planted on purpose: each is caught, and by the law that it breaks."""

from __future__ import annotations

from pathlib import Path

import pytest
from laws.caught import question, skip_what_cannot_be_asked, verdict
from planting.cases import asked_at_once, faults_below

from penstock.testing.processes.subprocesses import in_subprocess

FAULTS = faults_below(Path(__file__).parent / "planted", "laws.planted")
CASES = [(law, fault, name) for law, known in FAULTS.items() for fault, name in known.items()]
pytestmark = pytest.mark.thorough

SOME = ("everything_in_its_turn", "rollback_walks_back", "every_change_is_a_row", "everybody_publishes")


@pytest.fixture(scope="module")
def verdict_on(request, tmp_path_factory):
    """What is found while a fault is planted."""
    names = {fault: name for _, fault, name in CASES}

    def ask(fault):
        return in_subprocess(verdict, tmp_path_factory.mktemp("planted"), fault, names[fault])

    with asked_at_once(request, 3, ask) as answer:
        yield answer


@pytest.mark.parametrize(
    ("law", "fault", "name"), CASES, ids=[f"law{law:02}-{fault.rpartition(':')[2]}" for law, fault, _ in CASES]
)
def test_a_planted_fault_is_caught_by_the_law_that_it_breaks(law, fault, name, verdict_on):
    skip_what_cannot_be_asked(name)
    found, why = verdict_on(fault)
    assert found == law, f"{name} finds {found or 'nothing wrong; is what is changed still there?'}: {why}"


@pytest.mark.parametrize("name", SOME)
def test_what_is_not_planted_is_not_caught(name, tmp_path):
    assert in_subprocess(verdict, tmp_path, None, name) == (None, "")


def test_each_law_of_the_core_has_three_to_thirty_faults_and_their_questions_are_there():
    assert {law: len(known) for law, known in FAULTS.items() if not 3 <= len(known) <= 30} == {}
    assert all(question(name) for _, _, name in CASES)
