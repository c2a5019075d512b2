"""A folder with a configuration that a test writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Write penstock.yaml into the current folder and say where that is."""
    monkeypatch.chdir(tmp_path)

    def put(text: str) -> Path:
        (tmp_path / "penstock.yaml").write_text(text)
        return tmp_path

    return put
