"""What a target of this backend can be told in `penstock.yaml`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from attrs import Attribute, field, frozen, validators

from penstock.spec.quantity import bytes_of, cores_of, seconds_of
from penstock_vertex import machines, names
from penstock_vertex.addresses import LOOPBACK, host_of, split_repository
from penstock_vertex.staging import split_uri

LONGEST_WAIT = 86_400.0
"""Seconds that one call may be waited for: timers of sockets overflow after some weeks."""

_IDENTITY = {"identity": True}
_FROZEN = {"frozen": True}

_Check = Callable[[Any, "Attribute[Any]", Any], None]


def _matching(pattern: str, example: str) -> _Check:
    """A text that looks like the example, or none."""

    def check(_: Any, attribute: Attribute[Any], value: str | None) -> None:
        if value is not None and not re.fullmatch(pattern, value, re.A):
            raise ValueError(f"`{value[:80]}` is no {attribute.name.replace('_', ' ')}: write it like `{example}`")

    return check


def _staging(_: Any, attribute: Attribute[Any], value: str) -> None:
    split_uri(value)


def _repository(_: Any, attribute: Attribute[Any], value: str | None) -> None:
    if value is not None:
        split_repository(value)


def _without_slash(value: Any) -> Any:
    return value.rstrip("/") if isinstance(value, str) else value


def _texts(value: Sequence[str] | None) -> tuple[str, ...]:
    return tuple(value or ())


def _address(_: Any, attribute: Attribute[Any], value: str | None) -> None:
    """An address of a service, to which credentials are sent; without a scheme, https is spoken there."""
    if value is None:
        return
    host = host_of(value)
    if "//" in value and not value.startswith(("http://", "https://")):
        host = ""
    if not re.fullmatch(r"(https?://)?[A-Za-z0-9.\[\]:-]+(/[A-Za-z0-9._~/-]*)?", value, re.A) or not host:
        raise ValueError(
            f"`{value[:80]}` is no address: write it like `https://europe-west4-aiplatform.googleapis.com`"
        )
    if value.startswith("http://") and host not in LOOPBACK:
        raise ValueError(f"`{value[:80]}` would be told the credentials in the clear: write `https://`")


def _possible(problem: Callable[[Any], str | None]) -> _Check:
    """What `machines` finds nothing wrong with."""

    def check(_: Any, attribute: Attribute[Any], value: Any) -> None:
        wrong = problem(value)
        if wrong is not None:
            raise ValueError(wrong)

    return check


def _labels(_: Any, attribute: Attribute[Any], value: Mapping[str, str]) -> None:
    for key, text in value.items():
        wrong = names.label_problem(key, text)
        if wrong:
            raise ValueError(wrong)
        if key.startswith("penstock"):
            raise ValueError(f"the label `{key}`: labels that begin with `penstock` are penstock's own")
    if len(value) > names.MAX_LABELS:
        raise ValueError(f"{len(value)} labels are more than the {names.MAX_LABELS} that can be added")


@frozen(kw_only=True)
class VertexOptions:
    """Options of a `vertex` target.

    `project`: the Google Cloud project, by its id.
    `location`: the region where pipelines run.
    `staging`: `gs://bucket[/prefix]`, where code, compiled pipelines and the files of runs are kept.
    `repository`: `https://us-central1-kfp.pkg.dev/acme/pipelines`, a repository of Artifact Registry (format KFP) that
    compiled pipelines are put into as well, for people and other programs; runs do not need it.
    `service_account`: the account that steps run as; without it, the project's default one.
    `network`: `projects/NUMBER/global/networks/NAME`, the VPC that steps are peered with.
    `reserved_ip_ranges`: names of the ranges of that network which steps may use.
    `encryption_key`: `projects/.../cryptoKeys/NAME`, the key that Google encrypts a job with.
    `labels`: labels of every job, besides penstock's own.
    `image`: the container image of steps that name none.
    `cpu`: cores of steps that ask for none; without it, Vertex's own choice.
    `memory`: memory of steps that ask for none, in bytes or text like `4Gi`; without it, Vertex's own choice.
    `accelerator`: what one `gpu` is, by Google's name, such as `NVIDIA_TESLA_T4`.
    `failure_policy`: `slow` lets steps go on that do not need the one that failed, `fast` begins no other.
    `api_endpoint`: another address of the service, such as an emulator's `http://127.0.0.1:8500`.
    `transport`: `rest` or `grpc`.
    `storage_endpoint`: another address of Cloud Storage.
    `logging_endpoint`: another address of Cloud Logging.
    `log_settle`: seconds (or text like `5s`) after which Cloud Logging is taken to have what a step wrote.
    `credentials`: `default` (what Google's libraries find), or `anonymous`, at addresses of this machine only.
    `poll_timeout`: seconds (or text like `30s`) that one call may take.
    `strict`: refuse at publish what would otherwise be a warning.

    `project`, `location` and `staging` are the target's identity. `image`, `cpu`, `memory` and `accelerator` are kept
    by a publication as they were; every other option takes effect at once.
    """

    project: str = field(
        metadata=_IDENTITY, validator=_matching(r"([a-z0-9.-]+:)?[a-z][a-z0-9-]{0,61}[a-z0-9]", "acme-pipelines")
    )
    location: str = field(
        default="us-central1", metadata=_IDENTITY, validator=_matching(r"[a-z]+-[a-z]+[0-9]+", "us-central1")
    )
    staging: str = field(metadata=_IDENTITY, converter=_without_slash, validator=_staging)
    repository: str | None = field(default=None, converter=_without_slash, validator=_repository)
    service_account: str | None = field(
        default=None, validator=_matching(r"[^\s@]+@[^\s@]+", "me@acme.iam.gserviceaccount.com")
    )
    network: str | None = field(
        default=None,
        validator=_matching(r"projects/[0-9]+/global/networks/[a-z][a-z0-9-]*", "projects/123/global/networks/ml"),
    )
    reserved_ip_ranges: tuple[str, ...] = field(default=(), converter=_texts)
    encryption_key: str | None = field(
        default=None,
        validator=_matching(
            r"projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+",
            "projects/acme/locations/us-central1/keyRings/ring/cryptoKeys/key",
        ),
    )
    labels: Mapping[str, str] = field(factory=dict, validator=_labels)
    image: str = field(default="python:3.12-slim", metadata=_FROZEN, validator=_possible(machines.image_problem))
    cpu: float | None = field(
        default=None, converter=cores_of, metadata=_FROZEN, validator=_possible(machines.cores_problem)
    )
    memory: int | None = field(
        default=None, converter=bytes_of, metadata=_FROZEN, validator=_possible(machines.memory_problem)
    )
    accelerator: str | None = field(default=None, metadata=_FROZEN, validator=_possible(machines.accelerator_problem))
    failure_policy: Literal["slow", "fast"] = "slow"
    api_endpoint: str | None = field(default=None, validator=_address)
    transport: Literal["rest", "grpc"] = "rest"
    storage_endpoint: str | None = field(default=None, validator=_address)
    logging_endpoint: str | None = field(default=None, validator=_address)
    log_settle: float = field(default=5.0, converter=seconds_of, validator=validators.le(LONGEST_WAIT))
    credentials: Literal["default", "anonymous"] = "default"
    poll_timeout: float = field(
        default=30.0, converter=seconds_of, validator=[validators.gt(0), validators.le(LONGEST_WAIT)]
    )
    strict: bool = False

    def __attrs_post_init__(self) -> None:
        """See that nobody sends anonymous calls to Google by mistake. Raises ValueError."""
        if self.credentials == "anonymous":
            places = ["api_endpoint", "storage_endpoint", "logging_endpoint"]
            for name in places + ["repository"] * bool(self.repository):
                if host_of(getattr(self, name) or "") not in LOOPBACK:
                    raise ValueError(f"`credentials: anonymous` is for an emulator: `{name}` is not on this machine")
