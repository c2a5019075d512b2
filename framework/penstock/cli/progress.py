"""Accepted runs, answered at once or waited for: a live table in a terminal, else a line for each change."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from penstock.cli.bundled import bundled_lines
from penstock.cli.output import Output, is_terminal
from penstock.cli.tables import STYLES, Table
from penstock.cli.times import moment_text, span_text
from penstock.errors import PenstockError, RegistryError, RunFailed, TargetUnsupported, cause_of
from penstock.machine import lacked
from penstock.records import RunRecord, StepRecord, Waiting
from penstock.text import count_text, printable

if TYPE_CHECKING:
    from penstock.workspace import Submitted, Workspace

_TAIL_LINES, _TAIL_BYTES = 20, 64 * 1024


def answer_submitted(output: Output, workspace: Workspace, submitted: Submitted, *, wait: bool) -> None:
    """Answer an accepted run; with `wait` follow it to its end. Raises RunFailed then."""
    run = submitted.run
    output.warn(submitted.warnings)
    if output.json and not wait:
        from penstock.codec import to_data

        more = {"replayed": submitted.replayed, "warnings": submitted.warnings, "bundled": submitted.bundled}
        output.document({**to_data(run), **more})
        return
    if not output.json:
        again = " (accepted before under this idempotency key)" if submitted.replayed else ""
        told = bundled_lines(submitted.bundled)
        output.answer(run, [f"{what(run)} on {run.target}", *told, f"run {run.id}{again}"], [run.id])
    if wait:
        try:
            wait_for_end(output, workspace, run.id)
        except (RegistryError, OSError, MemoryError, RuntimeError) as error:
            # Who is told that nothing was changed, or to try again, submits it again.
            goes_on = f"run {run.id} is accepted and goes on, and cannot be followed"
            todo = f"to wait for it: penstock run wait {run.id}"
            if lacking := lacked(error):
                raise PenstockError(f"{goes_on}: {lacking}; {todo}", code="system_error") from error
            if not isinstance(error, RegistryError) or not error.undone:
                raise
            raise RegistryError(f"{goes_on}: {error.cause}; {todo}", code=error.code) from error


def waiting_text(waiting: Waiting) -> str:
    """Why a run still waits for its target, and until when."""
    tries = "" if waiting.tries == 0 else f", tried {count_text(waiting.tries, 'time')}"
    why = waiting.message or "it is to be handed over"
    return f"{why} (due {moment_text(waiting.due)}{tries})"


def what(run: RunRecord) -> str:
    """What a run was triggered by: `digits@0`, `digits:1`, or a file's pipeline."""
    if run.endpoint is not None:
        return f"{run.endpoint}@{run.version}"
    return f"{run.pipeline}:{run.label}" if run.resolved_from == "published" else f"{run.pipeline} (trial run)"


def wait_for_end(output: Output, workspace: Workspace, run_id: str, timeout: float | None = None) -> None:
    """Wait until a run has ended and answer it. Ctrl-C leaves the run alone and exits 130.

    Raises RunFailed when it did not succeed, WaitTimeout.
    """
    seen: list[RunRecord] = []
    try:
        with _display(output) as show:

            def watch(run: RunRecord) -> None:
                seen[:] = [run]
                show(run)

            run = workspace.runs.wait(run_id, timeout=timeout, watch=watch)
    except KeyboardInterrupt:
        output.note(f"detached, the run goes on; to wait for it again: penstock run wait {run_id}")
        if output.json:
            output.document(seen[0] if seen else workspace.runs.get(run_id))
        raise click.exceptions.Exit(130) from None
    if run.state != "succeeded":
        if not output.quiet:
            _show_tail(output, workspace, run)
        if output.json:
            output.document(run)
            raise click.exceptions.Exit(RunFailed.exit_code)
        raise RunFailed(_ending(run))
    if output.json:
        output.document(run)
    elif not output.quiet:
        output.show(f"succeeded in {span_text(run.started or run.created, run.ended)}")
        if run.outputs:
            output.show(Table((), outputs_rows(run.outputs)))


def outputs_rows(outputs: Any) -> list[tuple[str, str]]:
    """Rows of outputs or parameters: text as it is, every other value as JSON, and `(none)` for no value."""
    import json

    shown = {name: "(none)" if value is None else value for name, value in outputs.items()}
    return [
        (name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        for name, value in shown.items()
    ]


@contextmanager
def _display(output: Output) -> Iterator[Callable[[RunRecord], None]]:
    if output.quiet:
        yield lambda run: None
    elif output.json or not is_terminal(sys.stderr):
        yield _lines(output)
    else:
        from rich.console import Console
        from rich.live import Live

        runs: list[RunRecord] = []
        console = Console(stderr=True, highlight=False)
        # The table is drawn anew at each refresh, so that the time of a running step goes on.
        with Live(console=console, get_renderable=lambda: _grid(runs), refresh_per_second=8):
            yield lambda run: runs.__setitem__(slice(None), [run])


def _lines(output: Output) -> Callable[[RunRecord], None]:
    told: dict[str, str] = {}

    def show(run: RunRecord) -> None:
        trouble = run.trouble
        if trouble and told.get("") != trouble:
            output.note(trouble)
        told[""] = trouble
        for step in run.steps:
            state = _state(step)
            if told.get(step.name) != state and (step.state != "queued" or step.name in told):
                took = span_text(step.started, step.ended) if step.ended else ""
                output.note(f"{step.name} {state} {took}".rstrip())
                told[step.name] = state

    return show


def _grid(runs: list[RunRecord]) -> Any:
    from rich.table import Table as Grid
    from rich.text import Text

    grid = Grid(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for run in runs:
        for step in run.steps:
            took = span_text(step.started, step.ended)
            grid.add_row(printable(step.name), Text(_state(step), style=STYLES.get(step.state, "dim")), took)
        state = f"{run.state}  {printable(run.trouble)}".rstrip()
        grid.add_row(Text("run", style="bold"), Text(state, style=STYLES.get(run.state, "dim")),
                     span_text(run.started, run.ended))  # fmt: skip
    return grid


def _state(step: StepRecord) -> str:
    attempt = f" (attempt {step.attempt})" if step.attempt > 1 else ""
    why = f" ({step.error.message})" if step.state == "failed" and step.error is not None else ""
    return f"{step.state}{attempt}{why}"


def _ending(run: RunRecord) -> str:
    if run.state == "canceled":
        return f"run {run.id} was canceled"
    return f"run {run.id} failed" + (f": {run.failure}" if run.failure else "")


def _show_tail(output: Output, workspace: Workspace, run: RunRecord) -> None:
    """Show the last lines of the step that failed."""
    name = next((step.name for step in run.steps if step.state == "failed"), None)
    if name is None:
        return
    tail = b""
    try:
        for part in workspace.runs.logs(run.id, step=name):
            tail = (tail + part.data)[-_TAIL_BYTES:]
    except TargetUnsupported:
        return
    except PenstockError as error:  # how the run ended is known all the same
        output.note(f"the log of {name} cannot be read: {cause_of(error)}")
        return
    lines = tail.decode(errors="replace").splitlines()[-_TAIL_LINES:]
    if lines:
        output.note(f"the last lines of {name}:")
    for line in lines:
        output.note(f"  {line}")
