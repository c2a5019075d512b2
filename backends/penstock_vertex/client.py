"""What touches Google's libraries, `repository` and `cloud_logging` besides: pipeline jobs and files in a bucket.

No call of theirs has a default time limit that can be relied on. So every call here has `timeout=`, and is repeated by
`repeating` alone; what fails then is repeated by the core, or by whoever looks again.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from penstock.errors import TargetRefused, TargetUnavailable
from penstock_vertex.credentials import credentials_of, made_once, undisturbed
from penstock_vertex.repeating import repeated
from penstock_vertex.staging import split_uri
from penstock_vertex.troubles import from_google, translated

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1 import PipelineJob
    from google.cloud.aiplatform_v1.services.pipeline_service import PipelineServiceClient
    from google.cloud.storage import Bucket, Client

    from penstock_vertex.options import VertexOptions

Job = Mapping[str, Any]

STORAGE = "https://storage.googleapis.com"
"""Where Cloud Storage is, unless a target says another address."""


_PAGE = 1000
"""Files of one page of a listing."""


@frozen(kw_only=True)
class Object:
    """A file of the staging folder; `generation` is another one once it is written anew."""

    path: str
    size: int
    generation: int


@frozen
class Vertex:
    """Pipeline jobs and the staging bucket of one target. Every method raises TargetUnavailable when Google cannot be
    reached, does not answer in time or lets us not in, and TargetRefused when it says no for good.
    """

    options: VertexOptions
    _jobs: PipelineServiceClient
    _bucket: Bucket
    _prefix: str

    @property
    def parent(self) -> str:
        """Where jobs are: `projects/P/locations/L`."""
        return f"projects/{self.options.project}/locations/{self.options.location}"

    def job_name(self, job_id: str) -> str:
        """The resource name of a job; what Google returns may have the project's number in it instead."""
        return f"{self.parent}/pipelineJobs/{job_id}"

    def create_job(self, job_id: str, job: Mapping[str, Any]) -> str:
        """Create a job, or find the one that has this id already; returns its resource name.

        `job` is as `PipelineJob` takes it.
        """
        from google.api_core.exceptions import Conflict

        with translated("the job cannot be created", self.options):
            try:
                create = self._jobs.create_pipeline_job
                made = self._send(create, parent=self.parent, pipeline_job=dict(job), pipeline_job_id=job_id)
                if not made.name:
                    raise TargetUnavailable("the job was created, and the answer does not say its name", retry_after=5)
                return str(made.name)
            except Conflict:
                pass
        found = self.find_job(job_id)
        if found is None:  # deleted in between
            raise TargetUnavailable(f"the job `{job_id}` was there a moment ago and is not now", retry_after=5)
        return str(found["name"])

    def find_job(self, job_id: str) -> Job | None:
        """A job by its id, as the REST API writes it (see `reading`), or None."""
        from google.api_core.exceptions import NotFound

        with translated("the job cannot be read", self.options):
            for _ in range(2):  # one `no` is no proof: a run whose job is not there is lost for good
                try:
                    return _written(self._send(self._jobs.get_pipeline_job, name=self.job_name(job_id)))
                except NotFound as error:
                    if not from_google(error):
                        raise TargetUnavailable(
                            "the job cannot be read: it is not Google who answers", retry_after=5
                        ) from None
            return None

    def cancel_job(self, job_id: str) -> None:
        """Ask a job to end."""
        with translated("the job cannot be canceled", self.options):
            self._send(self._jobs.cancel_pipeline_job, name=self.job_name(job_id))

    def uri(self, path: str) -> str:
        """Where a file below the staging folder is."""
        return f"gs://{self._bucket.name}/{self._prefix}{path}"

    def put(self, path: str, data: bytes | Path, said: Mapping[str, str]) -> None:
        """Write bytes, or the content of a file of this machine, to a file whose name says what is in it.

        One that is there already stays as it is. `said` is its custom metadata, in ASCII. Raises TargetRefused
        `publication_damaged` when something else is there: whoever may run a step may write to the bucket, too.
        """
        from google.api_core.exceptions import PreconditionFailed

        with self._storage(f"`{self.uri(path)}` cannot be written"):
            blob = self._bucket.blob(self._prefix + path)
            blob.metadata = dict(said)
            once = {"if_generation_match": 0}
            try:
                if isinstance(data, Path):
                    self._send(blob.upload_from_filename, str(data), content_type="application/x-tar", **once)
                else:
                    self._send(blob.upload_from_string, data, content_type="application/octet-stream", **once)
            except PreconditionFailed:
                self.has(path, data)

    def has(self, path: str, data: bytes | Path) -> bool:
        """Whether a file with this content is there. Raises TargetRefused `publication_damaged` for another content."""
        with self._storage(f"`{self.uri(path)}` cannot be looked for"):
            blob = self._send(self._bucket.get_blob, self._prefix + path)
        if blob is not None and blob.md5_hash not in (None, _md5(data)):  # None: somebody composed it of others
            raise TargetRefused(
                f"`{self.uri(path)}` was changed by somebody, and is not what its name says: remove it, and try again",
                code="publication_damaged",
            )
        return blob is not None

    def get(self, path: str, most: int | None = None) -> bytes | None:
        """The content of a file, or its first so many bytes; None when it is not there."""
        from google.api_core.exceptions import NotFound

        with self._storage(f"`{self.uri(path)}` cannot be read"):
            try:
                download = self._bucket.blob(self._prefix + path).download_as_bytes
                data: bytes = self._send(download, end=None if most is None else most - 1)
                return data
            except NotFound:
                return None

    def files(self, beginning: str) -> list[str]:
        """The files whose path begins so, in order."""
        with self._storage(f"`{self.uri(beginning)}` cannot be listed"):
            found = self._send(lambda **once: list(self._bucket.list_blobs(prefix=self._prefix + beginning, **once)))
            return sorted(blob.name.removeprefix(self._prefix) for blob in found)

    def objects(self, beginning: str) -> Iterator[Object]:
        """The files whose path begins so, in order and page by page."""
        token: str | None = None
        while True:
            with self._storage(f"`{self.uri(beginning)}` cannot be listed"):
                page, token = self._send(partial(self._page, beginning, token))
            yield from page
            if token is None:
                return

    def _page(self, beginning: str, token: str | None, **once: Any) -> tuple[list[Object], str | None]:
        prefix = self._prefix + beginning
        found = self._bucket.list_blobs(prefix=prefix, page_token=token, max_results=_PAGE, **once)
        page = [
            Object(path=blob.name.removeprefix(self._prefix), size=int(blob.size), generation=int(blob.generation))
            for blob in found
        ]
        return page, found.next_page_token

    def part(self, found: Object, first: int, end: int) -> bytes | None:
        """The bytes of a file from `first` up to `end`, or None when it was changed or removed since it was found."""
        from google.api_core.exceptions import NotFound, PreconditionFailed

        with self._storage(f"`{self.uri(found.path)}` cannot be read"):
            try:
                blob = self._bucket.blob(self._prefix + found.path)
                once = {"if_generation_match": found.generation, "raw_download": True}
                data: bytes = self._send(blob.download_as_bytes, start=first, end=end - 1, **once)
                return data
            except (NotFound, PreconditionFailed):
                return None

    def get_uri(self, uri: str) -> bytes | None:
        """The content of a file of the staging folder by its URI, or None."""
        return self.get(uri.removeprefix(self.uri("")))

    def permissions(self) -> list[str]:
        """Those of the permissions that we need on the bucket which we do not have."""
        needed = ["storage.objects.create", "storage.objects.get", "storage.objects.list"]
        with self._storage(f"the bucket `{self._bucket.name}` cannot be asked"):
            held = self._send(self._bucket.test_iam_permissions, needed)
        return [name for name in needed if name not in held]

    def _storage(self, what: str) -> AbstractContextManager[None]:
        """As `troubles.translated`, for the bucket: what is not there then is the bucket itself."""
        options, bucket = self.options, self._bucket.name
        missing = (
            f"the bucket `{bucket}` is not there; create it, as `gcloud storage buckets create gs://{bucket} "
            f"--project={options.project} --location={options.location}` does"
        )
        place = options.storage_endpoint or STORAGE
        return translated(what, options, place=place, missing=missing)

    def _send(self, call: Callable[..., Any], *args: Any, **given: Any) -> Any:
        once = {**given, "timeout": self.options.poll_timeout, "retry": None}
        return repeated(lambda: call(*args, **once))


def connect(options: VertexOptions) -> Vertex:
    """The clients of a target. Raises ImportError without the extra, TargetUnavailable without credentials."""
    endpoint = options.api_endpoint or f"{options.location}-aiplatform.googleapis.com"
    with translated("the target cannot be reached", options):
        jobs = _jobs(endpoint, options.transport, options.credentials)
        files = _files(options.project, options.storage_endpoint, options.credentials)
    bucket, prefix = split_uri(options.staging)
    return Vertex(options, jobs, files.bucket(bucket), f"{prefix}/" if prefix else "")


@made_once
def _jobs(endpoint: str, transport: str, credentials: str) -> PipelineServiceClient:
    """The client of one address, made once: it holds connections, and threads may share it."""
    from google.api_core.client_options import ClientOptions
    from google.cloud.aiplatform_v1.services.pipeline_service import PipelineServiceClient

    if transport == "grpc" and credentials == "anonymous":  # an emulator on this machine, which speaks without TLS
        return PipelineServiceClient(transport=_plain_grpc(endpoint))
    client = PipelineServiceClient(
        transport=transport,
        credentials=credentials_of(credentials),
        client_options=ClientOptions(api_endpoint=endpoint),
    )
    if transport == "rest":
        undisturbed(client.transport._session, endpoint)
    return client


@made_once
def _files(project: str, endpoint: str | None, credentials: str) -> Client:
    """The storage client of one address, made once."""
    from google.cloud import storage

    # Said in any case: else STORAGE_EMULATOR_HOST, which other programs need, would be where everything goes.
    options = {"api_endpoint": endpoint or STORAGE}
    client = storage.Client(project=project, credentials=credentials_of(credentials), client_options=options)
    undisturbed(client._http, options["api_endpoint"])
    return client


def _md5(data: bytes | Path) -> str:
    """The MD5 of a content, as Cloud Storage writes it: in base64."""
    if isinstance(data, bytes):
        return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
    with data.open("rb") as file:
        return base64.b64encode(hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).digest()).decode()


def _plain_grpc(endpoint: str) -> Any:
    import grpc
    from google.cloud.aiplatform_v1.services.pipeline_service.transports import PipelineServiceGrpcTransport

    return PipelineServiceGrpcTransport(channel=grpc.insecure_channel(endpoint.removeprefix("http://")))


def _written(job: PipelineJob) -> Job:
    from google.protobuf import json_format

    found: Job = json_format.MessageToDict(type(job).pb(job))
    if "name" not in found:
        raise ValueError("what was answered is no job")
    return found
