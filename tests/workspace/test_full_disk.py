"""Submits at the edge of a full disk: who is told that nothing was changed may try again, and there is one run each."""

from __future__ import annotations

from collections import Counter

import pytest
from tests.faulty_disk import fill, small_disk

from penstock.errors import RegistryError
from penstock.registry import RunQuery
from penstock.workspace import Workspace

SPEC = """\
apiVersion: penstock/v1
kind: Pipeline
name: tally
parameters:
  key: {type: string}
  file: {type: string}
steps:
  count: {command: [sh, -c, 'echo "$1" >> "$2"', sh, "${{ parameters.key }}", "${{ parameters.file }}"]}
"""

PAGES = (0, 1, 2, 3, 5, 8, 12, 16, 20, 24, 28, 33, 40, 60)
"""How many pages of 4096 bytes are free as a submit begins; a submit needs about 30 where the log begins anew."""


@pytest.fixture
def disk(tmp_path):
    with small_disk(tmp_path / "disk", "48m") as disk:
        yield disk


@pytest.mark.parametrize("full", ["registry", "root"])
def test_every_key_has_one_run_which_runs_once(disk, tmp_path, full, engines_end):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    home, root = (disk, elsewhere / "root") if full == "registry" else (elsewhere, disk / "root")
    (home / "penstock.yaml").write_text(f"targets: {{laptop: {{backend: local, root: {root}, idle: 2s}}}}\n")
    (home / "tally.yaml").write_text(SPEC)
    tally, changed = tmp_path / "tally", {}
    with Workspace.open(home, actor="ada") as ws:
        ws.publish(home / "tally.yaml", endpoint="tally")

        def submit(key: str):
            return ws.runs.submit("tally", parameters={"key": key, "file": str(tally)}, idempotency_key=key)

        ws.run(submit("warm").run.id).wait(timeout=60)
        ws._services.outbox.give_time()
        with pytest.MonkeyPatch.context() as hasty:
            hasty.setattr("penstock.dispatch.outbox.PATIENCE", 0.3)
            for number in range(2 * len(PAGES)):
                key = f"k{number}"
                fill(disk, leave=PAGES[number % len(PAGES)] * 4096)
                try:
                    done = submit(key)
                    assert all("nothing was changed" not in said for said in done.warnings)
                    changed[key] = done.run.id
                except RegistryError as error:
                    assert error.code == "registry_disk_full"
                    assert "nothing was changed" in str(error)
        (disk / "ballast").unlink()
        there = {run.idempotency_key: run.id for run in ws._services.registry.runs.list(RunQuery(limit=500)).items}
        assert there == {"warm": there["warm"], **changed}, "what was not changed is not there"
        ws._services.registry.outbox.reached("laptop")
        with ws._services.registry.write() as tx:
            tx.run("UPDATE outbox SET due = 1")
        for number in range(2 * len(PAGES)):
            again = submit(f"k{number}").run.id
            assert changed.setdefault(f"k{number}", again) == again
        for run in changed.values():
            assert ws.runs.wait(run, timeout=60).state == "succeeded"
        assert ws.admin.check().ok
    assert Counter(tally.read_text().split()) == Counter(["warm", *changed])
    engines_end(tmp_path)
