"""Law 1: what is published never changes, whoever compiles it again, edits its code or deletes its name."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from pathlib import Path

from attrs import evolve

from penstock.contract.hooks import hookimpl
from penstock.contract.target import Publication
from penstock.records import PublishedRecord
from penstock.spec import Defaults, Pipeline, Step
from penstock.testing.asking.directly import put
from penstock.testing.asking.given import given, unique
from penstock.testing.asking.refusals import refusal
from penstock.testing.bench import Bench
from penstock.testing.checking import check
from penstock.testing.laws import hold, same
from penstock.testing.probes import probe
from penstock.testing.probes.pipelines import probe as command
from penstock.testing.probes.pipelines import variant
from penstock.testing.processes.apart import apart
from penstock.testing.profiles import DEFAULT
from penstock.testing.subject import Subject
from penstock.workspace import Workspace


@check(1)
def published_alike(bench: Bench) -> None:
    """Does publishing the same snapshot again, here or in another process, find what is there?"""
    made = put(bench, variant(bench.subject.python, unique("again")))
    operations, target = bench.operations, bench.place.target
    again = operations.publish(target, made.snapshot, operations.compile(target, made.snapshot))
    same(1, _named(again), _named(made.publication), "the publication of a snapshot, the second time,")
    there = apart(_published, bench.subject, made.snapshot.pipeline, timeout=bench.profile.patience)
    same(1, _named(there), _named(made.publication), "the publication of a snapshot in another process")
    other = put(bench, variant(bench.subject.python, unique("other")))
    hold(
        1,
        other.publication.external != made.publication.external,
        f"two digests have one external name, `{other.publication.external}`",
    )
    with bench.workspace() as one, bench.workspace() as two:
        first, second = (given(bench, ws, made.snapshot.pipeline).record for ws in (one, two))
    same(1, (first.digest, first.external), (second.digest, second.external), "what another registry calls a snapshot")
    same(1, first.external, made.publication.external, "what a registry calls a snapshot")


@check(1)
def given_back(bench: Bench) -> None:
    """Is publishing the same thing again answered with the same published pipeline, unchanged?"""
    registry, pipeline = bench.new_registry(), variant(bench.subject.python, unique("same"))
    with bench.workspace(registry) as ws, bench.workspace(registry, actor="grace") as grace:
        first = given(bench, ws, pipeline, tags={"by": "ada"}).record
        moved = given(bench, grace, pipeline, target=bench.subject.other).record
        same(1, (moved.digest, moved.label), (first.digest, first.label), "digest and label on the second target")
        hold(1, moved.id != first.id, "what is published on two targets is one published pipeline")
        for what, asked in (
            ("", {}),
            (" under its label", {"label": first.label}),
            (" with other tags", {"tags": {}}),
            (" with another description", {"description": "Another."}),
        ):
            done = grace.pipelines.publish(pipeline, folder=bench.spec_folder, **asked)
            same(1, done.published, first, f"the same pipeline published again{what}")
            hold(1, not done.created, f"the same pipeline published again{what} is said to be new")
        same(1, grace.pipelines.publish_from(moved.id).published, first, "a pipeline published from its own copy")
        same(1, grace.pipelines.get(first.id), first, "a published pipeline after it was published again")


@check(1)
def code_frozen(bench: Bench) -> None:
    """Does a published pipeline run the code that it was published with, whatever becomes of the folder?"""
    folder, pipeline = own_code(bench), reader(bench.subject.python)
    with bench.workspace() as ws:
        old = given(bench, ws, pipeline, folder=folder)
        (folder / "src" / "word.txt").write_text("new")
        refusal(
            1,
            "label_frozen",
            "other code under the same label",
            ws.pipelines.publish,
            pipeline,
            folder=folder,
            label=old.label,
        )
        new = given(bench, ws, pipeline, folder=folder)
        hold(1, new.digest != old.digest, "other code does not make another digest")
        hold(1, new.label != old.label, f"other code is published under the same label, `{new.label}`")
        (folder / "src" / "word.txt").write_text("old")
        same(1, given(bench, ws, pipeline, folder=folder).record, old.record, "the first code published again")
        shutil.rmtree(folder)
        copy = ws.published(ws.pipelines.publish_from(old.id, target=bench.subject.other).published.id)
        same(1, copy.digest, old.digest, "the digest on the second target")
        for _ in range(2):  # what one run writes into its code, no other run reads
            runs = [(word, one.submit()) for word, one in (("old", old), ("new", new), ("old", copy))]
            for word, run in runs:
                same(
                    1, bench.wait(ws, run.id, 1).outputs, {"word": word}, f"what the {word} code says after the folder"
                )


@check(1)
def labels_stand(bench: Bench) -> None:
    """Does a label stand for one digest, on every target, and does none mean the next number?"""
    with bench.workspace() as ws:
        name, other = unique("labels"), bench.subject.other

        def published(word: str, **asked: str) -> PublishedRecord:
            return given(bench, ws, word, name=name, **asked).record

        for word, asked, label in (
            ("a", None, "1"),
            ("b", None, "2"),
            ("c", "7", "7"),
            ("d", None, "8"),
            ("a", None, "1"),
            ("e", "x9", "x9"),
            ("f", None, "9"),
            ("c", None, "7"),
        ):
            found = published(word) if asked is None else published(word, label=asked)
            same(
                1, found.label, label, f"the label of `{word}`, published {f'as {asked}' if asked else 'without one'},"
            )
        for target in (bench.subject.target, other):
            what = f"another digest under a label that is taken, on `{target}`,"
            refusal(1, "label_frozen", what, published, "b", label="7", target=target)
            refusal(1, "label_frozen", what, published, "new", label="x9", target=target)
        same(1, published("b", target=other).label, "2", "the label on the second target")
        same(1, ws.pipelines.get(f"{name}:7").digest, published("c").digest, "the digest of a label that was asked for")


@check(1)
def labels_burn(bench: Bench) -> None:
    """Is the label of something deleted never used again, neither for another digest nor for the same?"""
    registry, name = bench.new_registry(), unique("burnt")

    def published(ws: Workspace, word: str, **asked: str) -> PublishedRecord:
        return given(bench, ws, word, name=name, **asked).record

    with bench.workspace(registry) as ws:
        for word in ("a", "b", "c"):
            published(ws, f"{word}-{name}")
        for label in ("1", "3"):
            ws.pipelines.delete(f"{name}:{label}")
    with bench.workspace(registry, actor="grace") as ws:
        for label, word in (("1", "a"), ("3", "c"), ("1", "z"), ("3", "b")):
            for target in (bench.subject.target, bench.subject.other):
                what = f"`{word}` under the label `{label}`, which was deleted,"
                refusal(1, "label_reserved", what, published, ws, f"{word}-{name}", label=label, target=target)
        same(1, published(ws, f"b-{name}").label, "2", "the label of what was not deleted")
        same(1, published(ws, f"d-{name}").label, "4", "the label after the highest, which was deleted,")
        same(1, published(ws, f"a-{name}").label, "5", "the new label of something whose label was deleted")


@check(1, needs=("penstock_retire_pipeline",))
def used_stays_on_target(bench: Bench) -> None:
    """Is what a target has kept there as long as anything is published by it, and only then taken away?"""
    noted = _Retired()
    with bench.workspace(plugins=[("noted", noted)]) as ws:
        pipeline = variant(bench.subject.python, unique("kept"))
        one, two = (given(bench, ws, pipeline, label=label) for label in ("one", "two"))
        same(1, two.record.external, one.record.external, "what the target calls one digest under another label")
        one.delete()
        same(1, noted.externals, [], "what the target was told to forget, although another label needs it,")
        same(1, bench.wait(ws, two.submit().id, 1).state, "succeeded", "a run after another label was deleted")
        two.delete()
        same(1, noted.externals, [two.record.external], "what the target was told to forget after the last label")
        again = given(bench, ws, pipeline)
        same(1, again.record.external, two.record.external, "what the target calls a digest that comes back")
        same(1, bench.wait(ws, again.submit().id, 1).state, "succeeded", "a run of a digest that came back")


CHECKS = (
    given_back,
    labels_stand,
    labels_burn,
    code_frozen,
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
    return put(Bench(subject, DEFAULT, 0), pipeline).publication


def own_code(bench: Bench) -> Path:
    """A folder of a check's own whose code has the probe and a word."""
    folder = bench.folder / unique("code")
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
