"""Where an artifact output of a run lies: what its backend reported of that very output, and nothing else."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from attrs import frozen

from penstock.codec import from_canonical
from penstock.dispatch.reports import output_types
from penstock.errors import NotFound, TargetUnsupported, UsageError, did_you_mean
from penstock.records import RunRecord
from penstock.text import with_article
from penstock.workspace.services import Services


@frozen(kw_only=True)
class Artifact:
    """A `file` or `directory` output of a run, and where it lies on this machine."""

    name: str
    type: str
    path: Path


def find_artifact(services: Services, run: RunRecord, name: str) -> Artifact:
    """The artifact behind an output of a run that has ended.

    Raises NotFound `output_not_found`, UsageError `output_is_value` for a value, and TargetUnsupported
    `artifact_elsewhere` for content that does not lie on this machine.
    """
    types = output_types(from_canonical(services.registry.pipelines.snapshot(run.digest).spec))
    if name not in types or name not in run.outputs:
        hint = did_you_mean(name, run.outputs) if run.outputs else f"it is {run.state} and has none"
        raise NotFound(f"run {run.id} has no output `{name}` ({hint})", code="output_not_found")
    if types[name] not in ("file", "directory"):
        raise UsageError(
            f"the output `{name}` is {with_article(types[name])}, which is in the run itself and is no file",
            code="output_is_value",
        )
    reported = run.outputs[name]
    path = _local(reported) if isinstance(reported, str) else None
    if path is None:
        raise TargetUnsupported(
            f"the output `{name}` lies where target `{run.target}` keeps it, not on this machine: {reported}",
            code="artifact_elsewhere",
        )
    return Artifact(name=name, type=types[name], path=path)


def artifact_names(services: Services, run: RunRecord) -> tuple[str, ...]:
    """The outputs of a run whose content lies on this machine."""
    types = output_types(from_canonical(services.registry.pipelines.snapshot(run.digest).spec))
    return tuple(
        name
        for name, reported in run.outputs.items()
        if types.get(name) in ("file", "directory") and isinstance(reported, str) and _local(reported) is not None
    )


def _local(reported: str) -> Path | None:
    """The absolute path that a backend's word for an artifact means here, if it means one."""
    if "://" in reported:
        parts = urlsplit(reported)
        if parts.scheme.lower() != "file" or parts.netloc not in ("", "localhost") or parts.query or parts.fragment:
            return None
        reported = unquote(parts.path, errors="surrogateescape")
    path = Path(reported)
    return path if path.is_absolute() and "\0" not in reported else None
