"""What each law is asked of: the core, in front of a backend that starts no process, through one door after another."""

from __future__ import annotations

import sys
import zlib
from pathlib import Path

import pytest

HERE = Path(__file__).parent

# Processes of their own import the questions by their names below `tests`, and the backend by its distribution.
for place in (HERE / "backend", HERE.parent):
    if str(place) not in sys.path:
        sys.path.insert(0, str(place))

from laws.asked import new_harness  # noqa: E402  # found by the path that was only just set
from laws.doors import DOORS  # noqa: E402  # as above


def pytest_configure(config):
    config.addinivalue_line("markers", "doors(*names): the doors that a question of a law goes through")


def pytest_generate_tests(metafunc):
    """README's command asks each question through its first door and another one, `-m thorough` through the rest."""
    if "harness" in metafunc.fixturenames:
        mark = metafunc.definition.get_closest_marker("doors")
        first, *others = mark.args if mark else tuple(DOORS)
        other = others[zlib.crc32(metafunc.definition.name.encode()) % len(others)] if others else first
        cases = [pytest.param(door, marks=[] if door == other else pytest.mark.thorough) for door in others]
        metafunc.parametrize("harness", [first, *cases], indirect=True, scope="module")


@pytest.fixture(scope="module")
def harness(request, tmp_path_factory):
    """What a question is asked of, by the door in the test's id."""
    return new_harness(tmp_path_factory.mktemp("laws"), request.param)
