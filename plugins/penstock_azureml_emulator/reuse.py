"""Results of steps that are used again: Azure ML does not run a deterministic step that has run with the same inputs.

Sources: `is_deterministic` (true unless said otherwise) in Azure ML's reference of command components, `force_rerun` in
that of pipeline jobs; the names of the properties are those that azure-ai-ml reads. What makes two steps the same is a
guess: what is run, with what, and where its outputs are to go.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from penstock_emulator.store import Store

TABLES = "create table if not exists reuse (key text primary key, run text not null, outputs text not null);"

_NAMES = frozenset({"name", "version", "display_name", "description", "tags", "properties", "_source", "$schema"})
"""What of a component makes no difference to what it does."""


class Reuse:
    """Which run of a step gave which outputs."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def find(self, key: str) -> tuple[str, dict[str, Any]] | None:
        """The run with this key, and its outputs."""
        row: Any = self._store.row("select run, outputs from reuse where key = ?", key)
        return (row[0], json.loads(row[1])) if row else None

    def keep(self, key: str, run: str, outputs: dict[str, Any]) -> None:
        """Note what a run gave."""
        self._store.run("insert or replace into reuse values (?, ?, ?)", key, run, json.dumps(outputs))

    def forget(self, run: str) -> None:
        """A run that is deleted is used no more."""
        self._store.run("delete from reuse where run = ?", run)


def key_of(node: dict[str, Any], inputs: dict[str, Any], places: dict[str, str], settings: dict[str, Any]) -> str:
    """What two steps have in common that are the same; nothing for one that always runs.

    `places` are those of outputs that were given one.
    """
    spec = node["spec"]
    always = str(settings.get("force_rerun")).lower() == "true"
    if always or str(spec.get("is_deterministic", True)).lower() == "false":
        return ""
    facts = {
        "spec": {key: value for key, value in spec.items() if key not in _NAMES},
        "variables": node.get("environment_variables"),
        "places": places,
        "inputs": inputs,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
