"""From what a person writes to the rows it names, or to an error that says what there is instead."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from sqlite3 import Row
from typing import Literal

from penstock.errors import Conflict, NotFound, UsageError, did_you_mean
from penstock.records import EndpointRecord, RunRecord
from penstock.registry.database import Transaction
from penstock.registry.rows import (
    PUBLISHED,
    RUNS,
    VERSIONS,
    endpoint_record,
    format_time,
    published_ref,
    run_record,
    to_json,
)
from penstock.spec.names import name_problem, normal

_SHOWN = 8
_NEAR = 2_000
"""How many names are looked at for a near one; past that a typo costs more than a hint is worth."""

PREFIX = 6
"""The least characters of a run's id that name it."""


def check_name(what: str, name: str) -> None:
    """Refuse what cannot be a name, see `name_problem`. Raises UsageError."""
    problem = name_problem(f"the {what}", name)
    if problem is not None:
        raise UsageError(problem, code="name_invalid")


def check_endpoint_name(name: str) -> None:
    """Refuse for an endpoint also what a caller would read as a spec file. Raises UsageError."""
    check_name("name of an endpoint", name)
    if name.lower().endswith((".yaml", ".yml")):
        raise UsageError(
            f"`{name[:40]}` cannot be the name of an endpoint: it reads as a spec file", code="name_invalid"
        )


def whole_number(text: str) -> int | None:
    """The number that a version or an integer label writes, or None when the text is not one."""
    return int(text) if re.fullmatch(r"0|[1-9][0-9]{0,17}", text, re.ASCII) else None


def find_endpoint(tx: Transaction, ref: str, *, deleted: bool = False) -> Row | None:
    """The row of an endpoint: by live name, else by id; with `deleted` also what is no more, the latest first.

    A name is found in whichever Unicode form it is written.
    """
    ref = normal(ref)
    found = tx.one("SELECT * FROM endpoints WHERE name = ? AND deleted IS NULL", ref)
    if found is None:
        found = tx.one(f"SELECT * FROM endpoints WHERE id = ?{'' if deleted else ' AND deleted IS NULL'}", ref)
    if found is None and deleted:
        found = tx.one("SELECT * FROM endpoints WHERE name = ? ORDER BY seq DESC LIMIT 1", ref)
    return found


def refuse_unfinished(tx: Transaction, column: Literal["endpoint", "published"], row: Row, what: str) -> None:
    """Refuse to delete what an unfinished run came through. Raises Conflict `in_use`."""
    run = tx.one(
        f"SELECT id FROM runs INDEXED BY runs_unfinished WHERE ended IS NULL AND {column} = ? LIMIT 1", row["seq"]
    )
    if run is not None:
        raise Conflict(
            f"{what} cannot be deleted while run {run['id']} is unfinished; wait for it or cancel it", code="in_use"
        )


def need_endpoint(tx: Transaction, ref: str) -> Row:
    """The row of a live endpoint. Raises NotFound `endpoint_not_found`."""
    found = find_endpoint(tx, ref)
    if found is None:
        raise endpoint_missing(tx, ref)
    return found


def endpoint_missing(tx: Transaction, ref: str) -> NotFound:
    """The error for an endpoint that is not there, with what is."""
    gone = tx.one(
        "SELECT name, deleted FROM endpoints WHERE deleted IS NOT NULL AND ? IN (id, name) ORDER BY seq DESC", ref
    )
    if gone is not None:
        what = f"endpoint `{gone['name']}` was deleted, {format_time(gone['deleted'])}"
        return NotFound(what, code="endpoint_not_found")
    rows = tx.all("SELECT name FROM endpoints WHERE deleted IS NULL ORDER BY seq DESC LIMIT ?", _NEAR)
    hint = did_you_mean(ref, [row["name"] for row in rows]) or "there are none yet"
    return NotFound(f"no endpoint `{ref}` ({hint})", code="endpoint_not_found")


def check_revision(what: str, row: Row, expected: int | None) -> None:
    """Refuse when a thing is not at the revision that the caller saw. Raises Conflict `revision_changed`."""
    if expected is not None and row["revision"] != expected:
        raise Conflict(
            f"{what} has revision {row['revision']}, not {expected}; look at it again before changing it",
            code="revision_changed",
        )


def need_version(tx: Transaction, endpoint: Row, version: str) -> Row:
    """The row of VERSIONS that an endpoint has under a number. Raises NotFound `version_not_found`."""
    number = whole_number(version)
    found = None
    if number is not None:
        found = tx.one(f"{VERSIONS} WHERE v.endpoint = ? AND v.version = ?", endpoint["seq"], number)
    if found is None:
        last = endpoint["next_version"] - 1
        known = "it has only 0" if last == 0 else f"it has 0 to {last}"
        said = version.strip() or "without a number"
        raise NotFound(f"endpoint `{endpoint['name']}` has no version {said} ({known})", code="version_not_found")
    return found


def all_versions(tx: Transaction, endpoint: int) -> list[Row]:
    """Every row of VERSIONS of an endpoint, in order."""
    return tx.all(f"{VERSIONS} WHERE v.endpoint = ? ORDER BY v.version", endpoint)


def find_published(tx: Transaction, ref: str, *, deleted: bool = False) -> list[Row]:
    """Every row of PUBLISHED that an id, `name:label` or `name:label@target` names; with `deleted` the dead too."""
    alive = "" if deleted else " AND p.deleted IS NULL"
    ref = normal(ref)
    name, colon, rest = ref.partition(":")
    if not colon:
        return tx.all(f"{PUBLISHED} WHERE p.id = ?{alive}", ref)
    label, _, target = rest.partition("@")
    rows = tx.all(f"{PUBLISHED} WHERE p.name = ? AND p.label = ?{alive} ORDER BY p.seq DESC", name, label)
    return [row for row in rows if target in ("", row["target"])]


def need_published(tx: Transaction, ref: str) -> Row:
    """The row of a live published pipeline. Raises NotFound `pipeline_not_found`, Conflict `ambiguous`."""
    found = find_published(tx, ref)
    if len(found) > 1:
        choices = _listed(f"`{published_ref(row)}` ({row['id']})" for row in found)
        raise Conflict(f"`{ref}` names {len(found)} published pipelines; say which: {choices}", code="ambiguous")
    if not found:
        rows = tx.all(
            "SELECT DISTINCT name, label FROM published WHERE deleted IS NULL ORDER BY seq DESC LIMIT ?", _NEAR
        )
        hint = did_you_mean(ref, [f"{row['name']}:{row['label']}" for row in rows]) or "there are none yet"
        raise NotFound(f"no published pipeline `{ref}` ({hint})", code="pipeline_not_found")
    return found[0]


def need_run(tx: Transaction, ref: str) -> Row:
    """The row of RUNS that an id or its first characters name.

    Raises NotFound `run_not_found`, Conflict `ambiguous`.
    """
    found = tx.one(f"{RUNS} WHERE r.id = ?", ref)
    if found is not None:
        return found
    rows = []
    if len(ref) >= PREFIX:
        rows = tx.all(f"{RUNS} WHERE r.id >= ? AND r.id < ? LIMIT ?", ref, ref + "\U0010ffff", _SHOWN + 1)
    if len(rows) > 1:
        choices = _listed(row["id"] for row in rows)
        raise Conflict(f"`{ref}` begins the id of several runs: {choices}", code="ambiguous")
    if not rows:
        hint = f"; give the id or at least its first {PREFIX} characters" if len(ref) < PREFIX else ""
        raise NotFound(f"no run `{ref}`{hint}", code="run_not_found")
    return rows[0]


def get_endpoint(tx: Transaction, ref: str, *, all: bool = True) -> EndpointRecord:
    """One endpoint by name or id, with its versions. Raises NotFound."""
    row = need_endpoint(tx, ref)
    return endpoint_record(row, all_versions(tx, row["seq"]), all=all)


def run_is_within(tx: Transaction, run_id: str, endpoints: Collection[str]) -> bool:
    """Whether a whole id names a run that came through one of these endpoints, by their ids."""
    row = tx.one("SELECT e.id FROM runs r JOIN endpoints e ON e.seq = r.endpoint WHERE r.id = ?", run_id)
    return row is not None and row["id"] in endpoints


def get_run(tx: Transaction, ref: str) -> RunRecord:
    """One run by its id or at least 6 of its first characters. Raises NotFound, Conflict `ambiguous`."""
    return record_of(tx, need_run(tx, ref))


def record_of(tx: Transaction, run: Row) -> RunRecord:
    """The record of a row of RUNS."""
    return run_record(run, tx.all("SELECT * FROM run_steps WHERE run = ? ORDER BY position", run["seq"]))


THESE = "(SELECT value FROM json_each(?))"
"""Several numbers as one JSON value, because a statement takes only so many question marks."""


def parts_of(tx: Transaction, query: str, column: str, wholes: Sequence[Row]) -> dict[int, list[Row]]:
    """The rows of a query that belong to each of some rows, by the number in a column; THESE are all of them."""
    found: dict[int, list[Row]] = {whole["seq"]: [] for whole in wholes}
    for row in tx.all(query, to_json(list(found))):
        found[row[column]].append(row)
    return found


def _listed(words: Iterable[str]) -> str:
    every = list(words)
    return ", ".join(every[:_SHOWN]) + (" and more" if len(every) > _SHOWN else "")
