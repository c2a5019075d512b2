"""The script of the page, as it stands there, with Google's SDK alone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

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
