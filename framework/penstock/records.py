"""What the registry remembers, as doors show it: endpoints, published pipelines, runs, tokens, history.

Each record is the JSON shape of its thing: attribute names are the keys (a trailing underscore is dropped),
times are UTC and become RFC 3339 with microseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Generic, Literal, TypeAlias, TypeVar

from attrs import field, frozen

from penstock.callers import Scope
from penstock.contract.run import ENDED, Failure, RunState, StepReport
from penstock.contract.target import NativeTrigger
from penstock.spec import Value

T = TypeVar("T")

Access: TypeAlias = Literal["private", "public"]
"""Who may trigger an endpoint by HTTP: who has a token for it, or everybody."""


@frozen(kw_only=True)
class Placement:
    """Where something was published: a target, its backend, and what a publication freezes of it.

    `identity` says which place the target was, `options` holds the options that its backend marks frozen; both are
    canonical JSON.
    """

    target: str
    backend: str
    identity: str
    options: str


@frozen(kw_only=True)
class FrozenSnapshot:
    """A snapshot as it is kept: its digest, the canonical JSON of the spec, and the JSON text of its archives."""

    digest: str
    spec: str
    archives: str


@frozen(kw_only=True)
class Gate:
    """A closed gate: since when, by whom and why."""

    since: datetime
    by: str
    reason: str = ""


@frozen(kw_only=True)
class PublishedRecord:
    """A published pipeline: a snapshot frozen under a name and a label on a target.

    `external` is what the backend calls it, `details` are facts of the backend's: what it is made of there, say.
    """

    id: str
    name: str
    label: str
    digest: str
    target: str
    backend: str
    description: str
    tags: Mapping[str, str]
    enabled: bool
    gate: Gate | None
    external: str
    native: bool
    gated: bool
    trigger_url: str | None
    details: Mapping[str, str]
    by: str
    created: datetime
    modified: datetime
    revision: int


@frozen(kw_only=True)
class VersionRecord:
    """One version of an endpoint and the published pipeline behind it. `enabled` is the version's own gate."""

    version: str
    published: str
    pipeline: str
    label: str
    digest: str
    target: str
    enabled: bool
    gate: Gate | None
    published_enabled: bool
    created: datetime


@frozen(kw_only=True)
class Unsynced:
    """A target that does not know the present state of an endpoint yet, and what stands in the way, if it was told.

    Callers of ours notice nothing; a native trigger of the target still does what it did.
    """

    endpoint: str
    target: str
    message: str


@frozen(kw_only=True)
class EndpointRecord:
    """A pipeline endpoint: a stable name in front of versions, one of which may be the default.

    `hidden_versions` counts closed versions that a plain listing leaves out of `versions`. The triggers of one whose
    `access` is `public` are taken by HTTP without a token. Within `deduplication_window`, in seconds, of a run that
    came by HTTP without an idempotency key, the same request is the same run; None: each is a new one. `refused` is the
    code that a trigger without a version is refused with because of a closed gate, whichever it is; None: none is.
    `native` is where the default's target can be asked past us, once it knows of the endpoint; `unsynced` are the
    targets that do not know its present state.
    """

    id: str
    name: str
    description: str
    tags: Mapping[str, str]
    default: str | None
    access: Access
    deduplication_window: int | None
    enabled: bool
    gate: Gate | None
    refused: str | None
    native: NativeTrigger | None
    unsynced: tuple[Unsynced, ...] = field(eq=False)  # it changes by itself
    versions: tuple[VersionRecord, ...]
    created: datetime
    modified: datetime
    revision: int
    hidden_versions: int = 0


@frozen(kw_only=True)
class StepRecord(StepReport):
    """One step of a run as last reported. Value outputs are typed values, artifacts a path or URI."""

    outputs: Mapping[str, Value] = field(factory=dict)


@frozen(kw_only=True)
class Waiting:
    """Why a run still waits for its target: the hand-overs begun, what stood in the way, when it is tried again."""

    tries: int
    due: datetime
    message: str


@frozen(kw_only=True)
class RunRecord:
    """One run: what was asked, what it resolved to, and what became of it.

    `resolved_from` is `default`, `pinned`, `published` or `file`. `endpoint` is the endpoint's name when the
    run was accepted. `published` is None for a trial run of a file. `external` is what the backend calls it, `details`
    what the backend says of the submission. `waiting` is None once the target has the run; from then on `waits_for`
    says in one line what it cannot go on without, where the target knows. `stale` says why the record
    is older than what its target would say now, or was not written down; it is None where the target was not asked.
    """

    id: str
    endpoint: str | None
    endpoint_id: str | None
    version: str | None
    resolved_from: Literal["default", "pinned", "published", "file"]
    published: str | None
    pipeline: str
    label: str | None
    digest: str
    target: str
    experiment: str
    description: str
    tags: Mapping[str, str]
    state: RunState
    parameters: Mapping[str, Value]
    by: str
    verified: bool
    door: str
    idempotency_key: str | None
    rerun_of: str | None
    cancel_requested: bool
    cancel_reason: str | None
    created: datetime
    started: datetime | None
    ended: datetime | None
    steps: tuple[StepRecord, ...]
    outputs: Mapping[str, Value]
    error: Failure | None
    external: str | None
    details: Mapping[str, str]
    waiting: Waiting | None
    waits_for: str | None = None
    stale: str | None = None

    @property
    def trouble(self) -> str:
        """Why nothing newer is known of the run, or why it waits; empty when neither."""
        if self.waiting is not None and self.waiting.message:
            return f"waiting: {self.waiting.message}"
        if self.stale is not None:
            return f"stale: {self.stale}"
        return f"waiting for {self.waits_for}" if self.waits_for else ""

    @property
    def finished(self) -> bool:
        """Whether the state is final."""
        return self.state in ENDED

    @property
    def failure(self) -> str:
        """Why it failed, in words: its error names one step, and how many more have failed is said after it."""
        if self.error is None:
            return ""
        more = sum(step.state == "failed" for step in self.steps) - 1
        steps = "step has" if more == 1 else "steps have"
        return self.error.message + (f" ({more} more {steps} failed)" if more > 0 else "")


@frozen(kw_only=True)
class HistoryRecord:
    """One change: who did what to which thing, through which door, when, from what to what, and why.

    `seq` is the registry's own order and `at` when it was recorded; `happened` is when it happened, which for a run is
    the time at its target. `action` is like `default_moved`; `kind` is `endpoint`, `version`, `pipeline` or `run`;
    `subject` is the name at that time and `subject_id` the identity, for a run the run's id.
    """

    seq: int
    at: datetime
    happened: datetime
    action: str
    kind: str
    subject_id: str
    subject: str
    from_: str | None
    to: str | None
    reason: str
    by: str
    verified: bool
    door: str
    request_id: str


@frozen(kw_only=True)
class TokenRecord:
    """A token: who comes in by it, and what for. Its secret is not kept.

    `endpoints` are the ids of those it is for, None for all. `state` is `active`, `expired` or `revoked`.
    """

    id: str
    name: str
    scope: Scope
    endpoints: tuple[str, ...] | None
    state: Literal["active", "expired", "revoked"]
    by: str
    created: datetime
    expires: datetime | None
    revoked: datetime | None


@frozen(kw_only=True)
class DefaultAt:
    """What a trigger of an endpoint would have run at a time: a version, or the code that would have refused it."""

    at: datetime
    endpoint: str
    default: str | None = None
    published: str | None = None
    pipeline: str | None = None
    label: str | None = None
    digest: str | None = None
    target: str | None = None
    refused: str | None = None
    message: str


@frozen(kw_only=True)
class Page(Generic[T]):
    """One page of a listing, newest first. `hidden` counts closed things left out; `more` says that there are more.

    `next` is what to pass as `before` for the next page.
    """

    items: tuple[T, ...]
    hidden: int = 0
    more: bool = False
    next: str | None = None
