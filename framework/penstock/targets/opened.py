"""Opening targets: a name from the configuration becomes a place that answers, each once in a process."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence

from penstock import config as configuration
from penstock.errors import Conflict
from penstock.records import Placement
from penstock.targets import discovery
from penstock.targets.calls import HookCalls
from penstock.targets.facade import OpenTarget


class OpenTargets:
    """Opens targets by name, each once; a backend is loaded on its first use and no other is. Threads may share it."""

    def __init__(self, config: configuration.Config, wrappers: Sequence[tuple[str, object]] = ()) -> None:
        self._config = config
        self._wrappers = tuple(wrappers)
        self._lock = threading.RLock()
        self._hooks: dict[str, HookCalls] = {}
        self._opened: dict[tuple[str, str], OpenTarget] = {}

    @property
    def default(self) -> str:
        """The name of the target that is used when nobody names one."""
        return self._config.target.value

    def open(self, name: str | None = None) -> OpenTarget:
        """The target of this name, or the default one.

        Raises ConfigInvalid when it is not configured, or its backend is unknown or cannot be loaded, and
        BackendBroken when the backend breaks the hook contract.
        """
        return self._open(name or self.default, "")

    def open_frozen(self, placement: Placement) -> OpenTarget:
        """The target of a publication, with the options that it froze, if the name still means that place.

        Raises Conflict `target_changed` when it means another one, and as `open`.
        """
        here = self.open(placement.target)
        if here.placement.identity != placement.identity:
            raise Conflict(
                f"target `{placement.target}` is another place than when this was published: "
                f"{_differences(placement.identity, here.placement.identity)}; configure the new place under another "
                "name and publish there",
                code="target_changed",
            )
        return here if here.placement.options == placement.options else self._open(here.name, placement.options)

    def _open(self, name: str, frozen: str) -> OpenTarget:
        opened = self._opened.get((name, frozen))
        if opened is not None:  # nobody waits while another backend is loaded
            return opened
        with self._lock:
            if (name, frozen) not in self._opened:
                hooks = self._hooks_of(name)
                target = configuration.build_target(self._config, name, hooks.options_class(), frozen=frozen)
                placement = Placement(
                    target=name,
                    backend=target.backend,
                    identity=configuration.identity_of(target),
                    options=configuration.frozen_options(target),
                )
                self._opened[name, frozen] = OpenTarget(target, placement, hooks)
            return self._opened[name, frozen]

    def _hooks_of(self, name: str) -> HookCalls:
        """The hooks behind a target: a manager of its own, so that no other backend can answer."""
        if name not in self._hooks:
            backend = configuration.target_config(self._config, name).backend
            loaded = discovery.load("backend", backend.value, ("targets", name, "backend"), backend.origin)
            self._hooks[name] = HookCalls(backend.value, loaded, self._wrappers)
        return self._hooks[name]


def _differences(then: str, now: str) -> str:
    """What identifies a place and is not what it was, of two identities as `config.identity_of` writes them."""
    before, after = json.loads(then), json.loads(now)
    keys = sorted(key for key in {*before, *after} if before.get(key) != after.get(key))
    return ", ".join(f"`{key}` was {_shown(before.get(key))} and is {_shown(after.get(key))}" for key in keys)


def _shown(value: object) -> str:
    return "its default" if value is None else f"`{value}`"
