"""Law 1 in the registry: publishing again gives back what is there, and a label stands for one digest for ever."""

from __future__ import annotations

from laws.error_codes import refusal
from laws.marks import not_by_the_wire, python_only

from penstock.records import PublishedRecord
from penstock.testing.helpers.setup import set_up, unique
from penstock.testing.laws import require, same
from penstock.testing.probes.pipelines import variant
from penstock.workspace import Workspace

pytestmark = not_by_the_wire


@python_only
def test_given_back(harness):
    """Is publishing the same thing again answered with the same published pipeline, unchanged?"""
    registry, pipeline = harness.new_registry(), variant(harness.subject.python, unique("same"))
    with harness.workspace(registry) as ws, harness.workspace(registry, actor="grace") as grace:
        first = set_up(harness, ws, pipeline, tags={"by": "ada"}).record
        moved = set_up(harness, grace, pipeline, target=harness.subject.other).record
        same(1, (moved.digest, moved.label), (first.digest, first.label), "digest and label on the second target")
        require(1, moved.id != first.id, "what is published on two targets is one published pipeline")
        for what, asked in (
            ("", {}),
            (" under its label", {"label": first.label}),
            (" with other tags", {"tags": {}}),
            (" with another description", {"description": "Another."}),
        ):
            done = grace.pipelines.publish(pipeline, folder=harness.spec_folder, **asked)
            same(1, done.published, first, f"the same pipeline published again{what}")
            require(1, not done.created, f"the same pipeline published again{what} is said to be new")
        same(1, grace.pipelines.publish_from(moved.id).published, first, "a pipeline published from its own copy")
        same(1, grace.pipelines.get(first.id), first, "a published pipeline after it was published again")


def test_labels_stand(harness):
    """Does a label stand for one digest, on every target, and does none mean the next number?"""
    with harness.workspace() as ws:
        name, other = unique("labels"), harness.subject.other

        def published(word: str, **asked: str) -> PublishedRecord:
            return set_up(harness, ws, word, name=name, **asked).record

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
        for target in (harness.subject.target, other):
            what = f"another digest under a label that is taken, on `{target}`,"
            refusal(1, "label_frozen", what, published, "b", label="7", target=target)
            refusal(1, "label_frozen", what, published, "new", label="x9", target=target)
        same(1, published("b", target=other).label, "2", "the label on the second target")
        same(1, ws.pipelines.get(f"{name}:7").digest, published("c").digest, "the digest of a label that was asked for")


def test_labels_burn(harness):
    """Is the label of something deleted never used again, neither for another digest nor for the same?"""
    registry, name = harness.new_registry(), unique("burnt")

    def published(ws: Workspace, word: str, **asked: str) -> PublishedRecord:
        return set_up(harness, ws, word, name=name, **asked).record

    with harness.workspace(registry) as ws:
        for word in ("a", "b", "c"):
            published(ws, f"{word}-{name}")
        for label in ("1", "3"):
            ws.pipelines.delete(f"{name}:{label}")
    with harness.workspace(registry, actor="grace") as ws:
        for label, word in (("1", "a"), ("3", "c"), ("1", "z"), ("3", "b")):
            for target in (harness.subject.target, harness.subject.other):
                what = f"`{word}` under the label `{label}`, which was deleted,"
                refusal(1, "label_reserved", what, published, ws, f"{word}-{name}", label=label, target=target)
        same(1, published(ws, f"b-{name}").label, "2", "the label of what was not deleted")
        same(1, published(ws, f"d-{name}").label, "4", "the label after the highest, which was deleted,")
        same(1, published(ws, f"a-{name}").label, "5", "the new label of something whose label was deleted")


@python_only
def test_damage_is_named(harness):
    """Is every archive that was changed on disk named by a check, and whole again once it was published again?"""
    made = {}
    with harness.workspace() as ws:
        for word in (unique("one"), unique("two")):
            folder = harness.folder / word
            (folder / "src").mkdir(parents=True)
            (folder / "src" / "probe.py").write_text(f"# {word}")
            pipeline = variant(harness.subject.python, word)
            set_up(harness, ws, pipeline, folder=folder)
            store = harness.subject.config.home / "archives"
            (archive,) = [path for path in store.glob("*.tar") if word.encode() in path.read_bytes()]
            made[archive] = pipeline, folder, archive.read_bytes()
        require(1, ws.admin.check().ok, "a check finds damage where nothing was changed")
        for archive, (_, _, data) in made.items():
            archive.write_bytes(data.replace(b"# ", b"#!"))
        lines = ws.admin.check().lines
        for archive in made:
            require(1, any(str(archive) in line for line in lines), f"a check does not name {archive.name}: {lines}")
        for archive, (pipeline, folder, data) in made.items():
            set_up(harness, ws, pipeline, folder=folder)
            same(1, archive.read_bytes(), data, "an archive after it was published again")
        require(1, ws.admin.check().ok, "a check finds damage after everything was published again")
