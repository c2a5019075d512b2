"""A step of a compiled pipeline as Azure starts it: all is pasted into the command, and a shell reads it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penstock.launcher.archives import write_portable
from penstock.launcher.reports import AttemptReport
from penstock.snapshot import Snapshot
from penstock.spec import Parameter, Pipeline, Step
from penstock.testing.strategies.text import literal
from penstock_azureml.compile import compile_pipeline
from penstock_azureml.options import AzuremlOptions
from penstock_azureml.reading import Finished, finished_of

OPTIONS = AzuremlOptions(subscription="5e6f2a1c-0000-4000-8000-000000000001", resource_group="ml", workspace="prod")


class Container:
    """What the only step of a pipeline runs in; all that it sees of Azure is below `folder`."""

    def __init__(self, snapshot: Snapshot, folder: Path) -> None:
        document = json.loads(compile_pipeline(OPTIONS, snapshot))
        specs = [about.get("componentSpec", {}) for _, about in document["resources"]]
        self.spec: dict[str, Any] = next(spec for spec in specs if spec.get("type") == "command")
        self.code, self.made, self.scratch = folder / "code", folder / "made", folder / "scratch"
        for each in (self.code, self.made, self.scratch):
            each.mkdir(parents=True, exist_ok=True)
        (files,) = document["codes"].values()
        for name, about in files.items():
            if "text" in about:
                (self.code / name).write_bytes(about["text"].encode())
            else:
                with (self.code / name).open("wb") as file:
                    write_portable(snapshot.archives[about["archive"]], file)

    def command(self, given: Mapping[str, str]) -> str:
        """The command with everything pasted into it, as it is."""
        known = {f"inputs.{name}": text for name, text in given.items()}
        known |= {f"outputs.{name}": str(self.made / name) for name in self.spec["outputs"]}
        text = re.sub(
            r"\$\[\[\$\{\{(.*?)\}\}\]\]", lambda found: known.get(found[1], ""), self.spec["command"], flags=re.DOTALL
        )
        return re.sub(r"\$\{\{(.*?)\}\}", lambda found: known[found[1]], text)

    def start(
        self, path: str, given: Mapping[str, str] | None = None, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start it, with what is on the path as its image."""
        shell = shutil.which("sh", path=path)
        known = {"PATH": path, "TMPDIR": str(self.scratch), "LANG": "C.UTF-8", "X": "expanded", **(env or {})}
        return subprocess.Popen(
            ["sh", "-c", self.command(given or {})],
            executable=shell,
            cwd=self.code,
            env=known,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def run(self, path: str, given: Mapping[str, str] | None = None, **more: Any) -> tuple[int, str]:
        """Run it to its end: exit status and log."""
        process = self.start(path, given, **more)
        log, _ = process.communicate(timeout=60)
        return process.returncode, log.decode(errors="backslashreplace")

    def value(self, name: str) -> str:
        """The text of an output."""
        return (self.made / f"value_{name}").read_bytes().decode()

    @property
    def finished(self) -> Finished:
        """What the launcher says of its attempts."""
        return finished_of((self.made / "penstock_report").read_bytes(), {})

    @property
    def report(self) -> AttemptReport:
        """What it says of the last one."""
        return self.finished.report


def contained(step: Step, folder: Path, parameters: Mapping[str, Parameter] | None = None) -> Container:
    """The container of a pipeline's only step, which has no code and reads no content that travels."""
    pipeline = Pipeline(name="one", parameters=parameters or {}, steps={"one": step})
    return Container(Snapshot(pipeline=pipeline, archives={}, digest="", canonical=""), folder)


def program(code: str, *arguments: str, **more: Any) -> Step:
    """A step that runs a Python program of this interpreter's, whatever its image has."""
    return Step(command=[sys.executable, "-S", "-c", literal(code), *arguments], **more)
