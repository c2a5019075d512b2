"""Plain data to attrs classes: strict types, all problems at once, each with its path and place."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import attrs
import pytest

from penstock.codec import read_yaml, structure
from penstock.errors import BackendBroken, SpecInvalid
from penstock.spec import Output, Parameter, Pipeline, Resources, Step
from penstock.spec.quantity import seconds_of


@attrs.frozen(kw_only=True)
class Inner:
    depth: int = 1


def _even(instance: Any, attribute: Any, value: int) -> None:
    if value % 2:
        raise ValueError(f"{value} is odd")


class _Coded(ValueError):
    code = "slots_odd"


@attrs.frozen(kw_only=True)
class Options:
    from_: str
    root: Path | None = None
    slots: int = attrs.field(default=2, validator=[attrs.validators.ge(1), _even])
    pass_env: tuple[str, ...] = ()
    mode: Literal["fast", "safe"] = "fast"
    items: list[int] = attrs.field(factory=list)
    limits: dict[str, float] = attrs.field(factory=dict)
    labels: Mapping[str, str] = attrs.field(factory=dict)
    strict: bool = False
    poll: float = attrs.field(default=1.0, converter=seconds_of)
    inner: Inner | None = None
    inners: tuple[Inner, ...] = ()
    size: int | str | None = None


def problems(data, cls=Options, **more):
    with pytest.raises(SpecInvalid) as caught:
        structure(data, cls, **more)
    return {(detail.code, detail.path) for detail in caught.value.details}


def test_an_option_class_is_built_from_plain_data():
    data = {
        "from": "here",
        "root": "/x",
        "slots": 4,
        "pass_env": ["A"],
        "mode": "safe",
        "items": [1],
        "limits": {"a": 1, "b": 0.5},
        "labels": {"k": "v"},
        "strict": True,
        "poll": "2m",
        "inner": {"depth": 3},
        "inners": [{}, {"depth": 2}],
        "size": "big",
    }
    options = structure(data, Options)
    assert options == Options(
        from_="here",
        root=Path("/x"),
        slots=4,
        pass_env=("A",),
        mode="safe",
        items=[1],
        limits={"a": 1.0, "b": 0.5},
        labels={"k": "v"},
        strict=True,
        poll=120.0,
        inner=Inner(depth=3),
        inners=(Inner(), Inner(depth=2)),
        size="big",
    )
    assert type(options.limits["a"]) is float
    assert structure({"from": "a", "root": None, "inner": None, "size": None}, Options) == Options(from_="a")


def test_every_problem_is_told_at_once_with_its_path():
    data = {
        "from_": "a",
        "root": 1,
        "slots": 3,
        "pass_env": "A",
        "mode": "faster",
        "items": [1, "2", True, 1.0],
        "limits": {"a": True, "b": float("nan")},
        "labels": [],
        "strict": "yes",
        "poll": "soon",
        "inner": {"dept": 1},
        "inners": [{"depth": "1"}, 3],
        "size": [],
    }
    assert problems(data, prefix=("targets", "x")) == {
        ("missing_key", ("targets", "x", "from")),
        ("unknown_key", ("targets", "x", "from_")),
        ("type_mismatch", ("targets", "x", "root")),
        ("value_invalid", ("targets", "x", "slots")),
        ("type_mismatch", ("targets", "x", "pass_env")),
        ("type_mismatch", ("targets", "x", "mode")),
        *(("type_mismatch", ("targets", "x", "items", index)) for index in (1, 2, 3)),
        ("type_mismatch", ("targets", "x", "limits", "a")),
        ("type_mismatch", ("targets", "x", "limits", "b")),
        ("type_mismatch", ("targets", "x", "labels")),
        ("type_mismatch", ("targets", "x", "strict")),
        ("value_invalid", ("targets", "x", "poll")),
        ("unknown_key", ("targets", "x", "inner", "dept")),
        ("type_mismatch", ("targets", "x", "inners", 0, "depth")),
        ("type_mismatch", ("targets", "x", "inners", 1)),
        ("type_mismatch", ("targets", "x", "size")),
    }


@pytest.mark.parametrize("data", [None, 1, "a", [], True])
def test_something_else_than_an_object_is_a_mismatch(data):
    assert problems(data) == {("type_mismatch", ())}


def test_messages_say_what_to_do():
    document = read_yaml("command: [run, 8, yes, true]\nenv: {A: 0}\nretri: {}\noutputs: {x: fil}\n", "f.yaml")
    with pytest.raises(SpecInvalid) as caught:
        structure(document.data, Step, document)
    assert [str(detail) for detail in caught.value.details] == [
        "f.yaml:1:16: $.command[1]: expected string, got integer `8` (write it in quotes)",
        "f.yaml:1:24: $.command[3]: expected string, got boolean `true` (write it in quotes)",
        "f.yaml:2:10: $.env.A: expected string, got integer `0` (write it in quotes)",
        "f.yaml:3:1: $.retri: unknown key `retri` (did you mean `retry`?)",
        "f.yaml:4:14: $.outputs.x.type: expected one of `string`, `integer`, `number`, `boolean`, `list`, `object`, "
        "`file`, `directory`, got string `fil` (did you mean `file`?)",
    ]


def test_a_missing_key_is_shown_at_the_thing_that_misses_it():
    document = read_yaml("name: a\nsteps:\n  train:\n    image: x\n", "f.yaml")
    with pytest.raises(SpecInvalid) as caught:
        structure(document.data, Pipeline, document)
    assert str(caught.value) == "f.yaml:3:3: $.steps.train.command: missing key `command`"
    assert caught.value.code == "missing_key"


def test_spec_classes_have_camel_case_keys_and_converters_take_their_text():
    data = {"type": "string", "minLength": 2, "default": "ab", "enum": ["ab"]}
    assert structure(data, Parameter) == Parameter("string", min_length=2, default="ab", enum=["ab"])
    assert problems({"type": "string", "min_length": 2}, Parameter) == {("unknown_key", ("min_length",))}
    assert structure({"memory": "4Gi", "cpu": 2}, Resources) == Resources(memory=2**32, cpu=2)
    step = structure({"command": "run 'a b'", "outputs": {"x": "file", 1: {"type": "number"}}}, Step)
    assert step.command == ("run", "a b")
    assert step.outputs == {"x": Output("file"), "1": Output("number")}
    assert problems({"command": "a | b"}, Step) == {("shell_operator", ("command",))}


def test_null_as_a_default_is_not_the_same_as_no_default():
    optional, required = ({"type": "string", "default": None}, {"type": "string"})
    assert structure(optional, Parameter) == Parameter("string", default=None) != structure(required, Parameter)


def test_keys_of_plain_data_are_text_or_whole_numbers():
    step = {"command": "run"}
    assert structure({"name": "a", "steps": {1: step}}, Pipeline).steps["1"] == Step(command="run")
    assert problems({"name": "a", "steps": {1: step, "1": step}}, Pipeline) == {("duplicate_key", ("steps",))}
    assert problems({"name": "a", "steps": {True: step}}, Pipeline) == {("key_invalid", ("steps",))}


def test_the_code_of_a_converter_is_kept():
    def refuse(value: int) -> int:
        raise _Coded("slots come in pairs")

    @attrs.define
    class Odd:
        slots: int = attrs.field(converter=refuse)

    assert problems({"slots": 1}, Odd) == {("slots_odd", ("slots",))}


def test_a_validator_that_looks_at_the_instance_is_heard():
    @attrs.define
    class Range:
        least: int
        most: int = attrs.field()

        @most.validator
        def _check(self, attribute, value):
            if value < self.least:
                raise ValueError("most is less than least")

    assert structure({"least": 1, "most": 2}, Range) == Range(1, 2)
    assert problems({"least": 3, "most": 2}, Range) == {("value_invalid", ())}


def test_a_class_that_no_document_can_carry_is_the_backends_mistake():
    @attrs.define
    class Odd:
        thing: object

    class Strange:
        pass

    @attrs.define
    class Unreadable:
        thing: Strange

    @attrs.define
    class Unresolved:
        thing: "NotImported"  # noqa: F821 - that it is not there is the point

    for cls in (Unreadable, Unresolved):
        with pytest.raises(BackendBroken):
            structure({"thing": 1}, cls)
