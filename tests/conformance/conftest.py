"""Fixtures of the kit's own suite: what is planted can be imported by every process of the kit."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

HERE = str(Path(__file__).parent)


@pytest.fixture(scope="session", autouse=True)
def _planted_is_importable():
    sys.path.insert(0, HERE)
    yield
    sys.path.remove(HERE)
