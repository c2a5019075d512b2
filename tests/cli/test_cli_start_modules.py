"""What a start imports: a name in `sys.modules` is time that everybody pays for every command."""

from __future__ import annotations

import json
import subprocess
import sys

ASK = """
import json, sys
from penstock.cli import main
status = main({arguments})
print(json.dumps([status, sorted(sys.modules)]), file=sys.stderr)
"""

CLOUDS = {"google", "azure", "kfp", "sklearn", "matplotlib", "numpy"}


def imported(arguments, folder):
    code = ASK.format(arguments=arguments)
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    status, modules = json.loads(done.stderr.splitlines()[-1])
    assert status == 0, done.stderr
    return set(modules)


def test_help_imports_click_and_the_front_alone(tmp_path):
    modules = imported(["--help"], tmp_path)
    heavy = {"yaml", "attr", "cattrs", "sqlite3", "sqlite_utils", "rich", "pluggy", "importlib.metadata", "logging"}
    heavy |= {"pathlib", "shutil"}
    assert not modules & (heavy | CLOUDS)
    ours = {name for name in modules if name.startswith("penstock")}
    assert ours == {
        "penstock",
        "penstock.cli",
        "penstock.text",
        *(f"penstock.cli.{name}" for name in ("click_ext", "output", "root", "session")),
    }


def test_a_listing_imports_no_cloud_and_no_terminal_library(tmp_path):
    modules = imported(["endpoint", "list"], tmp_path)
    assert not modules & (CLOUDS | {"rich", "re2"})
    assert "penstock.cli.commands.submit" not in modules and "penstock.cli.commands.run" not in modules


def test_the_garbage_of_a_host_is_its_own_business(tmp_path):
    code = "import gc, sys; from penstock.cli import main; main({}); print(gc.isenabled(), gc.get_freeze_count() > 0)"
    for arguments, expected in (("['init']", "True False"), ("", "True True")):
        command = [sys.executable, "-c", f"import sys; sys.argv[1:] = ['status']; {code.format(arguments)}"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == expected
