"""Hypothesis strategies for valid pipelines and values, with all the text that likes to break things."""

from __future__ import annotations

import string
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from penstock.quantity import bytes_text, duration_text
from penstock.spec import TYPES, Defaults, Output, Parameter, Pipeline, Resources, Retry, Step, Type, Value

_HOSTILE = (
    "", " ", "yes", "no", "null", "~", "1", "0x10", "1e3", ".inf", "2020-01-01", "1:30", "- a", "a: b", "# x", "<<",
    "a\nb", "a\n", "\n", " a", "a ", "\t", "'", '"', "\\", "$x", "$(x)", "`x`", "; x", "| x", "&& x", "*", "{}", "[",
    "é", "e\u0301", "日本", "\U0001f600", "\x85", "\u2028", "\ufeff", "\x7f", "\x1b[0m", "%s", "{{ x }}", "-n", "--",
    "a" * 200,
)  # fmt: skip
_KEY_START = string.ascii_letters + string.digits + "_"
_characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")


def hostile_text() -> SearchStrategy[str]:
    """Text that shells, YAML, JSON and file systems get wrong: any Unicode but NUL and lone surrogates."""
    return st.one_of(
        st.sampled_from(_HOSTILE), st.lists(st.sampled_from(_HOSTILE), max_size=3).map("".join), st.text(_characters)
    )


def keys() -> SearchStrategy[str]:
    """Keys of a spec, among them words and numbers that YAML would read as something else."""
    made = st.builds("".join, st.tuples(st.sampled_from(_KEY_START), st.text(_KEY_START + "-", max_size=8)))
    return st.one_of(st.sampled_from(["1", "0x1", "true", "null", "no", "1e3", "_", "on"]), made)


def names() -> SearchStrategy[str]:
    """Names of pipelines and endpoints: printable, 1 to 255 characters."""
    return st.text(_characters.filter(str.isprintable), min_size=1, max_size=255)


def values_for(parameter: Parameter) -> SearchStrategy[Value]:
    """Values that a parameter takes. Of its limits it may have `enum`, `minimum`, `maximum` and lengths."""
    if parameter.enum is not None:
        return st.sampled_from(parameter.enum)
    least, most = parameter.minimum, parameter.maximum
    by_type: dict[str, Callable[[], SearchStrategy[Any]]] = {
        "string": lambda: (
            st.text(_characters, min_size=parameter.min_length or 0, max_size=parameter.max_length or 60)
            if parameter.min_length or parameter.max_length
            else hostile_text()
        ),
        "integer": lambda: st.integers(least, most),  # type: ignore[arg-type]  # limits of integers are integers
        "number": lambda: st.floats(least, most, allow_nan=False, allow_infinity=False),
        "boolean": st.booleans,
        "list": lambda: st.lists(_json_values(), min_size=parameter.min_items or 0, max_size=parameter.max_items or 5),
        "object": lambda: st.dictionaries(hostile_text(), _json_values(), max_size=4),
        "file": lambda: keys().map("./{}.csv".format),
        "directory": lambda: keys().map("data/{}".format),
    }
    return by_type[parameter.type]()


@st.composite
def parameters(draw: DrawFn, types: tuple[Type, ...] = TYPES) -> Parameter:
    """Valid parameters: any type, some with limits, some with a default that keeps them."""
    type_ = draw(st.sampled_from(types))
    limits: dict[str, Any] = {}
    if type_ in ("integer", "number") and draw(st.booleans()):
        least = draw(st.integers(-1000, 1000))
        limits = {"minimum": least, "maximum": least + draw(st.integers(0, 1000))}
    elif type_ == "string" and draw(st.booleans()):
        limits = {"min_length": draw(st.integers(0, 3)), "max_length": draw(st.integers(3, 9))}
    elif type_ == "list" and draw(st.booleans()):
        limits = {"max_items": draw(st.integers(1, 5))}
    parameter = Parameter(type_, description=draw(hostile_text()), **limits)
    if type_ == "string" and not limits and draw(st.booleans()):
        parameter = Parameter(type_, enum=draw(st.lists(hostile_text(), min_size=1, max_size=3)))
    if draw(st.booleans()):
        return parameter
    return Parameter(
        type_, description=parameter.description, enum=parameter.enum, default=draw(values_for(parameter)), **limits
    )


@st.composite
def pipelines(draw: DrawFn, max_steps: int = 4) -> Pipeline:
    """Valid pipelines: steps that read parameters and earlier steps, with hostile text wherever text can be."""
    declared = draw(st.dictionaries(keys(), parameters(), max_size=4))
    steps: dict[str, Step] = {}
    for name in draw(st.lists(keys(), min_size=1, max_size=max_steps, unique=True)):
        steps[name] = draw(_steps(declared, dict(steps)))
    produced = [f"${{{{ steps.{name}.outputs.{key} }}}}" for name, step in steps.items() for key in step.outputs]
    outputs = draw(st.dictionaries(keys(), st.sampled_from(produced), max_size=3)) if produced else {}
    defaults = Defaults(
        code=draw(st.none() | st.just("./src")),
        image=draw(st.none() | st.just("python:3.12-slim")),
        env=draw(_environments([])),
        retry=draw(st.none() | _retries()),
        timeout=draw(_timeouts()),
    )
    return Pipeline(
        name=draw(names()),
        description=draw(hostile_text()),
        parameters=declared,
        defaults=defaults,
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
        command=("run", *draw(st.lists(_templates(marks), max_size=5))),
        description=draw(hostile_text()),
        inputs=inputs,
        outputs=outputs,
        env=draw(_environments(marks)),
        after=draw(st.lists(st.sampled_from(sorted(earlier)), max_size=2, unique=True)) if earlier else (),
        code=draw(st.none() | st.just("./src")),
        resources=draw(st.none() | _resources()),
        retry=draw(st.none() | _retries()),
        timeout=draw(_timeouts()),
    )


def _templates(marks: list[str]) -> SearchStrategy[str]:
    literal = hostile_text().map(lambda text: text.replace("${{", "$${{"))
    if not marks:
        return literal
    # A space keeps a `$` at the end of the literal from escaping the placeholder.
    return st.one_of(literal, st.builds("{} {}".format, literal, st.sampled_from(marks)), st.sampled_from(marks))


def _environments(marks: list[str]) -> SearchStrategy[dict[str, str]]:
    variables = st.text(string.ascii_uppercase + "_", min_size=1, max_size=6)
    return st.dictionaries(variables, _templates(marks), max_size=2)


def _resources() -> SearchStrategy[Resources]:
    return st.builds(
        Resources,
        cpu=st.none() | st.integers(1, 64) | st.sampled_from([0.5, 1.5, 2.0]),
        memory=st.none() | st.integers(0, 2**50) | st.integers(0, 2**50).map(bytes_text),
        gpu=st.none() | st.integers(0, 8),
    )


def _retries() -> SearchStrategy[Retry]:
    return st.builds(Retry, attempts=st.integers(1, 5), delay=_seconds())


def _timeouts() -> SearchStrategy[float | str | None]:
    return st.none() | _seconds().filter(bool) | _seconds().filter(bool).map(duration_text)


def _seconds() -> SearchStrategy[float]:
    return st.one_of(st.integers(0, 10**9).map(float), st.floats(0, 10**9).map(lambda seconds: round(seconds, 6)))


def _json_values() -> SearchStrategy[Any]:
    leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    return st.recursive(
        leaves | hostile_text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(hostile_text(), inner, max_size=3),
        max_leaves=6,
    )
