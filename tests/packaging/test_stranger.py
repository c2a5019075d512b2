"""A stranger's backend, in a distribution of its own beside the wheel: it has the whole suite for one class."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TINY = Path(__file__).parents[1] / "distributions" / "penstock_tiny"
CONFIG = """\
target: small
targets:
  small: {backend: tiny, folder: tiny}
"""
EXCUSED = {
    "penstock_sync_endpoint": "never",
    "penstock_retire_pipeline": "not yet",
    "penstock_check_target": "not yet",
    "penstock_list_runs": "not yet",
    "penstock_keep_secrets": "not yet",
    "penstock_fetch_artifact": "not yet",
    "penstock_clear_run": "not yet",
}

# The whole kit is asked, in one process.
pytestmark = [pytest.mark.thorough, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def strangers(built: Any, clean: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An environment with the wheel, and with the stranger's, which asks for the extra `testing`."""
    folder = tmp_path_factory.mktemp("stranger")
    command = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", folder, TINY]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    return clean(built.wheel, f"{wheel}[testing]")


def test_a_strangers_backend_passes_with_one_class_and_one_fixture(strangers: Any, tmp_path: Path) -> None:
    source = (TINY / "test_conformance.py").read_text()
    assert len(re.findall(r"^class ", source, re.MULTILINE)) == 1
    assert source.count("@pytest.fixture") == 1
    shutil.copy(TINY / "test_conformance.py", tmp_path)
    scratch = tmp_path / "scratch"
    command = [strangers.python, "-m", "pytest", "-q", "-rs", "-W", "error", "-p", "no:cacheprovider"]
    done = strangers.run([*command, "--basetemp", scratch, "--junit-xml", "found.xml"], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^seed \d+, profile default$", done.stdout, re.MULTILINE)
    laws = re.findall(r"^ ?(\d+) [A-Z][\w -]+? +(pass|fail|skip|core)\b", done.stdout, re.MULTILINE)
    assert [int(number) for number, _ in laws] == list(range(1, 14))
    assert "fail" not in {result for _, result in laws}
    reasons = dict(re.findall(r"^SKIPPED .*`(penstock_\w+)`: ([\w ]+)$", done.stdout, re.MULTILINE))
    assert reasons, "a hook that is not there is named where a question is skipped for it"
    assert reasons.items() <= EXCUSED.items()


def test_the_command_line_examines_a_strangers_target(strangers: Any, tmp_path: Path) -> None:
    (tmp_path / "penstock.yaml").write_text(CONFIG)
    command = [strangers.folder / "bin" / "penstock", "conformance", "small", "--law", "1", "--seed", "7", "--json"]
    done = strangers.run([*command, "--unsupported", "penstock_retire_pipeline=not yet"], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert (report["target"], report["seed"]) == ("small", 7)
    first, *rest = report["laws"]
    assert (first["law"], first["result"]) == (1, "pass")
    assert [one["law"] for one in rest] == list(range(2, 14))


def test_an_excuse_for_a_hook_that_is_there_fails(strangers: Any, tmp_path: Path) -> None:
    source = (TINY / "test_conformance.py").read_text()
    changed = source.replace('"penstock_check_target": "not yet"', '"penstock_read_logs": "upstream"')
    assert changed != source
    (tmp_path / "test_excused.py").write_text(changed)
    command = [strangers.python, "-m", "pytest", "-q", "-k", "unsupported", "--basetemp", tmp_path / "scratch"]
    done = strangers.run(command, tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "the backend offers `penstock_read_logs` by now: take it out of `unsupported`" in done.stdout
