"""Any exception that leaves a command becomes one error of ours, one line and one exit status."""

from __future__ import annotations

import os
import shlex
import sys
import traceback

import click

from penstock.cli.output import LOOK, Output
from penstock.errors import GateClosed, ParameterInvalid, PenstockError, RegistryError, UsageError, did_you_mean
from penstock.machine import lacked
from penstock.text import is_utf8

_OTHER_LOCALE = "set another one, as by LC_ALL=C.UTF-8"
_REFUSALS = (UsageError.exit_code, ParameterInvalid.exit_code)
"""Exit statuses of what is said wrongly."""


def report(error: BaseException, output: Output) -> int:
    """Print an exception as the error it means and answer the exit status."""
    if os.environ.get("PENSTOCK_DEBUG"):
        traceback.print_exception(error, file=sys.stderr)
    if isinstance(error, click.exceptions.NoArgsIsHelpError) and not output.json:
        print(error.format_message(), file=sys.stderr)
        return UsageError.exit_code
    if isinstance(error, KeyboardInterrupt | click.Abort):
        known = PenstockError(str(error) or "interrupted", code="interrupted")
        if output.json:
            output.failure(known)
        else:
            output.note(known.message)
        return known.exit_code
    known = _known(error)
    hint = ""
    if isinstance(error, click.UsageError) and error.ctx is not None:
        hint = f"see: {error.ctx.command_path} --help"
    if isinstance(known, GateClosed) and known.subject:
        noun = "pipeline" if known.code == "pipeline_disabled" else "endpoint"
        hint = f"to open it: penstock {noun} enable {shlex.quote(known.subject)}"
    if known.exit_code in _REFUSALS and not is_utf8() and _is_foreign():
        hint = hint or f"this locale has no such text: {_OTHER_LOCALE}"
    output.failure(known, hint)
    return known.exit_code


def _is_foreign() -> bool:
    """Whether an argument, or who calls, was said in bytes that are no text in this locale."""
    said = (*sys.argv[1:], os.environ.get("PENSTOCK_ACTOR", ""))
    return any("\udc80" <= char <= "\udcff" for word in said for char in word)


def _known(error: BaseException) -> PenstockError:
    """The error of ours that an exception means."""
    # What is known to have been done, or may have been, is said as it is.
    if getattr(error, "code", "") not in ("registry_undecided", "system_error") and (lacking := lacked(error)):
        return PenstockError(f"{lacking}; {LOOK}", code="system_error")
    if isinstance(error, PenstockError):
        return error
    if isinstance(error, click.ClickException):
        return UsageError(_usage(error))
    if isinstance(error, UnicodeEncodeError) and error.encoding != "utf-8":
        return UsageError(f"{error.object!a} cannot be said in this locale ({error.encoding}); {_OTHER_LOCALE}")
    sqlite3 = sys.modules.get("sqlite3")
    if sqlite3 is not None and isinstance(error, sqlite3.Error):
        return RegistryError(f"the registry cannot be used: {error}")
    if isinstance(error, OSError):
        file = f": {error.filename}" if error.filename is not None else ""
        return PenstockError(f"{error.strerror or type(error).__name__}{file}", code="system_error")
    return _unexpected(error)


def _usage(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    if isinstance(error, click.exceptions.NoArgsIsHelpError) and context is not None:
        command = context.command
        names = command.list_commands(context) if isinstance(command, click.Group) else []
        return f"`{context.command_path}` needs a command ({did_you_mean('', names)})"
    if isinstance(error, click.NoSuchOption) and context is not None:
        from penstock.cli.hints import option_hint

        hint = option_hint(error.option_name, context)
        return f"`{context.command_path}` has no option `{error.option_name}` ({hint})"
    said = error.format_message()
    if isinstance(error, click.MissingParameter):
        return " ".join(said.split())  # click lists the choices on lines of their own
    return said


def _unexpected(error: BaseException) -> PenstockError:
    """A bug: say where, and keep the traceback in a file that only this user can read."""
    import tempfile

    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    message = f"unexpected {type(error).__name__}{place}"
    try:
        with tempfile.NamedTemporaryFile("w", prefix="penstock-", suffix=".log", delete=False) as file:
            traceback.print_exception(error, file=file)
    except OSError:
        return PenstockError(f"{message}; PENSTOCK_DEBUG=1 shows the traceback")
    return PenstockError(f"{message}; this is a bug, the details are in {file.name}")
