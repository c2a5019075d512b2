"""The root command and the one place where a command line begins and ends: streams, exit status, errors."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TextIO

import click

from penstock.cli.click_ext import RootGroup
from penstock.cli.output import LOOK, Output, columns
from penstock.cli.session import Session

COMMANDS = {
    "init": ("penstock.cli.commands.init", "Write a commented penstock.yaml here."),
    "demo": ("penstock.cli.commands.demo", "See everything once, on real data."),
    "status": ("penstock.cli.commands.admin", "Show where this workspace is and what is in it."),
    "validate": ("penstock.cli.commands.publish", "Check spec files; write nothing."),
    "schema": ("penstock.cli.commands.schema", "Print the JSON Schema of a document."),
    "publish": ("penstock.cli.commands.publish", "Freeze a pipeline, and put it behind an endpoint."),
    "pipeline": ("penstock.cli.commands.pipeline", "Published pipelines."),
    "endpoint": ("penstock.cli.commands.endpoint", "Stable names: versions, default, gates, rollback."),
    "submit": ("penstock.cli.commands.submit", "Trigger a run."),
    "run": ("penstock.cli.commands.run", "Runs: state, logs, outputs, cancel, rerun."),
    "serve": ("penstock.cli.commands.serve", "Serve triggers and the API over HTTP."),
    "server": ("penstock.cli.commands.serve", "How the server is configured."),
    "dispatch": ("penstock.cli.commands.dispatch", "Hand accepted runs over, beside servers that do not."),
    "token": ("penstock.cli.commands.token", "Who may come in by HTTP, and what for."),
    "target": ("penstock.cli.commands.target", "Configured places to publish to."),
    "emulate": ("penstock.cli.commands.emulate", "Stand in for a cloud on this machine, for tests."),
    "conformance": ("penstock.cli.commands.conformance", "Examine a target by the laws."),
    "plugin": ("penstock.cli.commands.target", "Installed plugins."),
    "registry": ("penstock.cli.commands.admin", "Check and back up the registry."),
    "history": ("penstock.cli.commands.admin", "Who changed what, when and why."),
}
"""Our own commands in the order of the help: the module, whose attribute has the command's name, and its line."""

EPILOG = """\
Exit status: 0 done, 1 an awaited run did not succeed, 2 usage, 3 invalid spec, 4 configuration,
5 parameters, 6 not found, 7 gate closed, 8 conflict, 9 unsupported by the target, 10 target unavailable,
11 refused by the target, 12 registry, 13 timed out, 14 broken backend, 15 refused by policy,
16 not authenticated, 17 too many requests, 70 internal, 130 interrupted, 141 output closed."""


def _version(context: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked and not context.resilient_parsing:
        from importlib.metadata import version

        number = version("penstock")
        context.ensure_object(Session).output.answer({"version": number}, [f"penstock {number}"])
        context.exit()


@click.group(cls=RootGroup, table=COMMANDS, epilog=EPILOG)
@click.option("--config", metavar="FILE", help="The penstock.yaml to use.")
@click.option("--registry", metavar="FILE", help="The registry file to use.")
@click.option("--target", metavar="NAME", help="Another default target.")
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version and exit."
)
@click.pass_obj
def root(session: Session, config: str | None, registry: str | None, target: str | None) -> None:
    """Versions, a gate and rollback behind a stable name for your ML pipeline."""
    session.config = config
    session.registry = registry
    session.target = target


_LOST = frozenset({errno.EPIPE, errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EFBIG})
"""What a stream says that can take no more. Files say their name, and their trouble was told where they are used."""


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and answer its exit status; every error ends here as one line or one document."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):  # in this order they get their own numbers
        if getattr(sys, name) is None:  # closed by whoever started us: nothing comes, and nothing is shown
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123  # as long as we run
    output = Output(json=_asks_for_json(given))
    try:
        return _run(given, output)
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):  # whatever told of an error needs files to be imported from
            with suppress(OSError):
                os.write(*_of_files(json=output.json))
            return 70  # as `system_error`
        # Whoever read our output has gone, or its disk is full; nothing more may be written when Python ends.
        _silence(sys.stdout)
        try:
            if not isinstance(error, BrokenPipeError):
                output.note(f"error: the answer could not be written to standard output: {error.strerror}")
        except OSError:  # standard error goes where the answer should have gone
            _silence(sys.stderr)
        return 141


def _of_files(*, json: bool) -> tuple[int, bytes]:
    """Where to write that there are no files to be had, and what; nothing can be imported to put it together."""
    said = f"too many open files (`ulimit -n`); {LOOK}"
    if json:
        return 1, f'{{"error": {{"code": "system_error", "message": "{said}", "details": []}}}}\n'.encode()
    return 2, f"error: {said}\n".encode()


def _silence(stream: TextIO) -> None:
    """Have nothing come of what is still to be written to a stream."""
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _run(given: list[str], output: Output) -> int:
    try:
        # A width, so that click does not import shutil to find out the same.
        width = max(min(columns(), 80) - 2, 50)
        with root.make_context("penstock", given, obj=Session(output), terminal_width=width) as context:
            root.invoke(context)
        status = 0
    except click.exceptions.Exit as end:
        status = end.exit_code
    except BaseException as error:
        if isinstance(error, OSError) and error.filename is None and error.errno in _LOST:
            raise
        from penstock.cli.failures import report

        status = report(error, output)
    sys.stdout.flush()
    return status


def _asks_for_json(arguments: list[str]) -> bool:
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return "--json" in arguments[:end]
