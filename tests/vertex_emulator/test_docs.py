"""The script of the page, as it stands there, with Google's SDK alone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

PAGE = Path(__file__).parents[2] / "docs" / "vertex-emulator.md"


def test_the_script_of_the_page_sees_its_job_succeed(emulator, tmp_path) -> None:
    (script,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert "penstock" not in script
    file = tmp_path / "submit.py"
    file.write_text(script)
    environment = {**os.environ, **emulator.info["env"]}
    ran = subprocess.run(
        [sys.executable, str(file), emulator.url],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert ran.stdout.startswith("PIPELINE_STATE_SUCCEEDED\ngs://acme-pipelines/runs/")
    assert ran.stdout.endswith(" hello you\n\n")


HIGH_LEVEL = """
import sys
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform

aiplatform.init(
    project="acme", location="us-central1", api_endpoint=sys.argv[1], api_transport="rest",
    credentials=AnonymousCredentials(),
)
job = aiplatform.PipelineJob(display_name="d", template_path=sys.argv[2], pipeline_root=sys.argv[3])
job.submit()
job.wait()
print(job.state.name, [task.task_name for task in job.task_details if task.parent_task_id])
"""


@pytest.mark.slow
def test_the_high_level_job_works_too(emulator, emulated, tmp_path) -> None:
    """It asks Google's Resource Manager about the bucket, which takes a minute where nobody answers."""
    document = tmp_path / "pipeline.yaml"
    document.write_text(yaml.safe_dump(emulated.pipeline({"t": emulated.step("true")})))
    script = tmp_path / "high.py"
    script.write_text(HIGH_LEVEL)
    command = [sys.executable, str(script), emulator.url, str(document), f"{emulator.staging}/runs"]
    environment = {**os.environ, **emulator.info["env"]}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280, check=True)
    assert ran.stdout.splitlines()[-1] == "PIPELINE_STATE_SUCCEEDED ['t']"


def test_what_it_prints_is_what_the_schema_says(emulator, answered) -> None:
    answered("emulate vertex", emulator.info)
