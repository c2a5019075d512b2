"""The kit's own pipelines: small, made of the probe, and such that their outputs tell what ran and with what."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve

from penstock.spec import Defaults, Parameter, Pipeline, Step, Type

VALUE_TYPES: tuple[Type, ...] = ("string", "integer", "number", "boolean", "list", "object")
"""The types whose values are text in an argument."""


def probe(python: str, *words: str, arguments: Sequence[str] = ()) -> tuple[str, ...]:
    """The command that runs the probe; `python` is the interpreter's name on the target. See `probe`."""
    return (python, "-S", "probe.py", *words, "--", *arguments)


def variant(python: str, which: str) -> Pipeline:
    """A pipeline of one step that says which one it is.

    Parameters: `depth` (integer 1 to 9, default 3), `seconds` to sleep (default 0), `marks` (a folder for marks or
    empty). Outputs: `which`, and `args`, the list of the arguments it got: `[which, depth]`.
    """
    return Pipeline(
        name="probe",
        description=f"Says that it is {which}.",
        parameters={
            "depth": Parameter("integer", default=3, minimum=1, maximum=9),
            "seconds": Parameter("number", default=0, minimum=0),
            "marks": Parameter("string", default=""),
        },
        defaults=Defaults(code="./src"),
        steps={
            "tell": Step(
                command=probe(
                    python,
                    *("mark", "${{ parameters.marks }}", "tell", "sleep", "${{ parameters.seconds }}"),
                    *("put", "${{ outputs.which }}", which, "args", "${{ outputs.args }}"),
                    *("say", f"I am {which}\n"),
                    arguments=(which, "${{ parameters.depth }}"),
                ),
                outputs={"which": "string", "args": "list"},
            )
        },
        outputs={"which": "${{ steps.tell.outputs.which }}", "args": "${{ steps.tell.outputs.args }}"},
    )


def guarded(python: str, which: str) -> Pipeline:
    """The `variant` of a word with a sensitive parameter besides: `token`, text of at least 12 characters.

    The step gets it in its environment and keeps it in a file of its working folder. The output `hash` is its sha256.
    """
    made = variant(python, which)
    tell = made.steps["tell"]
    kept = ("env", "TOKEN", "kept.txt", "digest", "kept.txt", "${{ outputs.hash }}")
    step = evolve(
        tell,
        command=(*tell.command[:3], *kept, *tell.command[3:]),
        env={"TOKEN": "${{ parameters.token }}"},
        outputs={**tell.outputs, "hash": "string"},
    )
    return evolve(
        made,
        name="guarded",
        parameters={**made.parameters, "token": Parameter("string", sensitive=True, min_length=12)},
        steps={"tell": step},
        outputs={**made.outputs, "hash": "${{ steps.tell.outputs.hash }}"},
    )


def echo(python: str, parameters: Mapping[str, Parameter]) -> Pipeline:
    """A pipeline of one step that is given every parameter, in order, as one argument each, and says what it got.

    Its output `args` is the list of arguments.
    """
    arguments = [f"${{{{ parameters.{name} }}}}" for name in parameters]
    command = probe(python, "args", "${{ outputs.args }}", arguments=arguments)
    return Pipeline(
        name="echo",
        parameters=parameters,
        defaults=Defaults(code="./src"),
        steps={"echo": Step(command=command, outputs={"args": "list"})},
        outputs={"args": "${{ steps.echo.outputs.args }}"},
    )


def chain(python: str, length: int = 3) -> Pipeline:
    """Steps `s0`, `s1`, ... in a row, each marking itself in the folder of the parameter `marks` and then sleeping
    the number `seconds` (default 0); the number that `s0` is given as `start` is counted up from step to step.

    The output `count` is `start` plus the length.
    """
    steps: dict[str, Step] = {}
    for number in range(length):
        before = "${{ parameters.start }}" if number == 0 else f"${{{{ steps.s{number - 1}.outputs.count }}}}"
        steps[f"s{number}"] = Step(
            inputs={"before": before},
            command=probe(
                python,
                *("mark", "${{ parameters.marks }}", f"s{number}", "sleep", "${{ parameters.seconds }}"),
                *("count", "${{ inputs.before }}", "${{ outputs.count }}", "say", f"s{number}\n"),
            ),
            outputs={"count": "integer"},
        )
    return Pipeline(
        name="chain",
        parameters={
            "start": Parameter("integer", default=0),
            "seconds": Parameter("number", default=0, minimum=0),
            "marks": Parameter("string", default=""),
        },
        defaults=Defaults(code="./src"),
        steps=steps,
        outputs={"count": f"${{{{ steps.s{length - 1}.outputs.count }}}}"},
    )


def written(value: Any) -> str:
    """The text of a value as the design says it, said here once more and on its own: the kit checks by it."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, int):
        return str(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
