"""`penstock demo`: publish, pin, refuse and roll back a pipeline on real data, and show what the runs scored."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from penstock.cli.click_ext import Command
from penstock.cli.output import Output, is_terminal
from penstock.cli.session import Session, require_extra
from penstock.cli.tables import Table
from penstock.errors import RunFailed, UsageError
from penstock.records import RunRecord

if TYPE_CHECKING:
    from penstock.cli.demo_acts import Act
    from penstock.workspace import Workspace

_SHOWN = ("estimator", "max_depth", "trees")
"""The parameters that make the difference between the demo's runs."""


@click.command("demo", cls=Command)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("penstock-demo"),
    show_default=True,
    help="Where to put the demo's files and its workspace, to go on with afterwards.",
)
@click.option("--target", metavar="NAME", help="Play on this target of the penstock.yaml found from here.")
def demo(session: Session, folder: Path, target: str | None) -> None:
    """See everything once, on real data: 1,797 handwritten digits, two versions, a gate and a rollback.

    Lays a pipeline and a workspace out in a folder, plays the acts and waits for the runs. Each act is shown as the
    command that does the same. It can be played again in the same folder.
    """
    from penstock.cli.demo_acts import Acts, lay_out
    from penstock.config.structuring import target_config
    from penstock.workspace import Workspace

    elsewhere = None if target is None else target_config(session.load_config(), target)
    if session.config is not None or session.registry is not None:
        raise UsageError("the demo has a workspace of its own: choose where with `demo --folder`")
    require_extra("demo", "the demo", "sklearn", "matplotlib")
    lay_out(folder, elsewhere)
    # The caller's variables may name a real target; the demo stays in its folder.
    own = {name: value for name, value in os.environ.items() if name == "PENSTOCK_ACTOR"}
    acts: list[Act] = []

    def tell(act: Act) -> None:
        acts.append(act)
        _say(session.output, [f"$ {act.command}", f"  {act.outcome}"])

    with Workspace.open(folder, env=own, door="cli") as workspace:
        _say(session.output, [f"In {folder}: a pipeline that learns 1,797 handwritten digits, in two versions.", ""])
        runs = _await(workspace, Acts(workspace, folder, tell).play(), session.output)
    _answer(session.output, folder, acts, runs)


def _answer(output: Output, folder: Path, acts: list[Act], runs: list[RunRecord]) -> None:
    columns = ("RUN", "VERSION", "RESOLVED", *(name.upper() for name in _SHOWN), "STATE", "ACCURACY")
    picture = runs[-1].outputs.get("confusion_matrix")
    output.answer(
        {"folder": str(folder.resolve()), "acts": acts, "runs": runs, "picture": picture},
        [
            "",
            Table(columns, [_row(run) for run in runs]),
            "",
            f"The last run's confusion matrix: {_near(picture)}",
            *_go_on(folder, runs[-1].id[:8]),
        ],
        [run.id for run in runs],
    )
    failed = [run for run in runs if run.state != "succeeded"]
    if failed:
        if output.json:
            click.get_current_context().exit(RunFailed.exit_code)
        why = failed[0].error.message if failed[0].error else failed[0].state
        raise RunFailed(
            f"run {failed[0].id} did not succeed: {why} (`penstock run logs {failed[0].id[:8]}` in {folder})"
        )


def _row(run: RunRecord) -> tuple[str, ...]:
    accuracy = run.outputs.get("accuracy")
    score = "" if accuracy is None else f"{accuracy:.2f}"
    parameters = [str(run.parameters[name]) for name in _SHOWN]
    return run.id[:8], f"{run.endpoint}@{run.version}", run.resolved_from, *parameters, run.state, score


def _go_on(folder: Path, run: str) -> list[str]:
    return [
        f"Go on there: cd {folder}; then for example",
        *_on_path(),
        "  penstock run list",
        f"  penstock run logs {run}",
        "  penstock endpoint history digits",
        "  penstock submit digits -p max_depth=12 --wait",
    ]


def _on_path() -> list[str]:
    """How to make `penstock` a command, where it is none."""
    return [] if shutil.which("penstock") else [f'  export PATH="{Path(sys.executable).parent}:$PATH"']


def _near(path: str | None) -> str:
    """A path as it is shortest from here."""
    if path is None:
        return "none"
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


def _say(output: Output, lines: list[str]) -> None:
    if not output.json and not output.quiet:
        for line in lines:
            output.show(line)


def _await(workspace: Workspace, ids: list[str], output: Output) -> list[RunRecord]:
    """Wait for the runs, one after the other; a terminal shows how far they are."""
    runs: list[RunRecord] = []
    with _progress(output) as show:
        for number, run_id in enumerate(ids, 1):

            def watch(run: RunRecord, number: int = number) -> None:
                steps = ", ".join(step.name for step in run.steps if step.state == "running")
                show(f"run {number} of {len(ids)}: {run.endpoint}@{run.version} {steps or run.state}")

            runs.append(workspace.runs.wait(run_id, watch=watch))
    return runs


@contextmanager
def _progress(output: Output) -> Iterator[Callable[[str], None]]:
    """Something that shows one changing line while in it: on standard error, and only if that is a terminal."""
    if output.quiet or not is_terminal(sys.stderr):
        yield lambda line: None
        return
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    with console.status("waiting for the runs") as status:
        yield status.update
