"""`penstock run`: what became of triggers."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from penstock.cli import options
from penstock.cli.answers import answer_page, by_whom
from penstock.cli.click_ext import Group
from penstock.cli.downloads import download
from penstock.cli.given import Given, parameters
from penstock.cli.logs import show_as_json, show_under_names
from penstock.cli.progress import answer_submitted, outputs_rows, wait_for_end, waiting_text, what
from penstock.cli.session import Session
from penstock.cli.tables import Table, record
from penstock.cli.times import moment_text, read_duration, span_text
from penstock.contract.run import RUN_STATES, RunState
from penstock.errors import ParameterInvalid, TargetUnavailable, UsageError
from penstock.records import RunRecord
from penstock.text import count_text, size_text

if TYPE_CHECKING:
    pass

_PAGE = 500
"""How many runs one page holds when all are asked for."""


@click.group(cls=Group)
def run() -> None:
    """Runs: what was triggered, what it resolved to, and what became of it.

    ID is a run's id or its first characters.
    """


@run.command("list")
@options.paging("Every run, page after page.")
@click.option("--endpoint", metavar="NAME", help="Only runs of this endpoint.")
@click.option("--experiment", metavar="NAME", help="Only runs of this experiment.")
@click.option("--pipeline", metavar="NAME", help="Only runs of this pipeline.")
@click.option("--state", type=click.Choice(RUN_STATES), help="Only runs in this state.")
def list_(
    session: Session,
    every: bool,
    limit: int,
    before: str | None,
    endpoint: str | None,
    experiment: str | None,
    pipeline: str | None,
    state: RunState | None,
) -> None:
    """List runs, newest first."""
    from attrs import evolve

    with session.workspace() as workspace:
        filters = {"endpoint": endpoint, "experiment": experiment, "pipeline": pipeline}
        fetch = partial(workspace.runs.list, **filters, state=state, limit=_PAGE if every else limit)
        page = fetch(before=before)
        items = list(page.items)
        while every and page.more:
            page = fetch(before=page.next)
            items.extend(page.items)
    columns = ("ID", "TRIGGER", "FROM", "TARGET", "EXPERIMENT", "STATE", "STARTED", "TOOK")
    session.output.warn(
        sorted({f"target `{one.target}` is stale: {one.stale}" for one in items if one.stale is not None})
    )
    answer_page(session.output, evolve(page, items=tuple(items)), "runs", columns, _row, lambda one: one.id)


@run.command()
@click.argument("ref", metavar="ID")
def show(session: Session, ref: str) -> None:
    """Show one run: what was asked, what it resolved to, its steps and outputs."""
    with session.workspace() as workspace:
        one = workspace.runs.get(ref)
    error = "" if one.error is None else f"{one.error.code}: {one.failure}"
    head = record(
        [
            ("id", one.id),
            ("trigger", f"{what(one)} ({one.resolved_from})"),
            ("pipeline", one.pipeline if one.label is None else f"{one.pipeline}:{one.label}"),
            ("target", one.target),
            ("experiment", one.experiment),
            ("description", one.description),
            ("tags", ", ".join(f"{key}={value}" for key, value in one.tags.items())),
            ("state", one.state),
            ("error", error),
            ("waiting", None if one.waiting is None else waiting_text(one.waiting)),
            ("waits for", one.waits_for),
            ("stale", one.stale),
            ("cancel", _cancel_text(one)),
            ("by", f"{by_whom(one.by, one.verified)} through {one.door}"),
            ("idempotency key", one.idempotency_key),
            ("rerun of", one.rerun_of),
            ("created", moment_text(one.created)),
            ("started", moment_text(one.started)),
            ("ended", moment_text(one.ended)),
            ("took", span_text(one.started, one.ended)),
            ("digest", one.digest),
            ("external", one.external),
            *one.details.items(),
        ]
    )
    blocks: list[str | Table] = [head]
    if one.parameters:
        blocks += ["", Table(("PARAMETER", "VALUE"), outputs_rows(one.parameters))]
    if one.steps:
        rows = [
            (step.name, step.state, step.attempt or "", moment_text(step.started), span_text(step.started, step.ended),
             "" if step.error is None else step.error.message)
            for step in one.steps
        ]  # fmt: skip
        blocks += ["", Table(("STEP", "STATE", "ATTEMPT", "STARTED", "TOOK", "ERROR"), rows)]
    if one.outputs:
        blocks += ["", Table(("OUTPUT", "VALUE"), outputs_rows(one.outputs))]
    session.output.answer(one, blocks, [one.id])


@run.command()
@click.argument("ref", metavar="ID")
@click.option("--timeout", callback=read_duration, metavar="DURATION", help="Give up waiting after so long, like 10m.")
def wait(session: Session, ref: str, timeout: float | None) -> None:
    """Wait until a run has ended; exit 1 unless it succeeded. Ctrl-C leaves the run alone."""
    with session.workspace() as workspace:
        one = workspace.runs.get(ref)
        if session.output.quiet and not session.output.json:
            session.output.answer(one, [], [one.id])
        wait_for_end(session.output, workspace, one.id, timeout)


@run.command()
@click.argument("ref", metavar="ID")
@click.option("--reason", default="", help="Why, for the history.")
@click.option("--force", is_flag=True, help="End it here even if its target cannot be told.")
def cancel(session: Session, ref: str, reason: str, force: bool) -> None:
    """Ask a run to end; one that has ended answers with its state.

    --force is for a run whose target is gone, away or broken, or does not take the request: the target is told first,
    and if that fails the run ends here as canceled. Whatever still runs there is not followed any more.
    """
    with session.workspace() as workspace:
        outcome = workspace.runs.cancel(ref, reason=reason, force=force)
    one = outcome.run
    if outcome.ended and one.error is not None:
        session.output.warn([one.error.message])
    if outcome.ended or one.state == "canceled":
        line = f"run {one.id} is canceled"
    elif one.finished:
        line = f"run {one.id} had already ended: {one.state}"
    else:
        line = f"run {one.id} is asked to end"
    session.output.answer(outcome, [line], [one.id])


@run.command()
@click.argument("ref", metavar="ID")
@click.argument("step", required=False)
@click.option("--follow", is_flag=True, help="Go on until the run has ended.")
@click.option("--timestamps", is_flag=True, help="Begin each line with the time at which it was there, or `-`.")
def logs(session: Session, ref: str, step: str | None, follow: bool, timestamps: bool) -> None:
    """Print what a run's steps wrote; of one STEP exactly as it is, of several with the step's name."""
    with session.workspace() as workspace:
        one = workspace.runs.get(ref)

        def warn_shorter(name: str) -> None:
            session.output.warn([f"the log of step `{name}` was cut or removed while it was read"])

        def warn_stale(why: str) -> None:
            session.output.warn([f"stale: {why}"])

        if session.output.json and follow:  # a document is read once it is whole, and what is lost until then is told
            watched = workspace.runs.logs(one.id, step=step, follow=True)
            watched.on_shorter, watched.on_stale = warn_shorter, warn_stale
            with suppress(TargetUnavailable):  # whoever waits is patient with a target that is away
                deque(watched, maxlen=0)
            one, follow = workspace.runs.wait(one.id), False
        parts = workspace.runs.logs(one.id, step=step, follow=follow, timestamps=timestamps)
        parts.on_untimed = lambda: session.output.warn([f"target `{one.target}` keeps no times of these logs"])
        parts.on_shorter, parts.on_stale = warn_shorter, warn_stale
        if session.output.json:
            show_as_json(session.output, one.id, [each.name for each in one.steps if step in (None, each.name)], parts)
        elif step is not None or len(one.steps) == 1:
            for part in parts:
                session.output.raw(part.data)
        else:
            width = max((len(each.name) for each in one.steps), default=0)
            show_under_names(session.output, parts, width, follow=follow)


@run.command()
@click.argument("ref", metavar="ID")
@click.option("--download", "folder", type=options.FILE, metavar="FOLDER", help="Download its artifacts into a folder.")
@click.option("--name", "names", multiple=True, metavar="NAME", help="Only this artifact; may be repeated.")
def outputs(session: Session, ref: str, folder: Path | None, names: tuple[str, ...]) -> None:
    """Print the outputs of a run: values, and where its artifacts lie.

    --download brings artifacts from wherever the run's target has them, each to FOLDER/NAME. They appear when all of
    them are there, and nothing is written over.
    """
    if folder is not None:
        with session.workspace() as workspace:
            download(session.output, workspace, ref, folder, names)
        return
    if names:
        raise UsageError("--name says what to download: give --download FOLDER, too")
    with session.workspace() as workspace:
        one = workspace.runs.get(ref)
        found, missing = workspace.runs.outputs(one.id), workspace.runs.missing(one.id)
    session.output.warn(dict.fromkeys(missing.values()))
    rows = outputs_rows(found)
    data = {"id": one.id, "outputs": found, **({"missing": missing} if missing else {})}
    session.output.answer(data, [Table((), rows)] if rows else ["no outputs"], [value for _, value in rows])


@run.command()
@click.argument("ref", metavar="ID")
@parameters
@options.idempotency_key
@options.wait
def rerun(
    session: Session, ref: str, texts: tuple[str, ...], file: Path | None, idempotency_key: str | None, wait: bool
) -> None:
    """Run again what a run resolved to, with the same parameters; gates apply as they are now.

    Sensitive parameters are given again, because their values are not kept.
    """
    given = Given(file, texts)
    with session.workspace() as workspace:
        try:
            submitted = workspace.runs.rerun(ref, parameters=given.values, idempotency_key=idempotency_key)
        except ParameterInvalid as error:
            raise given.located(error) from None
        answer_submitted(session.output, workspace, submitted, wait=wait)


@run.command()
@click.option(
    "--older-than",
    callback=read_duration,
    default="30d",
    show_default=True,
    metavar="AGE",
    help="Only runs that ended so long ago, like `12h`.",
)
@click.option(
    "--keep", type=click.IntRange(min=0), default=0, show_default=True, help="Leave so many of each endpoint."
)
@click.option("--dry-run", is_flag=True, help="Only say which runs.")
def clean(session: Session, older_than: float, keep: int, dry_run: bool) -> None:
    """Clear away what ended runs left on their targets: working copies, logs, artifacts.

    The records of runs stay, with their values, states and times. A target that could not be asked is said, and then
    the exit status is that of a target that is away.
    """
    with session.workspace() as workspace:
        done = workspace.runs.clean(older_than=older_than, keep=keep, dry_run=dry_run)
    count = count_text(len(done.runs), "run")
    said = f"would clear away {count}" if dry_run else f"cleared away {count}, {size_text(done.freed)}"
    session.output.answer(done, [said, *done.left], list(done.runs))
    if done.failed:
        click.get_current_context().exit(TargetUnavailable.exit_code)


def _cancel_text(one: RunRecord) -> str:
    """What became of a request to cancel, and why it was made."""
    if not one.cancel_requested:
        return ""
    asked = "asked for" if not one.finished else "asked for before the end"
    return f"{asked}: {one.cancel_reason}" if one.cancel_reason else asked


def _row(one: RunRecord) -> tuple[object, ...]:
    times = moment_text(one.started), span_text(one.started, one.ended)
    state = one.state if one.stale is None else f"{one.state} (stale)"
    return one.id[:8], what(one), one.resolved_from, one.target, one.experiment, state, *times
