"""Law 7 at the doors: what is given there is what the step gets, of whatever type and however it is written."""

from __future__ import annotations

from typing import Any

from laws.marks import by_type_only

from penstock.errors import PenstockError
from penstock.records import RunRecord
from penstock.spec import Parameter
from penstock.spec.values import RawValue
from penstock.testing.helpers.setup import set_up
from penstock.testing.laws import LawBroken, same
from penstock.testing.probes.pipelines import echo

_GIVEN: dict[str, tuple[tuple[Any, str], ...]] = {
    "string": (
        *((text, text) for text in ("007", "1e3", "true", "null", "[1, 2]", '{"a": 1}', " kept ", "")),
        ("a\nb\tc \\ \"d\" 'e' $HOME `f` %41 &#65;", "a\nb\tc \\ \"d\" 'e' $HOME `f` %41 &#65;"),
        ("caf\u00e9 cafe\u0301 \u65e5\u672c \U0001f600 \u202e", "caf\u00e9 cafe\u0301 \u65e5\u672c \U0001f600 \u202e"),
    ),
    "integer": ((0, "0"), (-7, "-7"), (2**53 + 1, "9007199254740993"), (10**30, "1" + "0" * 30)),
    "number": ((0.1, "0.1"), (1e22, "1e+22"), (5e-324, "5e-324"), (-0.0, "-0.0"), (3, "3.0")),
    "boolean": ((True, "true"), (False, "false")),
    "list": (([1, "1", 1.5, None, [True]], '[1,"1",1.5,null,[true]]'), ([], "[]")),
    "object": (({"b": 1, "a": {"d": "\u00e9", "c": []}}, '{"a":{"c":[],"d":"\u00e9"},"b":1}'), ({}, "{}")),
}
"""Values of each type, with the text that the step gets."""


def test_values_reach_the_step(harness):
    """Does the step get every value as it was given, whatever it reads like on the way?"""
    most = max(len(values) for values in _GIVEN.values())
    with harness.workspace() as ws:
        published = set_up(harness, ws, echo(harness.subject.python, {name: Parameter(name) for name in _GIVEN}))
        asked = []
        for number in range(most):
            chosen = {name: values[number % len(values)] for name, values in _GIVEN.items()}
            values = {name: value for name, (value, _) in chosen.items()}
            asked.append((_accepted(ws, published.id, values), values, chosen))
        for run, values, chosen in asked:
            shown = {name: (type(value), value) for name, value in run.parameters.items()}
            expected = {name: (type(value), value) for name, value in values.items() if name != "number"}
            same(7, {name: shown[name] for name in expected}, expected, "what a run shows of its parameters")
            found = harness.wait(ws, run.id, 7).outputs.get("args")
            same(7, found, [text for _, text in chosen.values()], f"what the step got of {values!r}")


@by_type_only
def test_text_stays_text(harness):
    """Does text for a `string` stay as it was written, also where it reads like something else?"""
    with harness.workspace() as ws:
        published = set_up(harness, ws, echo(harness.subject.python, {"text": Parameter("string")}))
        runs = [(_accepted(ws, published.id, {"text": RawValue(text)}), text) for text, _ in _GIVEN["string"]]
        for run, text in runs:
            same(7, run.parameters["text"], text, "what a run shows of text")
            same(7, harness.wait(ws, run.id, 7).outputs.get("args"), [text], f"what the step got of {text!r}")


def _accepted(ws: Any, ref: str, values: dict[str, Any]) -> RunRecord:
    """The run of values that are right."""
    try:
        run: RunRecord = ws.runs.submit(ref, parameters=values).run
    except PenstockError as error:
        raise LawBroken(7, f"values that are right are refused with `{error.code}`: {error.message}") from None
    return run
