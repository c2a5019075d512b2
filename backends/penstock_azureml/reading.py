"""A pipeline job and its nodes, as Azure's run history writes them, in the words of the contract.

The shapes are those of the run history client within azure-ai-ml 1.35.2 (`_restclient/runhistory`: `RunDto`); statuses
are its `RunStatus`, those of `JobStatus` in ARM, and `Finished` and `Scheduled` of azureml-core. Nothing else is relied
on: what has another shape is as if it were not said. Times lag, and so do children behind their job.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from attrs import field, frozen

from penstock.codec import read_time
from penstock.contract.run import ENDED, Failure, RunReport, RunState, StepReport, StepState
from penstock.errors import PenstockError
from penstock.launcher.reports import AttemptReport, attempt_number, read_report
from penstock_azureml.compile import OUTPUTS
from penstock_azureml.names import own_name, shown_name

Run = Mapping[str, Any]
_ENDED: Mapping[str, Any] = {
    "Completed": "succeeded",
    "Finished": "succeeded",
    "Failed": "failed",
    "Canceled": "canceled",
}
_WAITING = frozenset({"NotStarted", "Queued", "Scheduled", ""})
_BEFORE = frozenset({"Provisioning", "Starting", "Preparing"})
"""Of a node: Azure makes its container ready, and nothing of ours runs."""
PATIENCE = timedelta(minutes=10)
"""How long after the end of something Azure is waited for to say all of it."""
_FROM = re.compile(r"parent\.jobs\.(\w+)\.outputs\.")


@frozen(kw_only=True)
class Finished:
    """What is known of a node that has ended: how its last attempt went, and its outputs, by Azure's names for them.

    `unread` says why outputs cannot be read, a code and a line; they are left out.
    """

    attempt: int | None = None
    report: AttemptReport = field(factory=AttemptReport)
    outputs: Mapping[str, str] = field(factory=dict)
    unread: tuple[str, str] | None = None


def finished_of(report: bytes | None, outputs: Mapping[str, str], unread: tuple[str, str] | None = None) -> Finished:
    """What the launcher said of a node, if it said anything: the last attempt's number in a line, and its report."""
    number, _, said = (report or b"").partition(b"\n")
    attempt = attempt_number(number.decode("ascii", "replace"))
    return Finished(attempt=attempt, report=read_report(said), outputs=outputs, unread=unread)


def lately(run: Run, now: datetime, patience: timedelta = PATIENCE) -> bool:
    """Whether a run of a job or a node ended so short ago that more may become known of it; false where nobody knows
    when it did, so that nothing is waited for without end.
    """
    ended = _time(run.get("endTimeUtc")) or _time(run.get("lastModifiedUtc"))
    return ended is not None and now - ended < patience


def state_of(run: Run) -> RunState:
    """What a job's status is to us."""
    status = str(run.get("status") or "")
    ended: RunState | None = _ENDED.get(status)
    return ended or ("queued" if status in _WAITING else "running")


def step_state(child: Run | None) -> StepState:
    """What the status of a node's run is to us; one that has none waits."""
    status = str(child.get("status") or "") if child else ""
    ended: StepState | None = _ENDED.get(status)
    return ended or ("queued" if status in _WAITING | _BEFORE else "running")


def nodes_of(component: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """The nodes of a pipeline's component by their names; none of what is no such component."""
    nodes = _object(_object(component.get("componentSpec")).get("jobs"))
    return {name: _object(about) for name, about in nodes.items()}


def by_node(component: Mapping[str, Any], children: list[Run]) -> dict[str, Run]:
    """The runs of nodes, by the node: it is what a run is displayed as, or the component that it is of says which.

    A run is displayed as the node is called, or as its component is displayed; the component's name is the property
    `azureml.moduleName`, by which azure-ai-ml 1.0 finds the child `batchscoring` (`JobOperations`). `azureml.nodeid`
    is 8 digits that name nothing of ours.
    """
    nodes: dict[str, str] = {}
    for node, about in nodes_of(component).items():
        of_component = str(about.get("componentId")).rpartition("/components/")[2].partition("/")[0]
        nodes |= {node: node, shown_name(own_name(node)): node, of_component: node}
    found: dict[str, Run] = {}
    for child in children:
        told = (child.get("displayName"), _object(child.get("properties")).get("azureml.moduleName"))
        named = next((nodes[name] for name in told if isinstance(name, str) and name in nodes), None)
        if named is not None:
            found.setdefault(named, child)
    return found


def run_report(
    component: Mapping[str, Any], run: Run, nodes: Mapping[str, Run], finished: Mapping[str, Finished], now: datetime
) -> RunReport:
    """A run and its steps, in the order of the graph.

    An end is final, so one with which its nodes do not agree yet is not told: for a while the run is still `running`.
    """
    order = _order(component)
    state = _agreed(state_of(run), [step_state(nodes.get(node)) for node in order], lately(run, now))
    steps = tuple(_step(node, nodes.get(node), state, finished.get(node, Finished())) for node in order)
    began = _time(run.get("startTimeUtc")) if state != "queued" else None
    return RunReport(
        state=state,
        started=began,
        ended=_time(run.get("endTimeUtc")) if state in ENDED else None,
        error=_why(run, state, steps),
        steps=steps,
    )


def _agreed(state: RunState, steps: list[StepState], wait: bool) -> RunState:
    """The state of a run of which its nodes say this: all of a succeeded one did, and none of an ended one runs."""
    if state == "succeeded" and "failed" in steps:
        return "failed"
    missing = {"queued", "running"} if state == "succeeded" else {"running"}
    return "running" if wait and state in ENDED and missing & set(steps) else state


def run_outputs(component: Mapping[str, Any], finished: Mapping[str, Finished]) -> dict[str, str]:
    """The pipeline's outputs, as far as their nodes have made them."""
    try:
        sources = _object(json.loads(_object(component.get("properties")).get(OUTPUTS) or "{}"))
    except (TypeError, ValueError, RecursionError):
        sources = {}
    found: dict[str, str] = {}
    for port, source in sources.items():
        node, _, made = str(source).partition(".")
        text = finished.get(node, Finished()).outputs.get(made)
        if text is not None:
            found[own_name(port)] = text
    return found


def _step(node: str, child: Run | None, run: RunState, finished: Finished) -> StepReport:
    state, name = step_state(child), own_name(node)
    if state not in ENDED and run in ENDED:  # what nobody will start any more, or was waited for in vain
        state = run if run in ("canceled", "succeeded") else "skipped"
    began = _time(child.get("startTimeUtc")) if child and state not in ("queued", "skipped") else None
    ended = state in ENDED and began is not None
    report = finished.report
    exit_code = 0 if state == "succeeded" else report.exit_code
    outputs = {own_name(port.partition("_")[2]): text for port, text in finished.outputs.items()}
    return StepReport(
        name=name,
        state=state,
        attempt=0 if began is None else finished.attempt or 1,
        started=began,
        ended=_time((child or {}).get("endTimeUtc")) if ended else None,
        exit_code=exit_code if ended else None,
        error=_failure(name, child or {}, report) if state == "failed" else _unread(name, finished),
        outputs=outputs if state == "succeeded" else {},
    )


def _failure(name: str, child: Run, report: AttemptReport) -> Failure:
    message = report.message or (f"exited with code {report.exit_code}" if report.exit_code else "")
    said = message or _said(child) or "failed, and Azure does not say why"
    return Failure(code=report.code or "step_failed", message=f"step `{name}`: {said}", step=name)


def _unread(name: str, finished: Finished) -> Failure | None:
    if finished.unread is None:
        return None
    code, message = finished.unread
    return Failure(code=code, message=f"step `{name}` succeeded, and what it made is not known: {message}", step=name)


def _why(run: Run, state: RunState, steps: tuple[StepReport, ...]) -> Failure | None:
    told = next((step.error for step in steps if step.error is not None and step.state == state), None)
    if told is not None or state != "failed":
        return told
    return Failure(code="run_failed", message=_said(run) or "the job failed, and Azure does not say why")


def _said(run: Run) -> str:
    """Why Azure says that something failed, in one line."""
    error = _object(_object(run.get("error")).get("error"))
    return " ".join(str(error.get("message") or "").split())[:500]


def _order(component: Mapping[str, Any]) -> list[str]:
    """The nodes, each after all it takes something from; by the step's name where the graph leaves a choice."""
    left: dict[str, set[str]] = {}
    for node, about in nodes_of(component).items():
        inputs = _object(about.get("inputs")).values()
        texts = [str(one.get("value", "")) if isinstance(one, dict) else str(one) for one in inputs]
        left[node] = {found for text in texts for found in _FROM.findall(text)}
    return list(_sorted(left))


def _sorted(left: dict[str, set[str]]) -> Iterator[str]:
    while left:
        # Nobody registers a circle; if it was there, the order is the only thing that is lost.
        ready = [one for one, needs in left.items() if not needs & left.keys()]
        node = min(ready or left, key=own_name)
        del left[node]
        yield node


def _time(text: Any) -> datetime | None:
    try:
        return read_time(text) if isinstance(text, str) else None
    except PenstockError:
        return None


def _object(value: Any) -> Mapping[str, Any]:
    """A JSON object, and an empty one for whatever is none."""
    return value if isinstance(value, dict) else {}
