"""README's example on Azure ML: the same workspace and the same commands, with another `target:`."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def test_readme_s_pipeline_runs_with_another_target(tmp_path, target: dict[str, Any], importing, shell_environment):
    readme = importing(ROOT / "tests" / "demo" / "test_readme.py")
    lines = "\n".join(readme.blocks(readme.section("Your own pipeline in five minutes"), "sh"))
    (tmp_path / "options").write_text(f"\n  prod: {json.dumps(target)}\n")
    elsewhere = (
        "sed -i -e 's/^target: local$/target: prod/' -e '/^  local: /r ../options' penstock.yaml\n"
        "penstock target check prod"
    )
    moved, count = re.subn(r"^penstock init .*$", rf"\g<0>\n{elsewhere}", lines, flags=re.M)
    assert count == 1
    done = subprocess.run(
        ["bash", "-c", readme.script(moved)],
        cwd=tmp_path,
        env=shell_environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    for text in ("30.0", "15.0", "20.0", "prices are being corrected", "a median was not asked for", "minimum"):
        assert text in said
    shown = subprocess.run(
        ["penstock", "run", "list", "--json"],
        cwd=tmp_path / "prices",
        env=shell_environment,
        capture_output=True,
        text=True,
        check=True,
    )
    runs = json.loads(shown.stdout)["items"]
    assert {run["target"] for run in runs} == {"prod"} and len(runs) >= 5
