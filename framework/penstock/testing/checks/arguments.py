"""Law 7: values arrive byte for byte, wherever a step can be given them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from penstock.spec import Defaults, Parameter, Pipeline, Step
from penstock.testing.checking import check
from penstock.testing.harness import Harness
from penstock.testing.helpers.attempts import Attempts
from penstock.testing.laws import require
from penstock.testing.probes.expected import text_of
from penstock.testing.probes.pipelines import VALUE_TYPES, echo, probe
from penstock.testing.strategies.parameters import declarations, values_of
from penstock.testing.strategies.text import HOSTILE, hostile_text, literal
from penstock.testing.strategies.values import EXACT, MAX_BYTES, WHOLE, json_text

Given = tuple[Mapping[str, Parameter], Mapping[str, Any]]
"""Declared parameters, and the values that a trigger gives them."""


def _deep(levels: int) -> Any:
    value: Any = {"é": -0.0}
    for _ in range(levels):
        value = [value]
    return value


_FIXED: dict[str, list[Any]] = {
    "string": list(HOSTILE),
    "integer": list(WHOLE),
    "number": list(EXACT),
    "boolean": [True, False],
    "list": [[], [1, 1.0, True, "1", None], [2**53 + 1, -0.0, 1e308, 1e16, 0.1], [[], [""], {}], _deep(60)],
    "object": [
        {},
        {"é": "e\u0301", "b c": "'\"", "": "$x", "a": {"z": 1, "y": [1e22]}},
        {"\n": "\\n", "日本": "\u2028"},
    ],
}
_OF_ALL = " the 'pipeline'\n"
"""How a variable of all steps begins; it goes on with the first parameter."""

_LONG = {"multibyte": "é" * (MAX_BYTES // 2), "words": "a b'" * (MAX_BYTES // 4), "lines": "\n" * 40_000}


@check(7)
def arguments_arrive(harness: Harness) -> str | None:
    """Does every value arrive as one argument of its own, byte for byte?"""
    return _try(harness, _alone, *_fixed())


@check(7)
def text_around_stays(harness: Harness) -> str | None:
    """Does a value stay inside its argument, with the text around it as it was written, and is it expanded once?"""
    values = {"a": "${{ parameters.b }}", "b": "$${{ parameters.a }}", "c": "${{ inputs.x }} $(echo a) `b` $PATH *"}
    declared = {name: Parameter("string") for name in values}
    return _try(harness, partial(_around, before="${{ parameters.a }} $", after="$${{ '"), declared, values)


@check(7)
def words_are_filled_in_anywhere(harness: Harness) -> str | None:
    """Are placeholders replaced in the first word of a command too, and however they are spaced?"""
    marks = ("${{parameters.word}}", "${{ parameters.word}}", "${{   parameters.word   }}")
    command = probe(harness.subject.python, "args", "${{outputs.args}}", arguments=marks)
    with harness.workspace() as ws:
        attempted = Attempts(harness, ws)
        step = Step(command=("${{parameters.python}}", *command[1:]), outputs={"args": "list"})
        declared = {"word": Parameter("string"), "python": Parameter("string")}
        run = attempted.run(7, _pipeline(declared, {"only": step}), {"word": " a ", "python": harness.subject.python})
        if run:
            _same("argument", run.outputs["args"], [" a "] * len(marks), marks)
        return attempted.done()


@check(7)
def environment_arrives(harness: Harness) -> str | None:
    """Does every value arrive byte for byte in an environment variable?"""
    return _try(harness, _in_environment, *_fixed())


@check(7)
def outputs_arrive(harness: Harness) -> str | None:
    """Does a value that a step writes keep its type, and arrive byte for byte in the next step?"""
    return _try(harness, _passed_on, *_fixed())


@check(7)
def long_values_arrive(harness: Harness) -> str | None:
    """Do the largest values that are accepted arrive whole, in an argument and as an output?"""
    with harness.workspace() as ws:
        attempted = Attempts(harness, ws)
        run = attempted.run(7, _digests(harness.subject.python, list(_LONG)), _LONG)
        if run:
            for name, text in _LONG.items():
                wanted = hashlib.sha256(text.encode()).hexdigest()
                for where in ("argument", "output"):
                    arrived = run.outputs[f"{where}-{name}"] == wanted
                    require(
                        7, arrived, f"a text of {len(text.encode())} bytes ({name}) does not arrive whole as {where}"
                    )
        return attempted.done()


@check(7)
def any_value_arrives(harness: Harness) -> str | None:
    """Do all values that a parameter takes arrive, alone, inside of text, in the environment and from step to step?"""
    with harness.workspace() as ws:
        attempted = Attempts(harness, ws)

        def body(given: Given, before: str, after: str) -> None:
            _alone(attempted, *given)
            _around(attempted, *given, before, after)
            _in_environment(attempted, *given)
            _passed_on(attempted, *given)

        harness.forall(body, examples=6, given=_given(), before=hostile_text(), after=hostile_text())
        return attempted.done()


def _try(
    harness: Harness, ask: Callable[..., None], declared: Mapping[str, Parameter], values: Mapping[str, Any]
) -> str | None:
    with harness.workspace() as ws:
        attempted = Attempts(harness, ws)
        ask(attempted, declared, values)
        return attempted.done()


def _alone(attempted: Attempts, declared: Mapping[str, Parameter], values: Mapping[str, Any]) -> None:
    run = attempted.run(7, echo(attempted.harness.subject.python, declared), values)
    if run:
        texts = _texts(declared, values)
        _same("argument", run.outputs["args"], list(texts.values()), list(texts))


def _around(
    attempted: Attempts, declared: Mapping[str, Parameter], values: Mapping[str, Any], before: str, after: str
) -> None:
    run = attempted.run(7, _inside(attempted.harness.subject.python, declared, before, after), values)
    if run:
        texts = _texts(declared, values)
        wanted = [f"{before} {text}{after}" for text in texts.values()] + ["".join(texts.values()), before]
        _same("argument", run.outputs["args"], wanted, [*texts, "all of them", "the literal text"])


def _in_environment(attempted: Attempts, declared: Mapping[str, Parameter], values: Mapping[str, Any]) -> None:
    run = attempted.run(7, _variables(attempted.harness.subject.python, declared), values)
    if run:
        texts = _texts(declared, values)
        found = [run.outputs[f"v{number}"] for number in range(len(texts))] + [run.outputs["all"]]
        of_all = _OF_ALL + next(iter(texts.values()))
        _same("variable", found, [*texts.values(), of_all], [*texts, "all steps"])


def _passed_on(attempted: Attempts, declared: Mapping[str, Parameter], values: Mapping[str, Any]) -> None:
    run = attempted.run(7, _through(attempted.harness.subject.python, declared), values)
    if run:
        texts = _texts(declared, values)
        _same("argument of the second step", run.outputs["args"], list(texts.values()), list(texts))
        for number, (name, parameter) in enumerate(declared.items()):
            value = values.get(name, parameter.default)
            wanted = json_text(float(value) if parameter.type == "number" else value)
            found = json_text(run.outputs[f"v{number}"])
            require(7, found == wanted, f"the {parameter.type} of a step is {_short(found)}, expected {_short(wanted)}")


def _fixed() -> Given:
    """A parameter for each of the values that are hard to keep."""
    declared, values = {}, {}
    for type_ in VALUE_TYPES:
        for number, value in enumerate(_FIXED[type_]):
            declared[f"{type_}-{number}"], values[f"{type_}-{number}"] = Parameter(type_), value
    return declared, values


def _given() -> SearchStrategy[Given]:
    made = declarations(VALUE_TYPES, least=3, most=8)
    return made.flatmap(lambda declared: st.tuples(st.just(declared), values_of(declared)))


def _texts(declared: Mapping[str, Parameter], values: Mapping[str, Any]) -> dict[str, str]:
    return {name: text_of(one.type, values.get(name, one.default)) for name, one in declared.items()}


def _inside(python: str, declared: Mapping[str, Parameter], before: str, after: str) -> Pipeline:
    marks = [f"${{{{ parameters.{name} }}}}" for name in declared]
    arguments = [f"{literal(before)} {mark}{literal(after)}" for mark in marks] + ["".join(marks), literal(before)]
    step = Step(
        command=probe(python, "args", "${{ outputs.args }}", arguments=arguments),
        outputs={"args": "list"},
    )
    return _pipeline(declared, {"only": step})


def _variables(python: str, declared: Mapping[str, Parameter]) -> Pipeline:
    words = [word for n in range(len(declared)) for word in ("env", f"PROBE_{n}", f"${{{{ outputs.v{n} }}}}")]
    words += ["env", "PROBE_OF_ALL", "${{ outputs.all }}"]
    step = Step(
        command=probe(python, *words),
        env={f"PROBE_{number}": f"${{{{ parameters.{name} }}}}" for number, name in enumerate(declared)},
        outputs=dict.fromkeys(("all", *(f"v{number}" for number in range(len(declared)))), "string"),
    )
    return _pipeline(declared, {"only": step})


def _through(python: str, declared: Mapping[str, Parameter]) -> Pipeline:
    numbered = list(enumerate(declared))
    words = [word for n, _ in numbered for word in ("put", f"${{{{ outputs.v{n} }}}}", f"${{{{ inputs.p{n} }}}}")]
    first = Step(
        inputs={f"p{n}": f"${{{{ parameters.{key} }}}}" for n, key in numbered},
        command=probe(python, *words),
        outputs={f"v{n}": declared[key].type for n, key in numbered},
    )
    second = Step(
        inputs={f"v{number}": f"${{{{ steps.first.outputs.v{number} }}}}" for number, _ in numbered},
        command=probe(
            python, "args", "${{ outputs.args }}", arguments=[f"${{{{ inputs.v{number} }}}}" for number, _ in numbered]
        ),
        outputs={"args": "list"},
    )
    return _pipeline(declared, {"first": first, "second": second})


def _digests(python: str, names: Sequence[str]) -> Pipeline:
    """Two steps that each write a text into a file and tell its digest: what a parameter says, and an output."""

    def step(source: str, inputs: Mapping[str, str], where: str, outputs: Mapping[str, str]) -> Step:
        words: list[str] = []
        for name in names:
            text, file = f"${{{{ {source}.{name} }}}}", f"${{{{ outputs.file-{name} }}}}"
            words += ["put", file, text, "digest", file, f"${{{{ outputs.{where}-{name} }}}}"]
            words += ["put", f"${{{{ outputs.{name} }}}}", text] if outputs else []
        files = {f"file-{name}": "file" for name in names}
        digests = {f"{where}-{name}": "string" for name in names}
        return Step(command=probe(python, *words), inputs=inputs, outputs={**files, **digests, **outputs})

    passed = {name: f"${{{{ steps.first.outputs.{name} }}}}" for name in names}
    steps = {
        "first": step("parameters", {}, "argument", dict.fromkeys(names, "string")),
        "second": step("inputs", passed, "output", {}),
    }
    return _pipeline({name: Parameter("string") for name in names}, steps)


def _pipeline(declared: Mapping[str, Parameter], steps: Mapping[str, Step]) -> Pipeline:
    """The steps as a pipeline whose outputs are all of theirs, by the same names."""
    outputs = {key: f"${{{{ steps.{name}.outputs.{key} }}}}" for name, step in steps.items() for key in step.outputs}
    # What a step says of a variable goes before what the pipeline says.
    of_all = f"{_OF_ALL}${{{{ parameters.{next(iter(declared))} }}}}"
    defaults = Defaults(code="./src", env={"PROBE_0": "the pipeline's", "PROBE_1": "", "PROBE_OF_ALL": of_all})
    return Pipeline(name="words", parameters=declared, defaults=defaults, steps=steps, outputs=outputs)


def _same(what: str, found: Sequence[str], wanted: Sequence[str], names: Sequence[str]) -> None:
    require(7, len(found) == len(wanted), f"{len(found)} {what}s arrived of {len(wanted)}")
    for one, other, name in zip(found, wanted, names, strict=True):
        require(7, one == other, f"the {what} for {name} is {_short(one)}, expected {_short(other)}")


def _short(text: str) -> str:
    return repr(text) if len(text) < 200 else f"{text[:100]!r} ... ({len(text)} characters)"


CHECKS = (
    arguments_arrive,
    text_around_stays,
    words_are_filled_in_anywhere,
    environment_arrives,
    outputs_arrive,
    long_values_arrive,
    any_value_arrives,
)
