"""The verbs of targets and plugins: what is configured, where each value came from, and whether it works."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from attrs import Attribute, evolve, fields, frozen

from penstock.callers import Caller
from penstock.config import DOORS, target_config
from penstock.contract.target import Health
from penstock.errors import PenstockError, RegistryError
from penstock.targets import discovery
from penstock.workspace.verbs import Group, verb


@frozen(kw_only=True)
class OptionStatus:
    """One option of a target and where its value came from: a place in a file, a variable, or `default`.

    `takes_effect` is `at once`; or `for what is published from now on`, because publications keep what it was; or
    `as another place`, because it decides which place the target is.
    """

    value: Any
    origin: str
    takes_effect: str | None = None


@frozen(kw_only=True)
class TargetStatus:
    """One configured target. `problem` says why it cannot be used, or could not be reached a moment ago, or when it was
    tried last and something waits for it still; other targets do not mind.
    """

    name: str
    backend: str
    distribution: str | None
    available: bool
    problem: str | None
    default: bool
    origin: str
    options: Mapping[str, OptionStatus]


@frozen(kw_only=True)
class PluginStatus:
    """One installed or configured plugin. `origin` is where the configuration names it; `served` is one that `penstock
    serve` has all the same, unless told.
    """

    name: str
    distribution: str | None
    enabled: bool
    served: bool
    origin: str | None


class Targets(Group):
    """Verbs of targets."""

    @verb("target.list", "read")
    def list(self, caller: Caller) -> tuple[TargetStatus, ...]:
        """Every configured target, also those that cannot be used, with the origin of each option."""
        return tuple(self._status(name) for name in self._services.config.targets)

    @verb("target.check", "submit")
    def check(self, caller: Caller, name: str | None = None) -> Health:
        """Ask a target how it is; where it is well, what it is owed waits no longer.

        Raises ConfigInvalid when it cannot even be opened.
        """
        opened = self._services.targets.open(name)
        if not opened.has("penstock_check_target"):
            return Health(ok=True, lines=(f"target `{opened.name}` opens; its backend has no check of its own",))
        found = opened.check()
        if found.ok and self._services.exists:
            from penstock.dispatch.outbox import BUDGET  # a listing has no use for it

            outbox = self._services.outbox
            with suppress(RegistryError):  # it may be read-only
                works = {opened.name: partial(self._services.registry.outbox.reached, opened.name)}
                for held_up in outbox.patience.work(BUDGET, works).values():  # which says nothing of how the target is
                    return evolve(found, lines=(*found.lines, f"what it is owed waits: {held_up}"))
                self._services.give_time()
        return found

    @verb("plugin.list", "read")
    def plugins(self, caller: Caller) -> tuple[PluginStatus, ...]:
        """Every plugin that is installed, and whether this workspace uses it."""
        enabled = self._services.config.plugins
        origins = dict.fromkeys(enabled.value, enabled.origin)
        return tuple(
            PluginStatus(
                name=name,
                distribution=found,
                enabled=name in origins,
                served=name in DOORS and name not in origins,
                origin=origins.get(name),
            )
            for name, found in sorted(discovery.names("plugin").items())
        )

    def _out_of_reach(self, name: str) -> str | None:
        """Why a target could not be reached, as far as that is known; nobody is asked for that."""
        with suppress(RegistryError):
            return self._services.registry.outbox.trouble(name) if self._services.exists else None
        return None

    def _status(self, name: str) -> TargetStatus:
        configured = target_config(self._services.config, name)
        problem = None
        options = {key: OptionStatus(value=one.value, origin=one.origin) for key, one in configured.options.items()}
        try:
            target = self._services.targets.open(name).target
        except PenstockError as error:
            problem = str(error)
        else:
            problem = self._out_of_reach(name)
            for option in fields(type(target.options)):
                origin = options[option.name].origin if option.name in options else "default"
                options[option.name] = OptionStatus(
                    value=getattr(target.options, option.name), origin=origin, takes_effect=_takes_effect(option)
                )
        return TargetStatus(
            name=name,
            backend=configured.backend.value,
            distribution=discovery.names("backend").get(configured.backend.value),
            available=problem is None,
            problem=problem,
            default=name == self._services.targets.default,
            origin=configured.backend.origin,
            options=options,
        )


def _takes_effect(option: Attribute[Any]) -> str:
    """What changing an option does."""
    if option.metadata.get("identity"):
        return "as another place"
    return "for what is published from now on" if option.metadata.get("frozen") else "at once"
