"""Somebody who stands in a folder and uses what lies there: by Python, a command, or a server that they begin."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import evolve, frozen
from laws.asked import DoorHarness
from laws.doors import cli
from laws.doors.serving import Server, serve

from penstock import trusted
from penstock.errors import PenstockError
from penstock.workspace import Workspace


@frozen
class Standing:
    """Whoever stands in `folder`, and trusts what `PENSTOCK_TRUST` names."""

    harness: DoorHarness
    folder: Path
    trust: str = ""

    def trusting(self, *folders: object) -> Standing:
        """The same one, who trusts these folders."""
        return evolve(self, trust=os.pathsep.join(map(str, folders)))

    def looks(self) -> str:
        """The code by which they are refused to look at what lies there, or nothing."""
        return self._asked(lambda ws: ws.tokens.list(), "token", "list")

    def changes(self) -> str:
        """The code by which they are refused to change it, or nothing."""
        return self._asked(lambda ws: ws.tokens.create("more", scope="read"), "token", "create", "more", "--scope=read")

    def target(self) -> str:
        """The default target, or the code of the refusal. A server has no word for it."""
        if self.harness.door == "python":
            return self._asked(lambda ws: ws.config.target.value)
        return self._asked(None, "target", "list", told=lambda shown: _default(shown["items"]))

    def _asked(
        self, call: Callable[[Workspace], Any] | None, *words: str, told: Callable[[Any], str] = lambda shown: ""
    ) -> str:
        environment = {trusted.VARIABLE: self.trust}
        try:
            if self.harness.door == "http":
                return _serves(self.harness, self.folder, environment)
            with contextlib.chdir(self.folder), cli.environment(environment):
                if self.harness.door == "cli":
                    return told(cli.told(*words))
                assert call is not None
                with Workspace.open(self.folder) as ws:
                    found = call(ws)
                    return found if isinstance(found, str) else ""
        except PenstockError as error:
            return error.code


def _serves(harness: DoorHarness, folder: Path, environment: dict[str, str]) -> str:
    """Begin to serve what lies in a folder, and end: the code by which that is refused, or nothing."""
    said, pid, log = serve(harness.subject, folder, environment=environment)
    if "error" in said:
        return str(said["error"]["code"])
    Server(registry=folder, url=said["url"], pid=pid, log=log).end(signal.SIGTERM)
    return ""


def _default(targets: list[dict[str, Any]]) -> str:
    return next(str(one["name"]) for one in targets if one["default"])
