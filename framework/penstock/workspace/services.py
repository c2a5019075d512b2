"""What one process has of a workspace, whoever calls: configuration, registry, targets, plugins, dispatch, store."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from penstock import trust
from penstock.config import Config, build_plugin, plugin_place
from penstock.errors import ConfigInvalid, RegistryError
from penstock.records import Placement
from penstock.registry import Registry, copied
from penstock.registry.troubles import refuse_broken_link
from penstock.targets import discovery
from penstock.targets.opened import OpenTargets
from penstock.workspace.plugins import WorkspacePlugins
from penstock.workspace.resolution_cache import ResolutionCache

if TYPE_CHECKING:
    from penstock.contract.http import HttpRoute
    from penstock.dispatch.dispatcher import Dispatcher
    from penstock.dispatch.follow import Follower
    from penstock.dispatch.outbox import Outbox
    from penstock.workspace import Workspace

_log = logging.getLogger(__name__)


class Services:
    """Shared by all callers and threads of a process. The registry is opened on first use, and made by the first verb
    that writes what needs one; opening it does nothing else. `home` is the state folder, and `store` the folder in it
    where archives lie content-addressed.

    `plugins` are objects with hooks, by name, inside of those that the configuration names. With `wake` no caller waits
    for a target: a dispatcher hands over and follows, here or in another process, and `wake` tells it of news. An
    endpoint that has `max_unfinished_runs` gets no other.
    """

    def __init__(
        self,
        config: Config,
        plugins: Sequence[tuple[str, object]] = (),
        *,
        wake: Callable[[], None] | None = None,
        max_unfinished_runs: int | None = None,
    ) -> None:
        self.config = config
        self.max_unfinished_runs = max_unfinished_runs
        self._wake = wake
        self.home = config.home
        self.store = self.home / "archives"
        _refuse_umask()
        self._refuse_strange()
        loaded = [
            (name, build_plugin(config, name, discovery.load("plugin", name, *plugin_place(config, name))))
            for name in config.plugins.value
        ]
        loaded += plugins
        self.plugins = WorkspacePlugins(loaded)
        self.tell = self.plugins.tell
        self.targets = OpenTargets(config, loaded)
        self.resolution_cache = ResolutionCache()
        self._lock = threading.RLock()
        self._registry: Registry | None = None
        self._outbox: Outbox | None = None
        self._follower: Follower | None = None

    @property
    def exists(self) -> bool:
        """Whether there is a registry yet."""
        return self._registry is not None or self._is_there()

    @property
    def can_be_listed(self) -> bool:
        """Whether there is a registry to list from. Raises RegistryError `registry_missing` when there was one: that
        nothing is known is not that there is nothing.
        """
        lost = None if self.exists else self.lost()
        if lost is not None:
            raise RegistryError(f"{lost}, or take {self.home} away to begin anew", code="registry_missing")
        return self.exists

    def lost(self) -> str | None:
        """What to say and do where archives or a log are left of a registry that is not there; else None."""
        if self.exists:
            return None
        from penstock.registry.copying import has_log  # once in a while

        path, left = self.config.registry.value, None
        if self.store.is_dir() and any(self.store.iterdir()):
            left = f"archives are in {self.store}"
        elif has_log(path):  # a pipeline without code has no archives
            left = "log `-wal` is still there"
        if left is None:
            return None
        return (
            f"the registry {path} is missing, whose {left}: put it back, or a backup of it with `penstock registry "
            "restore FILE`"
        )

    @property
    def registry(self) -> Registry:
        """The registry. Raises RegistryError `registry_missing` when it is not there."""
        return self._registry or self._open(create=False)

    @property
    def outbox(self) -> Outbox:
        """What does the work that targets are owed."""
        made = self._outbox
        if made is not None:
            return made
        with self._lock:
            if self._outbox is None:
                from penstock.dispatch.outbox import Outbox  # a listing has no use for it

                made = self._outbox = Outbox(self.registry, self.targets, self.tell, self.home, self._wake)
            else:
                return self._outbox
        made.sweep_values()  # which may wait for the registry, and nobody for that
        return made

    def give_time(self, *, at_once: bool = False) -> None:
        """Do some of what targets are owed, after a decision. Never raises: it is owed, and done later."""
        try:
            outbox = self.outbox
        except Exception as error:  # nor may what is lacked for that hide that the decision holds
            _log.info("what is due waits: %s", error)
            return
        outbox.give_time(at_once=at_once)

    @property
    def follower(self) -> Follower:
        """What asks targets about runs."""
        with self._lock:
            if self._follower is None:
                from penstock.dispatch.follow import Follower  # nor for this one

                self._follower = Follower(self.registry, self.targets, self.outbox)
            return self._follower

    def dispatcher(self) -> Dispatcher:
        """What hands over and follows in the background; `wake` of these services is its own to be told by."""
        from penstock.dispatch.dispatcher import Dispatcher
        from penstock.dispatch.follow import Follower
        from penstock.dispatch.outbox import Outbox

        outbox = Outbox(self.registry, self.targets, self.tell, self.home)
        return Dispatcher(self.registry, outbox, Follower(self.registry, self.targets, outbox))

    def routes(self, doors: Sequence[str], workspace: Workspace) -> list[HttpRoute]:
        """The routes that plugins contribute: those of the configuration, and `doors` by name. Raises ConfigInvalid."""
        more = [name for name in doors if name not in self.config.plugins.value]
        loaded = [(name, build_plugin(self.config, name, discovery.load("plugin", name))) for name in more]
        return [*self.plugins.routes(workspace), *WorkspacePlugins(loaded).routes(workspace)]

    def make_registry(self) -> None:
        """Make the registry and the state folder where they are missing. Raises RegistryError."""
        self._open(create=True)

    def refuse_copy(self) -> None:
        """Raise RegistryError `registry_copied` or `registry_linked` in a copy, before anything else is found to be
        missing.
        """
        self.registry.refuse_linked()
        if self._is_copy(self.registry):
            raise copied(self.store)

    def refuse_strange_place(self) -> None:
        """Raise ConfigInvalid `not_trusted` when a registry would be made in a folder of somebody else."""
        trust.refuse_place(self.config.registry.value, "the registry")

    def retiring_held_off(self, placement: Placement) -> AbstractContextManager[None]:
        """See `penstock.dispatch.retire`."""
        from penstock.dispatch.retire import retiring_held_off

        return retiring_held_off(self.home, placement)

    def close(self) -> None:
        """Close the registry; runs go on."""
        with self._lock:
            if self._registry is not None:
                self._registry.close()
                self._registry = self._outbox = self._follower = None

    def _open(self, *, create: bool) -> Registry:
        opened = self._registry
        if opened is not None and not create:
            return opened
        with self._lock:
            if self._registry is None:
                path = self.config.registry.value
                if not create and not self._is_there():
                    refuse_broken_link(path)
                    raise RegistryError(
                        f"there is no registry at {path} yet: publish a pipeline first (`penstock publish FILE`), "
                        "or run the command in the project's folder",
                        code="registry_missing",
                    )
                if create and not self._is_there():
                    self.refuse_strange_place()
                self._registry = Registry.open(path, create=create)
                if self._is_copy(self._registry):
                    self._registry.only_look(partial(copied, self.store))
                if self._registry.owner is not None:
                    trust.tell_guest(path, self._registry.owner)
            if create:
                self._make_state_folder()
            return self._registry

    def _make_state_folder(self) -> None:
        """Make what lies beside a registry.

        Raises RegistryError, also `registry_copied`, for a copy has nothing, `registry_linked`, `registry_not_owned`.
        """
        self.registry.refuse_guest()
        self.refuse_copy()
        try:
            for folder in (self.home, self.store):
                folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise RegistryError(
                f"{self.store} cannot be made ({error.strerror}); nothing was changed, check the folder's permissions",
                code="registry_read_only",
            ) from None

    def _is_copy(self, registry: Registry) -> bool:
        """Whether the registry lies apart from its state, which a workspace has before it decides anything, or is a
        backup beside another's.
        """
        if registry.is_backup and self.config.registry.value.parent != self.home:
            return True
        return not self.store.is_dir() and not registry.is_empty()

    def _refuse_strange(self) -> None:
        """Raise ConfigInvalid `not_trusted` when somebody else could have written what a workspace goes by."""
        registry = self.config.registry.value
        looks: tuple[Callable[[], str | None], ...] = (
            lambda: trust.distrust(self.home, "the state folder"),
            lambda: trust.distrust(self.store, "the folder of archives"),  # which may be a link to a larger disk
            lambda: trust.distrust(registry, "the registry"),
            lambda: trust.distrust_database(registry, "the registry"),
        )
        for look in looks:
            with suppress(OSError):  # what cannot be looked at is told of by whoever needs it
                distrust = look()
                if distrust is not None:
                    raise ConfigInvalid(distrust, code="not_trusted")

    def _is_there(self) -> bool:
        path = self.config.registry.value
        try:
            return path.exists()
        except OSError as error:
            raise RegistryError(
                f"{path} cannot be reached ({error.strerror}): the workspace is private to the user who made it",
                code="registry_read_only",
            ) from None


def _refuse_umask() -> None:
    """Raise ConfigInvalid when this process takes from itself the right to use the files and folders that it makes.

    The command line gives it back; in a program of somebody else that is not ours to decide. Linux alone tells.
    """
    with suppress(OSError):
        found = re.search(rb"^Umask:\s*([0-7]+)", Path("/proc/self/status").read_bytes(), re.MULTILINE)
        if found is not None and int(found[1], 8) & 0o700:
            raise ConfigInvalid(
                f"the umask of this process ({found[1].decode()}) takes from you the right to use what you make; "
                "nothing was changed, set another one, such as os.umask(0o022)"
            )
