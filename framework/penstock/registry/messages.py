"""What the registry is asked and what it answers, apart from the records that doors show."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Literal

from attrs import field, frozen

from penstock.contract.run import BoundParameters, RunRequest, RunState
from penstock.contract.target import Publication
from penstock.records import (
    EndpointRecord,
    FrozenSnapshot,
    Gate,
    Placement,
    PublishedRecord,
    RunRecord,
    TokenRecord,
    Unsynced,
)


class ResolutionChanged(Exception):
    """Between resolving and accepting a trigger, what it resolves to changed: resolve again."""


@frozen(kw_only=True)
class PublishRequest:
    """One publish.

    Another identity under the same target name is `target_changed`. `publication` is None while planning. `label` None
    asks for the one that law 1 gives. `endpoint` puts the pipeline behind an endpoint, made when it is absent;
    `default` moves its pointer, `expect` is the default that the caller believes it has.
    """

    name: str
    label: str | None = None
    snapshot: FrozenSnapshot
    placement: Placement
    publication: Publication | None = None
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

    `ended` are the runs that ended `canceled` right there; `cancel` those whose target is still to be told. `unsynced`
    are the targets that do not know of the gate yet, for all who come by our doors it has moved.
    """

    changed: bool
    subject_id: str
    subject: str
    gate: Gate | None
    cancel: tuple[str, ...] = ()
    ended: tuple[str, ...] = ()
    unsynced: tuple[Unsynced, ...] = ()


@frozen(kw_only=True)
class TriggerRequest:
    """One trigger. `kind` says what `ref` is: an endpoint, a published pipeline, or the name of a trial's pipeline.

    `name` is what an endpoint was found by, which must still lead there when the run is accepted. `digest` and
    `placement` are of a trial only. `key` is the idempotency key; on a replay `is_same_request` is given the stored run
    and its fingerprint, and decides whether the request is the same (without it, the key alone decides); it may read
    the registry, but not write it. `public`: the caller is nobody known, so the endpoint must be public, and the key is
    one among those of unknown callers. `body` gives a short text that stands for all that a request without a key asks
    for: within the endpoint's deduplication window the same text is the same run. `most_unfinished` is how many
    unfinished runs an endpoint may have with the new one.
    """

    kind: Literal["endpoint", "published", "file"]
    ref: str
    name: str | None = None
    version: str | None = None
    digest: str | None = None
    placement: Placement | None = None
    key: str | None = None
    body: Callable[[], str] | None = None
    is_same_request: Callable[[RunRecord, str], bool] | None = None
    rerun_of: str | None = None
    public: bool = False
    most_unfinished: int | None = None


@frozen(kw_only=True)
class RunQuery:
    """Which runs to list: those that fit all that is given. `before` is where an earlier page ended; `within` are the
    ids of endpoints to keep to.
    """

    endpoint: str | None = None
    within: frozenset[str] | None = None
    experiment: str | None = None
    state: RunState | None = None
    pipeline: str | None = None
    published: str | None = None
    limit: int = 50
    before: str | None = None


@frozen(kw_only=True)
class HistoryQuery:
    """Which changes to list: from a time on, by an actor, of a subject or of an endpoint; those of runs with `runs` or
    for a run.
    """

    since: datetime | None = None
    by: str | None = None
    subject: str | None = None
    endpoint: str | None = None
    runs: bool = False
    limit: int = 50
    before: str | None = None


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
    snapshot: FrozenSnapshot
    placement: Placement
    publication: Publication
    rows: tuple[int | None, int | None, int | None, int]


@frozen(kw_only=True)
class NewRun:
    """A run whose parameters were checked: `id` is a new uuid, `fingerprint` is the request as
    `TriggerRequest.is_same_request` knows it again. `keep` writes its sensitive values down (see `sensitive.py`).
    """

    id: str
    experiment: str
    description: str = ""
    tags: Mapping[str, str] = field(factory=dict)
    parameters: BoundParameters = field(factory=BoundParameters)
    fingerprint: str = ""
    keep: Callable[[], None] | None = None


@frozen(kw_only=True)
class Handover:
    """A run to hand to its target now, its sensitive values still missing."""

    request: RunRequest
    placement: Placement
    cancel_requested: bool


@frozen(kw_only=True)
class Owed:
    """Something that a target is owed. `subject` is the id of a run or endpoint, or the number of a publication."""

    kind: Literal["submit", "cancel", "sync", "retire"]
    subject: str
    target: str


@frozen(kw_only=True)
class Breaker:
    """A target that is left alone until a time, because it could not be reached so many times in a row."""

    until: datetime
    failures: int
    message: str


@frozen(kw_only=True)
class CancelOutcome:
    """A run after a cancel: `ended` when this call ended it, `requested` when this call recorded the request."""

    run: RunRecord
    ended: bool
    requested: bool


@frozen(kw_only=True)
class NewToken:
    """A token that was just made. `token` is the secret itself, which is shown this once."""

    token: str
    record: TokenRecord


@frozen(kw_only=True)
class NewSession:
    """A short-lived token that came from another, and when it ends."""

    token: str
    expires: datetime


@frozen(kw_only=True)
class CheckReport:
    """The health of the registry file, one line each."""

    ok: bool
    lines: tuple[str, ...]


@frozen(kw_only=True)
class Revived:
    """Names of tokens that are active and of gates that are open again after a restore."""

    tokens: tuple[str, ...] = ()
    gates: tuple[str, ...] = ()


@frozen(kw_only=True)
class Counts:
    """How much there is, and how much is owed to targets; `runs` counts by state."""

    endpoints: int = 0
    published: int = 0
    runs: Mapping[str, int] = field(factory=dict)
    pending_hand_overs: int = 0
    pending_cancels: int = 0
    pending_syncs: int = 0
    pending_retires: int = 0
