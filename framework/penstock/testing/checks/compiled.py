"""Law 1 at the hooks: what is compiled again is the same, whenever and wherever."""

from __future__ import annotations

import hashlib

from penstock.spec import Defaults, Parameter, Pipeline, Step
from penstock.testing.checking import check
from penstock.testing.harness import Harness
from penstock.testing.helpers.directly import put, taken
from penstock.testing.laws import same
from penstock.testing.probes.pipelines import chain
from penstock.testing.probes.pipelines import probe as command
from penstock.testing.processes.fresh_interpreter import in_fresh_interpreter
from penstock.testing.profiles import DEFAULT
from penstock.testing.subject import Subject


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


CHECKS = (compiled_alike,)
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
