"""What one command line carries to its command: the output, and how to open the workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.cli.output import Output

if TYPE_CHECKING:
    from pathlib import Path

    from penstock.config import Config
    from penstock.workspace import Workspace


class Session:
    """One command line: its output, and the options that stand before the command."""

    def __init__(self, output: Output | None = None) -> None:
        self.output = output or Output()
        self.config: str | None = None
        self.registry: str | None = None
        self.target: str | None = None

    def workspace(self, target: str | None = None) -> Workspace:
        """Open the workspace; close it by `with`. A target named after the command wins. Raises ConfigInvalid."""
        from penstock.workspace import Workspace

        return Workspace.open(config=self._file(), flags=self._flags(target), door="cli")

    def load_config(self) -> Config:
        """The configuration that this command line means. Raises ConfigInvalid."""
        from penstock.config import load_config

        return load_config(file=self._file(), flags=self._flags(None))

    def _file(self) -> Path | None:
        from pathlib import Path

        return None if self.config is None else Path(self.config)

    def _flags(self, target: str | None) -> dict[str, str]:
        said = {"registry": self.registry, "target": target or self.target}
        return {name: value for name, value in said.items() if value is not None}


def require_extra(extra: str, who: str, *modules: str) -> None:
    """Raise ConfigInvalid `extra_missing` unless the modules of an extra are installed, which `who` needs."""
    from penstock.errors import ConfigInvalid

    missing = [name for name in modules if not _is_installed(name)]
    if missing:
        how = f"Install it with: pip install 'penstock[{extra}]'"
        raise ConfigInvalid(f"{who} needs {' and '.join(missing)}, not installed here. {how}", code="extra_missing")


def _is_installed(module: str) -> bool:
    from importlib.util import find_spec

    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # a package that it is in is not there either
        return False
