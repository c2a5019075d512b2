"""A snapshot as the body of what Vertex AI runs: a pipeline job's spec in KFP's intermediate representation."""

from __future__ import annotations

from penstock.snapshot import Snapshot
from penstock_vertex.options import VertexOptions

FORMAT = "penstock-vertex/v1"
MEDIA_TYPE = "application/vnd.penstock.vertex+json"


def compile_pipeline(options: VertexOptions, snapshot: Snapshot) -> bytes:
    """The document `{"format", "resource": "pipelineJobs", "spec": PipelineSpec}` in canonical JSON. Deterministic.

    `resource` is the collection that the spec is for. Parameters whose default travels with the snapshot have a default
    in the spec, so a job leaves out those that a run names as bundled, and gives every other one by `wire.encode_value`.
    """
    raise NotImplementedError
