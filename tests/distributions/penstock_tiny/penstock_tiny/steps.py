"""One step as a process that goes on by itself: started, found again by whoever looks, killed, and its end collected.

A step's folder holds `work`, `tmp` and `outputs`, its `log`, and what `runner` notes: `group` and `exit`. Its `lock` is
held by the step's processes and nobody else.
"""

import contextlib
import fcntl
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penstock.errors import PenstockError, TargetUnavailable
from penstock.machine import lacks
from penstock.snapshot import Archive, extract
from penstock.spec.command import Reference
from penstock.spec.optional import Resolve, arguments, given, variables
from penstock.spec.values import MAX_TEXT, ValueInvalid, read_output

RUNNER = Path(__file__).with_name("runner.py")
FILES = 1024
"""How many files a step may have open, unless it asks for more."""
Plan = Mapping[str, Any]


class Failed(Exception):
    """A step that came to nothing; `code` is stable."""

    def __init__(self, code: str, why: str, exit_code: int | None = None) -> None:
        super().__init__(why)
        self.code, self.exit_code = code, exit_code


def start(folder: Path, plan: Plan, code: Archive | None, known: Resolve) -> None:
    """Start a step's process. `known` says parameters and outputs of other steps.

    Raises Failed, and TargetUnavailable for what only this machine lacks just now: the step waits for its start.
    """
    shutil.rmtree(folder, ignore_errors=True)  # of a start that was cut short before anything ran
    for part in (
        "tmp",
        "outputs",
        *(f"outputs/{name}" for name, kind in plan["outputs"].items() if kind == "directory"),
    ):
        (folder / part).mkdir(parents=True)
    inputs: dict[str, str | None] = {}

    def text(reference: Reference) -> str | None:
        if reference.scope == "outputs":
            return str(folder / "outputs" / reference.names[0])
        return inputs[reference.names[0]] if reference.scope == "inputs" else known(reference)

    try:
        if code is None:
            (folder / "work").mkdir()
        else:
            extract(code, folder / "work")
        inputs.update(given(plan["inputs"], text))
        env = {"PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
        env |= {"HOME": os.environ.get("HOME", "/"), "TMPDIR": str(folder / "tmp")}
        env |= variables(plan["env"], text)
        _launch(folder, arguments(plan["command"], text), env)
    except (OSError, ValueError, PenstockError) as error:
        lacking = lacks(error) or lacks(error.__context__ or error)
        if lacking:
            raise TargetUnavailable(f"no step can be started for now: {lacking}") from None
        raise Failed("step_not_started", f"could not be started: {error}") from None


def _launch(folder: Path, command: list[str], env: dict[str, str]) -> None:
    with (folder / "lock").open("w") as lock, (folder / "log").open("ab") as log:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the process is born with it: there is no moment without
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-X", "utf8", RUNNER, folder, *command],
            cwd=folder / "work",
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(lock.fileno(),),
            start_new_session=True,
            umask=0o022,
            preexec_fn=_forget_who_started,
        )
    if done.returncode > 0:
        raise OSError(f"the runner exited with {done.returncode}")


def _forget_who_started() -> None:
    """Begin with nothing of the process that happened to look: neither its limits nor what it does not want to hear."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES if hard == resource.RLIM_INFINITY else min(FILES, hard), hard))
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)


def is_there(folder: Path) -> bool:
    """Whether the step is going on. What it started and hid from its end does not count."""
    if (folder / "exit").exists():
        return False
    with contextlib.suppress(FileNotFoundError), (folder / "lock").open("rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def began(folder: Path) -> bool:
    """Whether the step's command was ever started."""
    return (folder / "group").exists()


def kill(folder: Path) -> None:
    """End a step that is there. One that is only just starting is not: try again later."""
    if began(folder):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(int((folder / "group").read_text()), signal.SIGKILL)


def outputs(folder: Path, plan: Plan) -> dict[str, str]:
    """What a step gave that began and is there no more. Raises Failed."""
    try:
        code = int((folder / "exit").read_text())
    except FileNotFoundError:
        raise Failed("step_interrupted", "was killed, and may have done half of its work") from None
    if code:
        shown = code if code > 0 else 128 - code
        raise Failed("step_failed", f"exited with code {shown}", shown)
    try:
        return {name: _output(kind, folder / "outputs" / name) for name, kind in plan["outputs"].items()}
    except ValueInvalid as error:
        raise Failed(error.code, str(error), 0) from None


def _output(kind: str, path: Path) -> str:
    if not os.path.lexists(path):
        raise ValueInvalid(f"the output `{path.name}` was not written", "output_missing")
    if path.is_symlink() or not (path.is_dir() if kind == "directory" else path.is_file()):
        raise ValueInvalid(f"the output `{path.name}` is no {kind}", "output_invalid")
    if kind in ("file", "directory"):
        return str(path)
    with path.open("rb") as file:
        data = file.read(MAX_TEXT + 1)
    if len(data) > MAX_TEXT:
        raise ValueInvalid(f"the output `{path.name}` is more than {MAX_TEXT} bytes", "output_invalid")
    return read_output(kind, data)  # type: ignore[arg-type]  # a plan holds the spec's own types
