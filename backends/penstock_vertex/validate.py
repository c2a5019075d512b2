"""What Vertex AI cannot do with a pipeline, told before anything is written: each problem with its place."""

from __future__ import annotations

from collections.abc import Iterator

from penstock.contract.target import Problem
from penstock.spec import Pipeline
from penstock_vertex.options import VertexOptions


def problems(options: VertexOptions, pipeline: Pipeline) -> Iterator[Problem]:
    """Everything that this target cannot do (errors) or does differently (warnings; errors when it is strict)."""
    yield from ()
