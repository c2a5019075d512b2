"""The wheel and the sdist, built once; and an environment that has the wheel and what it declares, nothing else."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from attrs import frozen

ROOT = Path(__file__).parents[2]


@frozen
class Built:
    """The two files of a release."""

    wheel: Path
    sdist: Path


@frozen
class Environment:
    """A clean virtual environment."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def run(self, command: Sequence[str | Path], cwd: Path) -> subprocess.CompletedProcess[str]:
        env = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
        env |= {"PATH": f"{self.folder / 'bin'}:/usr/bin:/bin"}
        return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Build the sdist from the checkout and the wheel from the sdist, so that the sdist is known to be complete."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return Built(wheel, sdist)


@pytest.fixture(scope="session")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Environment]:
    """Make an environment with these wheels and what they declare, at the versions of the lock, from the index."""

    def make(*wheels: Path | str) -> Environment:
        folder = tmp_path_factory.mktemp("clean")
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        pins = re.findall(r"^([\w.-]+==[^\\\n]+?) *\\?$", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
        constraints = folder / "constraints.txt"
        constraints.write_text("\n".join(pins))
        pip = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python"]
        command = [*pip, "install", "--quiet", "--no-input", "-c", constraints, *wheels]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return Environment(folder)

    return make


@pytest.fixture(scope="session")
def environment(built: Built, clean: Callable[..., Environment]) -> Environment:
    """The wheel and what it declares, nothing else."""
    return clean(built.wheel)
