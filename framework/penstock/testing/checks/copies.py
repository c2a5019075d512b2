"""Laws 12 and 13 for workspaces that are copied or moved: what runs is the original's, what was made goes along."""

from __future__ import annotations

import os
import shutil
import stat
import time
from contextlib import suppress
from pathlib import Path

from attrs import evolve

from penstock.contract.run import ENDED
from penstock.errors import PenstockError
from penstock.records import RunRecord
from penstock.spec import Defaults, Pipeline, Step
from penstock.testing.checking import check
from penstock.testing.harness import Harness, executions
from penstock.testing.helpers.setup import set_up, unique
from penstock.testing.laws import LawBroken, same
from penstock.testing.probes.pipelines import probe
from penstock.testing.subject import Subject
from penstock.workspace import Workspace

_PAUSE = 0.02
"""Seconds between looks."""
_TEXT = "taken along"
_GLANCE = 0.5
"""Seconds that somebody waits in the copy for what does not end there."""


@check(13, needs=("penstock_cancel_run",))
def copies_touch_nothing(harness: Harness) -> None:
    """Does what runs in a workspace go on, and run once, when somebody looks at a copy of the workspace?"""
    marks = harness.counting()
    original, copy = (_at(harness.subject, harness.folder / unique(word)) for word in ("original", "copy"))
    original.config.home.mkdir(mode=0o700, parents=True)
    with original.open() as ws:
        published = set_up(harness, ws, unique("copied"))
        run = published.submit(parameters={"seconds": 600, "marks": "" if marks is None else str(marks)}).id
        try:
            _until_it_runs(harness, ws, run)
            _copy(original.config.home, copy.config.home)
            _look(copy, run)
            # Another one after it: by then a step that was ended has been missed.
            same(13, harness.wait(ws, published.submit().id).state, "succeeded", "a run after a copy was looked at")
            same(13, ws.runs.get(run).state, "running", "what runs, after somebody looked at a copy of its workspace")
            if marks is not None:
                same(13, executions(marks), {"tell": 1}, "how often its step ran")
        finally:
            with suppress(PenstockError):  # what has ended by mistake cannot be canceled, and is told above
                ws.runs.cancel(run)
        same(13, harness.wait(ws, run).state, "canceled", "what ran, once it is asked to end in its own workspace")


@check(12, needs=("penstock_fetch_artifact",))
def moved_with_the_workspace(harness: Harness) -> None:
    """Is what a run came to, and every file that it made, still there when its workspace lies somewhere else?"""
    there, here = (_at(harness.subject, harness.folder / unique(word)) for word in ("there", "here"))
    there.config.home.mkdir(mode=0o700, parents=True)
    words = ("put", "${{ outputs.note }}", _TEXT, "count", "2", "${{ outputs.count }}")
    make = Step(command=probe(harness.subject.python, *words), outputs={"note": "file", "count": "integer"})
    outputs = {name: f"${{{{ steps.make.outputs.{name} }}}}" for name in make.outputs}
    pipeline = Pipeline(name="moved", defaults=Defaults(code="./src"), steps={"make": make}, outputs=outputs)
    with there.open() as ws:
        run = harness.wait(ws, set_up(harness, ws, pipeline).submit().id)
        same(12, run.state, "succeeded", "a run that makes a file")
    there.config.home.parent.rename(here.config.home.parent)
    with here.open() as ws:
        found = ws.runs.get(run.id)
        came_to = found.state, found.outputs["count"]
        same(12, came_to, ("succeeded", 3), "what a run came to whose workspace was moved")
        folder = harness.folder / unique("downloaded")
        try:
            ws.runs.download(run.id, folder)
        except PenstockError as error:
            raise LawBroken(12, f"a file that a run made is gone with the place of its workspace: {error}") from None
        same(12, (folder / "note").read_text(), _TEXT, "a file that a run made whose workspace was moved")


CHECKS = (copies_touch_nothing, moved_with_the_workspace)
"""What is asked here."""


def _at(subject: Subject, folder: Path) -> Subject:
    """The same targets for a workspace in another folder."""
    return evolve(subject, config=evolve(subject.config, home=folder / ".penstock"))


def _until_it_runs(harness: Harness, ws: Workspace, run: str) -> None:
    deadline = time.monotonic() + harness.profile.patience
    while not _runs(found := ws.runs.get(run)):
        if found.state in ENDED or time.monotonic() > deadline:
            raise LawBroken(12, f"run {run} is `{found.state}`, and its step, which waits for long, does not run")
        time.sleep(_PAUSE)


def _runs(record: RunRecord) -> bool:
    return any(step.state == "running" for step in record.steps)


def _look(copy: Subject, run: str) -> None:
    """Look at a run in every way that asks its target. What that answers in a copy is the backend's own business."""
    with copy.open() as ws:
        for way in (
            lambda: ws.runs.get(run),
            lambda: ws.runs.list(),
            lambda: ws.runs.wait(run, timeout=_GLANCE, watch=lambda seen: None),
            lambda: list(ws.runs.logs(run)),
            lambda: ws.runs.outputs(run),
        ):
            with suppress(PenstockError):
                way()


def _copy(folder: Path, to: Path) -> None:
    """Copy a folder that is in use, as people do; what goes away meanwhile is not there."""
    for path, _, names in os.walk(folder):
        there = to / os.path.relpath(path, folder)
        there.mkdir(mode=0o700, parents=True)
        for name in names:
            source = Path(path, name)
            with suppress(FileNotFoundError):
                if stat.S_ISFIFO(source.lstat().st_mode):
                    os.mkfifo(there / name, 0o600)
                elif not stat.S_ISSOCK(source.lstat().st_mode):
                    shutil.copy2(source, there / name, follow_symlinks=False)
