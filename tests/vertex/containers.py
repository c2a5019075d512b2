"""A container of a compiled step, as far as a process of this machine can be one: both expanders, then a shell.

KFP replaces `{{$...}}` in command and args by what the task has; then the container's own expansion goes over them the
way Kubernetes does it (third_party/forked/golang/expansion in its sources), the harsher reading of what Google says.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

JOB = "penstock-0f8c7a52"
VARIABLES = {"X": "expanded", "HOME": "/expanded", "AIP_MODEL_DIR": "gs://expanded/"}
"""What a service has set before a container's own expansion."""

SHELLS = [
    pytest.param(("dash",), id="dash"),
    pytest.param(("busybox", "sh"), id="busybox"),
    pytest.param(("bash", "--posix"), id="bash"),
]


def shell_path(shell: Sequence[str], folder: Path, tools: Sequence[str] | None = None) -> str:
    """A PATH on which `sh` is that shell; with `tools`, only they are there besides. Skips a shell that is missing."""
    program = shutil.which(shell[0])
    if program is None:
        pytest.skip(f"`{shell[0]}` is not installed here")
    folder.mkdir(exist_ok=True)
    started = folder / "sh"
    if not started.exists():
        started.write_text(f'#!{shutil.which("dash") or "/bin/sh"}\nexec {" ".join((program, *shell[1:]))} "$@"\n')
        started.chmod(0o755)
        for tool in tools or ():
            (folder / tool).symlink_to(shutil.which(tool) or tool)
    return str(folder) if tools is not None else f"{folder}{os.pathsep}{os.environ['PATH']}"


def kubernetes(text: str, variables: Mapping[str, str] = VARIABLES) -> str:
    """`$(NAME)` replaced where it is known, `$$` made one `$`."""

    def one(found: re.Match[str]) -> str:
        return "$" if found[0] == "$$" else variables.get(found[1], found[0])

    return re.sub(r"\$\$|\$\(([^)]*)\)", one, text)


def filled(text: str, values: Mapping[str, str]) -> str:
    """What the IR's placeholders stand for, in one pass. Raises KeyError for one that is not known."""
    return re.sub(r"\{\{\$\.?(.*?)\}\}", lambda found: values[found[1]], text)


class Container:
    """What one task of a compiled pipeline runs in. `values` are its inputs, by the name that the IR has for them."""

    def __init__(self, document: bytes, task: str, folder: Path) -> None:
        self.spec: dict[str, Any] = json.loads(document)["spec"]
        self.component = self.spec["components"][f"comp-{task}"]
        self.container = self.spec["deploymentSpec"]["executors"][f"exec-{task}"]["container"]
        self.task = task
        self.gcs = folder / "gcs"
        self.made = folder / "made"
        (self.gcs / "acme").mkdir(parents=True, exist_ok=True)
        self.made.mkdir(exist_ok=True)

    def command(self, values: Mapping[str, str], artifacts: Mapping[str, Path] | None = None) -> list[str]:
        """Command and args as the container's process gets them."""
        known = {"pipeline_job_name": JOB}
        known |= {f"inputs.parameters['{name}']": text for name, text in values.items()}
        known |= {f"inputs.artifacts['{name}'].path": str(path) for name, path in (artifacts or {}).items()}
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
        values: Mapping[str, str],
        artifacts: Mapping[str, Path] | None = None,
        **more: Any,
    ) -> subprocess.Popen[bytes]:
        """Start the container's process, `sh` being the first on the path."""
        command = self.command(values, artifacts)
        environment = {
            "PATH": path,
            "PENSTOCK_GCS": str(self.gcs),
            **VARIABLES,
            "LANG": "C.UTF-8",
            **more.pop("env", {}),
        }
        executable = shutil.which(command[0], path=path)
        return subprocess.Popen(
            command, executable=executable, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more
        )

    def run(self, path: str, values: Mapping[str, str], artifacts: Mapping[str, Path] | None = None) -> tuple[int, str]:
        """Run it to its end: exit status and log."""
        process = self.start(path, values, artifacts)
        log, _ = process.communicate(timeout=60)
        return process.returncode, log.decode(errors="backslashreplace")

    def value(self, name: str) -> str:
        """What was handed on as the IR's output parameter."""
        return (self.made / "values" / name).read_text()

    def reports(self) -> list[bytes]:
        """The reports of all attempts, in order."""
        folder = self.gcs / "acme" / "p" / "runs" / JOB / "reports" / self.task
        return [(folder / str(number + 1)).read_bytes() for number in range(len(list(folder.glob("*"))))]
