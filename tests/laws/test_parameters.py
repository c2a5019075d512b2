"""Law 6: whatever is wrong with a trigger is said at once, before anything is accepted or the target is asked."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from functools import partial
from typing import Any

from hypothesis import strategies as st
from laws.error_codes import code_of, refusal
from laws.marks import by_type_only, python_only

from penstock.contract.hooks import hookimpl
from penstock.contract.run import RunRequest, Submission
from penstock.errors import ParameterInvalid, PenstockError
from penstock.spec import Parameter
from penstock.spec.values import RawValue
from penstock.testing.helpers.attempts import Attempts
from penstock.testing.helpers.setup import set_up, unique
from penstock.testing.laws import require, same
from penstock.testing.probes.pipelines import VALUE_TYPES, echo
from penstock.testing.strategies.parameters import declarations, wrong_values
from penstock.testing.strategies.values import refused
from penstock.workspace import Workspace

_DECLARED = {
    "text": Parameter("string", min_length=2, max_length=3, pattern="^[a-z]+$"),
    "word": Parameter("string", enum=("fast", "exact")),
    "whole": Parameter("integer", minimum=1, maximum=9, multiple_of=2),
    "rate": Parameter("number", exclusive_minimum=0, exclusive_maximum=1, multiple_of=0.1),
    "flag": Parameter("boolean"),
    "items": Parameter("list", min_items=1, max_items=2, unique_items=True),
    "extra": Parameter("object", min_properties=1, max_properties=2),
    "free": Parameter("object", default={"a": 1}),
}
"""Every limit there is, once."""

_RIGHT = {"text": "ab", "word": "fast", "whole": 2, "rate": 0.3, "flag": True, "items": [1], "extra": {"a": 1}}

_WRONG: dict[str, tuple[Any, str]] = {
    "text": ("A", "parameter_range"),
    "word": ("slow", "parameter_enum"),
    "whole": (11, "parameter_range"),
    "rate": (0.25, "parameter_range"),
    "flag": ("true", "parameter_type"),
    "items": ([1, 1], "parameter_range"),
    "free": ({"a": float("nan")}, "parameter_not_finite"),
    "txt": ("abc", "parameter_unknown"),
}
"""Something wrong with each but `extra`, which is missing."""


class _Heard:
    """A plugin that counts the runs that the target is handed."""

    def __init__(self) -> None:
        self.runs = 0

    @hookimpl(wrapper=True)
    def penstock_submit_run(self, run: RunRequest) -> Generator[None, Submission, Submission]:
        """Count, change nothing."""
        self.runs += 1
        return (yield)


@python_only
def test_everything_is_said_at_once(harness):
    """Are all that is unknown, missing, mistyped or out of range in one answer, each by name, and nothing else?"""
    heard = _Heard()
    with harness.workspace(plugins=[("heard", heard)]) as ws:
        attempted = Attempts(harness, ws)
        published = set_up(harness, ws, echo(harness.subject.python, _DECLARED))
        wrong = {name: code for name, (_, code) in _WRONG.items()} | {"extra": "parameter_missing"}
        _refused(ws, published.id, {name: value for name, (value, _) in _WRONG.items()}, wrong)
        for name, parameter in _DECLARED.items():
            for value, code in refused(parameter):
                _refused(ws, published.id, {**_RIGHT, name: value}, {name: code})

        def body(declared: Mapping[str, Parameter], data: st.DataObject) -> None:
            published = attempted.publish(echo(harness.subject.python, declared))
            if published is not None:
                for _ in range(2):
                    _refused(ws, published.id, *data.draw(wrong_values(declared)))

        harness.forall(body, examples=15, declared=declarations(VALUE_TYPES, most=6), data=st.data())
        attempted.done()
        same(6, ws.runs.list(limit=1).items, (), "what was accepted with wrong parameters")
        same(6, heard.runs, 0, "the number of runs that the target was handed with wrong parameters")


@by_type_only
def test_text_is_read_strictly(harness):
    """Is text that a caller gives for any type read as that type, and what is not written so refused?"""
    declared = {name: Parameter(name) for name in ("integer", "number", "boolean", "list")}
    right = {"integer": "7", "number": "0.5", "boolean": "True", "list": "[1]"}
    wrong = {
        "integer": ("7.0", "1e3", "seven", "", "0x7"),
        "number": ("half", "1_0", ""),
        "boolean": ("yes", "1", "on", ""),
        "list": ("1,2", "{}", "[1"),
    }
    with harness.workspace() as ws:
        published = set_up(harness, ws, echo(harness.subject.python, declared))
        for name, texts in wrong.items():
            for text in texts:
                what = f"`{text}` for {name}"
                given = {key: RawValue(value) for key, value in {**right, name: text}.items()}
                refusal(6, "parameter_invalid", what, partial(ws.runs.submit, published.id), parameters=given)
        given = {name: RawValue(value) for name, value in right.items()}
        run = harness.wait(ws, ws.runs.submit(published.id, parameters=given).run.id, 6)
        same(6, run.outputs, {"args": ["7", "0.5", "true", "[1]"]}, "what the step got of values given as text")


def test_everything_in_its_turn(harness):
    """Is a trigger decided in the order key, existence, gates, parameters, and does a refusal leave nothing behind?"""
    heard = _Heard()
    with harness.workspace(plugins=[("heard", heard)]) as ws:
        endpoint = ws.create_endpoint("one", set_up(harness, ws, "a", name=unique("turn")))
        wrong, submit = {"depth": 99, "dept": 1}, ws.runs.submit
        first = submit("one", parameters={"depth": 2}, idempotency_key="k").run
        invalid, closed, conflict = "parameter_invalid", "endpoint_disabled", "idempotency_conflict"
        refusal(6, invalid, "a trigger with wrong parameters", submit, "one", parameters=wrong)
        refusal(6, "endpoint_not_found", "a trigger of an endpoint that is not there", submit, "two", parameters=wrong)
        ws.endpoints.disable("one")
        refusal(6, closed, "wrong parameters at a closed gate", submit, "one", parameters=wrong)
        missing = "a version that is not there, behind a closed gate, with wrong parameters"
        refusal(6, "version_not_found", missing, submit, "one@7", parameters=wrong)
        refusal(6, closed, "a new key at a closed gate", submit, "one", parameters=wrong, idempotency_key="new")
        repeat = partial(submit, "one", parameters={"depth": 2}, idempotency_key="k")
        same(6, code_of(repeat), "", "the refusal of a repeated key behind a closed gate")
        again = repeat()
        same(6, (again.run.id, again.replayed), (first.id, True), "the run of a repeated key behind a closed gate")
        for value in (99, None, "\ud800", 10**5000, float("nan"), [float("inf")], {1: 2}):
            what = "a known key with other parameters, wrong ones, at a closed gate"
            parameters = {"depth": value, "dept": value}
            refusal(6, conflict, what, submit, "one", parameters=parameters, idempotency_key="k")
        ws.endpoints.enable("one")
        refusal(6, invalid, "wrong parameters with a new key", submit, "one", parameters=wrong, idempotency_key="new")
        runs = [run.id for run in ws.runs.list().items]
        same(6, runs, [first.id], "what was accepted when everything but one trigger was refused")
        last = submit(endpoint.id, parameters={"depth": 3}, idempotency_key="new")
        require(6, not last.replayed, "a key that was refused is taken to be known")
        for run in (first, last.run):
            harness.wait(ws, run.id, 6)
        same(6, heard.runs, 2, "the number of runs that the target was handed when two were accepted")


def _refused(ws: Workspace, ref: str, values: Mapping[str, Any], wrong: Mapping[str, str]) -> None:
    """Submit what must be refused, and hold the answer to all that is wrong: the code for each name."""
    try:
        run = ws.runs.submit(ref, parameters=values).run
    except ParameterInvalid as error:
        told: dict[str, set[str]] = {}
        for detail in error.details:
            require(6, detail.path, f"the path of what is wrong is not told: {detail.message}")
            told.setdefault(str(detail.path[0]), set()).add(detail.code)
        same(6, error.code, "parameter_invalid", "the code of a refusal of wrong parameters")
        same(6, sorted(told), sorted(wrong), "the names of the parameters that are said to be wrong")
        for name, code in wrong.items():
            require(
                6,
                code in told[name],
                f"what is wrong with `{name}` is said to be {sorted(told[name])}, expected {code}",
            )
    except PenstockError as error:
        require(6, False, f"wrong parameters are refused with `{error.code}` ({error.message})")
    else:
        require(6, False, f"run {run.id} is accepted although these parameters are wrong: {dict(wrong)}")
