"""What every verb needs: the configuration, the registry, the targets, the plugins and who is calling."""

from __future__ import annotations

import fcntl
import functools
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from penstock.config import Config, build_plugin
from penstock.contract.hooks import Event, VerbRequest
from penstock.dispatch import Dispatcher
from penstock.errors import RegistryError
from penstock.records import Caller
from penstock.registry import Registry
from penstock.spec import Pipeline
from penstock.targets import discovery
from penstock.targets.opened import OpenTargets
from penstock.workspace.plugins import WorkspacePlugins

P = ParamSpec("P")
R = TypeVar("R")
G = TypeVar("G", bound="Group")


class Context:
    """The shared part of a workspace. The registry is opened on first use, and made by the first verb that writes."""

    def __init__(
        self, config: Config, *, actor: str, verified: bool, door: str, plugins: Sequence[tuple[str, object]] = ()
    ) -> None:
        self.config = config
        self._actor = actor
        self._verified = verified
        self._door = door
        loaded = tuple((name, build_plugin(config, name, discovery.load_plugin(name))) for name in config.plugins.value)
        loaded += tuple(plugins)
        self.plugins = WorkspacePlugins(loaded)
        self.places = OpenTargets(config, loaded)
        self._registry: Registry | None = None
        self._dispatcher: Dispatcher | None = None

    @property
    def exists(self) -> bool:
        """Whether there is a registry yet."""
        return self._registry is not None or self._is_there()

    def _make_state_folder(self) -> None:
        try:
            for folder in (self.config.home, self.store):
                folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise RegistryError(
                f"{self.store} cannot be made ({error.strerror}); nothing was changed, check the folder's permissions",
                code="registry_read_only",
            ) from None

    def _is_there(self) -> bool:
        path = self.config.registry.value
        try:
            return path.exists()
        except OSError as error:
            raise RegistryError(
                f"{path} cannot be reached ({error.strerror}): the workspace is private to the user who made it",
                code="registry_read_only",
            ) from None

    @property
    def store(self) -> Path:
        """The folder where archives lie content-addressed, in the state folder."""
        return self.config.home / "archives"

    def registry(self, *, create: bool = False) -> Registry:
        """The registry. Raises RegistryError `registry_missing` when it is not there and not to be made."""
        if self._registry is None:
            path = self.config.registry.value
            if not create and not self._is_there():
                raise RegistryError(
                    f"there is no registry at {path} yet: publish a pipeline first (`penstock publish FILE`), "
                    "or run the command in the project's folder",
                    code="registry_missing",
                )
            self._registry = Registry.open(path, create=create)
            if create:
                self._make_state_folder()
            self.dispatcher.catch_up()
        return self._registry

    @property
    def dispatcher(self) -> Dispatcher:
        """What hands runs over and follows them."""
        if self._dispatcher is None:
            self._dispatcher = Dispatcher(self.registry(), self.places, self.tell, self.store)
        return self._dispatcher

    @contextmanager
    def publications(self, *, alone: bool) -> Iterator[None]:
        """Hold deletions off while something is put on a target and recorded; `alone`, hold everybody else off.

        Between what a target has and what the registry says of it nobody else may decide that it is not needed.
        The lock is a file's: it ends with the process that holds it.
        """
        lock = self.config.home / "publications.lock"
        try:
            file = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise RegistryError(
                f"{lock} cannot be written ({error.strerror}); nothing was changed, check the folder's permissions",
                code="registry_read_only",
            ) from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            yield
        finally:
            os.close(file)

    def tell(self, hook: str, event: Event) -> None:
        """Tell the plugins about something that is already committed."""
        self.plugins.tell(hook, event)

    def caller(self) -> Caller:
        """Who calls, with a new request id."""
        return Caller(actor=self._actor, door=self._door, request_id=str(uuid.uuid4()), verified=self._verified)

    def close(self) -> None:
        """Close the registry."""
        if self._registry is not None:
            self._registry.close()
            self._registry = self._dispatcher = None


class Group:
    """Verbs that belong together, over one context."""

    def __init__(self, context: Context) -> None:
        self._context = context


def verb(name: str) -> Callable[[Callable[Concatenate[G, Caller, P], R]], Callable[Concatenate[G, P], R]]:
    """Make a method a verb: every call of it passes the plugins, and it learns who calls.

    `name` is what plugins and the audit log see, like `endpoint.disable`; the subject is the first argument.
    """

    def decorate(method: Callable[Concatenate[G, Caller, P], R]) -> Callable[Concatenate[G, P], R]:
        def call(self: G, /, *args: P.args, **kwargs: P.kwargs) -> R:
            context = self._context
            caller = context.caller()
            positional = _argument_names(method)
            named = dict(zip(positional, args, strict=False)) | kwargs
            request = VerbRequest(
                verb=name,
                subject=_subject(named.get(positional[0], "") if positional else ""),
                actor=caller.actor,
                verified=caller.verified,
                door=caller.door,
                request_id=caller.request_id,
                arguments=named,
            )
            answer: R = context.plugins.execute_verb(request, lambda: method(self, caller, *args, **kwargs))
            return answer

        functools.update_wrapper(call, method)
        return call

    return decorate


def _argument_names(method: Callable[..., Any]) -> tuple[str, ...]:
    code = method.__code__
    return code.co_varnames[2 : code.co_argcount]


def _subject(value: Any) -> str:
    return value.name if isinstance(value, Pipeline) else str(value)
