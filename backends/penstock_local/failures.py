"""Why a step came to nothing, in one line that says what happened and where to look."""

from __future__ import annotations

import errno
import os
import signal
from typing import Any

from penstock.errors import RegistryError
from penstock.spec.quantity import bytes_text
from penstock_local.jobs import Step


def of(step: Step, code: str, message: str) -> dict[str, Any]:
    """A failure as it is kept: stable code, one line without any sensitive value, the step."""
    return {"code": code, "message": f"step `{step.name}`: {step.job.masked(message)}", "step": step.name}


def of_exit(step: Step) -> tuple[str, str]:
    """Code and message for how a step's process ended; both empty when it ended well."""
    if step.stopping == "step_timeout":
        return step.stopping, f"took longer than {step.plan['timeout']:g} s"
    code = step.exit_code or 0
    if code and step.out_of_memory:
        return "step_out_of_memory", f"ran out of the {bytes_text(step.plan['memory'])} of memory that it asks for"
    if code > 0:
        return "step_failed", f"exited with code {code}"
    if code < 0:
        return "step_failed", f"ended by signal {_signal_name(-code)}"
    return "", ""


def shown_exit_code(code: int | None) -> int | None:
    """The exit code as shells show it: 128 and the signal's number when a signal ended the process."""
    return 128 - code if code is not None and code < 0 else code


def not_prepared(error: Exception) -> tuple[str, str]:
    """Code and message for why a step's folders could not be made: what was published came to harm, or the machine."""
    if isinstance(error, RegistryError) and error.code == "archive_corrupt":
        return "publication_damaged", f"{error}; publish it again"
    return "step_not_started", f"could not be prepared: {error}"


def not_started(step: Step, error: OSError | ValueError) -> str:
    """Why a step's process could not be started, without anything that the run took along from an environment."""
    command, environment = step.command or step.plan["command"], step.environment
    word = command[0] if command else ""
    filename = getattr(error, "filename", None)
    if filename is not None and os.fsdecode(filename) != word:
        return f"could not start `{word}`: {getattr(error, 'strerror', error)}: `{os.fsdecode(filename)}`"
    if isinstance(error, FileNotFoundError):
        path = environment.get("PATH", "an earlier engine's")
        shown = "taken along from who submitted it" if step.job.environment.get("PATH") == path else path
        where = "in its working folder" if "/" in word else f"on its PATH ({shown})"
        return f"could not start: `{word}`, or the interpreter it names, was not found {where}"
    if isinstance(error, PermissionError):
        return f"could not start: `{word}` is not executable"
    if isinstance(error, OSError) and error.errno == errno.E2BIG:
        size = max(len(os.fsencode(one)) for one in (*command, *environment.values()))
        return (
            f"could not start `{word}`: its arguments and variables are more than the kernel takes, the longest is "
            f"{size:,} bytes; pass what is long as a file"
        )
    return f"could not start `{word}`: {getattr(error, 'strerror', None) or error}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return str(number)
