"""From a spec to a publication: snapshot, check against the target, compile, hand to the backend."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from penstock import codec, snapshot
from penstock.codec import Document
from penstock.contract.target import Publication
from penstock.errors import Problem, TargetUnsupported
from penstock.snapshot import Snapshot
from penstock.spec import Pipeline
from penstock.targets.opened import Place


@frozen(kw_only=True)
class Source:
    """A pipeline and the folder that its relative paths start from; `document` when it was read from a file."""

    pipeline: Pipeline
    folder: Path
    document: Document | None = None


def read(source: Path | str | Pipeline, folder: Path | None = None) -> Source:
    """Read a spec file, or hold a pipeline built in Python to the same rules. Raises SpecInvalid."""
    if isinstance(source, Pipeline):
        return Source(pipeline=codec.checked(source), folder=(folder or Path.cwd()).resolve())
    path = Path(source)
    document = codec.load_document(path)
    return Source(pipeline=codec.pipeline_in(document), folder=path.resolve().parent, document=document)


def take(source: Source, store: Path) -> Snapshot:
    """The snapshot of a source, its archives in `store`. Raises SpecInvalid with places in the file."""
    return snapshot.take(source.pipeline, source.folder, store, document=source.document)


def check(place: Place, source: Source) -> tuple[Problem, ...]:
    """The target's warnings about a pipeline. Raises TargetUnsupported with everything it cannot do."""
    problems = place.operations.validate(place.target, source.pipeline)
    errors = [
        Problem(p.code, p.message, path=p.path, where=source.document.place(p.path) if source.document else "")
        for p in problems
        if p.severity == "error"
    ]
    if errors:
        raise TargetUnsupported.of(errors, f"target `{place.target.name}`")
    return tuple(problem for problem in problems if problem.severity == "warning")


def deliver(place: Place, taken: Snapshot) -> Publication:
    """Compile a snapshot and publish it at the backend; repeating it finds what is there."""
    compiled = place.operations.compile(place.target, taken)
    return place.operations.publish(place.target, taken, compiled)
