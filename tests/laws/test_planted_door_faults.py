"""The laws at the HTTP doors against faults planted in the doors: each is caught, and by the law that it breaks."""

from __future__ import annotations

from pathlib import Path

import pytest
from laws.caught import question, verdict
from laws.doors.serving import zygote
from planting.cases import asked_at_once, faults_below

from penstock.testing.processes.subprocesses import in_subprocess

FAULTS = faults_below(Path(__file__).parent / "planted_doors", "laws.planted_doors")
CASES = [(law, fault, door, name) for law, known in FAULTS.items() for fault, (door, name) in known.items()]
pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def verdict_on(request, tmp_path_factory):
    """What is found while a fault is planted."""
    asked = {fault: (name, door) for _, fault, door, name in CASES}

    def ask(fault):
        return in_subprocess(verdict, tmp_path_factory.mktemp("planted"), fault, *asked[fault], zygote())

    zygote()  # by this thread, and not by several
    with asked_at_once(request, 3, ask) as answer:
        yield answer


@pytest.mark.parametrize(
    ("law", "fault", "door", "name"), CASES, ids=[f"law{law:02}-{fault.rpartition(':')[2]}" for law, fault, *_ in CASES]
)
def test_a_fault_in_a_door_is_caught_by_the_law_that_it_breaks(law, fault, door, name, verdict_on):
    found, why = verdict_on(fault)
    assert found == law, f"{name} by {door} finds {found or 'nothing wrong; is what is changed still there?'}: {why}"


@pytest.mark.parametrize("door", ["http", "azureml_v1"])
def test_a_door_without_a_fault_is_not_caught(door, tmp_path):
    assert in_subprocess(verdict, tmp_path, None, "what_it_came_through", door, zygote()) == (None, "")


def test_each_law_of_a_door_has_two_to_ten_faults_and_their_questions_are_there():
    assert {law: len(known) for law, known in FAULTS.items() if not 2 <= len(known) <= 10} == {}
    assert all(question(name) for _, _, _, name in CASES)
