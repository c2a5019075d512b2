"""Valid pipelines as documents: everything a spec can say, with hostile text wherever text can be."""

from __future__ import annotations

import string
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from penstock.spec import TYPES, Defaults, Output, Parameter, Pipeline, Resources, Retry, Step
from penstock.spec.keys import attributes
from penstock.spec.quantity import bytes_text, duration_text
from penstock.testing.strategies.parameters import declarations
from penstock.testing.strategies.text import hostile_text, keys, names, templates


@st.composite
def pipelines(draw: DrawFn, max_steps: int = 4) -> Pipeline:
    """Valid pipelines: steps that read parameters and earlier steps, with hostile text wherever text can be."""
    declared = draw(declarations(most=4, optional=True))
    steps: dict[str, Step] = {}
    for name in draw(st.lists(keys(), min_size=1, max_size=max_steps, unique=True)):
        steps[name] = draw(_steps(declared, dict(steps)))
    produced = [f"${{{{ steps.{name}.outputs.{key} }}}}" for name, step in steps.items() for key in step.outputs]
    outputs = draw(st.dictionaries(keys(), st.sampled_from(produced), max_size=3)) if produced else {}
    shared = {one.name: step_keys()[one.name] for one in attributes(Defaults)}
    return Pipeline(
        name=draw(names()),
        description=draw(hostile_text()),
        parameters=declared,
        defaults=Defaults(**draw(st.fixed_dictionaries({}, optional=shared))),
        steps=dict(draw(st.permutations(list(steps.items())))),
        outputs=outputs,
    )


@st.composite
def _steps(draw: DrawFn, declared: dict[str, Parameter], earlier: dict[str, Step]) -> Step:
    sources = [f"${{{{ parameters.{key} }}}}" for key in declared]
    sources += [f"${{{{ steps.{name}.outputs.{key} }}}}" for name, step in earlier.items() for key in step.outputs]
    inputs = draw(st.dictionaries(keys(), st.sampled_from(sources), max_size=3)) if sources else {}
    outputs = draw(st.dictionaries(keys(), st.builds(Output, st.sampled_from(TYPES), description=hostile_text())))
    marks = [f"${{{{ parameters.{key} }}}}" for key, parameter in declared.items() if not parameter.is_artifact]
    marks += [f"${{{{ inputs.{key} }}}}" for key in inputs] + [f"${{{{outputs.{key}}}}}" for key in outputs]
    return Step(
        command=("run", *draw(st.lists(templates(marks), max_size=5))),
        description=draw(hostile_text()),
        inputs=inputs,
        outputs=outputs,
        after=draw(st.lists(st.sampled_from(sorted(earlier)), max_size=2, unique=True)) if earlier else (),
        **{**draw(st.fixed_dictionaries({}, optional=step_keys())), "env": draw(_environments(marks))},
    )


def step_keys() -> dict[str, SearchStrategy[Any]]:
    """What a step can say by each key that needs no other: all but its command, description, inputs, outputs, after."""
    return {
        "env": _environments([]),
        "code": st.just("./src"),
        "image": st.sampled_from(["python:3.12-slim", "debian:12"]),  # one may be what a target takes of itself
        "resources": _resources(),
        "retry": st.builds(Retry, attempts=st.integers(1, 5), delay=_seconds()),
        "timeout": _seconds().filter(bool) | _seconds().filter(bool).map(duration_text),
    }


def _environments(marks: list[str]) -> SearchStrategy[dict[str, str]]:
    variables = st.text(string.ascii_uppercase + "_", min_size=1, max_size=6)
    return st.dictionaries(variables, templates(marks), max_size=2)


def _resources() -> SearchStrategy[Resources]:
    return st.builds(
        Resources,
        cpu=st.none() | st.integers(1, 64) | st.sampled_from([0.5, 1.5, 2.0]),
        memory=st.none() | st.just(2**50) | st.integers(0, 2**50) | st.integers(0, 2**50).map(bytes_text),
        gpu=st.none() | st.integers(0, 8),
    )


def _seconds() -> SearchStrategy[float]:
    return st.one_of(st.integers(0, 10**9).map(float), st.floats(0, 10**9).map(lambda seconds: round(seconds, 6)))
