"""Where a history of calls happens that other processes repeat, interrupt and judge."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from penstock.contract.run import ENDED, Absent, BoundParameters, RunRef, RunReport, RunRequest
from penstock.errors import PenstockError, TargetUnsupported
from penstock.records import RunRecord
from penstock.testing.harness import Harness, executions, wait_for
from penstock.testing.laws import LawBroken, Untested, require, same
from penstock.testing.opened import Hooks, catch_up, run_ref
from penstock.testing.probes.pipelines import written
from penstock.testing.processes.killing import kill_naming
from penstock.testing.subject import Subject
from penstock.workspace import Workspace

PAUSE = 0.005
"""Seconds between two looks at what will happen soon."""

LATER = 60.0
"""Seconds after which everything is due that was begun, or put off because a target is misconfigured."""


@frozen(kw_only=True)
class Scene:
    """A subject, a registry nobody else uses, and a new folder; it can be pickled. `marks` is None where the target's
    steps do not see this machine's files. `patience` is in seconds.
    """

    subject: Subject
    registry: str
    folder: Path
    specs: Path
    marks: Path | None
    patience: float

    @classmethod
    def on(cls, harness: Harness, *, alone: bool = False, made: bool = True) -> Scene:
        """A new scene. One that is `alone` has a home of its own: a target that keeps things there starts anew.

        Unless it is `made`, the registry is not there yet. Where executions cannot be counted, the check leaves them
        out.
        """
        folder = Path(tempfile.mkdtemp(prefix="scene-", dir=harness.folder))
        (folder / "acknowledged").touch()
        registry, subject = harness.new_registry(), harness.subject
        file = subject.config.home / f"{registry}.db"
        if alone:
            home = folder / ".penstock"
            home.mkdir(mode=0o700)
            file = file.rename(home / file.name)
            subject = evolve(subject, config=evolve(subject.config, home=home))
        if not made:
            file.unlink()
        marks = harness.counting()
        if marks is not None:
            marks = marks.rename(folder / "marks")
        return cls(
            subject=subject,
            registry=registry,
            folder=folder,
            specs=harness.spec_folder,
            marks=marks,
            patience=harness.profile.patience,
        )

    def with_own_code(self) -> Scene:
        """The same with a copy of the kit's code that nobody has published yet."""
        specs = self.folder / "pipelines"
        shutil.copytree(self.specs, specs)
        (specs / "src" / f"{self.folder.name}.txt").touch()
        return evolve(self, specs=specs)

    def open(self, *plugins: tuple[str, object]) -> Workspace:
        """A workspace on the scene's registry. Close it by `with`."""
        self.subject.ready()
        return self.subject.open(self.registry, plugins=plugins)

    @property
    def file(self) -> Path:
        """The registry's file."""
        return self.subject.config.home / f"{self.registry}.db"

    @property
    def hooks(self) -> Hooks:
        """The target itself, without the core and without plugins."""
        self.subject.ready()
        return Hooks(self.subject.config, self.subject.target)

    def parameters(self, **more: Any) -> dict[str, Any]:
        """Parameters for a run that leaves marks here, if it can."""
        return {"marks": str(self.marks or ""), **more}

    def acknowledge(self, what: str) -> None:
        """Note that a caller was told something; it must not be gone later."""
        with (self.folder / "acknowledged").open("a") as file:
            file.write(f"{what}\n")

    def acknowledged(self) -> list[str]:
        """What callers were told so far."""
        return (self.folder / "acknowledged").read_text().splitlines()

    def catch_up(self, *plugins: tuple[str, object], after: float = 2 * LATER) -> None:
        """Do what is due, as a command would that comes so many seconds later."""
        self.subject.ready()
        catch_up(self.subject.config, self.file, plugins, after)

    def ref(self, run: RunRecord) -> RunRef:
        """How the target knows a run."""
        return run_ref(self.file, run.id)

    def reported(self, run: RunRecord) -> RunReport | Absent:
        """What the target itself says of a run."""
        found: RunReport | Absent = self.hooks.get_run(self.ref(run))
        return found

    def until_reported(self, run: RunRecord, state: str, step: str | None = None) -> None:
        """Wait until the target says that a run, or a step of it, has come to a state, or that the run has ended.

        Our side does not look meanwhile. Raises LawBroken after the scene's patience.
        """
        hooks, ref = self.hooks, self.ref(run)
        deadline = time.monotonic() + self.patience
        while time.monotonic() < deadline:
            report = hooks.get_run(ref)
            if isinstance(report, RunReport):
                states = {one.name: one.state for one in report.steps}
                if report.state in ENDED or (report.state if step is None else states.get(step)) == state:
                    return
            time.sleep(PAUSE)
        raise LawBroken(12, f"run {run.id}{f', step {step},' if step else ''} does not come to be {state}")

    def ended(self, workspace: Workspace, run_id: str, law: int = 12) -> RunRecord:
        """A run after its end. It was to be handed over by now, and to end within the scene's patience."""
        from penstock.errors import WaitTimeout

        record = workspace.runs.get(run_id)
        waits = "an accepted run still waits to be handed over, though that was due"
        require(law, record.finished or record.external is not None, waits)
        try:
            return wait_for(workspace, run_id, self.patience)
        except WaitTimeout as error:
            raise LawBroken(law, f"a run does not end: {error}") from None

    def executed(self, expected: dict[str, int]) -> None:
        """Each step has run so often, as far as that can be counted: more often breaks law 8, less often law 12."""
        if self.marks is None:
            return
        found = executions(self.marks)
        more = any(times > expected.get(name, 0) for name, times in found.items())
        same(8 if more else 12, found, expected, "how often each step of one run has run")

    def handed_over_again(self, run: RunRecord) -> None:
        """Hand the same run to the target once more: the same receipt, and nothing changes (law 8)."""
        ref, before = self.ref(run), self.reported(run)
        request = RunRequest(
            id=run.id,
            publication=ref.publication,
            pipeline=run.pipeline,
            label=run.label,
            endpoint=run.endpoint,
            version=run.version,
            experiment=run.experiment,
            description=run.description,
            tags=run.tags,
            parameters=BoundParameters(texts={name: written(value) for name, value in run.parameters.items()}),
        )
        again = self.hooks.submit(request)
        same(8, again.external, run.external, "the receipt for a run that is handed over again")
        same(8, self.reported(run), before, "what the target says of a run after it was handed over again")

    def clear(self) -> None:
        """Let nothing go on that was started here: cancel what has not ended, and kill what names the folder."""
        with contextlib.suppress(PenstockError), self.open() as workspace:
            for run in workspace.runs.list().items:
                if not run.finished:
                    workspace.runs.cancel(run.id)
        kill_naming(self.folder)


def publishes(workspace: Workspace, scene: Scene, pipeline: Any, **arguments: Any) -> Any:
    """Publish one of the kit's pipelines. Raises Untested when the target refuses it."""
    try:
        return workspace.publish(pipeline, folder=scene.specs, **arguments)
    except TargetUnsupported as error:
        raise Untested(f"the target refuses the kit's pipeline `{pipeline.name}`: {error}") from None
