"""The script of the page, as it stands there, with Microsoft's SDK alone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "azureml-emulator.md"


def test_the_script_of_the_page_reads_what_its_job_made(emulator, tmp_path) -> None:
    text = PAGE.read_text()
    for name, content in re.findall(r"^```yaml\n# (\S+)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        (tmp_path / name).write_text(content)
    (script,) = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert "penstock" not in script
    assert "127.0.0.1" not in script
    file = tmp_path / "invoke.py"
    file.write_text(script)
    place = [emulator.target[key] for key in ("subscription", "resource_group", "workspace")]
    assert " ".join(place) in text
    environment = {**os.environ, **emulator.info["env"], "HOME": str(tmp_path)}
    ran = subprocess.run(
        [sys.executable, str(file), *place],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.lower().endswith("completed hello you\n\n")


def test_every_fault_of_the_page_is_a_call(emulator) -> None:
    """A method that is named there has been counted once it was called."""
    row = next(line for line in PAGE.read_text().splitlines() if line.startswith("| `method` |"))
    named = set(re.findall(r"`([a-zA-Z]+(?:\.[a-zA-Z]+)?)`", row)) - {"method"}
    emulator.fault()
    emulator.arm("PUT", "jobs/x", {})
    emulator.arm("GET", "jobs/x")
    emulator.arm("POST", "jobs/x/cancel")
    emulator.arm("PUT", "components/x/versions/1", {})
    emulator.arm("PUT", "batchEndpoints/x/deployments/y", {})
    base = emulator.workspace.partition("/resourceGroups")[0]
    place = "providers/Microsoft.MachineLearningServices/locations/westeurope/mfeOperationsStatus/x"
    emulator.ask("GET", f"{base}/{place}?api-version=2024-01-01")
    emulator.ask("POST", "/batch/x/jobs", {})
    emulator.history("GET", "runs/x/details")
    emulator.blob("x", verb="PUT")
    emulator.ask("POST", "/x/oauth2/v2.0/token", b"")
    calls = emulator.ask("GET", "/emulator/v1/faults").body["calls"]
    assert named <= set(calls), named - set(calls)


def test_what_it_prints_is_what_the_schema_says(emulator, answered) -> None:
    answered("emulate azureml", emulator.info)
