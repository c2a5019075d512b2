"""The hooks: everything a backend answers and everything a plugin may wrap or hear. This file is the contract.

A backend is a module (or object) with functions marked `@penstock.hookimpl`, found by the entry point group
`penstock.backends`. Each target has its own manager with exactly one backend and the wrappers, so an
operation is answered once, and never by the wrong backend. A capability is simply: the hook is implemented.
No defaults and no keyword-only arguments in implementations; ask only for the arguments you need.

What a backend is given and returns is in `penstock.contract.target` (`Target`, `Problem`, `Compiled`, `Publication`,
`EndpointState`, `Health`), `penstock.contract.run` (`RunRequest`, `BoundParameters`, `Submission`, `RunRef`,
`RunReport`, `StepReport`, `Failure`, `Absent`, `RunOutputs`, `LogChunk`, `LogTime`), `penstock.contract.artifacts`
(`Destination`, `ArtifactPlace`), `penstock.spec` (`Pipeline`) and `penstock.snapshot` (`Snapshot`, `Archive`).

What it need not write anew: `penstock.spec.graph.order` and `dependencies` (which step after which),
`Pipeline.effective` (a step with what all steps have), `penstock.spec.command.fill` (replaces placeholders: a
`Reference` has the scope `parameters`, `inputs`, `outputs` or `steps`, and names), `penstock.snapshot.extract` (unpacks
code and data), `penstock.spec.values.read_output` (the text of an output from the bytes that a step wrote),
`penstock.codec.to_json`, `penstock.contract.local_artifacts.send` (puts what lies here into a `Destination`).

What it raises (`penstock.errors`): `TargetUnavailable(message, retry_after=seconds)` when the place cannot be reached,
so that the core tries again; `TargetRefused` when it says no for good; `NotFound` for outputs, logs and the cancel of a
run that it does not know. Anything else is a defect of the backend and is told as `backend_broken`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import pluggy
from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from penstock.contract.artifacts import ArtifactPlace, Destination
    from penstock.contract.http import AnsweredRequest, HttpRoute
    from penstock.contract.run import (
        Absent,
        LogChunk,
        RunOutputs,
        RunRef,
        RunReport,
        RunReports,
        RunRequest,
        Submission,
    )
    from penstock.contract.target import (
        Compiled,
        EndpointState,
        Health,
        Location,
        NativeTrigger,
        Problem,
        Publication,
        Target,
    )
    from penstock.snapshot import Snapshot
    from penstock.spec import Pipeline
    from penstock.workspace import Workspace

hookspec = pluggy.HookspecMarker("penstock")
hookimpl = pluggy.HookimplMarker("penstock")
F = TypeVar("F", bound=Callable[..., Any])


def optional(capability: str) -> Callable[[F], F]:
    """Mark an operation that a backend may lack; `capability` completes "this backend cannot ..."."""

    def mark(hook: F) -> F:
        vars(hook)["capability"] = capability
        return hook

    return mark


@frozen(kw_only=True)
class VerbRequest:
    """One call of one verb, before anything happened.

    `verb` is like `endpoint.disable`; `subject` is what the caller named; `actor` is who, `verified` whether
    somebody checked that (a command line user only says so); `door` is `cli`, `python`, ...; `request_id` is
    unique. `arguments` are the verb's own; the values of sensitive parameters are among them as they were given, so
    write down none of `parameters`.
    """

    verb: str
    subject: str
    actor: str
    verified: bool
    door: str
    request_id: str
    arguments: Mapping[str, Any] = field(factory=dict, repr=False)


@frozen(kw_only=True)
class Event:
    """Something that happened and is already in the history: what kind of thing, its id and name, when it happened (of
    a run: at its target), and what changed.
    """

    kind: str
    subject_id: str
    subject: str
    at: datetime
    data: Mapping[str, Any] = field(factory=dict)


class BackendHooks:
    """Operations of one target. Each is answered by its backend alone; plugins may wrap, never answer."""

    @hookspec(firstresult=True)
    def penstock_target_options(self) -> type[Any]:
        """The attrs class of this backend's target options. Mandatory, no network.

        A field with metadata `{"identity": True}` decides which place it is, and one with `{"frozen": True}` what a
        publication keeps of the options of then; every other option takes effect at once.
        """

    @hookspec(firstresult=True)
    def penstock_validate_pipeline(self, target: Target, pipeline: Pipeline) -> Sequence[Problem]:
        """What this target cannot do (errors) or does differently (warnings), each with its path.

        Mandatory, no network. Called at publish, before anything is written; an empty list is all well.
        """

    @hookspec(firstresult=True)
    def penstock_compile_pipeline(self, target: Target, snapshot: Snapshot) -> Compiled:
        """The snapshot in the backend's own language. Mandatory, no network, deterministic."""

    @hookspec(firstresult=True)
    def penstock_publish_pipeline(self, target: Target, snapshot: Snapshot, compiled: Compiled) -> Publication:
        """Put the compiled snapshot where runs can be started from it. Mandatory, idempotent.

        External names come from the digest, so that a repeat finds what is there.
        """

    @hookspec(firstresult=True)
    @optional("read a file or directory from outside the pipeline")
    def penstock_resolve_location(self, target: Target, location: Location) -> str | Problem:
        """The path or URI that a run on this target will read for a `file` or `directory` value, or why not.

        Optional, no network. Called at acceptance. Without it any URI is taken as it is and local paths are
        refused.
        """

    @hookspec(firstresult=True)
    def penstock_submit_run(self, target: Target, run: RunRequest) -> Submission:
        """Start the run, or find it: create-if-absent by `run.id`. Mandatory.

        Handing the same run over again returns the same submission and starts nothing.
        """

    @hookspec(firstresult=True)
    def penstock_get_run(self, target: Target, run: RunRef) -> RunReport | Absent:
        """The run's state, steps and times as they are now, or Absent. Mandatory."""

    @hookspec(firstresult=True)
    @optional("answer for many runs at once")
    def penstock_list_runs(self, target: Target, runs: Sequence[RunRef]) -> RunReports:
        """What `penstock_get_run` would say of each of these runs, by run id, in about one call. Optional.

        A run that is left out of the answer was not looked at: it is asked for by itself.
        """

    @hookspec(firstresult=True)
    def penstock_get_outputs(self, target: Target, run: RunRef) -> RunOutputs:
        """The pipeline's outputs: canonical text of values, path or URI of artifacts. Mandatory."""

    @hookspec(firstresult=True)
    @optional("download artifacts")
    def penstock_fetch_artifact(self, target: Target, run: RunRef, name: str, destination: Destination) -> bool:
        """Put the artifact that the output `name` of an ended run is into `destination`; answers True. Optional.

        Where it lies is what the place itself says of that output, and nothing that a caller gave. A file comes in
        pieces, of a few MiB at the most, so that any size fits into memory; of executable bits, links and empty folders
        comes what the place keeps. Nobody sees what is there before the hook has answered. Raises NotFound, with the
        code `output_not_found` for what the run did not make, and `artifact_gone` for what is not there any more.
        Without the hook, only what is a path of this machine can be downloaded.
        """

    @hookspec(firstresult=True)
    @optional("say where artifacts lie by now")
    def penstock_locate_artifact(self, target: Target, run: RunRef, reported: str) -> ArtifactPlace:
        """Where an artifact of a run lies by now that was reported as this path or URI. Optional, no network.

        For places whose artifacts move with them, as a folder does. Without the hook it is what was reported.
        """

    @hookspec(firstresult=True)
    @optional("show logs")
    def penstock_read_logs(self, target: Target, run: RunRef, step: str, offset: int) -> LogChunk:
        """The step's log from a byte offset on, at most about 1 MiB a call. Optional.

        A backend that knows when lines came says so in `LogChunk.times`, for `run logs --timestamps`; one that does not
        leaves that None. One whose logs can be replaced by others says which it is in `LogChunk.identity`.
        """

    @hookspec(firstresult=True)
    @optional("cancel a run")
    def penstock_cancel_run(self, target: Target, run: RunRef) -> bool:
        """Ask the run to end: True when the request was taken, False when it had already ended. Optional."""

    @hookspec(firstresult=True)
    @optional("clear away what a run left")
    def penstock_clear_run(self, target: Target, run: RunRef) -> int:
        """Remove what an ended run left that takes space: working copies, logs, artifacts; answers how many bytes.

        Optional, idempotent. What the run came to is still answered afterwards. One that has not ended is left alone.
        """

    @hookspec(firstresult=True)
    @optional("keep a value secret")
    def penstock_keep_secrets(self, target: Target) -> bool:
        """Whether nobody but who runs it sees the sensitive values of a run: not in what the place shows of it, nor in
        its files once the run has ended, nor what a hand-over left that was repeated or killed. Optional, no network.

        `BoundParameters.sensitive` names them. Without the hook, and when it answers False, a pipeline with a sensitive
        parameter is refused at publish. Where it depends on the pipeline, `penstock_validate_pipeline` says so.
        """

    @hookspec(firstresult=True)
    @optional("mirror endpoints")
    def penstock_sync_endpoint(self, target: Target, endpoint: EndpointState) -> NativeTrigger | bool:
        """Make the backend's idea of an endpoint what `endpoint` says. Optional, idempotent.

        Answers True, or the backend's own URL of the endpoint, which is shown with it. Called after the change was
        committed and retried until it took; no run waits for it. Two processes may tell at the same time: a `revision`
        below the one that the backend knows is old news, and changes nothing. Where the place works at it for longer
        than a few seconds, raise TargetUnavailable `sync_unfinished`: it is asked again, and runs do not wait for it.
        """

    @hookspec(firstresult=True)
    @optional("check what was published")
    def penstock_check_publication(self, target: Target, publication: Publication) -> Sequence[str]:
        """What of a publication is not what was put there, each in a line that says what to do. Optional.

        All of it is read; an empty list is all well. It is for places on this machine: `registry check` calls it for
        every publication that is in use.
        """

    @hookspec(firstresult=True)
    @optional("remove published pipelines")
    def penstock_retire_pipeline(self, target: Target, publication: Publication) -> bool:
        """Forget a publication that nothing points to any more under any name of the place; answers True. Optional.

        Idempotent: where several targets are one place, each name that had published it is told.
        """

    @hookspec(firstresult=True)
    @optional("report its health")
    def penstock_check_target(self, target: Target) -> Health:
        """How the target is, in words. Optional."""


class WorkspaceHooks:
    """What plugins of a workspace wrap and hear."""

    @hookspec(firstresult=True)
    def penstock_execute_verb(self, request: VerbRequest) -> Any:
        """Every call of every verb, from every door. Wrap it (`hookimpl(wrapper=True)`) to observe or refuse.

        Answered by the workspace itself. Raise `PolicyRefused` before yielding to refuse.
        """

    @hookspec
    def penstock_register_routes(self, workspace: Workspace) -> Sequence[HttpRoute]:
        """The routes of a door, see `penstock.contract.http`. Called once, when a server starts.

        `workspace` is for what has to be known then; each request brings one of its own, bound to its caller.
        """

    @hookspec
    def penstock_pipeline_published(self, event: Event) -> None:
        """A pipeline was published. After commit, at most once: the history is the truth."""

    @hookspec
    def penstock_default_moved(self, event: Event) -> None:
        """An endpoint's default moved. After commit, at most once."""

    @hookspec
    def penstock_gate_changed(self, event: Event) -> None:
        """A gate of an endpoint, version or published pipeline was closed or opened. After commit, at most once."""

    @hookspec
    def penstock_run_changed(self, event: Event) -> None:
        """A run was accepted, started or ended. After commit, at most once.

        `data` has its `state`; its `target`; `started` and `ended`, at its target, or None.
        """

    @hookspec
    def penstock_run_handed_over(self, event: Event) -> None:
        """A run was handed over: its target has it. After commit. `data` has the `target`, and in `seconds` how long
        the run waited for that since it was accepted.
        """

    @hookspec
    def penstock_request_answered(self, event: AnsweredRequest) -> None:
        """A server answered a request, or refused it. It is told where requests are taken in, so be quick."""
