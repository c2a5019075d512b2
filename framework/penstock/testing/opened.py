"""The one place of the kit that opens targets and does what is due: everything else is asked by verbs and hooks."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.contract.run import RunRef
from penstock.contract.target import EndpointState
from penstock.targets.opened import OpenTargets

if TYPE_CHECKING:
    from penstock.config import Config

Plugins = Sequence[tuple[str, object]]


class Hooks:
    """One target's hooks, by the names of the facade's methods, without the core in front of them.

    Every other attribute is a method: `submit(run)`, `get_run(ref)`, `list_runs(refs)`, `cancel(ref)` and so on.
    """

    def __init__(self, config: Config, target: str, plugins: Plugins = ()) -> None:
        self._opened = OpenTargets(config, tuple(plugins)).open(target)
        self.target = self._opened.target

    def has(self, hook: str) -> bool:
        """Whether the backend offers a hook."""
        return self._opened.has(hook)

    def __getattr__(self, method: str) -> Callable[..., Any]:
        """A method of the facade for this target."""
        found: Callable[..., Any] = getattr(self._opened, method)
        return found


def catch_up(config: Config, registry: Path, plugins: Plugins, after: float) -> None:
    """Do what is due for a registry, as a command would that comes so many seconds later."""
    from penstock.dispatch.outbox import Outbox
    from penstock.registry import Registry

    def later() -> int:
        return time.time_ns() // 1000 + round(after * 1e6)

    with Registry.open(registry, create=False, clock=later) as opened:
        targets = OpenTargets(config, tuple(plugins))
        Outbox(opened, targets, lambda hook, event: None, registry.parent).give_time(60.0)


def run_ref(registry: Path, run: str) -> RunRef:
    """How a registry names a run to its target."""
    from penstock.registry import Registry

    with Registry.open(registry, create=False, read_only=True) as opened:
        return opened.runs.ref(run)[0]


def endpoint_state(registry: Path, endpoint: str, target: str) -> EndpointState:
    """All that a target should know of an endpoint, by a registry."""
    from penstock.registry import Registry

    with Registry.open(registry, create=False, read_only=True) as opened:
        return opened.outbox.endpoint_state(endpoint, target)


def waits_because(registry: Path, run: str) -> tuple[str, float]:
    """Why a run waits for its target, and the time, in seconds since 1970, at which it is tried again; or "", 0."""
    from penstock.registry import Registry

    with Registry.open(registry, create=False, read_only=True) as opened:
        found = opened.runs.get(run).waiting
    return ("", 0.0) if found is None else (found.message, found.due.timestamp())


def new_registry(registry: Path) -> None:
    """Make an empty registry."""
    from penstock.registry import Registry

    Registry.open(registry).close()
