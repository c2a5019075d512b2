"""Finding and reading the configuration: file, then variables, then flags, all problems in one answer."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock import trust
from penstock.config.finding import find_config, here
from penstock.config.model import Config, Setting, TargetConfig, WorkspaceDocument, located
from penstock.errors import ConfigInvalid, Problem, SpecInvalid, did_you_mean
from penstock.opening import open_named

if TYPE_CHECKING:
    from penstock.codec import Document

STATE_NAME = ".penstock"

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")


def load_config(
    start: Path | None = None,
    *,
    file: Path | None = None,
    env: Mapping[str, str] | None = None,
    flags: Mapping[str, str] | None = None,
) -> Config:
    """Put a workspace's configuration together.

    The file is `file`, else the one `PENSTOCK_CONFIG` names, else the nearest above `start` (default: the
    current folder). `env` is `os.environ` unless given; `flags` may hold `registry`, `target` and `plugins`.
    With nothing configured there is one target `local` and a registry in `.penstock` below `start`.

    Raises ConfigInvalid with everything that is wrong, each with its place; `not_trusted` when somebody else could
    have written the file, see `penstock.trust`.
    """
    variables = os.environ if env is None else env
    folder = located(here(), start or Path())
    named = file or variables.get("PENSTOCK_CONFIG")
    found = located(folder, named) if named else find_config(folder)
    return _Reading(folder, found, variables, flags or {}).config()


class _Reading:
    """One reading of a configuration; `problems` gathers what is wrong on the way."""

    def __init__(self, start: Path, file: Path | None, variables: Mapping[str, str], flags: Mapping[str, str]) -> None:
        self.start = start
        self.file = file
        self.variables = variables
        self.flags = flags
        self.base = file.parent if file else start
        self.problems: list[Problem] = []
        self.document: Document | None = None
        self.written = WorkspaceDocument()
        if file:
            self.document, self.written = _read(file)

    def config(self) -> Config:
        """The whole configuration. Raises ConfigInvalid."""
        given = self.written.targets or {"local": {"backend": "local"}}
        targets = self._targets(given)
        target = self._target(tuple(given))
        plugins = self._plugins()
        registry = self._registry()
        if not registry.value.name:
            self.problems.append(Problem("value_invalid", f"`{registry.value}` is no file", (), registry.origin))
        if self.problems:
            raise _invalid(self.problems, self.file)
        folder = registry.value.parent
        return Config(
            file=self.file,
            base=self.base,
            home=folder if folder.name == STATE_NAME else folder / STATE_NAME,
            registry=registry,
            target=target,
            targets=targets,
            plugins=plugins,
            plugin_options={
                name: self._options("plugins", name, given) for name, given in self._given_plugins().items()
            },
            server=self._server(),
            document=self.document,
        )

    def _server(self) -> dict[str, Setting[Any]]:
        """The options of the server, as the file has them and then as variables do."""
        written = {key: Setting(value, self._place("server", key)) for key, value in self.written.server.items()}
        start = "PENSTOCK_SERVER_"
        said = {
            name.removeprefix(start).lower(): Setting(self._scalar(name), name)
            for name in sorted(self.variables)
            if name.startswith(start)
        }
        return written | said

    def _said(self, key: str) -> Setting[str] | None:
        """What flags and variables say about a top-level key, the stronger of the two."""
        variable = f"PENSTOCK_{key.upper()}"
        if self.flags.get(key):
            return Setting(self.flags[key], f"--{key}")
        return Setting(self.variables[variable], variable) if self.variables.get(variable) else None

    def _registry(self) -> Setting[Path]:
        said = self._said("registry")
        if said is not None:
            # A flag or variable is written by somebody in the current folder, the file by somebody beside it.
            return Setting(located(self.start, said.value), said.origin)
        if self.written.registry is not None:
            return Setting(located(self.base, self.written.registry), self._place("registry"))
        return Setting(self.base / STATE_NAME / "registry.db", "default")

    def _target(self, names: Sequence[str]) -> Setting[str]:
        said = self._said("target")
        if said is None and self.written.target is not None:
            said = Setting(self.written.target, self._place("target"))
        if said is None:
            if len(names) != 1:
                hint = f"add `target: {names[0]}`, or choose one with --target"
                self._problem("target_missing", "several targets and none is the default", ("target",), hint)
            return Setting(names[0], "default")
        if said.value not in names:
            message = f"there is no target `{said.value}`"
            path = ("target",) if said.origin == self._place("target") else ()
            self.problems.append(Problem("target_unknown", message, path, said.origin, did_you_mean(said.value, names)))
        return said

    def _plugins(self) -> Setting[tuple[str, ...]]:
        said = self._said("plugins")
        if said is not None:
            return Setting(tuple(dict.fromkeys(filter(None, map(str.strip, said.value.split(","))))), said.origin)
        names = tuple(self._given_plugins())
        return Setting(names, self._place("plugins") if names else "default")

    def _given_plugins(self) -> Mapping[str, Mapping[str, Any]]:
        given = self.written.plugins
        return given if isinstance(given, Mapping) else {name: {} for name in given}

    def _targets(self, given: Mapping[str, Mapping[str, Any]]) -> dict[str, TargetConfig]:
        overlays = self._overlays(given)
        targets: dict[str, TargetConfig] = {}
        for name, written in given.items():
            if not _NAME.fullmatch(name):
                hint = "use letters, digits, - and _"
                self._problem("name_invalid", f"`{name}` is not a target name", ("targets", name), hint)
            options = self._options("targets", name, written) | overlays.get(name, {})
            backend = options.pop("backend", None)
            if backend is None:
                self._problem("missing_key", "a target needs a backend", ("targets", name), "add `backend: local`")
            elif not isinstance(backend.value, str):
                self.problems.append(
                    Problem("type_mismatch", "the backend is a name", ("targets", name, "backend"), backend.origin)
                )
            else:
                targets[name] = TargetConfig(name=name, backend=backend, options=options)
        return targets

    def _options(self, section: str, name: str, written: Mapping[str, Any]) -> dict[str, Setting[Any]]:
        return {key: Setting(value, self._place(section, name, key)) for key, value in written.items()}

    def _overlays(self, targets: Mapping[str, Any]) -> dict[str, dict[str, Setting[Any]]]:
        """Options from `PENSTOCK_TARGETS_<NAME>_<OPTION>`. A name that is the start of another yields to it."""
        spelled: dict[str, list[str]] = {}
        for name in targets:
            spelled.setdefault(f"PENSTOCK_TARGETS_{name.upper().replace('-', '_')}_", []).append(name)
        found: dict[str, dict[str, Setting[Any]]] = {}
        for variable in sorted(each for each in self.variables if each.startswith("PENSTOCK_TARGETS_")):
            start = max((each for each in spelled if variable.startswith(each)), key=len, default="")
            named = spelled.get(start, [])
            option = variable.removeprefix(start).lower()
            if len(named) == 1 and option:
                found.setdefault(named[0], {})[option] = Setting(self._scalar(variable), variable)
                continue
            meant = option if start else option.removeprefix("penstock_targets_").partition("_")[2]
            hint = did_you_mean(variable, (f"{each}{meant.upper() or 'OPTION'}" for each in spelled))
            message = "the variable names no option of a target"
            if len(named) > 1:
                hint = "use other names"
                message = f"the variable cannot tell the targets {' and '.join(f'`{name}`' for name in named)} apart"
            self.problems.append(Problem("target_unknown", message, (), variable, hint))
        return found

    def _scalar(self, variable: str) -> Any:
        from penstock import codec
        from penstock.codec.parsing import resolve

        text = self.variables[variable]
        try:
            if text.startswith(("[", "{")):
                return codec.read_yaml(text, variable).data
            return resolve(text) if text else text
        except SpecInvalid as error:
            self.problems.extend(error.details)
        except ValueError:
            self.problems.append(Problem("value_invalid", "the number has too many digits", (), variable))
        return text

    def _problem(self, code: str, message: str, path: tuple[str, ...], hint: str) -> None:
        self.problems.append(Problem(code, message, path, self._place(*path), hint))

    def _place(self, *path: str) -> str:
        return self.document.position(path) if self.document else "default"


def _read(file: Path) -> tuple[Document | None, WorkspaceDocument]:
    from penstock import codec
    from penstock.codec.parsing import MAX_BYTES

    source = min(os.path.relpath(file), str(file), key=len)
    try:
        with os.fdopen(open_named(file), encoding="utf-8") as opened:
            distrust = trust.distrust(file, "the configuration", opened.fileno())
            if distrust is not None:
                raise ConfigInvalid(distrust, code="not_trusted")
            text = opened.read(MAX_BYTES + 1)  # what is larger is refused for that
    except FileNotFoundError:
        why = (
            f"{source} is a link that leads to nothing"
            if file.is_symlink()
            else f"there is no configuration file {source}"
        )
        raise ConfigInvalid(why, code="file_not_found") from None
    except UnicodeDecodeError:
        raise ConfigInvalid(f"{source} is not UTF-8 text", code="document_not_utf8") from None
    except OSError as error:
        raise ConfigInvalid(f"{source} cannot be read: {error.strerror}", code="file_unreadable") from None
    try:
        document = codec.read_yaml(text, source)
        plain = _is_plain(document.data)
        written = (
            WorkspaceDocument(**document.data) if plain else codec.structure(document.data, WorkspaceDocument, document)
        )
    except SpecInvalid as error:
        if error.code == "document_empty":
            return None, WorkspaceDocument()
        details = [_hinted(detail) for detail in error.details]
        message = str(details[0]) if len(details) == 1 else error.message
        raise ConfigInvalid(message, code=error.code, details=details) from None
    return document, written


def _hinted(detail: Problem) -> Problem:
    """The problem with how plugins are written, where it is about one: a list of names, or a mapping to options."""
    if detail.path[:1] != ("plugins",) or detail.code != "type_mismatch" or detail.hint:
        return detail
    name = detail.path[-1] if len(detail.path) > 1 else ""
    if isinstance(name, int) or not name:
        hint = "write `[audit, metrics]`, or with options of any `{audit: {}, metrics: {open: true}}`"
    else:
        hint = f"write `{name}: {{}}` unless it has options"
    return replace(detail, hint=hint)


def _is_plain(data: Any) -> bool:
    """Whether no codec is needed: every command reads this file, and importing cattrs alone takes longer."""
    if not isinstance(data, dict) or data.keys() - {"registry", "target", "targets", "plugins", "server"}:
        return False
    targets, plugins = data.get("targets", {}), data.get("plugins", [])
    return (
        isinstance(data.get("registry", ""), str)
        and isinstance(data.get("target", ""), str)
        and isinstance(targets, dict)
        and all(isinstance(options, dict) for options in targets.values())
        and isinstance(data.get("server", {}), dict)
        and isinstance(plugins, list)
        and all(isinstance(name, str) for name in plugins)
    )


def _invalid(problems: list[Problem], file: Path | None) -> ConfigInvalid:
    codes = {problem.code for problem in problems}
    error = ConfigInvalid.of(problems, file.name if file else "configuration")
    return ConfigInvalid(error.message, code=codes.pop() if len(codes) == 1 else None, details=problems)
