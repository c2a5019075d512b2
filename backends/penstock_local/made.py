"""Where what a run made lies: below the root as it is now. Paths were noted where the root lay then.

A root that was moved has its artifacts where it lies by now, and a copy has its own: never is anything read where the
original lies.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from penstock.contract.artifacts import ArtifactPlace
from penstock.errors import PenstockError
from penstock.spec.command import sole_reference
from penstock_local import store
from penstock_local.layout import Layout

_ARTIFACTS = ("file", "directory")


def here(layout: Layout, run: str, noted: str) -> str | None:
    """The path below this root of what was noted as made by a run; None of what no attempt of it could have made."""
    words = PurePosixPath(noted).parts
    if not noted.startswith("/") or len(words) < 6 or ".." in words[-2:]:  # see the next line
        return None
    above, of_run, kind, attempt, name = words[-5:]
    if (above, of_run, kind) != (layout.runs.name, run, "outputs"):
        return None
    return f"{layout.run(run)}/{kind}/{attempt}/{name}"


def place_of(layout: Layout, run: str, reported: str) -> ArtifactPlace:
    """Where an artifact lies that was reported; what is none of this run's lies nowhere below the root."""
    return ArtifactPlace(here(layout, run, reported) or reported, below=layout.root)


def placed(layout: Layout, run: str, outputs: Mapping[str, str], types: Mapping[str, str]) -> dict[str, str]:
    """Texts of outputs, with the paths that artifacts have in this root."""
    return {
        name: (here(layout, run, text) or text) if types.get(name) in _ARTIFACTS else text
        for name, text in outputs.items()
    }


class Made:
    """The outputs of one job of the queue, with paths below this root.

    Only where something was noted under another root is the job's plan asked which outputs are artifacts. It may be
    gone by now; then what has the form of an artifact's path is one.
    """

    def __init__(self, layout: Layout, job: sqlite3.Row) -> None:
        self._layout = layout
        self._job = job
        self._known: tuple[dict[str, dict[str, str]], dict[str, str]] | None = None

    def by_step(self, step: str, outputs: Mapping[str, str]) -> dict[str, str]:
        """The outputs of a step."""
        if not self._lay_elsewhere(outputs):
            return dict(outputs)
        types = self._types()
        return self._placed(outputs, types and types[0].get(step, {}))

    def by_run(self, outputs: Mapping[str, str]) -> dict[str, str]:
        """The outputs of the pipeline."""
        if not self._lay_elsewhere(outputs):
            return dict(outputs)
        types = self._types()
        return self._placed(outputs, types and types[1])

    def _placed(self, outputs: Mapping[str, str], types: Mapping[str, str] | None) -> dict[str, str]:
        known = dict.fromkeys(outputs, "file") if types is None else types
        return placed(self._layout, self._job["id"], outputs, known)

    def _lay_elsewhere(self, outputs: Mapping[str, str]) -> bool:
        return any(here(self._layout, self._job["id"], text) not in (None, text) for text in outputs.values())

    def _types(self) -> tuple[dict[str, dict[str, str]], dict[str, str]] | None:
        """The types of the steps' outputs and of the pipeline's; None when nobody knows them any more."""
        if self._known is None:
            try:
                plan = store.read_plan(self._layout, self._job["publication"])
            except PenstockError:
                return None
            self._known = _types_in(plan)
        return self._known


def _types_in(plan: Mapping[str, Any]) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    of_steps = {step["name"]: dict(step["outputs"]) for step in plan["steps"]}
    of_run = {}
    for name, text in plan["outputs"].items():
        reference = sole_reference(text)
        if reference is not None:
            step, _, output = reference.names
            of_run[name] = of_steps[step][output]
    return of_steps, of_run
