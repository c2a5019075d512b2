"""One job in memory: which steps may go, what a failure makes impossible, and what it all comes to. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import define, field

from penstock.contract.run import ENDED, BoundParameters
from penstock.spec.command import Reference
from penstock.spec.optional import filled
from penstock.spec.parameters import HIDDEN


@define(eq=False)
class Step:
    """One step of a job and where it stands. `missing` counts the steps it still waits for.

    `attempt` is the number of the one that runs, or else of the next.
    `live` says that its process was asked for and has not ended; `pid` and `parent` are known once it runs.
    `adopted` says that an earlier engine started it, `moved` that the root lay elsewhere then.
    `command` and `environment` are what it was started with, empty when an earlier engine did that.
    `folder` is where its attempt's outputs really lie, links on the way there followed; `paths` name them.
    `stopping` says why its processes are being ended, `killed` that the time for leaving by themselves is over.
    """

    job: Job
    position: int
    plan: Mapping[str, Any]
    state: str = "queued"
    attempt: int = 1
    failures: int = 0
    interruptions: int = 0
    missing: int = 0
    outputs: dict[str, str] = field(factory=dict)
    dependents: list[Step] = field(factory=list)
    token: str = ""
    live: bool = False
    adopted: bool = False
    moved: bool = False
    pid: int = 0
    parent: int = 0
    exit_code: int | None = None
    command: list[str] = field(factory=list)
    environment: Mapping[str, str] = field(factory=dict)
    folder: str = ""
    paths: dict[str, str] = field(factory=dict)
    stopping: str = ""
    killed: bool = False
    out_of_memory: bool = False
    slots: int = 1

    def begin(self, token: str, slots: int) -> None:
        """An attempt is about to start under this token, in so many slots."""
        self.state, self.token, self.slots = "running", token, slots
        self.exit_code, self.stopping, self.killed = None, "", False
        self.live, self.adopted, self.moved, self.pid, self.parent = False, False, False, 0, 0

    def again(self) -> None:
        """The attempt is over, and another one is to follow."""
        self.token = ""
        self.attempt += 1

    @property
    def name(self) -> str:
        """The step's name in the pipeline."""
        return str(self.plan["name"])

    @property
    def ended(self) -> bool:
        """Whether its state is final."""
        return self.state in ENDED

    def waited_for_alone(self) -> Iterator[Step]:
        """The steps that are to follow once this one has succeeded, because they wait for nothing else."""
        return (step for step in self.dependents if step.missing == 1 and step.state == "queued")

    @property
    def rank(self) -> tuple[int, int]:
        """The order in which steps get their slots: older jobs first, then the order of the graph."""
        return self.job.seq, self.position


@define(eq=False)
class Job:
    """A run in the making. `open` counts the steps that have not ended; `error` is the failure of the
    step that comes first in the order of the graph, whichever was faster: so a run says the same everywhere.

    `environment` holds the values that the run took along from whoever submitted it. They stay in memory. `python` is
    the interpreter that its steps find first, the engine's where it is empty; a `trial` is a run of a file;
    `above` are the tokens of the steps that triggered it, the nearest first.
    """

    seq: int
    id: str
    plan: Mapping[str, Any]
    parameters: BoundParameters
    environment: Mapping[str, str]
    python: str = ""
    trial: bool = False
    above: tuple[str, ...] = ()
    started: bool = False
    canceled: bool = False
    error: Mapping[str, Any] | None = None
    error_at: int = -1
    steps: dict[str, Step] = field(factory=dict)
    open: int = 0
    absent: frozenset[str] = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Find the parameters without a value once, and not for every placeholder."""
        self.absent = self.parameters.absent

    @classmethod
    def of(
        cls, seq: int, run: str, plan: Mapping[str, Any], parameters: BoundParameters, environment: Mapping[str, str]
    ) -> Job:
        """A job as its publication's plan describes it, no step started yet."""
        job = cls(seq, run, plan, parameters, environment)
        for position, item in enumerate(plan["steps"]):
            step = job.steps[item["name"]] = Step(job, position, item, missing=len(item["needs"]))
            for need in item["needs"]:
                job.steps[need].dependents.append(step)
        job.open = len(job.steps)
        return job

    def ready(self) -> list[Step]:
        """The steps that wait for nothing."""
        return [step for step in self.steps.values() if step.state == "queued" and not step.missing]

    def end(self, step: Step, state: str, outputs: Mapping[str, str] | None = None) -> list[Step]:
        """Note the end of a step; returns the steps that may go now."""
        step.state, step.token = state, ""
        self.open -= 1
        if state != "succeeded":
            return []
        step.outputs = dict(outputs or {})
        freed = []
        for dependent in step.dependents:
            dependent.missing -= 1
            if not dependent.missing and dependent.state == "queued":
                freed.append(dependent)
        return freed

    def note_failure(self, step: Step, error: Mapping[str, Any] | None) -> None:
        """Note why a step failed."""
        if error is not None and (self.error is None or step.position < self.error_at):
            self.error, self.error_at = error, step.position

    def impossible(self, failed: Step) -> Iterator[Step]:
        """The queued steps that cannot go any more because this one failed, nearest first."""
        seen = {failed.position}
        line = [failed]
        for step in line:
            for dependent in step.dependents:
                if dependent.position not in seen:
                    seen.add(dependent.position)
                    line.append(dependent)
                    if dependent.state == "queued":
                        yield dependent

    def result(self) -> str:
        """What the job comes to once no step is open."""
        if self.canceled:
            return "canceled"
        return "failed" if self.error else "succeeded"

    def outputs(self) -> dict[str, str]:
        """The pipeline's outputs as far as they were produced."""
        found = {}
        for name, text in self.plan["outputs"].items():
            try:
                found[name] = filled(text, self.resolve)
            except KeyError:
                continue
        return found

    def masked(self, text: str) -> str:
        """A text about the job without the values of its sensitive parameters."""
        for name in self.parameters.sensitive:
            if value := self.parameters.texts[name]:
                text = text.replace(value, HIDDEN)
        return text

    def resolve(self, reference: Reference) -> str | None:
        """The text of a parameter, None of one without a value, or of an output of an ended step. Raises KeyError."""
        if reference.scope == "parameters":
            name = reference.names[0]
            if name in self.absent:
                return None
            texts = self.parameters.texts
            return str(texts[name] if name in texts else self.parameters.artifacts[name])
        step, _, output = reference.names
        return self.steps[step].outputs[output]
