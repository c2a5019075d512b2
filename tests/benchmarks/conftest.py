"""What several benchmarks use."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def filling(importing) -> ModuleType:
    """The module of `filling.py`."""
    return importing(HERE / "filling.py")
