"""Laws 1 and 6 at the hooks: what is compiled again is the same, and no key of a step is lost in it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import attrs
from attrs import evolve

from penstock.codec import canonical_json
from penstock.errors import Path, format_path
from penstock.spec import Defaults, Parameter, Pipeline, Resources, Step
from penstock.spec.keys import attributes, is_default
from penstock.testing.checking import check
from penstock.testing.harness import Harness
from penstock.testing.helpers.directly import put, taken
from penstock.testing.laws import Untested, require, same
from penstock.testing.probes.pipelines import chain
from penstock.testing.probes.pipelines import probe as command
from penstock.testing.processes.fresh_interpreter import in_fresh_interpreter
from penstock.testing.profiles import DEFAULT
from penstock.testing.strategies.documents import step_keys
from penstock.testing.subject import Subject

_CORES = (0.5, 1.5, 2.0)
"""Asked in any case: a target may round up to whole cores and say that it has not more than a few, and then a draw
seldom has one that makes a difference."""


@check(1)
def compiled_alike(harness: Harness) -> None:
    """Does one pipeline have one digest and one compiled form, whenever and wherever it is compiled?"""
    pipelines = (_many_keys(harness.subject.python), chain(harness.subject.python, 5))
    for pipeline in pipelines:
        put(harness, pipeline)
    here = [_compiled(harness, pipeline) for pipeline in pipelines]
    again = [_compiled(harness, pipeline) for pipeline in pipelines]
    same(1, again, here, "the digest and compiled form of a pipeline, the second time,")
    there = in_fresh_interpreter(_compiled_apart, harness.subject, pipelines, hash_seed=harness.seed % 2**31 + 1)
    same(1, there, here, "the digest and compiled form of a pipeline in another process")


@check(6)
def keys_are_used(harness: Harness) -> None:
    """Does each key of a step change what is compiled, unless the target says at publish that it does not use it?"""
    from hypothesis import strategies as st

    bare = Pipeline(name="bare", steps={"only": Step(command=command(harness.subject.python))})
    archived = taken(harness, evolve(bare, defaults=Defaults(code="./src")))
    ignored, changes, told = set[Path](), set[Path](), set[Path]()

    def body(said: dict[str, Any]) -> None:
        for key, full, less in _one_by_one(bare, said):
            problems = [*harness.hooks.validate(full), *harness.hooks.validate(less)]
            if any(problem.path[: len(key)] == key[: len(problem.path)] for problem in problems if problem.path):
                told.add(key)  # of this value: of another one the target may say nothing
            elif key not in changes and not any(problem.severity == "error" for problem in problems):
                # The digest would differ in any case; a backend that carries the whole spec is taken at its word.
                both = [evolve(archived, pipeline=one, canonical=canonical_json(one)) for one in (full, less)]
                with_key, without = (harness.hooks.compile(one) for one in both)
                (ignored if with_key == without else changes).add(key)

    for cores in _CORES:
        body({"resources": Resources(cpu=cores, memory="1Gi")})
    harness.forall(body, examples=50, said=st.fixed_dictionaries(step_keys()))
    lost = ", ".join(f"`{format_path(key)}`" for key in sorted(ignored - changes, key=str))
    require(6, not lost, f"the target takes {lost} and compiles the same as without, whatever stands there")
    if not (changes or told):
        raise Untested("the target refuses a step that says nothing but its command and one key")


def _one_by_one(bare: Pipeline, said: dict[str, Any]) -> Iterator[tuple[Path, Pipeline, Pipeline]]:
    """Each key that is said, of the step and of `defaults`: its path, a pipeline with it and one without it."""
    places: tuple[tuple[Path, Any], ...] = ((("steps", "only"), bare.steps["only"]), (("defaults",), bare.defaults))
    for place, holder in places:
        cls: Any = type(holder)
        for one in attributes(cls):
            if one.name not in said:
                continue
            full = said[one.name]
            for key, less in _less(one.key, full, one.default):
                made = (evolve(holder, **{one.name: value}) for value in (full, less))
                with_key, without = (
                    evolve(bare, defaults=each) if holder is bare.defaults else evolve(bare, steps={"only": each})
                    for each in made
                )
                yield (*place, *key), with_key, without


def _less(key: str, value: Any, default: Any) -> Iterator[tuple[Path, Any]]:
    """Paths of what a key says, each with the same value but for that.

    What asks for nothing is left out: zero, and what says nothing by itself, as a delay before a second attempt that
    there is not.
    """
    if attrs.has(type(value)):
        cls: Any = type(value)
        for inner in attributes(cls):
            said, less = getattr(value, inner.name), evolve(value, **{inner.name: inner.default})
            if said and not is_default(said, inner.default) and less != cls():
                yield (key, inner.key), less
    elif not is_default(value, default):
        yield (key,), default


CHECKS = (compiled_alike, keys_are_used)
"""What is asked here."""


def _compiled_apart(subject: Subject, pipelines: tuple[Pipeline, ...]) -> list[tuple[str, ...]]:
    harness = Harness(subject, DEFAULT, 0)
    return [_compiled(harness, pipeline) for pipeline in pipelines]


def _compiled(harness: Harness, pipeline: Pipeline) -> tuple[str, ...]:
    made = taken(harness, pipeline)
    compiled = harness.hooks.compile(made)
    return made.digest, compiled.media_type, hashlib.sha256(compiled.data).hexdigest()


def _many_keys(python: str) -> Pipeline:
    """A pipeline with many keys wherever there can be some, so that an order that is not one shows."""
    names = [f"{letter}{number}" for letter in "zay" for number in (10, 9, 1)]
    first = Step(
        command=command(python, "args", "${{ outputs.z10 }}", arguments=[f"${{{{ parameters.{n} }}}}" for n in names]),
        env={name.upper(): f"${{{{ parameters.{name} }}}}" for name in names},
        outputs=dict.fromkeys(names, "list"),
    )
    middle = Step(
        command=command(python, "copy", "${{ inputs.z10 }}", "${{ outputs.said }}"),
        inputs={name: f"${{{{ steps.first.outputs.{name} }}}}" for name in names},
        outputs={"said": "list"},
    )
    last = Step(command=command(python), after=["m2", "m1", "first"])
    return Pipeline(
        name="many",
        parameters={name: Parameter("string", default=name, enum=(name, "x")) for name in names},
        defaults=Defaults(code="./src"),
        steps={"last": last, "m2": middle, "m1": middle, "first": first},
        outputs={name: f"${{{{ steps.first.outputs.{name} }}}}" for name in names},
    )
