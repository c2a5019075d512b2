"""The whole conformance kit through Google's own client, against the emulator: over REST; slowly over gRPC, and where
answers get lost.
"""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from penstock.testing import Conformance

pytestmark = pytest.mark.timeout(900)


class TestVertex(Conformance):
    unsupported: ClassVar = {
        "penstock_sync_endpoint": "never",  # Vertex has no endpoints of pipelines
        "penstock_keep_secrets": "never",  # who may see a job sees its parameters
        "penstock_list_runs": "never",  # a listing of jobs has no details of their tasks
        "penstock_retire_pipeline": "never",  # another workspace may have published the same content there
    }

    @pytest.fixture(scope="class")
    @classmethod
    def options(cls, emulator: dict[str, Any]) -> dict[str, Any]:
        return dict(emulator["target"])


@pytest.mark.slow
class TestVertexOverGrpc(TestVertex):
    @pytest.fixture(scope="class")
    @classmethod
    def options(cls, emulator: dict[str, Any]) -> dict[str, Any]:
        return dict(emulator["grpc"])


@pytest.mark.slow
class TestVertexThatLosesAnswers(TestVertex):
    """The first and every third answer about each thing is lost after the work was done."""

    @pytest.fixture(scope="class")
    @classmethod
    def options(cls, losing: dict[str, Any]) -> dict[str, Any]:
        return dict(losing["target"])


@pytest.mark.slow
class TestVertexThatLosesAnswersOverGrpc(TestVertex):
    @pytest.fixture(scope="class")
    @classmethod
    def options(cls, losing: dict[str, Any]) -> dict[str, Any]:
        return dict(losing["grpc"])
