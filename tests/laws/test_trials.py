"""Laws 3, 4, 6, 8, 10 and 12 for trial runs: they come straight from a spec file, and nothing is published."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import Any

from laws.ending import canceled_after
from laws.error_codes import refusal
from laws.handover import AtHandOver
from laws.marks import python_only, with_files

from penstock.codec import to_yaml
from penstock.contract.hooks import hookimpl
from penstock.contract.target import Publication
from penstock.errors import TargetUnavailable
from penstock.snapshot import Snapshot
from penstock.testing.harness import Harness
from penstock.testing.helpers.setup import set_up, unique
from penstock.testing.laws import same
from penstock.testing.probes.pipelines import variant

pytestmark = with_files


def test_a_trial_runs_its_file(harness):
    """Does a trial run what its file says at that moment, and say so, also when the file says something else later?"""
    with harness.workspace() as ws:
        runs = []
        said: dict[str, Any] = {"experiment": "trials", "description": "of the flood", "tags": {"by": "ada"}}
        for word, target in zip("ab", (harness.subject.target, harness.subject.other), strict=True):
            file = _written(harness, word)
            runs.append((word, ws.runs.submit(str(file), parameters={"depth": 5}, target=target, **said).run))
            same(4, runs[-1][1].target, target, "where a trial runs")
        file.unlink()
        for word, run in runs:
            words = {"experiment": run.experiment, "description": run.description, "tags": dict(run.tags)}
            same(10, words, said, "what its caller said of a trial")
            ended = harness.wait(ws, run.id, 4)
            found = (ended.resolved_from, ended.endpoint, ended.version, ended.published)
            same(4, found, ("file", None, None, None), "what a trial says that it came through")
            same(4, ended.outputs, {"which": word, "args": [word, "5"]}, "what a trial gives")
            rows = [(row.action, row.from_) for row in ws.admin.history(subject=run.id).items]
            same(10, rows[-1:], [("run_accepted", "file")], "the first row of a trial in the history")
        same(4, ws.pipelines.list(all=True).items, (), "what is published after trials")
        again = harness.wait(ws, ws.runs.rerun(runs[0][1].id).run.id, 4)
        same(4, again.outputs, {"which": "a", "args": ["a", "5"]}, "what a rerun of the first trial gives")


@python_only
def test_a_trial_is_checked_first(harness):
    """Is a trial with wrong parameters, or with a key that has its run, decided before the target gets anything?"""
    heard = _Heard()
    with harness.workspace(plugins=[("heard", heard)]) as ws:
        file = str(_written(harness, unique("wrong")))
        submit = partial(ws.runs.submit, file, idempotency_key="k")
        refusal(6, "parameter_invalid", "a trial with wrong parameters", submit, parameters={"depth": 99, "dept": 1})
        same(6, heard.told, [], "what the target was asked about a trial whose parameters are wrong")
        run = submit(parameters={"depth": 5}).run
        told = list(heard.told)
        again = submit(parameters={"depth": 5})
        same(8, (again.run.id, again.replayed), (run.id, True), "the run of a trial's key")
        conflict = partial(refusal, 8, "idempotency_conflict")
        conflict("a trial's key with another value", submit, parameters={"depth": 6})
        conflict("a trial's key for another target", submit, parameters={"depth": 5}, target=harness.subject.other)
        _written(harness, unique("other"))
        conflict("a trial's key with another content of its file", submit, parameters={"depth": 5})
        same(8, heard.told, told, "what the target was asked about a trial whose key has its run")
        harness.wait(ws, run.id, 8)


@python_only
def test_a_trial_is_kept(harness):
    """Is a trial handed over in the end whose target was away at first?"""
    held = AtHandOver()

    def stay_away() -> None:
        raise TargetUnavailable("away for a moment", retry_after=0.001)

    with harness.workspace(plugins=[("held", held)]) as ws:
        held.once(stay_away)
        run = ws.runs.submit(str(_written(harness, "a"))).run
        ended = harness.wait(ws, run.id)
        same(12, (ended.state, ended.error), ("succeeded", None), "a trial whose target was away at first")


@python_only
def test_a_trial_keeps_what_it_runs(harness):
    """Does a target keep what an unfinished trial runs, when what is published with the same content is deleted?"""
    heard = _Heard()
    with harness.workspace(plugins=[("heard", heard)]) as ws:
        word = unique("kept")
        published = set_up(harness, ws, word)
        run = ws.submit(str(_written(harness, word)), parameters={"seconds": 600.0})
        with canceled_after(harness, ws, [run]):
            published.delete()
            same(3, heard.retired, [], "what the target was told to forget while a trial runs it")


class _Heard:
    """A plugin that notes what a target is asked to take, and told to forget."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.retired: list[str] = []

    @hookimpl(wrapper=True)
    def penstock_publish_pipeline(self, snapshot: Snapshot) -> Generator[None, Publication, Publication]:
        """Note, and let it happen."""
        self.told.append(snapshot.digest)
        return (yield)

    @hookimpl(wrapper=True)
    def penstock_submit_run(self) -> Generator[None, object, object]:
        """Note, and let it happen."""
        self.told.append("a run")
        return (yield)

    @hookimpl(wrapper=True)
    def penstock_retire_pipeline(self, publication: Publication) -> Generator[None, bool, bool]:
        """Note, and let it happen."""
        self.retired.append(publication.external)
        return (yield)


def _written(harness: Harness, word: str) -> Path:
    """The spec file of the `variant` of a word; there is one for all of them."""
    file = harness.spec_folder / "trial.yaml"
    file.write_text(to_yaml(variant(harness.subject.python, word)))
    return file
