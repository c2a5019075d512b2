"""The kit against faults planted on purpose: each is caught, and by the law that it breaks."""

from __future__ import annotations

import importlib
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from penstock.testing.examination import examine_laws
from penstock.testing.laws import LAWS
from penstock.testing.processes.apart import apart
from penstock.testing.profiles import Profile
from penstock.testing.subject import Subject

HERE = Path(__file__).parent
QUICK = Profile(name="quick", shrink=False)


def planted() -> list[tuple[int, str]]:
    """Every fault with the law that it breaks, as `module:function`."""
    sys.path.insert(0, str(HERE))
    try:
        modules = [importlib.import_module(f"planted.{file.stem}") for file in sorted((HERE / "planted").glob("*.py"))]
    finally:
        sys.path.remove(str(HERE))
    return [
        (law, f"{module.__name__}:{fault.__name__}")
        for module in modules
        for law, faults in sorted(module.FAULTS.items())
        for fault in faults
    ]


FAULTS = planted()


def verdict(folder: Path, law: int, fault: str) -> str:
    """What the kit makes of one law with a fault planted, in a process of its own: that one stays as it is."""
    subject = Subject.of_options(folder, {"backend": "local", "idle": "1s"}, prepare=(fault,))
    report = apart(partial(examine_laws, subject, (law,), profile=QUICK, seed=1, until_broken=True))
    return next(one.result for one in report.laws if one.law == law)


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


@pytest.mark.parametrize(("law", "fault"), FAULTS, ids=[f"law{law:02}-{fault}" for law, fault in FAULTS])
def test_a_planted_fault_is_caught_by_the_law_that_it_breaks(law, fault, verdicts):
    assert verdicts[law, fault].result() == "fail"


def test_every_law_has_at_least_two_faults_planted():
    counts = {law.number: [fault for number, fault in FAULTS if number == law.number] for law in LAWS}
    assert {law: faults for law, faults in counts.items() if len(set(faults)) < 2} == {}


def test_the_same_fault_is_named_once():
    assert len(FAULTS) == len(set(FAULTS))
