"""From a spec to a publication: snapshot, check against the target, compile, hand to the backend."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from penstock import codec, snapshot
from penstock.errors import Detail, SpecInvalid, TargetUnsupported
from penstock.places import Place
from penstock.snapshot import Snapshot
from penstock.spec import Pipeline
from penstock.target import Problem, Publication


@frozen(kw_only=True)
class Source:
    """A pipeline and the folder that its relative paths start from; `file` when it was read from one."""

    pipeline: Pipeline
    folder: Path
    file: Path | None = None


def read(source: Path | str | Pipeline, folder: Path | None = None) -> Source:
    """Read a spec file, or take a pipeline built in Python and check it as one. Raises SpecInvalid."""
    if isinstance(source, Pipeline):
        checked = codec.pipeline_of(codec.canonical(source))
        return Source(pipeline=checked, folder=(folder or Path.cwd()).resolve())
    path = Path(source)
    return Source(pipeline=codec.load_pipeline(path), folder=path.resolve().parent, file=path)


def take(source: Source, store: Path) -> Snapshot:
    """The snapshot of a source, its archives in `store`. Raises SpecInvalid with places in the file."""
    try:
        return snapshot.take(source.pipeline, source.folder, store)
    except SpecInvalid as error:
        raise SpecInvalid.of(_placed(source, error.details)) from None


def check(place: Place, source: Source) -> tuple[Problem, ...]:
    """The target's warnings about a pipeline. Raises TargetUnsupported with everything it cannot do."""
    problems = tuple(place.operations.validate(place.target, source.pipeline))
    errors = [Detail(p.code, p.message, path=p.path) for p in problems if p.severity == "error"]
    if errors:
        raise TargetUnsupported.of(_placed(source, errors), f"target `{place.target.name}`")
    return tuple(problem for problem in problems if problem.severity == "warning")


def deliver(place: Place, taken: Snapshot) -> Publication:
    """Compile a snapshot and publish it at the backend; repeating it finds what is there."""
    compiled = place.operations.compile(place.target, taken)
    return place.operations.publish(place.target, taken, compiled)


def _placed(source: Source, details: list[Detail] | tuple[Detail, ...]) -> list[Detail]:
    """The details with their place in the source's file, where there is one."""
    if source.file is None:
        return list(details)
    document = codec.read_yaml(source.file.read_text(encoding="utf-8"), str(source.file))
    return [detail if detail.where else detail.at(document.place(detail.path)) for detail in details]
