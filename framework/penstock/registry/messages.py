"""What the registry is asked and what it answers, apart from the records that doors show."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from attrs import field, frozen

from penstock.contract.run import RunRequest
from penstock.contract.target import Publication
from penstock.records import EndpointRecord, Gate, PublishedRecord, RunRecord
from penstock.spec import Value


class ResolutionChanged(Exception):
    """Between resolving and accepting a trigger, what it resolves to changed: resolve again."""


@frozen(kw_only=True)
class PublishRequest:
    """One publish. `identity` and `options` are canonical JSON of what the target is.

    Another identity under the same target name is `target_changed`. `publication` is None while planning. `spec` is
    the canonical JSON and `archives` the JSON text of what travels. `label` None asks for the one that law 1 gives.
    `endpoint` puts the pipeline behind an endpoint, made when it is absent; `default` moves its pointer, `expect` is
    the default that the caller believes it has.
    """

    name: str
    label: str | None = None
    digest: str
    target: str
    backend: str
    identity: str
    options: str
    publication: Publication | None = None
    spec: str
    archives: str
    description: str = ""
    tags: Mapping[str, str] = field(factory=dict)
    endpoint: str | None = None
    default: bool = False
    expect: str | None = None


@frozen(kw_only=True)
class PublishPlan:
    """What a publish would do: the label it takes, and the published pipeline it would give back."""

    label: str
    existing: PublishedRecord | None


@frozen(kw_only=True)
class PublishOutcome:
    """What a publish did. `created` is false when the same thing was published before."""

    published: PublishedRecord
    created: bool
    endpoint: EndpointRecord | None = None
    endpoint_created: bool = False
    version: str | None = None
    version_added: bool = False
    default_moved: bool = False


@frozen(kw_only=True)
class DeleteOutcome:
    """A deleted published pipeline; `retire` is the target and publication that nothing uses any more."""

    published: PublishedRecord
    retire: tuple[str, Publication] | None


@frozen(kw_only=True)
class VersionOutcome:
    """An endpoint and the version that a published pipeline has there; `added` is false when it had it before."""

    endpoint: EndpointRecord
    version: str
    added: bool
    default_moved: bool


@frozen(kw_only=True)
class MoveOutcome:
    """Where the default was and where it is; `moved` is false when it already was there."""

    endpoint: EndpointRecord
    from_: str | None
    to: str
    moved: bool


@frozen(kw_only=True)
class GateOutcome:
    """A gate after closing or opening it; `gate` is None when it is open.

    `ended` are the runs that ended `canceled` right there; `cancel` those whose target is still to be told.
    """

    changed: bool
    subject_id: str
    subject: str
    gate: Gate | None
    cancel: tuple[str, ...] = ()
    ended: tuple[str, ...] = ()


@frozen(kw_only=True)
class TriggerRequest:
    """One trigger. `kind` says what `ref` is: an endpoint, a published pipeline, or the name of a trial's pipeline.

    `digest`, `target` and `identity` are of a trial only. `key` is the idempotency key; on a replay `same` is
    given the stored run and what was kept as asked, and decides whether the request is the same (without it, the key
    alone decides).
    """

    kind: str
    ref: str
    version: str | None = None
    digest: str | None = None
    target: str | None = None
    identity: str | None = None
    key: str | None = None
    same: Callable[[RunRecord, str], bool] | None = None
    rerun_of: str | None = None


@frozen(kw_only=True)
class Resolution:
    """What a trigger resolved to. `rows` is what must still hold when the run is accepted."""

    endpoint_id: str | None
    endpoint: str | None
    version: str | None
    resolved_from: str
    published: str | None
    pipeline: str
    label: str | None
    digest: str
    target: str
    backend: str
    identity: str
    options: str
    publication: Publication
    spec: str
    archives: str
    rows: tuple[int | None, ...]


@frozen(kw_only=True)
class NewRun:
    """A run whose parameters were checked: `id` is a new uuid, `asked` is the request as `TriggerRequest.same` knows it
    again, the other fields are as in `runs.RunRequest`.
    """

    id: str
    experiment: str
    description: str = ""
    tags: Mapping[str, str] = field(factory=dict)
    parameters: Mapping[str, Value] = field(factory=dict)
    values: Mapping[str, str] = field(factory=dict)
    artifacts: Mapping[str, str] = field(factory=dict)
    bundled: Mapping[str, str] = field(factory=dict)
    asked: str = ""


@frozen(kw_only=True)
class Handover:
    """A run to hand to its target now."""

    request: RunRequest
    target: str
    identity: str
    digest: str
    cancel_requested: bool


@frozen(kw_only=True)
class PendingHandover:
    """A run that is not handed over yet: how often it was tried, when it is due again, and what stood in the way."""

    tries: int
    due: datetime
    message: str


@frozen(kw_only=True)
class CancelOutcome:
    """A run after a cancel: `ended` when this call ended it, `requested` when this call recorded the request."""

    run: RunRecord
    ended: bool
    requested: bool


@frozen(kw_only=True)
class CheckReport:
    """The health of the registry file, one line each."""

    ok: bool
    lines: tuple[str, ...]


@frozen(kw_only=True)
class Counts:
    """How much there is; `runs` counts by state."""

    endpoints: int
    published: int
    runs: Mapping[str, int]
    pending_hand_overs: int
    pending_syncs: int
