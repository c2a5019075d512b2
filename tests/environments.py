"""Virtual environments of a test's own, made in a moment: nothing is installed into them."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

VERSION = "3.99.1"
"""What they say that their Python is."""


def make_environment(folder: Path) -> Path:
    """Make a virtual environment that has what this one has, and its penstock. The path of its `python`."""
    python = folder / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(Path(sys.executable).resolve())
    (folder / "pyvenv.cfg").write_text(f"home = {Path(sys.executable).resolve().parent}\nversion = {VERSION}\n")
    packages = folder / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
    packages.mkdir(parents=True)
    ours = [path for path in sys.path if path.endswith("-packages")]
    (packages / "ours.pth").write_text("".join(f"import site; site.addsitedir({path!r})\n" for path in ours))
    return python
