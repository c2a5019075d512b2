"""The graph itself: which step waits for which, in what order they can run, and what their inputs are."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping

from penstock.errors import Problem, SpecInvalid
from penstock.spec.command import CommandInvalid, Reference, references, sole_reference
from penstock.spec.keys import walk
from penstock.spec.pipeline import Pipeline
from penstock.spec.steps import Step
from penstock.spec.types import Type

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
    graph = dependencies(pipeline)
    found = _sorted(graph)
    if len(found) < len(graph):
        raise SpecInvalid.of(cycle_details(pipeline))
    return found


def cycle_details(pipeline: Pipeline) -> list[Problem]:
    """One problem per cycle, the cycle spelt out, at the first step of it."""
    graph = dependencies(pipeline)
    details = [
        Problem("cycle", f"the step `{name}` waits for itself", ("steps", name))
        for name, needs in graph.items()
        if name in needs
    ]
    graph = {name: needs - {name} for name, needs in graph.items()}
    while len(details) < _MOST_CYCLES and (stuck := graph.keys() - set(_sorted(graph))):
        cycle = _one_cycle(graph, min(stuck), stuck)
        shown = " -> ".join(f"`{name}`" for name in (*cycle, cycle[0]))
        details.append(Problem("cycle", f"the steps wait in a circle: {shown}", ("steps", cycle[0])))
        graph = {name: needs - set(cycle) for name, needs in graph.items() if name not in cycle}
    return details


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


def _sorted(graph: Mapping[str, frozenset[str]]) -> list[str]:
    """As many steps as can be put in order; those on or behind a cycle are missing."""
    waiting = {name: len(needs) for name, needs in graph.items()}
    followers: dict[str, list[str]] = {name: [] for name in graph}
    for name, needs in graph.items():
        for need in needs:
            followers[need].append(name)
    ready = [name for name, count in waiting.items() if not count]
    heapq.heapify(ready)
    found = []
    while ready:
        name = heapq.heappop(ready)
        found.append(name)
        for follower in followers[name]:
            waiting[follower] -= 1
            if not waiting[follower]:
                heapq.heappush(ready, follower)
    return found


def _one_cycle(graph: Mapping[str, frozenset[str]], start: str, stuck: set[str]) -> list[str]:
    """Walk along dependencies that are stuck themselves until a step comes again: that is a cycle."""
    path: dict[str, None] = {}
    name = start
    while name not in path:
        path[name] = None
        name = min(graph[name] & stuck)
    walked = list(path)
    cycle = walked[walked.index(name) :]
    first = cycle.index(min(cycle))
    return cycle[first:] + cycle[:first]
