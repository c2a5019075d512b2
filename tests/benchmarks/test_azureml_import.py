"""What a process that submits to Azure ML and looks takes, as a ratio to importing Microsoft's own package."""

import statistics
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.benchmark, pytest.mark.filterwarnings("ignore")]

ROUNDS = 5
CPU = "import resource; used = resource.getrusage(resource.RUSAGE_SELF); print(used.ru_utime + used.ru_stime)"


def cpu_of(code: str) -> float:
    """Seconds of the processor that a new process takes for some code."""
    done = subprocess.run([sys.executable, "-c", f"{code}; {CPU}"], capture_output=True, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


def test_a_process_that_submits_takes_half_of_what_importing_microsoft_s_package_takes(importing, tmp_path):
    """All of it, the workspace and both calls included, where that import alone takes about a second."""
    pytest.importorskip("azure.ai.ml", reason="needs requirements-cloud.lock")
    imports = importing(Path(__file__).parents[1] / "azureml" / "test_azureml_imports.py")
    emulated = importing(Path(__file__).parents[1] / "azureml_emulator" / "azureml_emulated.py")
    running = emulated.Emulated(tmp_path / "state")
    try:
        project = imports.made(tmp_path, running.info["target"])
        pairs = [(imports.submitted(project)["cpu"], cpu_of("import azure.ai.ml")) for _ in range(ROUNDS)]
    finally:
        running.stop()
    ours, floor = (statistics.median(one) for one in zip(*pairs, strict=True))
    print(f"submit and look: {ours:.2f} s of CPU, {ours / floor:.2f} of importing azure.ai.ml")
    assert ours / floor <= 0.5
