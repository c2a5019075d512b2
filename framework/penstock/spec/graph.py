"""The graph itself: which step waits for which, in what order they can run, and what their inputs are."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter

from penstock.errors import Problem, SpecInvalid
from penstock.spec.command import CommandInvalid, Reference, references, sole_reference
from penstock.spec.keys import walk
from penstock.spec.pipeline import Pipeline
from penstock.spec.steps import Step
from penstock.spec.values import Type

_MOST_CYCLES = 20


def dependencies(pipeline: Pipeline) -> dict[str, frozenset[str]]:
    """The steps that each step waits for: those its inputs reference, and `after`.

    Steps that do not exist and inputs that cannot be read are left out; `check` reports them.
    """
    return {
        name: frozenset(found for found in _needs(step) if found in pipeline.steps)
        for name, step in pipeline.steps.items()
    }


def order(pipeline: Pipeline) -> list[str]:
    """The steps, each after all it depends on; alphabetical where the graph leaves a choice.

    Raises SpecInvalid (`cycle`) when there is no such order.
    """
    graph = TopologicalSorter(dependencies(pipeline))
    try:
        graph.prepare()
    except CycleError:
        raise SpecInvalid.of(cycle_details(pipeline)) from None
    found: list[str] = []
    ready: list[str] = []
    while graph.is_active():
        for name in graph.get_ready():
            heapq.heappush(ready, name)
        found.append(heapq.heappop(ready))
        graph.done(found[-1])
    return found


def cycle_details(pipeline: Pipeline) -> list[Problem]:
    """One problem per cycle, the cycle spelt out, at the first step of it."""
    # In order, so that the same cycles are found each time.
    graph = {name: sorted(needs) for name, needs in sorted(dependencies(pipeline).items())}
    details: list[Problem] = []
    while len(details) < _MOST_CYCLES and (cycle := _one_cycle(graph)):
        shown = " -> ".join(f"`{name}`" for name in (*cycle, cycle[0]))
        own = f"the step `{cycle[0]}` waits for itself"
        message = own if len(cycle) == 1 else f"the steps wait in a circle: {shown}"
        details.append(Problem("cycle", message, ("steps", cycle[0])))
        left = {name: needs for name, needs in graph.items() if name not in cycle}
        graph = {name: [need for need in needs if need in left] for name, needs in left.items()}
    return details


def _one_cycle(graph: dict[str, list[str]]) -> list[str]:
    """Steps of which each waits for the next, and the last for the first; none when there is no circle."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        *_, cycle = error.args
        walked: list[str] = cycle[:0:-1]
        first = walked.index(min(walked))
        return walked[first:] + walked[:first]
    return []


def input_types(pipeline: Pipeline, step: str) -> dict[str, Type]:
    """The type of each input of a step, from what it references. Raises KeyError for unknown names.

    The pipeline is one that `check` found nothing wrong with.
    """
    return {name: reference_type(pipeline, text) for name, text in pipeline.steps[step].inputs.items()}


def reference_type(pipeline: Pipeline, text: str) -> Type:
    """The type of what `${{ parameters.x }}` or `${{ steps.a.outputs.b }}` names. Raises KeyError."""
    reference = sole_reference(text)
    match reference:
        case Reference("parameters", (name,)):
            return pipeline.parameters[name].type
        case Reference("steps", (name, "outputs", output)):
            return pipeline.steps[name].outputs[output].type
    raise KeyError(text)


def _needs(step: Step) -> Iterator[str]:
    for _, value, about in walk(step):
        if isinstance(value, str):
            if about.steps:
                yield value
            elif "steps" in about.links:
                yield from _sources(value)


def _sources(text: str) -> list[str]:
    try:
        return [reference.names[0] for reference in references(text) if reference.scope == "steps"]
    except CommandInvalid:
        return []
