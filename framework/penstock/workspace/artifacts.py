"""Where an artifact output of a run lies: what its backend reported of that very output, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from attrs import field, frozen

from penstock.codec import from_canonical
from penstock.contract.artifacts import ArtifactType, Destination
from penstock.dispatch.placing import HOOK as LOCATES
from penstock.dispatch.reports import output_types
from penstock.errors import NotFound, PenstockError, TargetUnsupported, UsageError, did_you_mean
from penstock.records import RunRecord
from penstock.spec import Type
from penstock.text import with_article
from penstock.workspace.clearing import cleared_text, refuse_cleared, told_as_gone
from penstock.workspace.services import Services

_HOOK = "penstock_fetch_artifact"


@frozen(kw_only=True)
class Artifact:
    """A `file` or `directory` output, and its path where it lies on this machine; None: its target has it elsewhere.

    `below` is the folder that it is read below, without a link on the way, where its target says that.
    """

    name: str
    type: ArtifactType
    path: Path | None
    below: Path | None = None
    _run: RunRecord | None = field(default=None, repr=False)
    _services: Services | None = field(default=None, repr=False, eq=False)

    def send(self, destination: Destination) -> None:
        """Put it into a destination: by its target, which knows best, or from its path where the target does not.

        Raises NotFound, TargetUnavailable, TargetRefused, what stands between us and the target, and as `destination`.
        """
        if self._services is not None and self._run is not None and _can_fetch(self._services, self._run):
            ref, placement = self._services.registry.runs.ref(self._run.id)
            with told_as_gone():
                self._services.targets.open_frozen(placement).fetch_artifact(ref, self.name, destination)
        else:
            from penstock.contract.local_artifacts import send

            assert self.path is not None
            send(self.path, destination, below=self.below)


def find_artifact(services: Services, run: RunRecord, name: str) -> Artifact:
    """The artifact behind an output of a run that has ended.

    Raises NotFound `output_not_found` and `run_cleared`, UsageError `output_is_value` for a value, TargetUnsupported
    `artifact_elsewhere` for content that does not lie on this machine and that its target does not download, and what
    stands between us and the target, which alone knows whose a path of this machine is.
    """
    types = _types(services, run)
    if name not in types or name not in run.outputs:
        hint = did_you_mean(name, run.outputs) if run.outputs else f"it is {run.state} and has none"
        raise NotFound(f"run {run.id} has no output `{name}` ({hint})", code="output_not_found")
    type_ = types[name]
    if type_ != "file" and type_ != "directory":
        raise UsageError(
            f"the output `{name}` is {with_article(type_)}, which is in the run itself and is no file",
            code="output_is_value",
        )
    refuse_cleared(services, run.id)
    path, below = _local(run.outputs[name]), None
    if path is not None:
        ref, placement = services.registry.runs.ref(run.id)
        target = services.targets.open_frozen(placement)
        if target.has(LOCATES):
            place = target.locate_artifact(ref, str(run.outputs[name]))
            path, below = _local(place.text), place.below
    if path is None and not _can_fetch(services, run):
        raise TargetUnsupported(
            f"the output `{name}` lies where target `{run.target}` keeps it, which downloads none: {run.outputs[name]}",
            code="artifact_elsewhere",
        )
    return Artifact(name=name, type=type_, path=path, below=below, run=run, services=services)


def artifact_names(services: Services, run: RunRecord) -> tuple[str, ...]:
    """The outputs of a run whose content can be downloaded."""
    types = _types(services, run)
    names = [name for name in run.outputs if types.get(name) in ("file", "directory")]
    if any(_local(run.outputs[name]) is None for name in names) and not _can_fetch(services, run):
        names = [name for name in names if _local(run.outputs[name]) is not None]
    return tuple(names)


def missing_artifacts(services: Services, run: RunRecord) -> dict[str, str]:
    """Which artifacts of a run that has ended are not there any more, as far as that can be seen from here, and why."""
    names = artifact_names(services, run)
    cleared = cleared_text(services, run.id) if names else ""
    if cleared:
        return dict.fromkeys(names, cleared)
    found = {}
    for name in names:
        try:
            path = find_artifact(services, run, name).path
        except PenstockError as error:
            found[name] = str(error)
            continue
        if path is not None and not os.path.lexists(path):
            found[name] = f"the output `{name}` is not there any more: `{path}` is gone"
    return found


def _types(services: Services, run: RunRecord) -> dict[str, Type]:
    return output_types(from_canonical(services.registry.pipelines.snapshot(run.digest).spec))


def _can_fetch(services: Services, run: RunRecord) -> bool:
    """Whether the run's target downloads artifacts; one that cannot be opened now does not."""
    try:
        return services.targets.open(run.target).has(_HOOK)
    except PenstockError:
        return False


def _local(reported: object) -> Path | None:
    """The absolute path that a backend's word for an artifact means here, if it means one."""
    if not isinstance(reported, str):
        return None
    if "://" in reported:
        parts = urlsplit(reported)
        if parts.scheme.lower() != "file" or parts.netloc not in ("", "localhost") or parts.query or parts.fragment:
            return None
        reported = unquote(parts.path, errors="surrogateescape")
    path = Path(reported)
    return path if path.is_absolute() and "\0" not in reported else None
