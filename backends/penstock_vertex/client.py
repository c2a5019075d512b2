"""What touches Google's libraries, `repository` and `cloud_logging` besides: pipeline jobs and files in a bucket.

No call of theirs has a default time limit that can be relied on. So every call here has `timeout=`, and is repeated by
`repeating` alone; what fails then is repeated by the core, or by whoever looks again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from penstock.errors import PenstockError, TargetRefused, TargetUnavailable
from penstock_vertex.repeating import repeated
from penstock_vertex.staging import split_uri

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1 import PipelineJob
    from google.cloud.aiplatform_v1.services.pipeline_service import PipelineServiceClient
    from google.cloud.storage import Bucket, Client

    from penstock_vertex.options import VertexOptions

Job = Mapping[str, Any]

_QUOTA = 60
"""Seconds after which a quota that is used up may have room again; Google says no time."""


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
        from google.api_core.exceptions import AlreadyExists, Conflict

        with translated("the job cannot be created", self.options):
            try:
                create = self._jobs.create_pipeline_job
                made = self._send(create, parent=self.parent, pipeline_job=dict(job), pipeline_job_id=job_id)
                return str(made.name)
            except (AlreadyExists, Conflict):  # gRPC raises the first, REST the second
                pass
        found = self.find_job(job_id)
        if found is None:  # deleted in between
            raise TargetUnavailable(f"the job `{job_id}` was there a moment ago and is not now", retry_after=5)
        return str(found["name"])

    def find_job(self, job_id: str) -> Job | None:
        """A job by its id, as the REST API writes it (see `reading`), or None."""
        from google.api_core.exceptions import NotFound

        with translated("the job cannot be read", self.options):
            try:
                return _written(self._send(self._jobs.get_pipeline_job, name=self.job_name(job_id)))
            except NotFound:
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

        One that is there already stays as it is. `said` is its custom metadata, in ASCII.
        """
        from google.api_core.exceptions import PreconditionFailed

        with translated(f"`{self.uri(path)}` cannot be written", self.options):
            blob = self._bucket.blob(self._prefix + path)
            blob.metadata = dict(said)
            once = {"if_generation_match": 0}
            try:
                if isinstance(data, Path):
                    self._send(blob.upload_from_filename, str(data), content_type="application/x-tar", **once)
                else:
                    self._send(blob.upload_from_string, data, content_type="application/octet-stream", **once)
            except PreconditionFailed:
                return

    def get(self, path: str, start: int = 0, end: int | None = None) -> bytes | None:
        """The content of a file, or its bytes from `start` up to `end`; None when it is not there."""
        from google.api_core.exceptions import NotFound

        with translated(f"`{self.uri(path)}` cannot be read", self.options):
            try:
                download = self._bucket.blob(self._prefix + path).download_as_bytes
                data: bytes = self._send(download, start=start or None, end=None if end is None else end - 1)
                return data
            except NotFound:
                return None

    def files(self, beginning: str) -> list[tuple[str, int]]:
        """The files whose path begins so, in order, with their sizes in bytes."""
        with translated(f"`{self.uri(beginning)}` cannot be listed", self.options):
            found = self._send(lambda **once: list(self._bucket.list_blobs(prefix=self._prefix + beginning, **once)))
            return sorted((blob.name.removeprefix(self._prefix), blob.size) for blob in found)

    def get_uri(self, uri: str) -> bytes | None:
        """The content of a file of the staging folder by its URI, or None."""
        return self.get(uri.removeprefix(self.uri("")))

    def has(self, path: str) -> bool:
        """Whether a file is there."""
        with translated(f"`{self.uri(path)}` cannot be looked for", self.options):
            return bool(self._send(self._bucket.blob(self._prefix + path).exists))

    def permissions(self) -> list[str]:
        """Those of the permissions that we need on the bucket which we do not have."""
        needed = ["storage.objects.create", "storage.objects.get", "storage.objects.list"]
        with translated(f"the bucket `{self._bucket.name}` cannot be asked", self.options):
            held = self._send(self._bucket.test_iam_permissions, needed)
        return [name for name in needed if name not in held]

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


@lru_cache(maxsize=32)
def _jobs(endpoint: str, transport: str, credentials: str) -> PipelineServiceClient:
    """The client of one address, made once: it holds connections, and threads may share it."""
    from google.api_core.client_options import ClientOptions
    from google.cloud.aiplatform_v1.services.pipeline_service import PipelineServiceClient

    if transport == "grpc" and credentials == "anonymous":  # an emulator on this machine, which speaks without TLS
        return PipelineServiceClient(transport=_plain_grpc(endpoint))
    return PipelineServiceClient(
        transport=transport,
        credentials=credentials_of(credentials),
        client_options=ClientOptions(api_endpoint=endpoint),
    )


@lru_cache(maxsize=32)
def _files(project: str, endpoint: str | None, credentials: str) -> Client:
    """The storage client of one address, made once."""
    from google.cloud import storage

    options = None if endpoint is None else {"api_endpoint": endpoint}
    return storage.Client(project=project, credentials=credentials_of(credentials), client_options=options)


def credentials_of(kind: str) -> Any:
    """Google's credentials by what the option `credentials` says. Raises `DefaultCredentialsError` of google.auth."""
    if kind == "anonymous":
        from google.auth.credentials import AnonymousCredentials

        return AnonymousCredentials()
    import google.auth

    found, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    return found


def _plain_grpc(endpoint: str) -> Any:
    import grpc
    from google.cloud.aiplatform_v1.services.pipeline_service.transports import PipelineServiceGrpcTransport

    return PipelineServiceGrpcTransport(channel=grpc.insecure_channel(endpoint.removeprefix("http://")))


def _written(job: PipelineJob) -> Job:
    from google.protobuf import json_format

    found: Job = json_format.MessageToDict(type(job).pb(job))
    return found


@contextmanager
def translated(what: str, options: VertexOptions, where: str = "", place: str = "") -> Iterator[None]:
    """Turn what their libraries raise into TargetUnavailable or TargetRefused; `what` begins the message.

    `where` says in words what was asked, `place` by its address; of the jobs of the target, unless they are given.
    """
    try:
        yield
    except PenstockError:
        raise
    except Exception as error:
        where = where or f"project `{options.project}`, location `{options.location}`"
        place = place or options.api_endpoint or f"{options.location}-aiplatform.googleapis.com"
        found = _meaning(what, where, place, error)
        if found is None:
            raise
        raise found from None


def _meaning(what: str, where: str, place: str, error: Exception) -> PenstockError | None:
    from google.api_core import exceptions as api
    from google.auth import exceptions as auth
    from requests import exceptions as http

    if isinstance(error, auth.RefreshError | auth.InvalidOperation | api.Unauthenticated):
        return TargetUnavailable(
            f"{what}: Google does not take the credentials any more; sign in again", code="credentials_expired"
        )
    if isinstance(error, auth.DefaultCredentialsError):
        return TargetUnavailable(
            f"{what}: there are no Google credentials here; run `gcloud auth application-default login`, or set "
            "GOOGLE_APPLICATION_CREDENTIALS",
            code="credentials_missing",
        )
    if isinstance(error, api.Forbidden):
        return TargetUnavailable(f"{what}: permission denied in {where}: {_said(error)}", code="permission_denied")
    if isinstance(error, api.TooManyRequests):
        return TargetUnavailable(
            f"{what}: a quota is used up in {where}: {_said(error)}", code="quota_exhausted", retry_after=_QUOTA
        )
    if isinstance(error, api.NotFound):
        return TargetRefused(f"{what}: {_said(error)} (in {where})", code="target_not_there")
    if isinstance(error, api.ServerError | api.RetryError | api.GatewayTimeout):
        return TargetUnavailable(f"{what}: Google answers {_said(error)}", retry_after=5)
    if isinstance(error, api.ClientError):
        return TargetRefused(f"{what}: {_said(error)}")
    if isinstance(error, http.RequestException | auth.TransportError | ConnectionError | TimeoutError):
        return TargetUnavailable(f"{what}: {place} cannot be reached ({type(error).__name__})", retry_after=5)
    return None


def _said(error: Exception) -> str:
    """Google's own words, in one line."""
    text = getattr(error, "message", None) or str(error)
    lines = str(text).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
