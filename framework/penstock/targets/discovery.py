"""Finding backends, plugins and commands by entry point: listing reads metadata only, loading imports one.

A backend's entry point names a module or object with its hooks. A plugin's names an attrs class: its fields are
the plugin's options, a field `home` gets the workspace's state folder, its methods are the hooks. A command's
names a click command. A broken package hurts only whoever uses it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal

from penstock.errors import BackendBroken, ConfigInvalid, Path, Problem, did_you_mean, one_line
from penstock.machine import lacks

if TYPE_CHECKING:
    from importlib.metadata import Distribution, EntryPoint

Kind = Literal["backend", "plugin", "command", "emulator"]

_log = logging.getLogger("penstock")


def names(kind: Kind) -> dict[str, str]:
    """All of a kind that is installed, and the distribution it comes from, as `penstock 0.1.0`; imports none of it."""
    found = _found(kind)
    return {name: " and ".join(_label(dist) for dist, _ in found[name]) for name in sorted(found)}


def load(kind: Kind, name: str, path: Path = (), where: str = "") -> object:
    """Import one of a kind and no other; `path` and `where` are the place in the configuration that names it, if any.

    Raises ConfigInvalid, here for a backend: `backend_unknown`, `backend_ambiguous` when two distributions bring it, or
    `backend_unavailable` when a module it needs is not installed. Raises BackendBroken (`backend_broken`) when it
    fails otherwise.
    """
    known = _found(kind)
    found = known.get(name, [])
    if not found:
        hint = did_you_mean(name, known) or "none is installed"
        problem = Problem(f"{kind}_unknown", f"there is no {kind} `{name}`", path, where, hint)
        raise ConfigInvalid(str(problem), code=problem.code, details=[problem] if path or where else ())
    if len(found) > 1:
        labels = " and ".join(_label(dist) for dist, _ in found)
        raise ConfigInvalid(f"the {kind} `{name}` comes from {labels}: uninstall one of them", code=f"{kind}_ambiguous")
    dist, entry = found[0]
    try:
        loaded: object = entry.load()
    except ImportError as error:
        raise unavailable(kind, name, error) from error
    except (Exception, SystemExit) as error:
        message = f"Failed to load the {name} {kind} from {_label(dist)}: {one_line(error)}"
        raise BackendBroken(message, code=f"{kind}_broken") from error
    return loaded


def unavailable(kind: Kind, name: str, error: ImportError) -> ConfigInvalid | BackendBroken:
    """The error for an import that failed inside a backend, plugin or command: what is missing, how to get it."""
    found = next(iter(_found(kind).get(name, [])), None)
    head = f"Failed to load the {name} {kind}: "
    missing = (error.name or "").partition(".")[0]
    own = found[1].module.partition(".")[0] if found else ""
    if not isinstance(error, ModuleNotFoundError) or missing in ("", own):
        return BackendBroken(f"{head}{one_line(error)}", code=f"{kind}_broken")
    head += f"missing module `{error.name}`."
    if found is None:
        return ConfigInvalid(head, code=f"{kind}_unavailable")
    dist = found[0]
    extras = {_normal(extra) for extra in dist.metadata.get_all("Provides-Extra") or ()}
    wanted = f"'{dist.name}[{name}]'" if _normal(name) in extras else dist.name
    return ConfigInvalid(f"{head} Install it with: pip install {wanted}", code=f"{kind}_unavailable")


def _found(kind: Kind) -> dict[str, list[tuple[Distribution, EntryPoint]]]:
    """Entry points of the group by name, each distribution once: of two copies the first on the path counts."""
    # entry_points() parses every distribution's file, so that one malformed file would break every command.
    from importlib.metadata import distributions

    group = f"penstock.{kind}s"
    found: dict[str, list[tuple[Distribution, EntryPoint]]] = {}
    seen: set[str] = set()
    for dist in distributions():
        try:
            text = dist.read_text("entry_points.txt")
            if not text or group not in text or _normal(dist.name) in seen:
                continue
            seen.add(_normal(dist.name))
            entries = [entry for entry in dist.entry_points if entry.group == group]
        except Exception as error:
            if lacks(error):  # a backend that cannot be found for want of files is installed all the same
                raise
            _log.warning("the entry points of a distribution cannot be read: %s", one_line(error))
            continue
        for entry in entries:
            found.setdefault(entry.name, []).append((dist, entry))
    return found


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def _label(dist: Distribution) -> str:
    return f"{dist.name} {dist.version}"
