"""Artifacts of a run into a destination: what its engine noted of an output, which lies in the run's own folder."""

from __future__ import annotations

from pathlib import Path

from penstock.contract.artifacts import Destination
from penstock.contract.local_artifacts import send
from penstock.contract.run import RunRef
from penstock.contract.target import Target
from penstock.errors import NotFound
from penstock_local import database, queue, reports
from penstock_local.layout import Layout


def fetch(target: Target, run: RunRef, name: str, destination: Destination) -> None:
    """Put an artifact into a destination. Raises NotFound."""
    layout = Layout.of(target)
    with database.opened_if_there(layout) as connection:
        found = reports.run_outputs(queue.job(connection, run.id) if connection else None, run.id).outputs
    path = Path(found.get(name, ""))
    if layout.run(run.id) not in path.parents or ".." in path.parts:  # it has none, or a value
        raise NotFound(f"the run `{run.id}` made no artifact `{name}` on this target", code="output_not_found")
    send(path, destination, below=layout.root)
