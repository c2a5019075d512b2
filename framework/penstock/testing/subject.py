"""What is put to the test: a configured target, a second one to move to, and how to open workspaces on them."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import evolve, field, frozen

from penstock.config import Config, Setting, load_config, target_config
from penstock.errors import UsageError, did_you_mean
from penstock.targets.calls import CAPABILITIES
from penstock.targets.manager import BACKEND_HOOKS
from penstock.workspace import Workspace

REASONS = ("not yet", "upstream", "never")
"""Why a backend does not offer a hook: nobody wrote it yet, the place itself cannot, or it makes no sense there."""

_ORIGIN = "conformance"


@functools.cache
def _prepare(name: str) -> None:
    module, _, function = name.partition(":")
    getattr(importlib.import_module(module), function)()


def _reasons(value: Mapping[str, str] | None) -> dict[str, str]:
    given = dict(value or {})
    for hook, reason in given.items():
        if hook in BACKEND_HOOKS and hook not in CAPABILITIES:
            raise UsageError(f"`{hook}` is mandatory: no backend may lack it")
        if hook not in CAPABILITIES:
            raise UsageError(f"`{hook}` is no optional hook ({did_you_mean(hook, CAPABILITIES)})")
        if reason not in REASONS:
            raise UsageError(f"`{hook}` is not there for a reason: one of {', '.join(REASONS)}, got `{reason}`")
    return given


@frozen(kw_only=True)
class Subject:
    """One examination's subject. It can be pickled, so that other processes examine the same.

    `config` is where both targets are configured, and its `home` is the kit's own folder, on this machine.
    `target` is the one examined; `other` is where a version moves to: another target, or the same place again under
    another name. `unsupported` says of optional hooks why they are not there, see `REASONS`. `python` is how a step
    calls Python 3.8 or newer there. `prepare` names functions (`module:function`) that every process of the kit calls
    before it opens a workspace, for backends that need something set up.
    """

    config: Config
    target: str
    other: str
    unsupported: Mapping[str, str] = field(factory=dict, converter=_reasons)
    python: str = "python"
    prepare: tuple[str, ...] = ()

    @classmethod
    def of_options(
        cls, folder: Path, options: Mapping[str, Any], other: Mapping[str, Any] | None = None, **more: Any
    ) -> Subject:
        """A subject of a target's options, `backend` among them, as `penstock.yaml` would hold them.

        `folder` is the kit's to write in. `other` are the options of the second target, the same ones by default.
        Raises ConfigInvalid.
        """
        import yaml

        folder.mkdir(parents=True, exist_ok=True)
        document = {"target": "first", "targets": {"first": dict(options), "second": dict(other or options)}}
        (folder / "penstock.yaml").write_text(yaml.safe_dump(document))
        config = load_config(folder, env={})
        return cls(config=config, target="first", other="second", **more)

    @classmethod
    def of_config(cls, config: Config, folder: Path, target: str, other: str | None = None, **more: Any) -> Subject:
        """A subject of a configured target; nothing but the target itself is shared with the workspace it is from.

        `folder` is the kit's to write in. Without `other` the second target is the same place under another name.
        Raises ConfigInvalid `target_unknown`.
        """
        targets = {target: target_config(config, target)}
        second = other or f"{target}-again"
        targets[second] = evolve(target_config(config, other or target), name=second)
        home = folder / ".penstock"
        alone = evolve(
            config,
            home=home,
            registry=Setting(home / "registry.db", _ORIGIN),
            target=Setting(target, _ORIGIN),
            targets=targets,
            plugins=Setting((), _ORIGIN),
            plugin_options={},
        )
        return cls(config=alone, target=target, other=second, **more)

    def open(
        self,
        registry: str = "registry",
        *,
        actor: str = "ada",
        verified: bool = False,
        door: str = "python",
        plugins: Sequence[tuple[str, object]] = (),
    ) -> Workspace:
        """A workspace on a registry of its own, by name; the rest is as in `Workspace`. Close it by `with`."""
        config = evolve(self.config, registry=Setting(self.config.home / f"{registry}.db", _ORIGIN))
        return Workspace(config, actor=actor, verified=verified, door=door, plugins=plugins)

    def ready(self) -> None:
        """Call what `prepare` names, unless this process has done so. To be called before anything else."""
        for name in self.prepare:
            _prepare(name)

    def reason(self, hook: str) -> str:
        """Why the backend unsupported a hook: `not yet` unless the subject says otherwise."""
        return self.unsupported.get(hook, REASONS[0])

    def options(self) -> dict[str, dict[str, Any]]:
        """Both targets as `penstock.yaml` would hold them."""
        return {
            name: {"backend": one.backend.value, **{key: setting.value for key, setting in one.options.items()}}
            for name, one in self.config.targets.items()
        }
