"""Law 6: what a target cannot do is refused when it is published, with the place in the spec, and not when it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
from attrs import evolve, frozen

from penstock.contract.target import Problem
from penstock.errors import ParameterInvalid, TargetUnsupported, format_path
from penstock.spec import Defaults, Parameter, Pipeline, Resources, Retry, Step, document_key
from penstock.testing.checking import check
from penstock.testing.harness import Harness
from penstock.testing.helpers.setup import set_up
from penstock.testing.laws import require, same
from penstock.testing.probes.pipelines import echo, probe
from penstock.testing.strategies import pipelines
from penstock.testing.strategies.runnable import SHEET, lay_out
from penstock.workspace import Workspace


@frozen
class _Demand:
    """Something that a pipeline asks for. One that is `plain` needs nothing special of the place: it must succeed."""

    what: str
    pipeline: Pipeline
    plain: bool = True


@check(6)
def unsupported_is_refused_at_publish(harness: Harness) -> None:
    """Is what the target cannot do refused at publish, and whatever it takes run?"""
    lay_out(harness.spec_folder)
    refused, runs = [], []
    with harness.workspace() as ws:
        for demand in _demands(harness.subject.python):
            problems = harness.hooks.validate(demand.pipeline)
            errors = [problem for problem in problems if problem.severity == "error"]
            try:
                published = ws.publish(demand.pipeline, folder=harness.spec_folder)
            except TargetUnsupported:
                require(6, errors, f"{demand.what} is refused at publish, but validating says nothing of it")
                refused.append(demand.what)
                continue
            require(6, not errors, f"{demand.what} is published although the target said that it cannot do it")
            runs.append((demand, ws.runs.submit(published.id).run.id))
        names = {one.name for one in ws.pipelines.list(all=True, limit=100).items}
        same(6, names & set(refused), set(), "what is published of what was refused")
        for demand, run in runs:
            _runs(harness, ws, demand, run)
    if refused:
        harness.tell(f"refused at publish: {', '.join(refused)}")


@check(6)
def problems_have_places(harness: Harness) -> None:
    """Does everything that the target says of a pipeline name a place in it, and does it say the same twice?"""

    def body(pipeline: Pipeline) -> None:
        problems = harness.hooks.validate(pipeline)
        again = harness.hooks.validate(pipeline)
        same(6, again, problems, "what the target says of the same pipeline a second time")
        for problem in problems:
            _placed(pipeline, problem)

    for demand in _demands(harness.subject.python):
        body(demand.pipeline)
    harness.forall(body, examples=8, pipeline=pipelines())


@check(6, needs=("penstock_resolve_location",))
def files_are_looked_for(harness: Harness) -> None:
    """Is a file that is not there refused with all else that is wrong, before anything is accepted?"""
    declared = {"file": Parameter("file"), "whole": Parameter("integer")}
    missing = str(harness.folder / "not there")
    with harness.workspace() as ws:
        pipeline = evolve(echo(harness.subject.python, {"whole": declared["whole"]}), parameters=declared)
        published = set_up(harness, ws, pipeline)
        for whole, names in ((1, ["file"]), ("one", ["file", "whole"])):
            try:
                ws.runs.submit(published.id, parameters={"file": missing, "whole": whole})
            except ParameterInvalid as error:
                told = sorted({str(detail.path[0]) if detail.path else "" for detail in error.details})
                same(6, told, names, "the parameters that are said to be wrong, one being a file that is not there")
            else:
                require(6, False, "a file that is not there is accepted")
        same(6, ws.runs.list().items, (), "what was accepted with a file that is not there")


def _runs(harness: Harness, ws: Workspace, demand: _Demand, run_id: str) -> None:
    """Hold a run of something that was published to having been taken; what is plain must succeed too."""
    if demand.plain:
        run = harness.wait(ws, run_id, 6)
        why = "; ".join(f"step `{one.name}`: {one.error.message}" for one in run.steps if one.error)
        why = why or (run.error.message if run.error else "no error is given")
        require(6, run.state == "succeeded", f"{demand.what} is published, and its run {run.state}: {why}")
        return
    run = ws.runs.get(run_id)
    if not run.finished and harness.has("penstock_cancel_run"):
        run = ws.runs.cancel(run_id).run
    refused = run.error is not None and run.error.code == "dispatch_failed"
    require(6, not refused, f"{demand.what} is published, and its run is refused: {run.error and run.error.message}")


def _demands(python: str) -> list[_Demand]:
    """Pipelines that each ask for one thing that not every place can do; each is named by it."""
    step = Step(command=probe(python, "say", "done\n"))

    def one(what: str, **changes: Any) -> _Demand:
        return _demand(what, {"only": evolve(step, **changes)})

    machines = {
        "a gpu": Resources(gpu=1),
        "128 cores": Resources(cpu=128),
        "half a core": Resources(cpu=0.5),
        "16 Ti of memory": Resources(memory=2**44),
    }
    chain = {f"s{number}": evolve(step, after=(f"s{number - 1}",) if number else ()) for number in range(12)}
    free = Step(command=(python, "-c", "print(1)"))
    return [
        *(evolve(one(what, resources=resources), plain=False) for what, resources in machines.items()),
        evolve(one("an image", image="python:3.12-slim"), plain=False),
        one("a thousand attempts", retry=Retry(attempts=1000, delay=3600)),
        one("a timeout of half a year", timeout=180 * 86400.0),
        one("odd environment variables", env={"a-b": "1", "ü": "2", "1": "3", "A B": "4", "EMPTY": ""}),
        _demand("a step with a long name", {"s" * 120: step}),
        _demand("an output with a long name", {"only": _writing(python, "o" * 120)}),
        _demand("an output with an odd name", {"1": _writing(python, "0-_-0"), "_": _writing(python, "_-")}),
        _demand("a dozen steps in a row", chain),
        _demand("a step without code", {"only": free}, defaults=Defaults()),
        _demand("a file that travels", {"only": step}, parameters={"sheet": Parameter("file", default=SHEET)}),
    ]


def _demand(what: str, steps: Mapping[str, Step], **more: Any) -> _Demand:
    return _Demand(what, Pipeline(**{"name": what, "defaults": Defaults(code="./src"), "steps": steps, **more}))


def _writing(python: str, output: str) -> Step:
    return Step(command=probe(python, "put", f"${{{{ outputs.{output} }}}}", "1"), outputs={output: "integer"})


def _placed(pipeline: Pipeline, problem: Problem) -> None:
    place: Any = pipeline
    for key in problem.path:
        place = _inside(place, key)
        shown = format_path(problem.path)
        require(6, place is not None, f"`{problem.code}` is said to be at {shown}, which is no place in the pipeline")


def _inside(place: Any, key: str | int) -> Any:
    if attrs.has(type(place)):
        names = {document_key(field.name): field.name for field in attrs.fields(type(place))}
        return getattr(place, names[str(key)], None) if key in names else None
    if isinstance(place, Mapping):
        return place.get(key)
    if isinstance(place, tuple) and isinstance(key, int) and 0 <= key < len(place):
        return place[key]
    return None


CHECKS = (files_are_looked_for, unsupported_is_refused_at_publish, problems_have_places)
