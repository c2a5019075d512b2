"""Opened targets: a name from the configuration together with the backend that answers for it."""

from __future__ import annotations

from attrs import frozen

from penstock import config as configuration
from penstock.contract.target import Target
from penstock.errors import Conflict
from penstock.targets import discovery
from penstock.targets.facade import TargetOperations, operations_for


@frozen(kw_only=True)
class Place:
    """One opened target. `identity` and `options` are what a publication freezes, as canonical JSON."""

    target: Target
    operations: TargetOperations
    identity: str
    options: str


class OpenTargets:
    """Opens targets by name, each once; its backend is loaded on the first use and no other is."""

    def __init__(self, config: configuration.Config, wrappers: tuple[tuple[str, object], ...] = ()) -> None:
        self._config = config
        self._wrappers = wrappers
        self._opened: dict[str, Place] = {}

    @property
    def default(self) -> str:
        """The name of the target that is used when nobody names one."""
        return self._config.target.value

    def open(self, name: str | None = None) -> Place:
        """The target of this name, or the default one.

        Raises ConfigInvalid when it is not configured, or its backend is unknown or cannot be loaded, and
        BackendBroken when the backend breaks the hook contract.
        """
        chosen = name or self.default
        if chosen not in self._opened:
            backend = configuration.target_config(self._config, chosen).backend.value
            operations = operations_for(backend, discovery.load_backend(backend), self._wrappers)
            target = configuration.build_target(self._config, chosen, operations.options_class())
            self._opened[chosen] = Place(
                target=target,
                operations=operations,
                identity=configuration.identity_of(target),
                options=configuration.options_json(target),
            )
        return self._opened[chosen]

    def open_frozen(self, name: str, identity: str) -> Place:
        """The target of this name if it is still the place that a publication froze.

        Raises Conflict `target_changed` when the name now means another place.
        """
        place = self.open(name)
        if place.identity != identity:
            raise Conflict(
                f"target `{name}` now points to {place.identity}, but this was published to {identity}; "
                "configure the new place under another name and publish there",
                code="target_changed",
            )
        return place
