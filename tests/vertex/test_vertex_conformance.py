"""The whole conformance kit through Google's own client, against the emulator: over REST, and slowly over gRPC."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from penstock.testing import Conformance

pytestmark = pytest.mark.timeout(900)


class TestVertex(Conformance):
    unsupported: ClassVar = {
        "penstock_sync_endpoint": "never",  # Vertex has no endpoints of pipelines
        "penstock_keep_secrets": "not yet",
        "penstock_list_runs": "not yet",
        "penstock_retire_pipeline": "not yet",
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
