"""What a person may write to name a thing, read in one order everywhere: a file, else an endpoint (`digits`, an id) or
a version of it (`digits@0`), else a published pipeline (`digits:3`, `digits:3@laptop`, an id), else a run where one is
meant. What a reference means never depends on what lies in a folder.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Literal, TypeAlias

from attrs import frozen

from penstock.errors import NotFound, UsageError
from penstock.registry import Registry
from penstock.spec.names import normal

Kind: TypeAlias = Literal["endpoint", "published"]
"""What can be triggered by a reference."""


@frozen(kw_only=True)
class Located:
    """What a reference names, by id: an endpoint (with a version when pinned), a published pipeline or a run."""

    kind: Literal["endpoint", "published", "run"]
    id: str
    version: str | None = None


def is_file(ref: str | Path) -> bool:
    """Whether a reference means a spec file: it says a folder (`./x.json`, `/x`) or ends in `.yaml` or `.yml`."""
    if isinstance(ref, Path):
        return True
    return ref.startswith(("./", "../", "/")) or ref.lower().endswith((".yaml", ".yml"))


def split_version(ref: str) -> tuple[str, str | None]:
    """Cut `digits@0` into the endpoint, its name in NFC, and the version; without a version, None."""
    ref = normal(ref)
    name, at, version = ref.partition("@")
    return (name, version) if at and ":" not in name else (ref, None)


def locate(
    registry: Registry,
    ref: str,
    version: str | None = None,
    *,
    replay: bool = False,
    runs: bool = False,
    only: Kind | None = None,
) -> Located:
    """Find what a reference names, in the one order.

    With `replay` what was deleted is found too: an idempotency key outlives what it was used on. With `runs` a run may
    be meant. `only` says what is meant, and then the reference names nothing else. Raises NotFound, listing what
    exists, and UsageError for a version that is said twice, differently.
    """
    if only == "published":
        return _located_published(registry, ref, replay=replay)
    name, pinned = split_version(ref)
    if pinned is not None and version is not None and pinned != version:
        raise UsageError(f"`{ref}` and version {version} are two versions: say one of them")
    version = pinned if version is None else version
    endpoint = registry.endpoints.identify(name)
    if endpoint:
        return Located(kind="endpoint", id=endpoint, version=version)
    if only == "endpoint":
        if replay and registry.endpoints.identify(name, deleted=True):
            return Located(kind="endpoint", id=name, version=version)
        return Located(kind="endpoint", id=registry.endpoints.get(name).id, version=version)
    try:
        published = registry.pipelines.get(ref).id
    except NotFound as error:
        missing = error
    else:
        if version is not None:
            raise UsageError(f"`{ref}` is a published pipeline, which has no versions: leave the version out")
        return Located(kind="published", id=published)
    if replay and registry.pipelines.known(ref):
        return Located(kind="published", id=ref)
    if replay and registry.endpoints.identify(name, deleted=True):
        return Located(kind="endpoint", id=name, version=version)
    if runs:
        with suppress(NotFound):
            return Located(kind="run", id=registry.runs.get(ref).id)
    if ":" not in ref:
        registry.endpoints.get(name)  # raises with the endpoints that exist
    raise missing


def _located_published(registry: Registry, ref: str, *, replay: bool) -> Located:
    try:
        return Located(kind="published", id=registry.pipelines.get(ref).id)
    except NotFound:
        if replay and registry.pipelines.known(ref):
            return Located(kind="published", id=ref)
        raise
