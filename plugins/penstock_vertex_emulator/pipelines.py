"""PipelineService and its operations: what each call does, whichever transport it came by."""

from __future__ import annotations

import re
import uuid
import zlib
from typing import Any

from penstock_emulator.store import Store
from penstock_vertex_emulator.artifacts import Artifacts
from penstock_vertex_emulator.errors import ApiError, invalid
from penstock_vertex_emulator.jobs import Jobs
from penstock_vertex_emulator.listing import masked, matches, ordered, page
from penstock_vertex_emulator.messages import data_of, now, parse_data, vertex
from penstock_vertex_emulator.spec import Spec, bind
from penstock_vertex_emulator.storage import Storage, StorageError

_ID = re.compile(r"[a-z][-a-z0-9]{0,127}")
_LABEL = re.compile(r"(?:[^\W\dA-Z_]|[-_\d])*")
_PARENT = re.compile(r"projects/[^/]+/locations/[^/]+")
_OUTPUT_ONLY = (
    "name",
    "create_time",
    "start_time",
    "end_time",
    "update_time",
    "state",
    "job_detail",
    "error",
    "template_metadata",
    "schedule_name",
)
_PENDING = 2


class Pipelines:
    """The calls of PipelineService that are about PipelineJobs."""

    def __init__(self, jobs: Jobs, storage: Storage, store: Store, artifacts: Artifacts) -> None:
        self._jobs = jobs
        self._storage = storage
        self._store = store
        self._artifacts = artifacts

    def create(self, request: Any) -> Any:
        """Check a job, take it, start it."""
        parent = numbered(_parent(request.parent))
        job = request.pipeline_job
        for field in _OUTPUT_ONLY:
            job.ClearField(field)
        if not job.HasField("pipeline_spec"):
            self._follow_template(job)
        elif version := self._artifacts.version(job.template_uri):  # it only says where the spec comes from
            job.template_metadata.version = version
        spec = Spec(data_of(job.pipeline_spec))
        identity = request.pipeline_job_id
        if not identity:
            identity = f"{spec.message.pipeline_info.name.lstrip('0123456789-') or 'job'}-{uuid.uuid4().hex[:14]}"[:128]
        if not _ID.fullmatch(identity):
            raise invalid(f"pipelineJobId: {identity!r} does not match {_ID.pattern}")
        if len(job.display_name) > 128:
            raise invalid("pipelineJob.displayName: longer than 128 characters")
        _check_labels(job.labels)
        self._check_runtime(job, spec)
        job.name = f"{parent}/pipelineJobs/{identity}"
        job.create_time.CopyFrom(now())
        live = vertex().PipelineJob(state=_PENDING)
        live.update_time.CopyFrom(job.create_time)
        for name, schema in (("pipeline_context", "system.Pipeline"), ("pipeline_run_context", "system.PipelineRun")):
            shown = spec.message.pipeline_info.name if name == "pipeline_context" else identity
            context = getattr(live.job_detail, name)
            context.name = f"{parent}/metadataStores/default/contexts/{shown}"
            context.display_name, context.schema_title, context.schema_version = shown, schema, "0.0.1"
        answer = vertex().PipelineJob()
        answer.CopyFrom(job)
        answer.MergeFrom(live)
        self._jobs.create(job.name, job, live)
        return answer

    def _follow_template(self, job: Any) -> None:
        if not job.template_uri:
            raise invalid("pipelineJob: neither pipelineSpec nor templateUri")
        version, document = self._artifacts.template(job.template_uri)
        parse_data(document, job.pipeline_spec, "the template")
        job.template_metadata.version = version

    def _check_runtime(self, job: Any, spec: Spec) -> None:
        config = job.runtime_config
        if config.parameters:
            raise invalid("runtimeConfig.parameters: schema 2.1.0 takes parameterValues")
        bind(spec.root, config.parameter_values)
        for name, declared in spec.root.input_definitions.artifacts.items():
            if not declared.is_optional:
                raise ApiError(
                    "UNIMPLEMENTED", f"the pipeline takes the artifact {name!r}: the emulator does not do this"
                )
        root = config.gcs_output_directory or spec.message.default_pipeline_root
        bucket = re.fullmatch(r"gs://([^/]+)(/.*)?", root)
        if bucket is None or {".", ".."} & set(root.split("/")):
            raise invalid(f"runtimeConfig.gcsOutputDirectory: {root!r} is no gs:// path")
        try:
            self._storage.bucket(bucket[1])
        except StorageError:
            raise ApiError("FAILED_PRECONDITION", f"the bucket {bucket[1]} does not exist or may not be used") from None
        config.gcs_output_directory = root

    def get(self, request: Any) -> Any:
        """A job as it is now."""
        return self._jobs.get(numbered(request.name))

    def list(self, request: Any) -> Any:
        """The jobs of a location, without the details of their tasks."""
        test = matches(request.filter)
        jobs = self._jobs.all(numbered(_parent(request.parent)))
        found = ordered([job for job in jobs if test(job)], request.order_by)
        shown, token = page(found, request.page_size, request.page_token)
        answer = vertex().ListPipelineJobsResponse(next_page_token=token)
        for job in shown:
            job.job_detail.ClearField("task_details")
            answer.pipeline_jobs.add().CopyFrom(masked(job, request.read_mask.paths))
        return answer

    def cancel(self, request: Any) -> Any:
        """Ask a job to end."""
        from google.protobuf.empty_pb2 import Empty

        self._jobs.cancel(numbered(request.name))
        return Empty()

    def delete(self, request: Any) -> Any:
        """Forget a job that has ended."""
        from google.protobuf.empty_pb2 import Empty

        name = numbered(request.name)
        self._jobs.delete(name)
        return self._operation(name, vertex().DeleteOperationMetadata(), Empty())

    def batch_cancel(self, request: Any) -> Any:
        """Ask several jobs to end."""
        jobs = self._several(request)
        for job in jobs:
            self._jobs.cancel(job.name)
        answer = vertex().BatchCancelPipelineJobsResponse(pipeline_jobs=[self._jobs.get(job.name) for job in jobs])
        parent = numbered(request.parent)
        return self._operation(parent, vertex().BatchCancelPipelineJobsOperationMetadata(), answer)

    def batch_delete(self, request: Any) -> Any:
        """Forget several jobs that have ended: all, or none if one has not."""
        jobs = self._several(request)
        for job in jobs:
            if job.state not in (4, 5, 7):
                raise ApiError("FAILED_PRECONDITION", f"the PipelineJob {job.name} has not ended: cancel it first")
        for job in jobs:
            self._jobs.delete(job.name)
        answer = vertex().BatchDeletePipelineJobsResponse(pipeline_jobs=jobs)
        return self._operation(numbered(request.parent), vertex().DeleteOperationMetadata(), answer)

    def _several(self, request: Any) -> Any:
        parent = numbered(_parent(request.parent))
        names = [numbered(name) for name in request.names]
        if not 1 <= len(names) <= 32:
            raise invalid(f"names: {len(names)}, and a batch is of 1 to 32")
        for name in names:
            if not name.startswith(f"{parent}/pipelineJobs/"):
                raise invalid(f"names: {name!r} is not a PipelineJob of {parent}")
        return [self._jobs.get(name) for name in names]

    def _operation(self, resource: str, metadata: Any, response: Any) -> Any:
        """An operation that is done; who asks for it the second time learns that."""
        from google.longrunning.operations_pb2 import Operation

        number = uuid.uuid4().int >> 66
        operation = Operation(name=f"{resource}/operations/{number}")
        if "generic_metadata" in metadata.DESCRIPTOR.fields_by_name:
            metadata.generic_metadata.create_time.CopyFrom(now())
            metadata.generic_metadata.update_time.CopyFrom(now())
        operation.metadata.Pack(metadata)
        begun = Operation()
        begun.CopyFrom(operation)
        operation.done = True
        operation.response.Pack(response)
        row = (operation.name, resource, operation.SerializeToString())
        self._store.run("insert into operations values (?, ?, ?)", *row)
        return begun


class Operations:
    """The calls on long-running operations."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, request: Any) -> Any:
        """An operation."""
        from google.longrunning.operations_pb2 import Operation

        row = self._store.row("select body from operations where name = ?", numbered(request.name))
        if not row:
            raise ApiError("NOT_FOUND", f"the operation {request.name} does not exist")
        return Operation.FromString(row[0])

    def list(self, request: Any) -> Any:
        """The operations of a resource."""
        from google.longrunning.operations_pb2 import ListOperationsResponse, Operation

        rows = self._store.rows("select body from operations where parent = ? order by name", numbered(request.name))
        found = [Operation.FromString(body) for (body,) in rows]
        shown, token = page(found, request.page_size, request.page_token)
        return ListOperationsResponse(operations=shown, next_page_token=token)

    def cancel(self, request: Any) -> Any:
        """Nothing: every operation is done before anybody could cancel it."""
        from google.protobuf.empty_pb2 import Empty

        self.get(request)
        return Empty()

    def delete(self, request: Any) -> Any:
        """Forget an operation."""
        from google.protobuf.empty_pb2 import Empty

        self.get(request)
        self._store.run("delete from operations where name = ?", numbered(request.name))
        return Empty()


def numbered(name: str) -> str:
    """A resource's name with its project as a number, as Google answers it: one that is no number gets one."""
    parts = name.split("/")
    if len(parts) > 1 and parts[0] == "projects" and not parts[1].isdigit():
        parts[1] = str(100_000_000_000 + zlib.crc32(parts[1].encode()))
    return "/".join(parts)


def _parent(text: str) -> str:
    if not _PARENT.fullmatch(text):
        raise invalid(f"parent: {text!r} is no projects/*/locations/*")
    return text


def _check_labels(labels: Any) -> None:
    if len(labels) > 64:
        raise invalid(f"labels: {len(labels)}, and 64 is the most")
    for key, value in labels.items():
        for word, what in ((key, "key"), (value, "value")):
            if len(word) > 63 or not _LABEL.fullmatch(word) or word != word.lower():
                raise invalid(f"labels: the {what} {word!r} is no label: up to 63 lower-case letters, digits, _ and -")
        if not key:
            raise invalid("labels: an empty key")
