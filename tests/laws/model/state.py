"""What the model knows: things that are never changed, only replaced, so that a state is copied at no cost."""

from __future__ import annotations

import re
from collections.abc import Hashable

from attrs import field, frozen
from laws.doors import ANYBODY
from laws.model.expectations import No

ENDED = ("succeeded", "canceled", "ended")
"""States of runs that are final; `ended` is one that is known to have ended, and not how."""


@frozen(cache_hash=True)
class Gate:
    """A closed gate."""

    since: str
    by: str
    reason: str


@frozen(kw_only=True, cache_hash=True)
class Published:
    """A published pipeline, alive or deleted."""

    id: str
    name: str
    label: str
    digest: str
    target: str
    by: str
    gate: Gate | None = None
    deleted: bool = False

    @property
    def ref(self) -> str:
        """How people name it."""
        return f"{self.name}:{self.label}@{self.target}"


@frozen(cache_hash=True)
class Version:
    """One version of an endpoint: the id of what it is, and its own gate."""

    published: str
    gate: Gate | None = None


@frozen(kw_only=True, cache_hash=True)
class Endpoint:
    """An endpoint, alive or deleted; `stack` is where the default was before each move."""

    id: str
    name: str
    versions: tuple[Version, ...] = ()
    default: int = 0
    stack: tuple[int, ...] = ()
    gate: Gate | None = None
    access: str = "private"
    window: int | None = None
    deleted: bool = False


@frozen(kw_only=True, cache_hash=True)
class Run:
    """A run: what it resolved to when it was accepted, and the furthest state that anybody saw."""

    id: str
    endpoint: str | None
    endpoint_name: str | None
    version: int | None
    resolved_from: str
    published: str
    depth: int
    seconds: float
    marks: str
    by: str
    scope: str
    key: str | None
    in_window: bool
    rerun_of: str | None
    request: Hashable
    cancel: bool = False
    state: str = "queued"

    @property
    def ended(self) -> bool:
        """Whether it is known to have ended."""
        return self.state in ENDED

    @property
    def lasting(self) -> bool:
        """Whether it cannot have ended: it sleeps for long, and nobody asked it to end."""
        return self.seconds >= 60 and not self.cancel


@frozen(kw_only=True, cache_hash=True)
class Row:
    """One row of the history; `at` only where something else shows that time too."""

    action: str
    kind: str
    subject_id: str
    subject: str
    from_: str | None = None
    to: str | None = None
    reason: str = ""
    by: str
    at: str | None = None


@frozen(kw_only=True)
class State:
    """Everything that is known. Things are in the order in which they came to be, by id."""

    actor: str
    doors: tuple[str, ...]
    by_http: bool
    remember: bool
    variants: dict[str, str] = field(factory=dict)
    labels: dict[tuple[str, str], tuple[str, bool]] = field(factory=dict)
    published: dict[str, Published] = field(factory=dict)
    endpoints: dict[str, Endpoint] = field(factory=dict)
    runs: dict[str, Run] = field(factory=dict)
    names: dict[str, str] = field(factory=dict)
    keys: dict[tuple[str, str], str] = field(factory=dict)
    bodies: dict[tuple[str, Hashable], str] = field(factory=dict)
    rows: list[Row] = field(factory=list)
    held: list[tuple[str, str]] = field(factory=list)
    moments: dict[str, str] = field(factory=dict)
    pasts: dict[str, tuple[tuple[str, tuple[str, Hashable]], ...]] = field(factory=dict)

    def copy(self) -> State:
        """The same, to go on from independently."""
        return State(
            actor=self.actor,
            doors=self.doors,
            by_http=self.by_http,
            remember=self.remember,
            **{name: getattr(self, name).copy() for name in _PARTS},
        )

    def key(self) -> Hashable:
        """Everything that later answers depend on."""
        return tuple(
            tuple(part.items() if isinstance(part, dict) else part) for part in map(self.__getattribute__, _PARTS)
        )

    def put(self, *things: Published | Endpoint | Run) -> None:
        """Keep things in their newest shape."""
        for thing in things:
            if isinstance(thing, Published):
                self.published[thing.id] = thing
            elif isinstance(thing, Endpoint):
                self.endpoints[thing.id] = thing
            else:
                self.runs[thing.id] = thing

    def note(self, *rows: Row) -> None:
        """Append to the history."""
        if self.remember:
            self.rows.extend(rows)

    def endpoint(self, name: str) -> Endpoint | None:
        """The living endpoint of a name."""
        return next((one for one in self.endpoints.values() if one.name == name and not one.deleted), None)

    def need_endpoint(self, name: str) -> Endpoint:
        """The living endpoint of a name. Raises No."""
        found = self.endpoint(name)
        if found is None:
            raise No("endpoint_not_found", f"there is no endpoint `{name}`")
        return found

    def need_version(self, endpoint: Endpoint, text: str) -> int:
        """The number of a version that an endpoint has. Raises No."""
        if not re.fullmatch(r"0|[1-9][0-9]*", text) or int(text) >= len(endpoint.versions):
            raise No("version_not_found", f"endpoint `{endpoint.name}` has no version {text}")
        return int(text)

    def find_published(self, ref: str) -> list[Published]:
        """The living published pipelines that `name:label` or `name:label@target` names."""
        return [
            one
            for one in self.published.values()
            if ref in (one.id, one.ref, f"{one.name}:{one.label}") and not one.deleted
        ]

    def need_published(self, ref: str) -> Published:
        """The living published pipeline that a reference names. Raises No."""
        found = self.find_published(ref)
        if len(found) > 1:
            raise No("ambiguous", f"`{ref}` names {len(found)} published pipelines")
        if not found:
            raise No("pipeline_not_found", f"there is no published pipeline `{ref}`")
        return found[0]

    def need_run(self, name: str) -> Run:
        """The run of a name. Raises No."""
        if name not in self.names:
            raise No("run_not_found", f"no run has the name `{name}`")
        return self.runs[self.names[name]]

    def door(self, told: str) -> str:
        """The door that a call came through, when one was told that is among those of this caller."""
        return told if told in self.doors else self.doors[0]

    def verified(self, by: str) -> bool:
        """Whether somebody has checked who a caller is: nobody has of a user of Python or of the command line."""
        return self.by_http and by != ANYBODY

    def need_public(self, ref: str) -> None:
        """Raise No unless a reference is to an endpoint that everybody may trigger, or to a version of one."""
        endpoint = self.endpoint(ref) or self.endpoint(split_version(ref)[0])
        if endpoint is None or endpoint.access != "public":
            raise No("not_authenticated", f"nothing is known of the caller, and `{ref}` is not public")

    def which(self, digest: str) -> str:
        """The variant that a digest stands for."""
        return next(variant for variant, known in self.variants.items() if known == digest)


_PARTS = (
    "variants", "labels", "published", "endpoints", "runs", "names", "keys", "bodies", "rows", "held", "moments",
    "pasts",
)  # fmt: skip


def split_version(ref: str) -> tuple[str, str | None]:
    """Cut `one@0` into the endpoint and the version; without a version, None."""
    found = re.fullmatch(r"(.+)@([0-9]+)", ref)
    return (found[1], found[2]) if found else (ref, None)


def refuse_closed(what: str, code: str, gate: Gate | None) -> None:
    """Raise No when a gate is closed."""
    if gate is not None:
        raise No(code, f"{what} is closed", says=(gate.by, *([gate.reason] if gate.reason else [])))


def refuse_version(state: State, endpoint: Endpoint, number: int) -> None:
    """Raise No when the gate of a version, or of what it is, is closed."""
    version = endpoint.versions[number]
    refuse_closed(f"version {number} of endpoint `{endpoint.name}`", "version_disabled", version.gate)
    refuse_pipeline(state.published[version.published])


def refuse_pipeline(published: Published) -> None:
    """Raise No when the gate of a published pipeline is closed."""
    refuse_closed(f"published pipeline `{published.ref}`", "pipeline_disabled", published.gate)
