"""`penstock pipeline`: published pipelines."""

from __future__ import annotations

import click

from penstock.cli.answers import answer_page, details_rows, gate_commands, gate_rows, state_text
from penstock.cli.click_ext import Group
from penstock.cli.options import paging
from penstock.cli.session import Session
from penstock.cli.tables import record
from penstock.cli.times import moment_text
from penstock.codec import to_data
from penstock.records import PublishedRecord

_UNGATED = "(our gates do not cover it)"


@click.group(cls=Group)
def pipeline() -> None:
    """Published pipelines: frozen snapshots that can be triggered.

    REF is an id, `name:label` or `name:label@target`.
    """


@pipeline.command("list")
@paging("Also closed ones.")
@click.option("--name", help="Only those of this name.")
def list_(session: Session, every: bool, limit: int, before: str | None, name: str | None) -> None:
    """List published pipelines, newest first."""
    with session.workspace() as workspace:
        page = workspace.pipelines.list(all=every, limit=limit, before=before, name=name)
    columns = ("PIPELINE", "TARGET", "STATE", "CREATED", "ID")
    answer_page(session.output, page, "published pipelines", columns, _row, lambda one: one.id)


@pipeline.command()
@click.argument("ref")
def show(session: Session, ref: str) -> None:
    """Show one published pipeline and its parameters."""
    from penstock.cli.signature import parameters_of, parameters_table  # few commands need them

    with session.workspace() as workspace:
        one = workspace.pipelines.get(ref)
        parameters = parameters_of(workspace.pipelines.spec(one.id))
    table = record(
        [
            ("id", one.id),
            ("name", one.name),
            ("label", one.label),
            ("description", one.description),
            ("digest", one.digest),
            ("target", f"{one.target} ({one.backend})"),
            ("tags", ", ".join(f"{key}={value}" for key, value in one.tags.items())),
            *gate_rows(one.enabled, one.gate),
            ("external", one.external),
            ("trigger URL", one.trigger_url if one.gated or not one.trigger_url else f"{one.trigger_url} {_UNGATED}"),
            *details_rows(one),
            ("by", one.by),
            ("created", moment_text(one.created)),
            ("modified", moment_text(one.modified)),
        ]
    )
    data = {**to_data(one), "parameters": to_data(parameters)}
    session.output.answer(data, [table, *parameters_table(parameters)], [one.id])


gate_commands(
    pipeline,
    "REF",
    lambda workspace: workspace.pipelines,
    closes="Refuse every trigger of a published pipeline, whichever way it comes.",
    opens="Let triggers pass again.",
)


@pipeline.command()
@click.argument("ref")
def delete(session: Session, ref: str) -> None:
    """Delete a published pipeline that nothing points to; its label is not given again."""
    with session.workspace() as workspace:
        one = workspace.pipelines.delete(ref)
    session.output.answer(one, [f"deleted {one.name}:{one.label} on {one.target}"], [one.id])


def _row(one: PublishedRecord) -> tuple[object, ...]:
    return f"{one.name}:{one.label}", one.target, state_text(one.enabled), moment_text(one.created), one.id
