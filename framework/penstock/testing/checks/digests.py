"""Law 1 for digests: the same content has one, wherever it is computed, and any difference makes another."""

from __future__ import annotations

import hashlib

from attrs import evolve

from penstock.spec import Defaults, Parameter, Pipeline, Resources, Retry, Step
from penstock.testing.asking.directly import put, taken
from penstock.testing.bench import Bench
from penstock.testing.checking import check
from penstock.testing.checks.frozen import own_code, reader
from penstock.testing.laws import hold, same
from penstock.testing.probes.pipelines import chain
from penstock.testing.probes.pipelines import probe as command
from penstock.testing.processes.anew import anew
from penstock.testing.profiles import DEFAULT
from penstock.testing.subject import Subject

_SLOWLY = Retry(attempts=2, delay=1.0)


@check(1)
def compiled_alike(bench: Bench) -> None:
    """Does one pipeline have one digest and one compiled form, whenever and wherever it is compiled?"""
    pipelines = (_many_keys(bench.subject.python), chain(bench.subject.python, 5))
    for pipeline in pipelines:
        put(bench, pipeline)
    here = [_compiled(bench, pipeline) for pipeline in pipelines]
    again = [_compiled(bench, pipeline) for pipeline in pipelines]
    same(1, again, here, "the digest and compiled form of a pipeline, the second time,")
    there = anew(_compiled_apart, bench.subject, pipelines, hash_seed=bench.seed % 2**31 + 1)
    same(1, there, here, "the digest and compiled form of a pipeline in another process")


@check(1)
def any_difference_counts(bench: Bench) -> None:
    """Is a pipeline that differs in anything at all another one, by its digest?"""
    plain = chain(bench.subject.python, 2)
    first, last = plain.steps["s0"], plain.steps["s1"]
    digests = {"nothing": taken(bench, plain).digest}
    for what, other in (
        ("its description", evolve(plain, description="Another.")),
        ("a variable for all steps", evolve(plain, defaults=Defaults(code="./src", env={"A": "1"}))),
        ("a delay between attempts", evolve(plain, steps={"s0": first, "s1": evolve(last, retry=_SLOWLY)})),
        ("its outputs", evolve(plain, outputs={"number": plain.outputs["count"]})),
        ("the value of that", evolve(plain, defaults=Defaults(code="./src", env={"A": "2"}))),
        *(
            (f"a step's {next(iter(change))}", evolve(plain, steps={"s0": first, "s1": evolve(last, **change)}))
            for change in (
                {"env": {"A": "1"}},
                {"timeout": 60.0},
                {"retry": Retry(attempts=2)},
                {"inputs": {"before": "${{ parameters.start }}"}},
                {"outputs": {"count": "number"}},
                {"after": ("s0",)},
                {"command": (*last.command, "")},
                {"resources": Resources(cpu=2)},
            )
        ),
    ):
        _another(digests, what, taken(bench, other).digest)
    depth = Parameter("integer", default=3, minimum=1, maximum=9)
    for what, parameter in (
        ("another parameter", depth),
        ("a parameter's default", evolve(depth, default=4)),
        ("a parameter's minimum", evolve(depth, minimum=2)),
        ("a parameter's maximum", evolve(depth, maximum=8)),
        ("a parameter's enum", evolve(depth, enum=(1, 2, 3))),
        ("a parameter's description", evolve(depth, description="How deep.")),
    ):
        other = evolve(plain, parameters={**plain.parameters, "depth": parameter})
        _another(digests, what, taken(bench, other).digest)


@check(1)
def any_file_counts(bench: Bench) -> None:
    """Is a pipeline another one when any file that travels with it has another name, content or executable bit?"""
    folder = own_code(bench)
    code, data = folder / "src", folder / "data.txt"
    data.write_text("data")
    pipeline = evolve(reader(bench.subject.python), parameters={"data": Parameter("file", default="./data.txt")})
    digests = {"nothing": taken(bench, pipeline, folder).digest}

    def executable() -> None:
        (code / "word.txt").chmod(0o755)

    for what, change in (
        ("the content of its code", lambda: (code / "word.txt").write_text("new")),
        ("an executable bit of its code", executable),
        ("the name of a file of its code", lambda: (code / "word.txt").rename(code / "worm.txt")),
        ("another file in its code", lambda: (code / "empty").touch()),
        ("the content of a default that travels", lambda: data.write_text("other data")),
    ):
        change()
        _another(digests, what, taken(bench, pipeline, folder).digest)


CHECKS = (compiled_alike, any_difference_counts, any_file_counts)
"""What is asked here."""


def _another(digests: dict[str, str], what: str, digest: str) -> None:
    """Note the digest of a pipeline with something changed: none of the others has it."""
    known = next((one for one, found in digests.items() if found == digest), None)
    hold(1, known is None, f"a pipeline has the same digest with {what} and with {known} changed")
    digests[what] = digest


def _compiled_apart(subject: Subject, pipelines: tuple[Pipeline, ...]) -> list[tuple[str, ...]]:
    bench = Bench(subject, DEFAULT, 0)
    return [_compiled(bench, pipeline) for pipeline in pipelines]


def _compiled(bench: Bench, pipeline: Pipeline) -> tuple[str, ...]:
    made = taken(bench, pipeline)
    compiled = bench.operations.compile(bench.place.target, made)
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
