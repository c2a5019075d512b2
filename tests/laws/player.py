"""Makes calls on a real workspace and answers what can be observed, all of it plain data.

A call is a verb and arguments that are literals, so that a history of calls can be printed, pickled and made again:

    publish(variant, name=None, label=None, target="main", endpoint=None, default=False, expect=None)
    publish_from(ref, name=None, label=None, target="main", endpoint=None, default=False, expect=None)
    create_endpoint(endpoint, published)
    add_version(endpoint, published, default=False, expect=None)
    set_default(endpoint, version, expect=None)          rollback(endpoint, expect=None)
    disable(ref, reason="", cancel_runs=False)           enable(ref)
    rename(endpoint, to)     delete_endpoint(endpoint)   delete_published(published)
    access(endpoint, access)                             deduplicate(endpoint, window=None)
    submit(run, ref, version=None, depth=None, seconds=None, key=None, marks=None, token=None, unknown=False)
    rerun(run, of, key=None, token=None)
    wait(run)   cancel(run, reason="")   get(run)   logs(run)   outputs(run)
    endpoint(endpoint)   endpoints(all=False)   published(all=False)   runs()
    history(runs=False)      moment(moment)              endpoint_at(endpoint, moment)
    reopen()

`variant` is a letter (see `pipelines.variant`; of `s` see `pipelines.guarded`, which needs a `token`); targets are
`main` and `other`; published pipelines are `name:label` or `name:label@main`; a `ref` may also be an endpoint `one` or
a version `one@0`, and for `publish_from` a run. Runs and moments have the names that the call gives them, known to
this player alone; a name that no run has is passed on as it is. Every call takes `by`, the actor, too; `anonymous` is
one of whom nothing is known.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

from attrs import evolve
from laws.doors import DOORS, Door
from laws.facts import Facts, Reader, gate, time

from penstock.errors import PenstockError, format_path
from penstock.registry import CheckReport, GateOutcome, MoveOutcome
from penstock.spec import Pipeline
from penstock.testing.harness import wait_for
from penstock.testing.probes.pipelines import guarded, variant
from penstock.testing.subject import Subject
from penstock.workspace import Publishing, Submitted

GUARDED = "s"
"""The variant that has a sensitive parameter."""

Answer: TypeAlias = Facts
"""What a call came to; a refused one is `{"refused": code, "at": [paths of the details], "message": text}`."""

_ALL = 1_000_000


class Player:
    """One caller of one registry. `runs` and `moments` are the ids and times behind the names it was given.

    `spec_folder` holds the kit's pipelines (`Harness.spec_folder`), `patience` is how many seconds `wait` waits,
    `actor` who calls unless a call says `by`. Other players may work on the same registry at the same time.
    """

    def __init__(
        self,
        subject: Subject,
        registry: str,
        *,
        spec_folder: Path,
        patience: float,
        actor: str = "ada",
        door: str = "python",
    ) -> None:
        self.actor = actor
        self.runs: dict[str, str] = {}
        self.moments: dict[str, datetime] = {}
        self._subject = subject
        self._registry = registry
        self._folder = spec_folder
        self._patience = patience
        self._read = Reader(subject.target, subject.other)
        self._door = DOORS[door]
        self._open: dict[str, Door] = {}

    def __enter__(self) -> Player:
        """The player itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def call(self, verb: str, **arguments: Any) -> Answer:
        """Make one call. A PenstockError is an answer; raises ValueError for a verb that there is not."""
        if verb not in VERBS:
            raise ValueError(f"no verb `{verb}`: one of {', '.join(VERBS)}")
        workspace = self._workspace(arguments.pop("by", self.actor))
        method: Callable[..., Answer] = getattr(self, f"_{verb}")
        try:
            return method(workspace, **arguments)
        except PenstockError as error:
            at = [format_path(one.path) for one in error.details if one.path]
            return {"refused": error.code, "at": at, "message": error.message}

    def check(self) -> CheckReport:
        """Look the registry over."""
        return self._workspace(self.actor).admin.check()

    def close(self) -> None:
        """Close every workspace; runs go on."""
        for workspace in self._open.values():
            workspace.close()
        self._open.clear()

    def _workspace(self, actor: str) -> Door:
        if actor not in self._open:
            self._open[actor] = self._door(self._subject, self._registry, actor=actor)
        return self._open[actor]

    def _reopen(self, workspace: Door) -> Answer:
        self.close()
        return {}

    # Published pipelines

    def _publish(self, workspace: Door, variant: str, target: str = "main", **asked: Any) -> Answer:
        place = self._read.target(target)
        done = workspace.pipelines.publish(self._pipeline(variant), folder=self._folder, target=place, **asked)
        return self._publishing(done)

    def _pipeline(self, which: str) -> Pipeline:
        made = (guarded if which == GUARDED else variant)(self._subject.python, which)
        return evolve(made, name="probe")

    def _publish_from(self, workspace: Door, ref: str, target: str = "main", **asked: Any) -> Answer:
        source = self.runs.get(ref) or self._read.to_real(ref)
        done = workspace.pipelines.publish_from(source, target=self._read.target(target), **asked)
        return self._publishing(done)

    def _publishing(self, done: Publishing) -> Answer:
        return {
            "published": self._read.published(done.published),
            "created": done.created,
            "endpoint": None if done.endpoint is None else self._read.endpoint(done.endpoint),
            "endpoint_created": done.endpoint_created,
            "version": done.version,
            "added": done.version_added,
            "moved": done.default_moved,
        }

    def _delete_published(self, workspace: Door, published: str) -> Answer:
        return {"published": self._read.published(workspace.pipelines.delete(self._read.to_real(published)))}

    def _published(self, workspace: Door, all: bool = False) -> Answer:
        page = workspace.pipelines.list(all=all, limit=_ALL)
        return {"items": [self._read.published(one) for one in page.items], "hidden": page.hidden}

    # Endpoints

    def _create_endpoint(self, workspace: Door, endpoint: str, published: str) -> Answer:
        record = workspace.endpoints.create(endpoint, self._read.to_real(published))
        return {"endpoint": self._read.endpoint(record)}

    def _add_version(self, workspace: Door, endpoint: str, published: str, **asked: Any) -> Answer:
        done = workspace.endpoints.add_version(endpoint, self._read.to_real(published), **asked)
        return {
            "endpoint": self._read.endpoint(done.endpoint),
            "version": done.version,
            "added": done.added,
            "moved": done.default_moved,
        }

    def _set_default(self, workspace: Door, endpoint: str, version: str, expect: str | None = None) -> Answer:
        return self._move(workspace.endpoints.set_default(endpoint, version, expect=expect))

    def _rollback(self, workspace: Door, endpoint: str, expect: str | None = None) -> Answer:
        return self._move(workspace.endpoints.rollback(endpoint, expect=expect))

    def _move(self, done: MoveOutcome) -> Answer:
        return {"endpoint": self._read.endpoint(done.endpoint), "from": done.from_, "to": done.to, "moved": done.moved}

    def _disable(self, workspace: Door, ref: str, **asked: Any) -> Answer:
        group = workspace.pipelines if ":" in ref else workspace.endpoints
        return self._gate(group.disable(self._read.to_real(ref), **asked))

    def _enable(self, workspace: Door, ref: str) -> Answer:
        group = workspace.pipelines if ":" in ref else workspace.endpoints
        return self._gate(group.enable(self._read.to_real(ref)))

    def _gate(self, done: GateOutcome) -> Answer:
        return {
            "changed": done.changed,
            "subject_id": done.subject_id,
            "gate": gate(done.gate),
            "ended": list(done.ended),
            "requested": list(done.cancel),
        }

    def _rename(self, workspace: Door, endpoint: str, to: str) -> Answer:
        return {"endpoint": self._read.endpoint(workspace.endpoints.rename(endpoint, to))}

    def _access(self, workspace: Door, endpoint: str, access: str) -> Answer:
        return {"endpoint": self._read.endpoint(workspace.endpoints.access(endpoint, access))}

    def _deduplicate(self, workspace: Door, endpoint: str, window: int | None = None) -> Answer:
        return {"endpoint": self._read.endpoint(workspace.endpoints.deduplicate(endpoint, window))}

    def _delete_endpoint(self, workspace: Door, endpoint: str) -> Answer:
        return {"endpoint": self._read.endpoint(workspace.endpoints.delete(endpoint))}

    def _endpoint(self, workspace: Door, endpoint: str) -> Answer:
        return {"endpoint": self._read.endpoint(workspace.endpoints.get(endpoint))}

    def _endpoints(self, workspace: Door, all: bool = False) -> Answer:
        page = workspace.endpoints.list(all=all, limit=_ALL)
        return {"items": [self._read.endpoint(one) for one in page.items], "hidden": page.hidden}

    # Runs

    def _submit(
        self,
        workspace: Door,
        run: str,
        ref: str,
        version: str | None = None,
        key: str | None = None,
        unknown: bool = False,
        **parameters: Any,
    ) -> Answer:
        given = {name: value for name, value in parameters.items() if value is not None}
        done = workspace.runs.submit(
            self._read.to_real(ref),
            version=version,
            parameters=given | ({"depths": 1} if unknown else {}),
            idempotency_key=key,
        )
        return self._submitted(run, done)

    def _rerun(self, workspace: Door, run: str, of: str, key: str | None = None, token: str | None = None) -> Answer:
        given = {} if token is None else {"parameters": {"token": token}}
        return self._submitted(run, workspace.runs.rerun(self._id(of), idempotency_key=key, **given))

    def _submitted(self, run: str, done: Submitted) -> Answer:
        self.runs[run] = done.run.id
        return {"run": self._read.run(done.run), "replayed": done.replayed}

    def _wait(self, workspace: Door, run: str) -> Answer:
        return {"run": self._read.run(wait_for(workspace, self._id(run), self._patience))}

    def _get(self, workspace: Door, run: str) -> Answer:
        return {"run": self._read.run(workspace.runs.get(self._id(run)))}

    def _cancel(self, workspace: Door, run: str, reason: str = "") -> Answer:
        done = workspace.runs.cancel(self._id(run), reason=reason)
        return {"run": self._read.run(done.run), "ended": done.ended, "requested": done.requested}

    def _logs(self, workspace: Door, run: str) -> Answer:
        parts = [part.data for part in workspace.runs.logs(self._id(run))]
        return {"text": b"".join(parts).decode(errors="backslashreplace")}

    def _outputs(self, workspace: Door, run: str) -> Answer:
        return {"outputs": workspace.runs.outputs(self._id(run))}

    def _runs(self, workspace: Door) -> Answer:
        return {"items": [self._read.run(one) for one in workspace.runs.list(limit=_ALL).items]}

    def _id(self, run: str) -> str:
        return self.runs.get(run, run)

    # The past

    def _history(self, workspace: Door, runs: bool = False) -> Answer:
        return {"rows": [self._read.row(row) for row in workspace.admin.history(limit=_ALL, runs=runs).items[::-1]]}

    def _moment(self, workspace: Door, moment: str) -> Answer:
        last = workspace.admin.history(limit=1, runs=True).items
        self.moments[moment] = last[0].at if last else datetime.now(UTC)
        return {"at": time(self.moments[moment])}

    def _endpoint_at(self, workspace: Door, endpoint: str, moment: str) -> Answer:
        answer = workspace.endpoints.at(endpoint, self.moments[moment])
        return {
            "endpoint": answer.endpoint,
            "default": answer.default,
            "published": answer.published,
            "digest": answer.digest,
            "closed": answer.refused,
        }


VERBS = (
    "publish", "publish_from", "create_endpoint", "add_version", "set_default", "rollback", "disable", "enable",
    "access", "deduplicate", "rename", "delete_endpoint", "delete_published", "submit", "rerun", "wait", "cancel",
    "get", "logs", "outputs",
    "endpoint", "endpoints", "published", "runs", "history", "moment", "endpoint_at", "reopen",
)  # fmt: skip
"""Every verb that a player knows."""
