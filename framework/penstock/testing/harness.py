"""What a check works with: the subject opened, fresh registries, the probe's folder, and patience."""

from __future__ import annotations

import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from penstock.errors import PenstockError, TargetUnsupported, UsageError, WaitTimeout
from penstock.records import RunRecord
from penstock.testing.laws import LawBroken, Untested
from penstock.testing.opened import Hooks, new_registry, waits_because
from penstock.testing.probes import probe
from penstock.testing.profiles import Profile
from penstock.testing.subject import Subject
from penstock.text import printable
from penstock.workspace import Workspace

_GLANCE = 3.0
"""Seconds between two looks at why a run is not handed over."""

_LONG = 15.0
"""Seconds: a hand-over that is put off for longer met something that does not pass by itself."""


class Harness:
    """One examination: a subject, a profile and a seed. `folder` is the kit's own, below the subject's home."""

    def __init__(self, subject: Subject, profile: Profile, seed: int) -> None:
        subject.ready()
        self.subject = subject
        self.profile = profile
        self.seed = seed
        self.folder = subject.config.home.parent / "conformance"
        self.code.mkdir(parents=True, exist_ok=True)
        self._place_probe()
        self.told: list[str] = []
        self.left_out: list[str] = []
        self._template: Path | None = None
        self._marks: bool | None = None
        self.hooks = Hooks(subject.config, subject.target)
        """The examined target's hooks, without the core in front of them."""

    def has(self, hook: str) -> bool:
        """Whether the backend offers an optional hook."""
        return self.hooks.has(hook)

    @property
    def spec_folder(self) -> Path:
        """The folder of the kit's pipelines: their code `./src` holds the probe."""
        return self.folder / "pipelines"

    @property
    def code(self) -> Path:
        """The folder with the probe."""
        return self.spec_folder / "src"

    def new_registry(self) -> str:
        """The name of a registry nobody else uses, which is there and empty."""
        name = f"r-{uuid.uuid4().hex[:12]}"
        home = self.subject.config.home
        if self._template is None:
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            (home / "archives").mkdir(mode=0o700, exist_ok=True)
            template = home / "template.db"
            new_registry(template)
            self._template = template
        shutil.copy(self._template, home / f"{name}.db")
        return name

    @contextmanager
    def workspace(self, registry: str | None = None, **more: Any) -> Iterator[Workspace]:
        """An open workspace, by default on a new registry; the arguments are those of `Subject.open`."""
        with self.subject.open(registry or self.new_registry(), **more) as workspace:
            yield workspace

    def wait(self, workspace: Workspace, run: str, law: int = 12) -> RunRecord:
        """The run after its end. One that does not end within the profile's patience breaks the law."""
        try:
            return wait_for(workspace, run, self.profile.patience)
        except WaitTimeout as error:
            raise LawBroken(law, f"a run of the kit's does not end: {error}") from None

    def try_out(self) -> None:
        """Run the kit's smallest pipeline once. Raises PenstockError, UsageError when the run does not end well: then
        there is nothing to be asked about. A target that refuses the pipeline is left to the checks.
        """
        try:
            self._marks = self._can_mark()
        except LawBroken as error:
            raise UsageError(f"{self._nothing_else}: {error.message}") from None
        except Untested:
            return

    @property
    def _nothing_else(self) -> str:
        return f"the smallest pipeline does not run on target `{self.subject.target}`, so nothing else is asked"

    def marks(self) -> Path:
        """A new folder in which executions leave marks (see `probe`). Raises Untested when the target cannot."""
        if self._marks is None:
            self._marks = self._can_mark()
        if not self._marks:
            raise Untested("executions could not be counted: steps on this target do not see this machine's files")
        return self._new_folder()

    def counting(self) -> Path | None:
        """A new folder for marks, or None where executions cannot be counted: then that is left out of the check."""
        try:
            return self.marks()
        except Untested as error:
            self.leave_out(str(error))
            return None

    def tell(self, what: str) -> None:
        """Say what a check looked at; it is shown beside the check."""
        self.told.append(what)

    def leave_out(self, what: str) -> None:
        """Remember that the check which is asked left something essential out: it ends as skipped, by these reasons."""
        if what not in self.left_out:
            self.left_out.append(what)

    def forall(self, body: Callable[..., None], *, examples: int, **strategies: Any) -> None:
        """Hold a property for that many examples (times the profile's thoroughness), by the examination's seed."""
        from hypothesis import HealthCheck, Phase, given, seed, settings

        phases = [Phase.explicit, Phase.generate] + ([Phase.shrink] if self.profile.shrink else [])
        limits = settings(
            max_examples=self.profile.examples(examples),
            deadline=None,
            database=None,
            phases=phases,
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
        )
        limits(seed(self.seed)(given(**strategies)(body)))()

    def _place_probe(self) -> None:
        # Processes of one examination make a harness each while others pack this folder: they must not find half of it.
        draft = self.folder / f".probe.{uuid.uuid4().hex}"
        shutil.copy(probe.__file__, draft)
        draft.replace(self.code / "probe.py")

    def _new_folder(self) -> Path:
        return Path(tempfile.mkdtemp(prefix="marks-", dir=self.folder))

    def _can_mark(self) -> bool:
        from penstock.testing.probes.pipelines import variant

        folder = self._new_folder()
        with self.workspace() as workspace:
            try:
                published = workspace.publish(variant(self.subject.python, "a"), folder=self.spec_folder)
            except TargetUnsupported as error:
                raise Untested(f"the target refuses the kit's smallest pipeline: {error.message}") from None
            run = self.wait(workspace, workspace.submit(published.id, parameters={"marks": str(folder)}).id)
            if run.state == "failed":
                raise UsageError(self._why(workspace, run))
        return bool(list(folder.iterdir()))

    def _why(self, workspace: Workspace, run: RunRecord) -> str:
        """Why the smallest pipeline failed: what the target says of it, and the last words of its step."""
        lines: list[str] = []
        with suppress(PenstockError):  # logs may not be there, or be what is broken
            text = b"".join(part.data for part in workspace.runs.logs(run.id)).decode(errors="replace")
            lines = [line for line in text.splitlines() if line.strip()]
        said = run.error.message if run.error else "the target does not say why"
        last = f"; the last line of its log is `{printable(lines[-1])}`" if lines else ""
        return (
            f"{self._nothing_else}: {said}{last}. "
            f"Steps call Python as `{self.subject.python}`; where it has another name, say so (`python`, `--python`)"
        )


def wait_for(workspace: Workspace, run: str, patience: float) -> RunRecord:
    """A run after its end. Raises WaitTimeout after so many seconds, and at once when its target is broken.

    A target that is away is asked again soon; one that fails in a hook is left alone for longer than the kit waits
    for anything of its own.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            left = max(0.0, deadline - time.monotonic())
            return workspace.runs.wait(run, timeout=min(_GLANCE, left), watch=lambda seen: None)  # nothing is logged
        except WaitTimeout:
            message, again = waits_because(workspace.config.registry.value, run)
            why = f"; it waits for its target: {message}" if message else ""
            stuck = bool(why) and again > time.time() + _LONG
            if stuck or time.monotonic() >= deadline:
                waited = time.monotonic() - deadline + patience
                state = workspace.runs.get(run).state
                raise WaitTimeout(f"run {run} is still {state} after {waited:.3g} s{why}") from None


def executions(marks: Path) -> dict[str, int]:
    """How often each step has left a mark in a folder, by the step's name."""
    counts: dict[str, int] = {}
    for found in marks.iterdir():
        name = found.name.rpartition(".")[0]
        counts[name] = counts.get(name, 0) + 1
    return counts
