"""What the tests of the Vertex emulator need: Google's own client, which the cloud lock installs."""

from __future__ import annotations

import importlib.util
import os

import pytest

NEEDED = ("google.cloud.aiplatform_v1", "google.cloud.storage", "kfp")


def _missing() -> list[str]:
    return [name for name in NEEDED if not _found(name)]


def _found(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    missing = _missing()
    if not missing:
        return
    if os.environ.get("PENSTOCK_TEST_CLOUD"):
        raise pytest.UsageError(f"the suites of the cloud backends need {', '.join(missing)}")
    skip = pytest.mark.skip(reason=f"needs {', '.join(missing)}: see `requirements-cloud.lock`")
    here = os.path.dirname(__file__)
    for item in items:
        if str(item.path).startswith(here + os.sep):
            item.add_marker(skip)
