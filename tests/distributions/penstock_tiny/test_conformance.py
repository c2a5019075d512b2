"""All that a backend's author writes to have it examined: `pytest` beside an installed penstock[testing]."""

from pathlib import Path
from typing import Any, ClassVar

import pytest

from penstock.testing import Conformance


class TestTiny(Conformance):
    unsupported: ClassVar = {
        "penstock_sync_endpoint": "never",  # a folder has no endpoints of its own
        "penstock_retire_pipeline": "not yet",
        "penstock_check_target": "not yet",
        "penstock_list_runs": "not yet",
        "penstock_keep_secrets": "not yet",
        "penstock_fetch_artifact": "not yet",
        "penstock_clear_run": "not yet",
    }

    @pytest.fixture(scope="class")
    @classmethod
    def options(cls, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
        folder: Path = tmp_path_factory.mktemp("tiny")
        return {"backend": "tiny", "folder": str(folder)}
