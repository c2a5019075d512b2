"""The kit against faults planted on purpose: each is caught, and by the law that it breaks."""

from __future__ import annotations

import importlib
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import zip_longest
from pathlib import Path

import pytest

from penstock.testing.checks import CHECKS
from penstock.testing.laws import LAWS
from penstock.testing.processes.apart import apart
from penstock.testing.subject import Subject

HERE = Path(__file__).parent
CONTROL = "planted.third_look:nothing"
QUICK = {law: tuple(one.name for one in CHECKS if one.laws == (law,)) for law in (7, 10)} | {
    3: ("rollback_walks_back", "default_waits_for_words", "every_move_is_taken_back"),
    6: ("everything_in_its_turn", "everything_is_said_at_once"),
    9: ("states_go_forward", "timed_out", "a_lost_run_fails"),
    12: ("never_given_up", "runs_need_nobody_to_wait"),
}
"""Checks of some laws that do not take long."""


def planted() -> dict[tuple[int, str], tuple[str, ...]]:
    """The checks to ask of every fault, all when there are none, by the law that it breaks and `module:function`.

    A module may say in its `CHECKS` which one a fault was made for.
    """
    sys.path.insert(0, str(HERE))
    try:
        modules = [importlib.import_module(f"planted.{file.stem}") for file in sorted((HERE / "planted").glob("*.py"))]
    finally:
        sys.path.remove(str(HERE))
    return {
        (law, f"{module.__name__}:{fault.__name__}"): (known[fault.__name__],) if fault.__name__ in known else ()
        for module in modules
        for known in [getattr(module, "CHECKS", {})]
        for law, faults in sorted(module.FAULTS.items())
        for fault in faults
    }


FAULTS = planted()
FEW = 5
"""So many faults of each law are planted every time, from as many modules as there are; `-m slow` plants the rest."""

TELLING = {
    (7, "planted.pipes:argument_is_split_at_spaces"),
    (8, "planted.interruptions:a_second_submit_is_called_otherwise"),
    (9, "planted.basics:skipped_step_is_said_to_succeed"),
}
"""Faults that everybody thinks of first: planted every time too."""


def often() -> set[tuple[int, str]]:
    """The faults that are planted every time."""
    chosen = set(TELLING)
    for law in LAWS:
        modules: dict[str, list[str]] = {}
        for number, fault in FAULTS:
            if number == law.number:
                modules.setdefault(fault.partition(":")[0], []).append(fault)
        turns = [fault for turn in zip_longest(*modules.values()) for fault in turn if fault is not None]
        chosen |= {(law.number, fault) for fault in turns[:FEW]}
    return chosen


OFTEN = often()
ASKED = {**FAULTS, **{(law, CONTROL): checks for law, checks in QUICK.items()}}


def verdict(folder: Path, law: int, fault: str) -> tuple[str, str]:
    """What the kit makes of one law with a fault planted, and why, in a process of its own: that one stays as it is."""
    from caught import verdict as caught

    subject = Subject.of_options(folder, {"backend": "local", "idle": "1s"}, prepare=(fault,))
    return apart(partial(caught, subject, law, ASKED[law, fault]))


@pytest.fixture(scope="module")
def verdicts(request, tmp_path_factory, engines_end):
    """The verdicts on the faults of this session's tests, four being worked out at a time: much of it is waiting."""
    folder = tmp_path_factory.mktemp("planted")
    params = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    wanted = [(one["law"], one["fault"]) for one in params if {"law", "fault"} <= set(one)]
    with ThreadPoolExecutor(4) as pool:
        yield {
            (law, fault): pool.submit(verdict, folder / str(number), law, fault)
            for number, (law, fault) in enumerate(wanted)
        }
    engines_end(folder)


@pytest.mark.parametrize(
    ("law", "fault"),
    [
        pytest.param(law, fault, id=f"law{law:02}-{fault}", marks=() if (law, fault) in OFTEN else pytest.mark.slow)
        for law, fault in FAULTS
    ],
)
def test_a_planted_fault_is_caught_by_the_law_that_it_breaks(law, fault, verdicts):
    result, reason = verdicts[law, fault].result()
    assert result == "fail", reason


@pytest.mark.parametrize(("law", "fault"), [(law, CONTROL) for law in QUICK], ids=[f"law{law:02}" for law in QUICK])
def test_what_is_not_planted_is_not_caught(law, fault, verdicts):
    assert verdicts[law, fault].result() == ("pass", "")


def test_an_error_that_a_check_does_not_expect_is_no_verdict(tmp_path, engines_end):
    from caught import verdict as caught

    subject = Subject.of_options(tmp_path, {"backend": "local", "idle": "1s"}, prepare=("planted.third_look:broken",))
    result, reason = apart(partial(caught, subject, 3, ("rollback_walks_back",)))
    engines_end(tmp_path)
    assert (result, "planted to break" in reason) == ("error", True)


def test_a_check_that_a_fault_was_made_for_is_there():
    wanted = {name for names in ASKED.values() for name in names}
    assert wanted - {check.name for check in CHECKS} == set()


def test_every_law_has_at_least_two_faults_planted():
    counts = {law.number: [fault for number, fault in OFTEN if number == law.number] for law in LAWS}
    assert {law: faults for law, faults in counts.items() if len(set(faults)) < 2} == {}
