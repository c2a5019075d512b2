"""How an accepted run is answered, at once or after its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.cli.output import Output
from penstock.cli.progress import wait_for_end
from penstock.cli.times import moment_text
from penstock.records import RunRecord, Waiting

if TYPE_CHECKING:
    from penstock.workspace import Submitted, Workspace


def answer_submitted(output: Output, workspace: Workspace, submitted: Submitted, *, wait: bool) -> None:
    """Answer an accepted run; with `wait` follow it to its end. Raises RunFailed then."""
    run = submitted.run
    output.warn(submitted.warnings)
    if output.json and not wait:
        from penstock.codec import to_data

        output.document({**to_data(run), "replayed": submitted.replayed, "warnings": submitted.warnings})
        return
    if not output.json:
        again = " (accepted before under this idempotency key)" if submitted.replayed else ""
        output.answer(run, [f"{what(run)} on {run.target}", f"run {run.id}{again}"], [run.id])
    if wait:
        wait_for_end(output, workspace, run.id)


def waiting_text(waiting: Waiting) -> str:
    """Why a run still waits for its target, and until when."""
    tries = "" if waiting.tries == 0 else f", tried {waiting.tries} time{'' if waiting.tries == 1 else 's'}"
    why = waiting.message or "it is to be handed over"
    return f"{why} (due {moment_text(waiting.due)}{tries})"


def what(run: RunRecord) -> str:
    """What a run was triggered by: `digits@0`, `digits:1`, or a file's pipeline."""
    if run.endpoint is not None:
        return f"{run.endpoint}@{run.version}"
    return f"{run.pipeline}:{run.label}" if run.resolved_from == "published" else f"{run.pipeline} (trial run)"
