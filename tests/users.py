"""Acting as another user than root, for tests about whose a folder is."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

USER = 65534

# So that it reaches this Python and the sources wherever they lie; it may write no more for that.
AS_USER = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
AS_USER += ["--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"]

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="acts as two users: needs root")


@contextmanager
def place_of_both() -> Iterator[Path]:
    """A folder that both users reach, which is gone afterwards. Skips where another user cannot start penstock."""
    if subprocess.run([*AS_USER, sys.executable, "-c", "import penstock"], capture_output=True, check=False).returncode:
        pytest.skip("acts as two users: needs setpriv and a Python that another user can start")
    with tempfile.TemporaryDirectory(prefix="penstock-test-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def give_away(folder: Path) -> None:
    """Make a folder, and all that is in it, the user's."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, USER, USER, follow_symlinks=False)


def owners(folder: Path) -> set[int]:
    """Whose a folder is, and all that is in it."""
    return {path.lstat().st_uid for path in (folder, *folder.rglob("*"))}
