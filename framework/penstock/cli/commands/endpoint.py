"""`penstock endpoint`: stable names in front of published pipelines."""

from __future__ import annotations

from datetime import datetime
from shlex import quote

import click

from penstock.cli.answers import answer_page, gate_commands, gate_rows, gate_text, state_text
from penstock.cli.click_ext import Group
from penstock.cli.commands.admin import answer_history
from penstock.cli.options import paging, pairs
from penstock.cli.session import Session
from penstock.cli.tables import Table, record
from penstock.cli.times import moment_text, read_duration, read_moment
from penstock.codec import to_data
from penstock.errors import UsageError
from penstock.records import Access, EndpointRecord, VersionRecord
from penstock.spec.quantity import duration_text


@click.group(cls=Group)
def endpoint() -> None:
    """Stable names with versions, a default, a gate and rollback.

    NAME is an endpoint's name or id; V is one of its versions, like 0.
    """


@endpoint.command()
@click.argument("name")
@click.argument("published")
@click.option("--description", default="", help="What it is for.")
@click.option("--tag", "tags", multiple=True, metavar="NAME=VALUE", help="A tag of the endpoint; may be repeated.")
def create(session: Session, name: str, published: str, description: str, tags: tuple[str, ...]) -> None:
    """Create an endpoint with a published pipeline as version 0, its default."""
    tagged = pairs(tags, "--tag")
    with session.workspace() as workspace:
        one = workspace.endpoints.create(name, published, description=description, tags=tagged)
    session.output.answer(one, [f"created {one.name}; {one.name}@{one.default} is the default"], [one.id])


@endpoint.command("add-version")
@click.argument("name")
@click.argument("published")
@click.option("--default", is_flag=True, help="Make it the default.")
def add_version(session: Session, name: str, published: str, default: bool) -> None:
    """Add a published pipeline as the next version."""
    with session.workspace() as workspace:
        outcome = workspace.endpoints.add_version(name, published, default=default)
    one = outcome.endpoint
    added = "added" if outcome.added else "was there already"
    stays = "is now the default" if outcome.default_moved else f"default stays {one.default}"
    session.output.answer(outcome, [f"{one.name}@{outcome.version} {added}, {stays}"], [outcome.version])


@endpoint.command("list")
@paging("Also closed endpoints and versions.")
def list_(session: Session, every: bool, limit: int, before: str | None) -> None:
    """List endpoints, newest first."""
    with session.workspace() as workspace:
        page = workspace.endpoints.list(all=every, limit=limit, before=before)
    columns = ("NAME", "DEFAULT", "VERSIONS", "STATE", "TARGETS", "MODIFIED")
    answer_page(session.output, page, "endpoints", columns, _row, lambda one: one.id)


@endpoint.command()
@click.argument("name")
def show(session: Session, name: str) -> None:
    """Show one endpoint, all its versions, and the parameters of the default."""
    from penstock.cli.signature import body_text, parameters_of, parameters_table  # few commands need them
    from penstock.cli.urls import trigger_urls

    with session.workspace() as workspace:
        one = workspace.endpoints.get(name)
        behind = next((version.published for version in one.versions if version.version == one.default), None)
        default = None if behind is None else workspace.pipelines.get(behind)
        urls = trigger_urls(workspace.config, one, default)
        parameters = parameters_of(workspace.endpoints.signature(one.id).pipeline)
    closed = _CLOSED.get(one.refused or "")
    covered = "" if urls.native is None or urls.native.gated else " (not covered by our gates)"
    head = record(
        [
            ("id", one.id),
            ("name", one.name),
            ("description", one.description),
            ("tags", ", ".join(f"{key}={value}" for key, value in one.tags.items())),
            ("default", one.default or "none"),
            ("access", one.access),
            ("deduplication", one.deduplication_window and _deduplication(one)),
            *gate_rows(one.enabled, one.gate),
            ("refuses", f"triggers without a version: the {closed}" if closed else None),
            ("created", moment_text(one.created)),
            ("modified", moment_text(one.modified)),
            ("trigger", urls.trigger),
            ("openapi", urls.openapi),
            ("azureml v1", urls.azureml_v1),
            ("native", urls.native and f"{urls.native.url}{covered}"),
            *((f"not yet at {each.target}", each.message or "it is told soon") for each in one.unsynced),
        ]
    )
    token = "" if one.access == "public" else "-H 'Authorization: Bearer TOKEN' "
    curl = f"curl -X POST {token}-d {quote(body_text(parameters))} {urls.trigger}"
    columns = ("VERSION", "PIPELINE", "TARGET", "STATE", "CREATED", "PUBLISHED ID")
    versions = Table(columns, [_version_row(version, one.default) for version in one.versions])
    data = {**to_data(one), "urls": to_data(urls), "parameters": to_data(parameters)}
    session.output.answer(data, [head, "", versions, *parameters_table(parameters), "", curl], [one.id])


@endpoint.command()
@click.argument("name")
@click.option("--at", "when", callback=read_moment, metavar="TIME", help="What a trigger would have run at that time.")
@paging()
def history(session: Session, name: str, when: datetime | None, limit: int, before: str | None) -> None:
    """Show what happened to an endpoint, newest first."""
    with session.workspace() as workspace:
        if when is None:
            answer_history(session.output, workspace.endpoints.history(name, limit=limit, before=before))
            return
        answer = workspace.endpoints.at(name, when)
    session.output.answer(answer, [answer.message], [answer.published] if answer.published else [])


@endpoint.command()
@click.argument("name")
@click.argument("new")
def rename(session: Session, name: str, new: str) -> None:
    """Give an endpoint another name; its id stays."""
    with session.workspace() as workspace:
        one = workspace.endpoints.rename(name, new)
    session.output.answer(one, [f"{name} is now {one.name}"], [one.id])


@endpoint.command()
@click.argument("name")
def delete(session: Session, name: str) -> None:
    """Delete an endpoint; its published pipelines and runs stay."""
    with session.workspace() as workspace:
        one = workspace.endpoints.delete(name)
    session.output.answer(one, [f"deleted {one.name}"], [one.id])


@endpoint.command("set-default")
@click.argument("name")
@click.argument("version", metavar="V")
@click.option("--expect", metavar="VERSION", help="Move only if this is the default now.")
@click.option("--reason", default="", help="Why; kept in the history.")
def set_default(session: Session, name: str, version: str, expect: str | None, reason: str) -> None:
    """Move the default to a version."""
    with session.workspace() as workspace:
        outcome = workspace.endpoints.set_default(name, version, expect=expect, reason=reason)
    was = "" if outcome.from_ is None else f", was {outcome.from_}"
    line = f"{outcome.endpoint.name}@{outcome.to} is now the default{was}"
    if not outcome.moved:
        line = f"{outcome.endpoint.name}@{outcome.to} is the default already"
    session.output.answer(outcome, [line], [outcome.to])


@endpoint.command()
@click.argument("name")
@click.option("--expect", metavar="VERSION", help="Roll back only if this is the default now.")
@click.option("--reason", default="", help="Why; kept in the history.")
def rollback(session: Session, name: str, expect: str | None, reason: str) -> None:
    """Take back the last move of the default."""
    with session.workspace() as workspace:
        outcome = workspace.endpoints.rollback(name, expect=expect, reason=reason)
    line = f"{outcome.endpoint.name} is rolled back from {outcome.from_} to {outcome.to}"
    session.output.answer(outcome, [line], [outcome.to])


@endpoint.command()
@click.argument("name")
@click.option("--public", "access_", flag_value="public", help="Take triggers by HTTP without a token.")
@click.option("--private", "access_", flag_value="private", help="Ask for a token, as for every endpoint at first.")
def access(session: Session, name: str, access_: Access | None) -> None:
    """Say who may trigger an endpoint by HTTP; everything else about it stays closed."""
    if access_ is None:
        raise UsageError("say `--public` or `--private`")
    with session.workspace() as workspace:
        one = workspace.endpoints.access(name, access_)
    who = "whoever reaches the server" if one.access == "public" else "only who has a token for it"
    session.output.answer(one, [f"{one.name} is {one.access}: {who} may trigger it by HTTP"], [one.access])


@endpoint.command()
@click.argument("name")
@click.option("--window", callback=read_duration, metavar="DURATION", help="How long it is the same run, like 10m.")
@click.option("--off", is_flag=True, help="Let each be a new run, as at first.")
def deduplicate(session: Session, name: str, window: float | None, off: bool) -> None:
    """Let the same request by HTTP be the same run for a while.

    It is for callers that send no idempotency key and try again: with a key, a request is one run for ever.
    """
    if (window is None) is not off:
        raise UsageError("say `--window DURATION` or `--off`")
    with session.workspace() as workspace:
        one = workspace.endpoints.deduplicate(name, window)
    session.output.answer(one, [f"{one.name}: {_deduplication(one)}"], [one.id])


gate_commands(
    endpoint,
    "NAME[@V]",
    lambda workspace: workspace.endpoints,
    closes="Refuse every trigger of an endpoint, or of one version of it.",
    opens="Let triggers pass again; other gates stay as they are.",
)


_CLOSED = {"version_disabled": "default is disabled", "pipeline_disabled": "pipeline of the default is disabled"}
"""What an endpoint that is open itself is closed by."""


def _deduplication(one: EndpointRecord) -> str:
    if one.deduplication_window is None:
        return "each request by HTTP without a key is a new run"
    return f"the same request by HTTP within {duration_text(one.deduplication_window)} is the same run"


def _row(one: EndpointRecord) -> tuple[object, ...]:
    targets = " ".join(sorted({version.target for version in one.versions}))
    count = f"{len(one.versions)} (+{one.hidden_versions} closed)" if one.hidden_versions else len(one.versions)
    state = _CLOSED.get(one.refused or "", state_text(one.enabled))
    return one.name, one.default or "none", count, state, targets, moment_text(one.modified)


def _version_row(one: VersionRecord, default: str | None) -> tuple[object, ...]:
    state = state_text(one.enabled)
    if one.gate is not None:
        state = f"{state} {gate_text(one.gate)}"
    if not one.published_enabled:
        state = f"{state}, its pipeline is disabled"
    name = f"{one.version} (default)" if one.version == default else one.version
    return name, f"{one.pipeline}:{one.label}", one.target, state, moment_text(one.created), one.published
