"""The workspace: a registry, its targets and its plugins, and the one object with the verbs behind every door."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from penstock.callers import Caller
from penstock.config import Config, load_config
from penstock.workspace.arguments import opened
from penstock.workspace.handles import Endpoint as Endpoint
from penstock.workspace.handles import PublishedPipeline as PublishedPipeline
from penstock.workspace.handles import Run as Run
from penstock.workspace.services import Services

if TYPE_CHECKING:
    from penstock.dispatch.dispatcher import Dispatcher
    from penstock.spec import Pipeline
    from penstock.workspace.accepting import Submitted as Submitted
    from penstock.workspace.admin import Admin as Admin
    from penstock.workspace.admin import Restored as Restored
    from penstock.workspace.admin import Status as Status
    from penstock.workspace.artifacts import Artifact as Artifact
    from penstock.workspace.downloads import Downloaded as Downloaded
    from penstock.workspace.endpoints import Endpoints as Endpoints
    from penstock.workspace.logs import LogPart as LogPart
    from penstock.workspace.logs import LogParts as LogParts
    from penstock.workspace.pipelines import Pipelines as Pipelines
    from penstock.workspace.pipelines import Validation as Validation
    from penstock.workspace.publishing import Publishing as Publishing
    from penstock.workspace.runs import Runs as Runs
    from penstock.workspace.targets import OptionStatus as OptionStatus
    from penstock.workspace.targets import PluginStatus as PluginStatus
    from penstock.workspace.targets import Targets as Targets
    from penstock.workspace.targets import TargetStatus as TargetStatus
    from penstock.workspace.tokens import Tokens as Tokens

# A command uses one group of verbs; building the classes of the others would take longer than most commands.
_HOMES = {
    "admin": ("Admin", "Restored", "Status"),
    "artifacts": ("Artifact",),
    "downloads": ("Downloaded",),
    "endpoints": ("Endpoints",),
    "logs": ("LogPart", "LogParts"),
    "pipelines": ("Pipelines", "Validation"),
    "publishing": ("Publishing",),
    "runs": ("Runs",),
    "targets": ("OptionStatus", "PluginStatus", "TargetStatus", "Targets"),
    "tokens": ("Tokens",),
    "triggers": ("Submitted",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    return found


def _group(name: str, about: str) -> Any:
    """The verbs of a group for the workspace's caller, imported on first use."""
    group = cached_property(lambda room: (globals().get(name) or __getattr__(name))(room._services, room._caller))
    group.__doc__ = about  # for `help`
    return group


class Workspace:
    """Open one with `Workspace.open()`. The verbs are in groups (`pipelines`, `endpoints`, `runs`, `targets`,
    `admin`, `tokens`) that return records; the methods here return handles, which read better in Python.

    Threads may share one. `as_` is the same workspace for another caller, and costs nothing.
    """

    pipelines: Pipelines = _group("Pipelines", "Verbs of published pipelines.")
    endpoints: Endpoints = _group("Endpoints", "Verbs of endpoints.")
    runs: Runs = _group("Runs", "Verbs of runs.")
    targets: Targets = _group("Targets", "Verbs of targets and plugins.")
    admin: Admin = _group("Admin", "Verbs of the workspace itself and its registry.")
    tokens: Tokens = _group("Tokens", "Verbs of the tokens of callers that come in by HTTP.")

    def __init__(
        self,
        config: Config,
        *,
        actor: str,
        verified: bool = False,
        door: str = "python",
        folder: Path | None = Path(),
        plugins: Sequence[tuple[str, object]] = (),
    ) -> None:
        """The caller is as in `penstock.callers.Caller`. `plugins` are objects with hooks, by name, inside of those
        that the configuration names.
        """
        self._services = Services(config, plugins)
        self._caller = Caller(actor=actor, verified=verified, door=door, folder=folder)

    @classmethod
    def for_server(cls, config: Config, *, max_unfinished_runs: int | None = None) -> tuple[Workspace, Dispatcher]:
        """A workspace in which no caller waits for a target, and the dispatcher that does the waiting once started.

        `max_unfinished_runs` of an endpoint are taken, any number unless given. Makes the registry where it is missing.
        Raises RegistryError.
        """
        workspace = cls.__new__(cls)
        workspace._services = services = Services(
            config, wake=lambda: dispatcher.wake(), max_unfinished_runs=max_unfinished_runs
        )
        workspace._caller = Caller(actor="penstock", door="server", folder=None)
        services.make_registry()
        dispatcher = services.dispatcher()
        return workspace, dispatcher

    @property
    def services(self) -> Services:
        """What callers share."""
        return self._services

    @property
    def config(self) -> Config:
        """The configuration."""
        return self._services.config

    @property
    def caller(self) -> Caller:
        """Who calls through this workspace."""
        return self._caller

    def as_(self, caller: Caller) -> Workspace:
        """The same workspace for another caller."""
        other = Workspace.__new__(Workspace)
        other._services, other._caller = self._services, caller
        return other

    @classmethod
    def open(
        cls,
        folder: Path | str | None = None,
        *,
        config: Path | None = None,
        env: Mapping[str, str] | None = None,
        flags: Mapping[str, str] | None = None,
        actor: str | None = None,
        door: str = "python",
    ) -> Workspace:
        """Open the workspace of a folder: `penstock.yaml` there or above it, else a `.penstock` of its own.

        `flags` override the configuration (`registry`, `target`, `plugins`). `actor` is who calls, by default
        `PENSTOCK_ACTOR` or the user of the operating system. Raises ConfigInvalid, and UsageError for an argument of
        another type; nothing is written.
        """
        said = opened(folder=folder, config=config, env=env, flags=flags, actor=actor, door=door)
        variables = os.environ if env is None else said["env"]
        start = Path(said["folder"]) if said["folder"] else None
        loaded = load_config(start, file=said["config"], env=variables, flags=said["flags"])
        return cls(loaded, actor=said["actor"] or variables.get("PENSTOCK_ACTOR") or _system_user(), door=said["door"])

    def __enter__(self) -> Workspace:
        """The workspace itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close the registry, for every caller; runs go on."""
        self._services.close()

    def publish(
        self,
        source: Path | str | Pipeline,
        *,
        folder: Path | None = None,
        target: str | None = None,
        name: str | None = None,
        label: str | None = None,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        endpoint: str | None = None,
        default: bool = False,
        expect: str | None = None,
        large_code: bool = False,
    ) -> PublishedPipeline:
        """Publish a spec file or a pipeline; the arguments are those of `Pipelines.publish`."""
        done = self.pipelines.publish(
            source,
            folder=folder,
            target=target,
            name=name,
            label=label,
            description=description,
            tags=tags,
            endpoint=endpoint,
            default=default,
            expect=expect,
            large_code=large_code,
        )
        return PublishedPipeline(self, done.published)

    def published(self, ref: str) -> PublishedPipeline:
        """A published pipeline by id, `name:label` or `name:label@target`."""
        return PublishedPipeline(self, self.pipelines.get(ref))

    def create_endpoint(
        self,
        name: str,
        published: PublishedPipeline | str,
        *,
        description: str = "",
        tags: Mapping[str, str] | None = None,
    ) -> Endpoint:
        """Create an endpoint with a published pipeline as its version 0 and default."""
        ref = published.id if isinstance(published, PublishedPipeline) else published
        return Endpoint(self, self.endpoints.create(name, ref, description=description, tags=tags))

    def endpoint(self, ref: str) -> Endpoint:
        """An endpoint by name or id."""
        return Endpoint(self, self.endpoints.get(ref))

    def submit(
        self,
        ref: str | Path,
        *,
        version: str | int | None = None,
        parameters: Mapping[str, Any] | None = None,
        experiment: str | None = None,
        description: str = "",
        tags: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        target: str | None = None,
        large_code: bool = False,
    ) -> Run:
        """Trigger an endpoint, a version, a published pipeline or a file; the arguments are those of `Runs.submit`."""
        submitted = self.runs.submit(
            ref,
            version=version,
            parameters=parameters,
            experiment=experiment,
            description=description,
            tags=tags,
            idempotency_key=idempotency_key,
            target=target,
            large_code=large_code,
        )
        return Run(self, submitted.run, submitted.warnings)

    def run(self, ref: str) -> Run:
        """A run by id or its first characters."""
        return Run(self, self.runs.get(ref))


def _system_user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
