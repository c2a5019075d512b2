"""Law 12 for registries that are copied: what is decided in a copy would be lost, and by two names ruins a file."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from attrs import evolve
from laws.error_codes import refusal
from laws.marks import python_only

from penstock.config import Setting
from penstock.errors import PenstockError
from penstock.testing.helpers.setup import set_up, unique
from penstock.testing.laws import same
from penstock.workspace import Workspace

pytestmark = python_only


def test_a_copy_without_its_state_decides_nothing(harness):
    """Is everything refused that a copy of a registry could decide, and nothing followed there, and all of it shown?"""
    registry = harness.new_registry()
    with harness.workspace(registry) as ws:
        published = set_up(harness, ws, unique("copied")).record
        ws.endpoints.create("copied", published.id)
        run = ws.runs.submit("copied").run
        file = ws.config.registry.value
        place = harness.folder / unique("elsewhere")
        place.mkdir()
        ws.admin.backup(place / "copy.db")
        with _opened(harness, place / "copy.db") as copy:
            _decides_nothing(copy, "registry_copied", "in a copy that lies apart from its state")
            same(12, copy.runs.list().items[0].state, run.state, "what a copy shows of a run")
            with suppress(PenstockError):
                copy.runs.wait(run.id, timeout=0.5)
            same(12, copy.runs.get(run.id).state, run.state, "a run in a copy, after somebody waited for it there")
        same(12, harness.wait(ws, run.id).state, "succeeded", "a run in the original, after its copy was looked at")
        same(12, file.exists(), True, "whether the original is there")


def test_a_registry_with_two_names_decides_nothing(harness):
    """Is everything refused that could be decided by either name of a registry's file, until one of them is gone?"""
    with harness.workspace() as ws:
        ws.endpoints.create("copied", set_up(harness, ws, unique("linked")).record.id)
        other = harness.folder / f"{unique('linked')}.db"
        shutil.rmtree(other, ignore_errors=True)
        os.link(ws.config.registry.value, other)
        _decides_nothing(ws, "registry_linked", "where a registry's file has another name as well")
        other.unlink()
        same(12, ws.endpoints.disable("copied").changed, True, "whether a decision is one once the other name is gone")


def _decides_nothing(ws: Workspace, code: str, where: str) -> None:
    """Ask for one decision of each kind."""
    for what, change in (
        ("a trigger", lambda: ws.runs.submit("copied")),
        ("a gate", lambda: ws.endpoints.disable("copied")),
        ("another name", lambda: ws.endpoints.rename("copied", "other")),
        ("a token", lambda: ws.tokens.create("cron", scope="read")),
    ):
        refusal(12, code, f"{what} {where}", change)
    same(12, ws.endpoints.get("copied").name, "copied", f"an endpoint {where}")


def _opened(harness, file: Path) -> Workspace:
    """A workspace on a registry in a folder of its own."""
    config = harness.subject.config
    return Workspace(evolve(config, home=file.parent / ".penstock", registry=Setting(file, "law")), actor="ada")
