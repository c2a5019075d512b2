"""Law 1: what is published never changes, whoever compiles it again, edits its code or deletes its name."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path

from attrs import evolve

from penstock.contract.hooks import hookimpl
from penstock.contract.target import Publication
from penstock.errors import PenstockError
from penstock.spec import Defaults, Parameter, Pipeline, Step
from penstock.testing.checking import check
from penstock.testing.harness import Harness
from penstock.testing.helpers.directly import put
from penstock.testing.helpers.setup import set_up, unique
from penstock.testing.laws import require, same
from penstock.testing.probes import probe
from penstock.testing.probes.pipelines import probe as command
from penstock.testing.probes.pipelines import variant
from penstock.testing.processes.subprocesses import in_subprocess
from penstock.testing.profiles import DEFAULT
from penstock.testing.subject import Subject

_SPOIL = """import sys
open(sys.argv[2], "w").write(open(sys.argv[1]).read())
try:
    open(sys.argv[1], "w").write("spoiled")
except OSError:
    pass"""
"""A step that says what it read, and then writes there, where it can."""


@check(1)
def published_alike(harness: Harness) -> None:
    """Does publishing the same snapshot again, here or in another process, find what is there?"""
    made = put(harness, variant(harness.subject.python, unique("again")))
    hooks = harness.hooks
    again = hooks.publish(made.snapshot, hooks.compile(made.snapshot))
    same(1, _named(again), _named(made.publication), "the publication of a snapshot, the second time,")
    there = in_subprocess(_published, harness.subject, made.snapshot.pipeline, timeout=harness.profile.patience)
    same(1, _named(there), _named(made.publication), "the publication of a snapshot in another process")
    other = put(harness, variant(harness.subject.python, unique("other")))
    require(
        1,
        other.publication.external != made.publication.external,
        f"two digests have one external name, `{other.publication.external}`",
    )
    with harness.workspace() as one, harness.workspace() as two:
        first, second = (set_up(harness, ws, made.snapshot.pipeline).record for ws in (one, two))
    same(1, (first.digest, first.external), (second.digest, second.external), "what another registry calls a snapshot")
    same(1, first.external, made.publication.external, "what a registry calls a snapshot")


@check(1)
def code_frozen(harness: Harness) -> None:
    """Does a published pipeline run the code that it was published with, whatever becomes of the folder?"""
    folder, pipeline = own_code(harness), reader(harness.subject.python)
    with harness.workspace() as ws:
        old = set_up(harness, ws, pipeline, folder=folder)
        (folder / "src" / "word.txt").write_text("new")
        new = set_up(harness, ws, pipeline, folder=folder)
        require(1, new.digest != old.digest, "other code does not make another digest")
        require(1, new.label != old.label, f"other code is published under the same label, `{new.label}`")
        (folder / "src" / "word.txt").write_text("old")
        same(1, set_up(harness, ws, pipeline, folder=folder).record, old.record, "the first code published again")
        shutil.rmtree(folder)
        copy = ws.published(ws.pipelines.publish_from(old.id, target=harness.subject.other).published.id)
        same(1, copy.digest, old.digest, "the digest on the second target")
        for _ in range(2):  # what one run writes into its code, no other run reads
            runs = [(word, one.submit()) for word, one in (("old", old), ("new", new), ("old", copy))]
            for word, run in runs:
                same(
                    1,
                    harness.wait(ws, run.id, 1).outputs,
                    {"word": word},
                    f"what the {word} code says after the folder",
                )


@check(1)
def data_frozen(harness: Harness) -> None:
    """Do all steps and all runs read the data that came with the pipeline, whatever a step writes where it reads it?"""
    folder = own_code(harness)
    (folder / "word.txt").write_text("old")
    with harness.workspace() as ws:
        for target in (harness.subject.target, harness.subject.other):
            published = set_up(harness, ws, _spoiler(harness.subject.python), folder=folder, target=target)
            for _ in range(2):
                run = harness.wait(ws, published.submit().id, 1)
                words = {"first": "old", "second": "old"}
                what = f"what steps read on `{target}`, of which the one before tries to write there,"
                same(1, run.outputs, words, what)


@check(1)
def changed_archives_are_not_run(harness: Harness) -> None:
    """Does nothing run of an archive that was changed on disk, and what was published once it is published again?"""
    folder, pipeline, word = own_code(harness), reader(harness.subject.python), unique("old")
    (folder / "src" / "word.txt").write_text(word)
    with harness.workspace() as ws:
        old = set_up(harness, ws, pipeline, folder=folder)
        archive = _archive_with(harness, word.encode())
        with archive.open("r+b") as file:  # in its place, as a disk would, or somebody who hides it
            data = file.read()
            file.seek(0)
            file.write(data.replace(word.encode(), word.replace("old", "bad").encode()))
        here = [old]
        with suppress(PenstockError):  # the second target may refuse it, or have it already
            here.append(ws.published(ws.pipelines.publish_from(old.id, target=harness.subject.other).published.id))
        for one in here:
            run = harness.wait(ws, one.submit().id, 1)
            wanted = {"word": word} if run.state == "succeeded" else {}
            same(1, run.outputs, wanted, f"what a run says that {run.state} after its archive was changed on disk")
        again = set_up(harness, ws, pipeline, folder=folder)
        same(1, again.id, old.id, "what is published again after its archive was changed on disk")
        same(1, harness.wait(ws, again.submit().id, 1).outputs, {"word": word}, "what a run says after that")


@check(1, needs=("penstock_retire_pipeline",))
def used_stays_on_target(harness: Harness) -> None:
    """Is what a target has kept there as long as anything is published by it, and only then taken away?"""
    noted = _Retired()
    with harness.workspace(plugins=[("noted", noted)]) as ws:
        pipeline = variant(harness.subject.python, unique("kept"))
        one, two = (set_up(harness, ws, pipeline, label=label) for label in ("one", "two"))
        same(1, two.record.external, one.record.external, "what the target calls one digest under another label")
        one.delete()
        same(1, noted.externals, [], "what the target was told to forget, although another label needs it,")
        same(1, harness.wait(ws, two.submit().id, 1).state, "succeeded", "a run after another label was deleted")
        two.delete()
        same(1, noted.externals, [two.record.external], "what the target was told to forget after the last label")
        again = set_up(harness, ws, pipeline)
        same(1, again.record.external, two.record.external, "what the target calls a digest that comes back")
        same(1, harness.wait(ws, again.submit().id, 1).state, "succeeded", "a run of a digest that came back")


CHECKS = (
    code_frozen,
    data_frozen,
    changed_archives_are_not_run,
    used_stays_on_target,
    published_alike,
)


class _Retired:
    """A plugin that notes what a target is told to forget."""

    def __init__(self) -> None:
        self.externals: list[str] = []

    @hookimpl(wrapper=True)
    def penstock_retire_pipeline(self, publication: Publication) -> Generator[None, bool, bool]:
        """Note, and let it happen."""
        self.externals.append(publication.external)
        return (yield)


def _named(publication: Publication) -> Publication:
    """A publication without what may be said differently from day to day."""
    return evolve(publication, details={})


def _published(subject: Subject, pipeline: Pipeline) -> Publication:
    return put(Harness(subject, DEFAULT, 0), pipeline).publication


def _archive_with(harness: Harness, mark: bytes) -> Path:
    """The archive in the kit's own store that has something in it."""
    store = harness.subject.config.home / "archives"
    return next(path for path in store.glob("*.tar") if mark in path.read_bytes())


def own_code(harness: Harness) -> Path:
    """A folder of a check's own whose code has the probe and a word."""
    folder = harness.folder / unique("code")
    (folder / "src").mkdir(parents=True)
    shutil.copy(probe.__file__, folder / "src" / "probe.py")
    (folder / "src" / "word.txt").write_text("old")
    return folder


def reader(python: str) -> Pipeline:
    """A pipeline that says the word in its code, and then writes another there."""
    words = ("copy", "word.txt", "${{ outputs.word }}", "put", "word.txt", "spoiled")
    tell = Step(command=command(python, *words), outputs={"word": "string"})
    return Pipeline(
        name="reader",
        defaults=Defaults(code="./src"),
        steps={"tell": tell},
        outputs={"word": "${{ steps.tell.outputs.word }}"},
    )


def _spoiler(python: str) -> Pipeline:
    """Two steps one after the other that say the word in a file that comes with the pipeline, and try to change it."""
    words = (python, "-S", "-c", _SPOIL, "${{ inputs.sheet }}", "${{ outputs.word }}")
    first = Step(command=words, inputs={"sheet": "${{ parameters.sheet }}"}, outputs={"word": "string"})
    return Pipeline(
        name="spoiler",
        parameters={"sheet": Parameter("file", default="./word.txt")},
        steps={"first": first, "second": evolve(first, after=("first",))},
        outputs={name: f"${{{{ steps.{name}.outputs.word }}}}" for name in ("first", "second")},
    )
