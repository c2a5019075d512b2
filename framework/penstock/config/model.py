"""What a workspace's configuration says once file, variables and flags are put together."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from attrs import field, frozen

from penstock.errors import ConfigInvalid

if TYPE_CHECKING:
    from penstock.codec import Document

T = TypeVar("T")


@frozen
class Setting(Generic[T]):
    """A value and its origin: `penstock.yaml:3:9`, `PENSTOCK_TARGET`, `--target` or `default`."""

    value: T
    origin: str


@frozen(kw_only=True)
class TargetConfig:
    """One configured target: the backend that answers for it, and its options as they were written."""

    name: str
    backend: Setting[str]
    options: Mapping[str, Setting[Any]] = field(factory=dict)


@frozen(kw_only=True)
class Config:
    """The configuration of one workspace.

    `base` is the folder that relative paths start from: the file's, or where the search began when there is
    none. `home` is the folder `.penstock` that the registry lies in, or else the one beside the registry, so
    that one registry has one state wherever it is used from. `document` is the file as it was read.
    """

    file: Path | None
    base: Path
    home: Path
    registry: Setting[Path]
    target: Setting[str]
    targets: Mapping[str, TargetConfig]
    plugins: Setting[tuple[str, ...]]
    plugin_options: Mapping[str, Mapping[str, Setting[Any]]]
    server: Mapping[str, Setting[Any]] = field(factory=dict)
    document: Document | None = field(default=None, eq=False, repr=False)


def located(base: Path, path: str | Path) -> Path:
    """An absolute path: `~` is the user's home, a relative path starts at `base`. Links stay as they are.

    Raises ConfigInvalid when `~name` names nobody, and for what no path can be.
    """
    if "\0" in str(path):
        raise ConfigInvalid(f"{str(path)!r} is no path: it holds a null character")
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        raise ConfigInvalid(f"{str(path)!r} is no path: it holds a lone surrogate") from None
    try:
        return Path(os.path.normpath(base / Path(path).expanduser()))
    except RuntimeError:
        raise ConfigInvalid(f"`{path}` starts at the home of a user who does not exist") from None


@frozen(kw_only=True)
class WorkspaceDocument:
    """The configuration of a workspace: where its registry is, its targets and its plugins.

    `registry` is the registry's file, `.penstock/registry.db` unless given. `target` is the default target; with
    one target there is no need to say it. `targets` are the configured places by name: each names its `backend`,
    and every other key is an option of that backend. `plugins` are those in use, outermost first, as a list of
    names or as a mapping from name to options. `server` is how `penstock serve` serves.
    """

    registry: str | None = None
    target: str | None = None
    targets: Mapping[str, Mapping[str, Any]] = field(factory=dict)
    plugins: Sequence[str] | Mapping[str, Mapping[str, Any]] = ()
    server: Mapping[str, Any] = field(factory=dict)


def workspace_schema() -> dict[str, Any]:
    """The JSON Schema of `penstock.yaml`, kept in `specs/schema/workspace.schema.json`."""
    from penstock.codec import schema_of
    from penstock.config.server import ServerOptions

    schema = schema_of(WorkspaceDocument)
    target = schema["properties"]["targets"]["additionalProperties"]
    target |= {"properties": {"backend": {"type": "string"}}, "required": ["backend"]}
    server = schema_of(ServerOptions)
    definitions = server.pop("$defs", {})
    schema["properties"]["server"] = {key: value for key, value in server.items() if key not in ("$schema", "title")}
    return {**schema, "title": "Workspace", "$defs": {**schema.get("$defs", {}), **definitions}}
