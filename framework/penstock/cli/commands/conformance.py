"""`penstock conformance`: examine a configured target by the laws."""

from __future__ import annotations

import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from penstock.cli.click_ext import GIVEN, Command
from penstock.cli.hints import without
from penstock.cli.output import Output
from penstock.cli.session import Session, require_extra
from penstock.cli.tables import Table
from penstock.errors import BackendBroken, UsageError

if TYPE_CHECKING:
    from penstock.testing.checking import Check
    from penstock.testing.examination import Outcome, Report

_WISHES = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals by which somebody wants it to end. The process ends with the command, so nothing is put back."""

_COLOURS = {"pass": "green", "fail": "red", "skip": "yellow", "core": "cyan"}


def _unsupported(_: click.Context, __: click.Parameter, given: Sequence[str]) -> dict[str, str]:
    pairs = [one.partition("=") for one in given]
    wrong = [hook for hook, equals, _ in pairs if not hook or not equals]
    if wrong:
        raise click.BadParameter(f"write `{wrong[0] or 'HOOK'}=REASON`, with `not yet`, `upstream` or `never`")
    return {hook: reason for hook, _, reason in pairs}


@click.command(cls=Command)
@click.argument("target")
@click.option("--other", metavar="TARGET", help="The target to move to and compare with; by default the same again.")
@click.option("--deep", is_flag=True, help="A dozen times the examples, and longer histories.")
@click.option("--seed", type=click.IntRange(0), help="Repeat the examination that had this seed.")
@click.option("--law", "laws", type=click.IntRange(1, 13), multiple=True, help="Only this law; may be given again.")
@click.option(
    "--unsupported",
    multiple=True,
    metavar="HOOK=REASON",
    callback=_unsupported,
    help="Why the backend does not offer a hook: `not yet`, `upstream` or `never`.",
)
@click.option("--python", default="python", show_default=True, help="How a step on the target calls Python.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Answer with a table for a README.")
def conformance(
    session: Session,
    target: str,
    other: str | None,
    deep: bool,
    seed: int | None,
    laws: tuple[int, ...],
    unsupported: dict[str, str],
    python: str,
    as_markdown: bool,
) -> None:
    """Examine a target by the laws, and print the matrix of laws by result.

    Runs a few hundred small steps there, from a workspace of its own. Exit status 14 when a law is broken.
    """
    require_extra("testing", "the conformance kit", "hypothesis")
    from hypothesis.configuration import set_hypothesis_home_dir

    from penstock.testing.examination import examine_laws, new_seed
    from penstock.testing.profiles import DEEP, DEFAULT
    from penstock.testing.subject import Subject

    output = session.output
    if as_markdown and output.json:
        raise UsageError("`--markdown` and `--json` are two answers: give one of them")
    with session.workspace() as workspace:
        config = workspace.config
    seed = new_seed() if seed is None else seed
    profile = DEEP if deep else DEFAULT
    told = _Told(output)
    report = None
    broken = False
    folder = Path(tempfile.mkdtemp(prefix="penstock-conformance-"))
    try:
        set_hypothesis_home_dir(folder / "hypothesis")
        subject = Subject.of_config(config, folder, target, other, unsupported=unsupported, python=python)
        output.note(f"target {target}, seed {seed}, profile {profile.name}")
        with _interruptible(told):
            report = examine_laws(subject, laws, profile=profile, seed=seed, asked=told.asked, told=told.told)
        broken = bool(report.failed)
    finally:
        _leave(folder, clear=not broken)
    if broken:
        output.note(f"to see it again: {_again(report, seed)}")
        output.note(f"what was there is kept in {folder}")
    if as_markdown:
        for line in markdown(report):
            output.show(line)
    else:
        table = Table(("LAW", "NAME", "RESULT", "REASON"), _rows(report))
        output.answer(report, [table], [str(one.law) for one in report.failed])
    if report.failed:
        click.get_current_context().exit(BackendBroken.exit_code)


def _leave(folder: Path, *, clear: bool) -> None:
    """End everything that goes on for an examination, and remove its folder when nobody has to look at it."""
    from penstock.testing.processes.killing import kill_naming
    from penstock.testing.processes.subprocesses import end_all

    for number in _WISHES:
        signal.signal(number, signal.SIG_IGN)  # it ends already
    end_all()
    for pause in (0.0, 0.1, 0.5):  # a process that is only just being started is found a moment later
        time.sleep(pause)
        kill_naming(folder)
        if not clear:
            return
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return


def _again(report: Report, seed: int) -> str:
    """The command that examines what broke as it was examined now."""
    here = click.get_current_context()
    given = [word for word in here.meta[GIVEN] if word not in ("--json", "-q", "--quiet")]
    for name in ("--seed", *("--law" for _ in given)):
        given, _ = without(name, given)
    config = here.find_root().params["config"]
    words = ["penstock", *(["--config", config] if config else []), "conformance", *given, "--seed", str(seed)]
    if len(report.failed) < len(report.laws):
        words += [word for one in report.failed for word in ("--law", str(one.law))]
    return shlex.join(words)


@contextmanager
def _interruptible(told: _Told) -> Iterator[None]:
    """End the examination when somebody wants it to end, whatever a check makes of being interrupted."""

    def end(number: int, frame: FrameType | None) -> None:
        told.unwanted = True
        raise KeyboardInterrupt

    def unraisable(unraised: sys.UnraisableHookArgs) -> None:
        if not isinstance(unraised.exc_value, KeyboardInterrupt):  # it came at a bad moment, and is heard later
            sys.__unraisablehook__(unraised)

    for number in _WISHES:
        signal.signal(number, end)
    sys.unraisablehook, usual = unraisable, sys.unraisablehook
    try:
        yield
    finally:
        sys.unraisablehook = usual


class _Told:
    """What is said on standard error while it goes on: each question in a terminal, and each outcome."""

    unwanted = False
    """Whether the examination was interrupted: what a check says from then on is not true."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def asked(self, check: Check) -> None:
        """Show the question until its outcome is there."""
        if not self._output.quiet:
            self._output.fleeting(f"{'':13}{_laws(check)}: {check.question}")

    def told(self, outcome: Outcome) -> None:
        """Say what a check came to, and what a failure has to show. Raises KeyboardInterrupt when that is not known."""
        if self.unwanted:
            raise KeyboardInterrupt
        if self._output.quiet and outcome.result != "fail":
            return
        looked = f" ({'; '.join(outcome.told)})" if outcome.told else ""
        reason = f": {outcome.reason}" if outcome.reason else ""
        line = f"{outcome.seconds:5.1f} s  {_laws(outcome.check)}: {outcome.check.question}{looked}{reason}"
        self._output.verdict(outcome.result, _COLOURS[outcome.result], line)
        for detail in outcome.details:
            for part in detail.splitlines():
                self._output.note(part)


def _laws(check: Check) -> str:
    return f"law{'s' * (len(check.laws) > 1)} {', '.join(map(str, check.laws))}"


def markdown(report: Report) -> list[str]:
    """The lines of a table for a README."""
    lines = [f"| law | `{report.target}` | |", "|---|---|---|"]
    for number, name, result, reason in _rows(report):
        lines.append(f"| {number} {name} | {result} | {reason.replace('|', chr(92) + '|')} |".replace("|  |", "| |"))
    return lines


def _rows(report: Report) -> list[tuple[int, str, str, str]]:
    from penstock.testing.laws import LAWS

    names = {law.number: law.name for law in LAWS}
    return [(one.law, names[one.law], one.result, one.reason) for one in report.laws]
