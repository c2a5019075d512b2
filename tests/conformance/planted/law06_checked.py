"""What the place cannot do is said too late, nowhere, or not twice alike."""

from __future__ import annotations

import itertools

from attrs import evolve
from planting.hooks import answered, around

from penstock.contract.target import Problem
from penstock.errors import TargetRefused


def unsupported_is_refused_at_run_time():
    """The backend takes every pipeline, and refuses the runs of those that ask for a gpu."""
    answered("penstock_validate_pipeline", lambda problems: [])

    def submit(real, target, run):
        if run.pipeline == "a gpu":
            raise TargetRefused("there is no gpu here")
        return real(target, run)

    around("penstock_submit_run", submit)


def a_key_is_forgotten():
    """The backend was written before steps had a timeout: it takes one, and compiles nothing of it."""

    def compile_pipeline(real, target, snapshot):
        pipeline = snapshot.pipeline
        steps = {name: evolve(step, timeout=None) for name, step in pipeline.steps.items()}
        return real(target, evolve(snapshot, pipeline=evolve(pipeline, steps=steps)))

    around("penstock_compile_pipeline", compile_pipeline)


def a_key_is_told_of_when_there_is_much_of_it():
    """The backend says that it keeps no memory for a step only where a step asks for more than there is."""

    def validate(real, target, pipeline):
        asked = [one.resources.memory for one in (pipeline.defaults, *pipeline.steps.values()) if one.resources]
        much = any(memory and memory > 2**46 for memory in asked)
        return [problem for problem in real(target, pipeline) if much or problem.code != "memory_ignored"]

    def compile_pipeline(real, target, snapshot):
        pipeline = snapshot.pipeline
        steps = {name: _without_memory(step) for name, step in pipeline.steps.items()}
        made = evolve(pipeline, steps=steps, defaults=_without_memory(pipeline.defaults))
        return real(target, evolve(snapshot, pipeline=made))

    around("penstock_validate_pipeline", validate)
    around("penstock_compile_pipeline", compile_pipeline)


def _without_memory(asks):
    return asks if asks.resources is None else evolve(asks, resources=evolve(asks.resources, memory=None))


def problems_are_at_no_place():
    """The backend names a place that the pipeline does not have."""
    path = ("steps", "slow-one", "command")
    problem = Problem(severity="warning", code="slow", message="this is slow here", path=path)
    answered("penstock_validate_pipeline", lambda problems: [*problems, problem])


def problems_are_said_once():
    """The backend says another thing when it is asked a second time."""
    counts = itertools.count()

    def validate(problems):
        return [*problems, Problem(severity="warning", code="count", message=f"asked {next(counts)} times before")]

    answered("penstock_validate_pipeline", validate)


def files_are_not_looked_for():
    """Any file that a trigger names is taken, there or not."""
    around("penstock_resolve_location", lambda real, target, location: location.text)


CASES = {
    unsupported_is_refused_at_run_time: "unsupported_is_refused_at_publish",
    a_key_is_forgotten: "keys_are_used",
    a_key_is_told_of_when_there_is_much_of_it: "keys_are_used",
    problems_are_at_no_place: "problems_have_places",
    problems_are_said_once: "problems_have_places",
    files_are_not_looked_for: "files_are_looked_for",
}
