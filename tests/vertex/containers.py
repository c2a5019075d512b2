"""A container of a compiled step, as far as a process of this machine can be one: both expanders, then a shell.

KFP replaces `{{$...}}` in command and args by what the task has; then the container's own expansion goes over them the
way Kubernetes does it (third_party/forked/golang/expansion in its sources), the harsher reading of what Google says.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from penstock.launcher.reports import AttemptReport, read_report
from penstock.snapshot import Snapshot
from penstock.spec import Parameter, Pipeline, Step
from penstock.testing.strategies.text import literal
from penstock_vertex.compile import compile_pipeline
from penstock_vertex.options import VertexOptions

OPTIONS = VertexOptions(project="acme", staging="gs://acme/p")
JOB = "penstock-0f8c7a52"
VARIABLES = {"X": "expanded", "x": "expanded", "HOME": "/", "AIP_MODEL_DIR": "gs://expanded/"}
"""What a service has set before a container's own expansion."""

TOOLS = (
    "base64",
    "cat",
    "cmp",
    "cp",
    "env",
    "expr",
    "mkdir",
    "mktemp",
    "rm",
    "sleep",
    "tail",
    "tar",
    "tr",
    "true",
    "wc",
)
"""What the launcher uses where there is no Python."""


def image(folder: Path, shell: str, *, python: bool, tools: Iterable[str] = TOOLS) -> str | None:
    """The PATH of an image with a shell (`dash`, `bash` or `busybox`) and these tools; busybox brings its own.

    With a Python it also has all else that this machine has. None where the shell or a tool is not installed here.
    """
    program = shutil.which(shell)
    if program is None:
        return None
    folder.mkdir()
    if shell == "busybox":
        subprocess.run([program, "--install", "-s", folder], check=True)
    else:
        (folder / "sh").symlink_to(program)
    if python:
        (folder / "python3").symlink_to(sys.executable)
        return f"{folder}{os.pathsep}{os.environ['PATH']}"
    for tool in tools if shell != "busybox" else ():
        found = shutil.which(tool)
        if found is None:
            return None
        (folder / tool).symlink_to(found)
    return str(folder)


def kubernetes(text: str, variables: Mapping[str, str] = VARIABLES) -> str:
    """`$(NAME)` replaced where it is known, `$$` made one `$`."""

    def one(found: re.Match[str]) -> str:
        return "$" if found[0] == "$$" else variables.get(found[1], found[0])

    return re.sub(r"\$\$|\$\(([^)]*)\)", one, text)


def filled(text: str, values: Mapping[str, str]) -> str:
    """A text with the IR's placeholders replaced, also in what replaced one. Raises KeyError for an unknown one."""
    while found := re.search(r"\{\{\$\.?(.*?)\}\}", text, re.DOTALL):
        text = text[: found.start()] + values[found[1]] + text[found.end() :]
    return text


class Container:
    """What one task of a compiled pipeline runs in; `folder` becomes all that it sees of Google."""

    def __init__(self, document: bytes, task: str, folder: Path) -> None:
        spec = json.loads(document)["spec"]
        self.component = spec["components"][f"comp-{task}"]
        self.container = spec["deploymentSpec"]["executors"][f"exec-{task}"]["container"]
        self.task = task
        self.gcs = folder / "gcs"
        self.made = folder / "made"
        self.scratch = folder / "scratch"
        for each in (self.gcs / "acme" / "p" / "code", self.made, self.scratch):
            each.mkdir(parents=True, exist_ok=True)

    def command(self, values: Mapping[str, str], artifacts: Mapping[str, Path]) -> list[str]:
        """Command and args as the container's process gets them."""
        known = {"pipeline_job_name": JOB}
        known |= {f"inputs.parameters['{name}']": text for name, text in values.items()}
        known |= {f"inputs.artifacts['{name}'].path": str(path) for name, path in artifacts.items()}
        outputs = self.component.get("outputDefinitions", {})
        for name in outputs.get("parameters", {}):
            known[f"outputs.parameters['{name}'].output_file"] = str(self.made / "values" / name)
        for name in outputs.get("artifacts", {}):
            known[f"outputs.artifacts['{name}'].path"] = str(self.made / "content" / name)
        words = [*self.container["command"], *self.container["args"]]
        return [kubernetes(filled(word, known)) for word in words]

    def start(
        self,
        path: str,
        values: Mapping[str, str] | None = None,
        artifacts: Mapping[str, Path] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start the container's process, with what is on the path as its image."""
        command = self.command(values or {}, artifacts or {})
        known = {"PATH": path, "PENSTOCK_GCS": str(self.gcs), "TMPDIR": str(self.scratch), "LANG": "C.UTF-8"}
        return subprocess.Popen(
            command,
            executable=shutil.which(command[0], path=path),
            env={**VARIABLES, **known, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def run(self, path: str, **more: Any) -> tuple[int, str]:
        """Run it to its end: exit status and log."""
        process = self.start(path, **more)
        log, _ = process.communicate(timeout=60)
        return process.returncode, log.decode(errors="backslashreplace")

    def processes(self) -> list[str]:
        """What still runs in the container, by its files."""
        mine = f"PENSTOCK_GCS={self.gcs}".encode()
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                if mine in (process / "environ").read_bytes().split(b"\0"):
                    found.append(process.name)
        return found

    def value(self, name: str) -> str:
        """What was handed on as the IR's output parameter."""
        return (self.made / "values" / name).read_text()

    def report(self) -> AttemptReport:
        """What is said of the last attempt."""
        return read_report(self.reports()[-1])

    def reports(self) -> list[bytes]:
        """The reports of all attempts, in order."""
        folder = self.gcs / "acme" / "p" / "runs" / JOB / "reports" / self.task
        return [(folder / str(number + 1)).read_bytes() for number in range(len(list(folder.glob("*"))))]


def contained(step: Step, folder: Path, parameters: Mapping[str, Parameter] | None = None) -> Container:
    """The container of a pipeline's only step."""
    pipeline = Pipeline(name="one", parameters=parameters or {}, steps={"one": step})
    snapshot = Snapshot(pipeline=pipeline, archives={}, digest="", canonical="")
    return Container(compile_pipeline(OPTIONS, snapshot), "one", folder)


def program(code: str, *arguments: str, **more: Any) -> Step:
    """A step that runs a Python program of this interpreter's, whatever its image has."""
    return Step(command=[sys.executable, "-S", "-c", literal(code), *arguments], **more)
