"""Artifacts of a run into a destination: what its engine noted of an output, which lies in the run's own folder."""

from __future__ import annotations

from pathlib import Path

from penstock.contract.artifacts import Destination
from penstock.contract.local_artifacts import send
from penstock.contract.run import RunRef
from penstock.contract.target import Target
from penstock.errors import NotFound
from penstock_local import database, made, queue, reports
from penstock_local.layout import Layout


def fetch(target: Target, run: RunRef, name: str, destination: Destination) -> None:
    """Put an artifact into a destination. Raises NotFound."""
    layout = Layout.of(target)
    with database.opened_if_there(layout) as connection:
        job = queue.job(connection, run.id) if connection else None
    if job is None:
        raise reports.unknown(layout, run.id)
    found = reports.run_outputs(layout, job, run.id).outputs
    path = made.here(layout, run.id, found.get(name, ""))
    if path is None:  # it has none, or a value
        raise NotFound(f"the run `{run.id}` made no artifact `{name}` on this target", code="output_not_found")
    send(Path(path), destination, below=layout.root)
