"""Turning configured options into what a backend or plugin declared, with the errors of a spec."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import Attribute, Factory, asdict, evolve, fields, frozen

from penstock.config.model import Config, Setting, TargetConfig, located
from penstock.contract.target import Target
from penstock.errors import BackendBroken, ConfigInvalid, Problem, SpecInvalid, did_you_mean


@frozen(kw_only=True)
class ConfiguredTarget(Target):
    """A target built from configuration. `written` is `options` with paths still as they were written.

    What identifies a place must not change when the project's folder is moved, so it is read from there.
    """

    written: Any


def target_config(config: Config, name: str) -> TargetConfig:
    """The configuration of one target. Raises ConfigInvalid `target_unknown`."""
    if name not in config.targets:
        hint = did_you_mean(name, config.targets)
        raise ConfigInvalid(f"there is no target `{name}` ({hint})", code="target_unknown")
    return config.targets[name]


def build_target(config: Config, name: str, options_class: type[Any], *, frozen: str = "") -> ConfiguredTarget:
    """Structure a target's options into the attrs class of its backend; relative paths start at `config.base`.

    `frozen` is the JSON of options that a publication froze (see `frozen_options`), which win over what is configured.
    Raises ConfigInvalid with everything that is wrong, each with its place, or code `target_unknown`.
    """
    configured = target_config(config, name)
    kept = {key: Setting(value, "publication") for key, value in json.loads(frozen or "{}").items()}
    written = structure_options(config, ("targets", name), {**configured.options, **kept}, options_class)
    return ConfiguredTarget(
        name=name,
        backend=configured.backend.value,
        options=_with_paths(written, config.base),
        home=config.home,
        written=written,
    )


def build_plugin(config: Config, name: str, plugin_class: object) -> object:
    """Make a plugin from its attrs class: its fields are its options, a field `home` gets the state folder.

    Raises ConfigInvalid with everything that is wrong, each with its place, and BackendBroken when the plugin
    is not an attrs class.
    """
    import attrs

    if not isinstance(plugin_class, type) or not attrs.has(plugin_class):
        raise BackendBroken(f"plugin `{name}`: its entry point is not an attrs class", code="plugin_broken")
    options = dict(config.plugin_options.get(name, {}))
    if "home" in options:
        raise ConfigInvalid(f"{options['home'].origin}: `home` is not an option of plugin `{name}`")
    if any(option.name == "home" for option in fields(plugin_class)):
        options["home"] = Setting(str(config.home), "default")
    return _with_paths(structure_options(config, ("plugins", name), options, plugin_class), config.base)


def plugin_place(config: Config, name: str) -> tuple[tuple[str | int, ...], str]:
    """Where a plugin is named: the path in the document, if it is there, and the place in the file or a variable."""
    document = config.document
    if document is None or config.plugins.origin != document.position(("plugins",)):
        return (), config.plugins.origin
    written = document.data["plugins"]
    path: tuple[str | int, ...] = ("plugins", name if isinstance(written, Mapping) else written.index(name))
    return path, document.key_position(path)


def identity_of(target: ConfiguredTarget) -> str:
    """Which place a target is, as canonical JSON: its backend and the options that the backend marked so.

    Options at their default are left out, and paths are as written: neither a later option nor a moved
    project folder makes another place.
    """
    marked = {
        option.name: value
        for option in fields(type(target.written))
        if option.metadata.get("identity") and (value := getattr(target.written, option.name)) != _default(option)
    }
    return _json({"backend": target.backend, **marked})


def frozen_options(target: ConfiguredTarget) -> str:
    """The options that a publication freezes besides the identity, as canonical JSON, defaults included.

    A backend marks them by metadata `{"frozen": True}`; every other option takes effect at once.
    """
    marked = [option.name for option in fields(type(target.written)) if option.metadata.get("frozen")]
    return _json({name: value for name, value in asdict(target.written).items() if name in marked})


def structure_options(
    config: Config, prefix: tuple[str, ...], options: Mapping[str, Setting[Any]], cls: type[Any]
) -> Any:
    """Options as an instance of an attrs class.

    Raises ConfigInvalid with all that is wrong, each with its place; when all of it shares one code, with that.
    """
    from penstock import codec

    data = {key: setting.value for key, setting in options.items()}
    try:
        return codec.structure(data, cls, config.document, prefix)
    except SpecInvalid as error:
        details = [_from_variable(detail, len(prefix), options) for detail in error.details]
        told = ConfigInvalid.of(details, ".".join(prefix))
        shared = {detail.code for detail in details}
        code = shared.pop() if len(shared) == 1 else None
        raise ConfigInvalid(told.message, code=code, details=details) from None


def _from_variable(detail: Problem, depth: int, options: Mapping[str, Setting[Any]]) -> Problem:
    """The detail with the variable as its place when the option came from one and not from the document."""
    setting = options.get(str(detail.path[depth])) if len(detail.path) > depth else None
    said = setting is not None and setting.origin.startswith(("PENSTOCK_", "--"))
    return detail.at(setting.origin) if setting is not None and said else detail


def _with_paths(options: Any, base: Path) -> Any:
    """The same options with every relative path below `base`, also inside lists."""

    def absolute(value: Any) -> Any:
        if isinstance(value, Path):
            return located(base, value)
        if isinstance(value, list | tuple):
            return type(value)(absolute(item) for item in value)
        return value

    names = [option.name for option in fields(type(options)) if option.init]
    return evolve(options, **{name.lstrip("_"): absolute(getattr(options, name)) for name in names})


def _default(option: Attribute[Any]) -> Any:
    return option.default.factory() if isinstance(option.default, Factory) else option.default  # type: ignore[arg-type, union-attr]  # attrs types Factory as a function


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
