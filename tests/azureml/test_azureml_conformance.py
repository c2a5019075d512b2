"""The whole conformance kit over TLS, against the emulator; slowly, where answers get lost."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from penstock.testing import Conformance

pytestmark = pytest.mark.timeout(900)


class TestAzureml(Conformance):
    unsupported: ClassVar = {
        "penstock_keep_secrets": "never",  # who may see a job sees its inputs
        "penstock_list_runs": "never",  # a listing of jobs has no nodes
    }

    @pytest.fixture(scope="class")
    @classmethod
    def options(cls, emulator: dict[str, Any]) -> dict[str, Any]:
        return dict(emulator["target"])


@pytest.mark.slow
class TestAzuremlThatLosesAnswers(TestAzureml):
    """The first and every third answer about each thing is lost after the work was done."""

    @pytest.fixture(scope="class")
    @classmethod
    def options(cls, losing: dict[str, Any]) -> dict[str, Any]:
        return dict(losing["target"])
