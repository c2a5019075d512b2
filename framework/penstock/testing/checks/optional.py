"""Law 7: a parameter without a value leaves out what it is all of, and changes nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from penstock.spec import Parameter, Pipeline, Step, Type
from penstock.testing.checking import check
from penstock.testing.harness import Harness
from penstock.testing.helpers.attempts import Attempts
from penstock.testing.laws import same
from penstock.testing.probes.expected import text_of

_PLAIN: dict[Type, Any] = {"string": "", "integer": 3, "boolean": False, "object": {"a": None}}
"""A value for each optional parameter but the file, which never has one."""
_OPTIONAL: tuple[Type, ...] = (*_PLAIN, "file")
_TELL = """import json, os, sys
variables = sorted(name + "=" + text for name, text in os.environ.items() if name.startswith("PROBE_"))
for path, said in zip(sys.argv[1:3], (sys.argv[3:], variables)):
    with open(path, "w") as file:
        json.dump(said, file)"""


def _optional(python: str) -> Pipeline:
    """A step that tells its arguments and variables: each optional parameter in every place that there is."""
    declared = {name: Parameter(name, default=None) for name in _OPTIONAL}
    arguments, env = ["first", "--flag"], {"PROBE_first": "1"}
    for name in declared:
        mark = f"${{{{ inputs.{name} }}}}"
        arguments += [f"--{name}", mark, f"--{name}={mark}", f"{name}={mark}", f"-{name[0]}{mark}", "--", mark]
        arguments += [f"--{name}=x", mark, f"<{mark}>", "--kept", f"-{name[0]}", mark, mark]
        env |= {f"PROBE_{name}": mark, f"PROBE_{name}_inside": f"<{mark}>"}
        if name != "file":
            arguments += [f"--own-{name}", f"${{{{ parameters.{name} }}}}"]
    step = Step(
        inputs={name: f"${{{{ parameters.{name} }}}}" for name in declared},
        command=[python, "-c", _TELL, "${{ outputs.args }}", "${{ outputs.env }}", *arguments, "--last"],
        env=env,
        outputs={"args": "list", "env": "list"},
    )
    outputs = {key: f"${{{{ steps.only.outputs.{key} }}}}" for key in step.outputs}
    return Pipeline(name="optional", parameters=declared, steps={"only": step}, outputs=outputs)


def _left(values: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """The arguments and variables that such a step has with these values."""
    arguments, variables = ["first", "--flag"], ["PROBE_first=1"]
    for name in _OPTIONAL:
        if name in values:
            text, letter = text_of(name, values[name]), name[0]
            arguments += [f"--{name}", text, f"--{name}={text}", f"{name}={text}", f"-{letter}{text}", "--", text]
            arguments += [f"--{name}=x", text, f"<{text}>", "--kept", f"-{letter}", text, text, f"--own-{name}", text]
            variables += [f"PROBE_{name}={text}", f"PROBE_{name}_inside=<{text}>"]
        else:
            arguments += ["--", f"--{name}=x", "<>", "--kept"]
            variables.append(f"PROBE_{name}_inside=<>")
    return [*arguments, "--last"], sorted(variables)


@check(7)
def missing_values_leave_nothing(harness: Harness) -> str | None:
    """Does a parameter without a value leave out what it is all of, with the option in front, and nothing else?"""
    with harness.workspace() as ws:
        attempted = Attempts(harness, ws)
        optional = _optional(harness.subject.python)

        for given in ((), tuple(_PLAIN), ("string", "boolean")):
            values: dict[str, Any] = {name: value for name, value in _PLAIN.items() if name in given}
            run = attempted.run(7, optional, values)
            if run:
                arguments, variables = _left(values)
                same(7, run.outputs["args"], arguments, f"the arguments where {_said(given)} a value")
                same(7, run.outputs["env"], variables, f"the variables where {_said(given)} a value")
        return attempted.done()


def _said(names: Sequence[str]) -> str:
    return f"{', '.join(names)} have" if names else "no parameter has"


CHECKS = (missing_values_leave_nothing,)
"""What is asked here."""
