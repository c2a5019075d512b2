"""What crosses the line between the core and a backend about one run: the request, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, TypeAlias

from attrs import field, frozen

from penstock.contract.target import Publication
from penstock.spec import Value

RunState: TypeAlias = Literal["queued", "running", "succeeded", "failed", "canceled"]
StepState: TypeAlias = Literal["queued", "running", "succeeded", "failed", "canceled", "skipped"]

RUN_STATES: tuple[RunState, ...] = ("queued", "running", "succeeded", "failed", "canceled")
ENDED: frozenset[str] = frozenset({"succeeded", "failed", "canceled", "skipped"})
"""States that are final, of runs and of steps."""


@frozen(kw_only=True)
class BoundParameters:
    """Every parameter of one run with its value, defaults included, from acceptance to the step.

    `texts` holds the one text of each value parameter: what a backend carries, never the native number. `artifacts`
    holds the path or URI of each `file` and `directory` parameter that does not use its bundled default; those that do
    are named in `bundled`, with the path of the archive in the snapshot that holds their content. `typed` holds the
    value of every parameter as its type has it, for people and for labels. `sensitive` names those of `texts` that only
    the run itself may see, see `penstock_keep_secrets`; in `typed` they are `***`. An optional parameter without a
    value is None in `typed` and in nothing else; `penstock.spec.optional` says what a step is given then.
    """

    typed: Mapping[str, Value] = field(factory=dict)
    texts: Mapping[str, str] = field(factory=dict, repr=False)
    artifacts: Mapping[str, str] = field(factory=dict)
    bundled: Mapping[str, str] = field(factory=dict)
    sensitive: tuple[str, ...] = ()

    @property
    def absent(self) -> frozenset[str]:
        """The parameters that have no value."""
        return frozenset(name for name, value in self.typed.items() if value is None)


@frozen(kw_only=True)
class RunRequest:
    """One accepted run as a backend gets it. `id` is ours and the key of create-if-absent.

    `attempt` counts the hand-overs that were begun: 1 is the first; from 2 on the backend may have the run already,
    because an answer was lost, so a backend whose API has no key of its own has to look before it creates.
    """

    id: str
    publication: Publication
    pipeline: str
    label: str | None = None
    endpoint: str | None = None
    version: str | None = None
    experiment: str = ""
    description: str = ""
    tags: Mapping[str, str] = field(factory=dict)
    parameters: BoundParameters = field(factory=BoundParameters)
    attempt: int = 1


@frozen(kw_only=True)
class Submission:
    """A backend's receipt for a run: what it calls the run, and `details` worth showing, such as a console URL."""

    external: str
    details: Mapping[str, str] = field(factory=dict)


@frozen(kw_only=True)
class RunRef:
    """How the core names a run to the backend that has it. `external` is empty until a receipt was recorded."""

    id: str
    publication: Publication
    external: str = ""


@frozen(kw_only=True)
class Failure:
    """Why something failed: a stable code, one line, and the step where there is one."""

    code: str
    message: str
    step: str | None = None


@frozen(kw_only=True)
class StepReport:
    """One step as the backend sees it now. `attempt` counts from 1 once it started; times are UTC.

    `outputs` holds the text of value outputs and the path or URI of artifacts, once the step succeeded.
    """

    name: str
    state: StepState
    attempt: int = 0
    started: datetime | None = None
    ended: datetime | None = None
    exit_code: int | None = None
    error: Failure | None = None
    outputs: Mapping[str, str] = field(factory=dict)


@frozen(kw_only=True)
class RunReport:
    """A run as the backend sees it now, its steps in the order of the graph. Times are UTC.

    `waits_for` says in one line what none of its steps can go on without, where the backend knows; it is kept each time
    that it changes, so it names nothing that does so all the time.
    """

    state: RunState
    started: datetime | None = None
    ended: datetime | None = None
    steps: tuple[StepReport, ...] = ()
    error: Failure | None = None
    waits_for: str | None = None


@frozen
class Absent:
    """The backend does not know the run."""


RunReports: TypeAlias = Mapping[str, RunReport | Absent]
"""What is known of several runs, by run id, as a dict."""


@frozen(kw_only=True)
class RunOutputs:
    """The pipeline's outputs after the run ended: canonical text of values, path or URI of artifacts.

    Outputs that were never produced are left out.
    """

    outputs: Mapping[str, str] = field(factory=dict)


@frozen
class LogTime:
    """When a part of a log was there: what lies before `offset` and after the mark before this one.

    `time` is UTC; None where nobody knows.
    """

    offset: int
    time: datetime | None


@frozen(kw_only=True)
class LogChunk:
    """A piece of a step's log: the bytes from the asked offset, where to read on, and whether that is all.

    `complete` is true when the step has ended and nothing follows `next_offset`. No bytes and a `next_offset` before
    the asked one say that the log is that short now: who follows it goes on at its beginning. `times` says since when
    the bytes are there, as far as that is known: offsets of the log that go up, from behind the asked one to
    `next_offset` at most, with times that never go back. A backend that keeps none leaves it None. What lies behind the
    last mark may get its time in a moment, and whoever wants that asks again until the piece is `complete` or a second
    has passed. `identity` tells one log from another that was put in its place, which may be as long: any text, the
    same for as long as a log only grows. Who follows a log that has become another goes on at the beginning of that
    one, unless that is what was read. A backend whose logs cannot be replaced leaves it None.
    """

    data: bytes
    next_offset: int
    complete: bool
    times: Sequence[LogTime] | None = None
    identity: str | None = None
