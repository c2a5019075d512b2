"""What the demo does: the acts around one endpoint, each with the command that a person would have typed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from penstock import trust
from penstock.errors import GateClosed, UsageError
from penstock.making import make_folder, open_to_write
from penstock.workspace import Workspace

if TYPE_CHECKING:
    from penstock.config import TargetConfig

ENDPOINT = "digits"
EXPERIMENT = "demo"
_STEPS = ("src/prepare.py", "src/train.py", "src/evaluate.py")
FILES = ("penstock.yaml", "pipeline.yaml", "pipeline-v2.yaml", *_STEPS)
"""What the demo is made of, relative to its folder."""


@frozen(kw_only=True)
class Act:
    """One act: the command it stands for, what came of it, and the code when it was refused."""

    command: str
    outcome: str
    refused: str | None = None


def source() -> Path:
    """The folder with the demo's files: inside the wheel, or `specs/digits` of a checkout."""
    packed = Path(__file__).parent / "digits"
    return packed if packed.is_dir() else Path(__file__).parents[3] / "specs" / "digits"


def lay_out(folder: Path, target: TargetConfig | None = None) -> None:
    """Put the demo's files into a folder, with a target of the caller's as the default one.

    Raises UsageError rather than write over a file that differs, and ConfigInvalid in a folder of somebody else.
    """
    trust.refuse_place(folder.absolute() / "penstock.yaml", "the configuration")
    try:
        for name in FILES:
            plain = _without_modeline((source() / name).read_bytes())
            place, data = folder / name, plain
            if target is not None and name == "penstock.yaml":
                data = _with_target(plain, target)
            if not place.exists() or place.read_bytes() == plain:
                make_folder(place.parent)
                with open_to_write(place) as file:
                    file.write(data)
            elif place.read_bytes() != data:
                raise UsageError(
                    f"{place} is not the demo's file: choose another folder with --folder, or move the file away",
                    code="file_exists",
                )
    except OSError as error:
        raise UsageError(
            f"cannot lay out the demo in {folder}: {error.strerror or error}; choose another folder with --folder",
            code="file_unwritable",
        ) from None


def _with_target(configuration: bytes, target: TargetConfig) -> bytes:
    """The demo's configuration with one target more, which is its default."""
    options = {"backend": target.backend.value, **{key: one.value for key, one in target.options.items()}}
    name = json.dumps(target.name)
    text = configuration.decode().replace("target: laptop\n", f"target: {name}\n")
    return text.replace("targets:\n", f"targets:\n  {name}: {json.dumps(options)}\n").encode()


def _without_modeline(data: bytes) -> bytes:
    """A file without the line that tells editors where its schema is, which is not where the file is copied to."""
    return data.partition(b"\n")[2] if data.startswith(b"# yaml-language-server:") else data


class Acts:
    """The acts, in order. `tell` hears of each as it happened."""

    def __init__(self, workspace: Workspace, folder: Path, tell: Callable[[Act], None]) -> None:
        self._workspace = workspace
        self._folder = folder
        self._tell = tell
        self._runs: list[str] = []

    def play(self) -> list[str]:
        """Publish two versions, trigger them, move the default, close and open the gate, roll back.

        Returns the ids of the runs.
        """
        first = self._publish("pipeline.yaml", "one decision tree")
        second = self._publish("pipeline-v2.yaml", "a random forest")
        self._settle(first, second)
        self._submit(ENDPOINT)
        self._submit(f"{ENDPOINT}@{second}")
        self._submit(f"{ENDPOINT}@{second}", {"max_depth": 5, "trees": 20})
        self._set_default(second)
        self._submit(ENDPOINT)
        reason = "the scanner was dirty"
        self._workspace.endpoints.disable(ENDPOINT, reason=reason)
        self._act(f"endpoint disable {ENDPOINT} --reason '{reason}'", "its gate is closed; accepted runs go on")
        self._submit(ENDPOINT)
        self._enable(ENDPOINT)
        moved = self._workspace.endpoints.rollback(ENDPOINT)
        self._act(f"endpoint rollback {ENDPOINT}", f"the default is {moved.to} again (was {moved.from_})")
        self._submit(ENDPOINT)
        return self._runs

    def _act(self, command: str, outcome: str, refused: str | None = None) -> None:
        self._tell(Act(command=f"penstock {command}", outcome=outcome, refused=refused))

    def _publish(self, file: str, what: str) -> str:
        done = self._workspace.pipelines.publish(self._folder / file, endpoint=ENDPOINT)
        version, default = str(done.version), done.endpoint.default if done.endpoint else None
        place = f"{ENDPOINT}@{version} on {done.published.target}" + ("" if done.version_added else " already")
        pointer = "the default" if default == version else f"the default stays {default}"
        outcome = f"{done.published.name}:{done.published.label}, {what}, is {place}; {pointer}"
        self._act(f"publish {file} --endpoint {ENDPOINT}", outcome)
        return version

    def _settle(self, first: str, second: str) -> None:
        """Bring an endpoint that somebody went on playing with back to where the story starts."""
        endpoint = self._workspace.endpoints.get(ENDPOINT)
        if not endpoint.enabled:
            self._enable(ENDPOINT)
        for version in endpoint.versions:
            if version.version not in (first, second):
                continue
            if not version.enabled:
                self._enable(f"{ENDPOINT}@{version.version}")
            if not version.published_enabled:
                self._workspace.pipelines.enable(version.published)
                self._act(f"pipeline enable {version.published}", "its gate is open again")
        if endpoint.default != first:
            self._set_default(first)

    def _submit(self, ref: str, parameters: Mapping[str, Any] | None = None) -> None:
        given = "".join(f" -p {name}={value}" for name, value in (parameters or {}).items())
        command = f"submit {ref} --experiment {EXPERIMENT}{given}"
        try:
            done = self._workspace.runs.submit(ref, parameters=parameters, experiment=EXPERIMENT)
        except GateClosed as error:
            self._act(command, f"refused: {error.message}", refused=error.code)
            return
        run = done.run
        self._runs.append(run.id)
        waiting = "".join(f"; {warning}" for warning in done.warnings)
        self._act(command, f"{run.endpoint}@{run.version} on {run.target}, run {run.id}{waiting}")

    def _set_default(self, version: str) -> None:
        moved = self._workspace.endpoints.set_default(ENDPOINT, version)
        self._act(f"endpoint set-default {ENDPOINT} {version}", f"the default is {moved.to} (was {moved.from_})")

    def _enable(self, ref: str) -> None:
        self._workspace.endpoints.enable(ref)
        self._act(f"endpoint enable {ref}", "its gate is open again")
