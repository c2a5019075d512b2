"""Law 11 for what is in files: code, data and artifacts reach the steps as they are, and stay to be looked at."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penstock.errors import ParameterInvalid
from penstock.spec import Defaults, Parameter, Pipeline, Step, Type
from penstock.testing.checking import check
from penstock.testing.checks.portability import came_to, run_on
from penstock.testing.harness import Harness
from penstock.testing.helpers.attempts import Attempts
from penstock.testing.laws import require, same
from penstock.testing.probes import probe as program
from penstock.testing.probes.expected import Content, digest_of, expected
from penstock.testing.probes.pipelines import probe
from penstock.testing.strategies.runnable import FOLDER, SHEET, TRAVELLING, lay_out

_CODE = {
    ".env": b"A=1\n",
    "lib/a b/é.txt": b"\r\n",
    "lib/.hidden": b"\0",
    "lib/empty": b"",
    "lib/run": b"#!/bin/sh\n",
    "lib/b/deep/run": b"x",
}
"""Files of a code folder; another one has the same with more in each."""

_EXECUTABLE = ("lib/run", "lib/b/deep/run")


@check(11)
def code_is_the_same(harness: Harness) -> str | None:
    """Does code reach the steps with every file, every byte and its executable bits, a step's own before all's?"""
    codes = {"./tools": _CODE, "./others": {name: data + b"2" for name, data in _CODE.items()}}
    for code, files in codes.items():
        _lay_out(harness.spec_folder / code, files)
    words: list[str] = []
    for number, name in enumerate(_CODE):
        words += ["digest", name, f"${{{{ outputs.digest{number} }}}}"]
        words += ["runnable", name, f"${{{{ outputs.runnable{number} }}}}"]
    wanted = {code: _as_seen(files) for code, files in codes.items()}
    outputs: dict[str, Type] = {
        name: "boolean" if isinstance(value, bool) else "string" for name, value in wanted["./tools"].items()
    }
    command = probe(harness.subject.python, *words)
    steps = {
        "all": Step(command=command, outputs=outputs),
        "own": Step(command=command, outputs=outputs, code="./others"),
    }
    with harness.workspace() as ws:
        attempted = Attempts(harness, ws)
        for target in (harness.subject.target, harness.subject.other):
            published = attempted.publish(Pipeline(name="code", defaults=Defaults(code="./tools"), steps=steps), target)
            if published is not None:
                run = harness.wait(ws, attempted.submit(published, {}), 11)
                same(11, run.state, "succeeded", f"a run that looks at its code on target `{target}`")
                found = {step.name: dict(step.outputs) for step in run.steps}
                for step, code in (("all", "./tools"), ("own", "./others")):
                    same(11, found[step], wanted[code], f"the code `{code}` as a step sees it on target `{target}`")
        return attempted.done()


@check(11)
def contents_are_the_same(harness: Harness) -> str | None:
    """Do files and folders reach the steps that read them with every byte, on both targets, and stay there?"""
    lay_out(harness.spec_folder)
    with harness.workspace() as ws:
        attempted = Attempts(harness, ws)
        targets = (harness.subject.target, harness.subject.other)
        for run in run_on(attempted, targets, _contents(harness.subject.python), {}, marked=False):
            outputs = ws.runs.outputs(run.id)
            same(11, outputs, dict(run.outputs), "the outputs of a run, asked for later")
            _kept(outputs, {"sheet": TRAVELLING[SHEET], "note": "é\r\n".encode()})
        return attempted.done()


@check(11, needs=("penstock_resolve_location",))
def given_files_are_read(harness: Harness) -> str | None:
    """Do steps read the files and folders that a trigger names, and not those that came with the pipeline?"""
    lay_out(harness.spec_folder)
    folder, sheet = harness.folder / "given", harness.folder / "given.bin"
    files: dict[str, bytes] = {"a": b"another", "c/d": b""}
    _lay_out(folder, files, with_probe=False)
    sheet.write_bytes(b"\xff another")
    given = {"sheet": str(sheet), "folder": str(folder)}
    contents: dict[str, Content] = {str(sheet): sheet.read_bytes(), str(folder): files}
    pipeline, refused = _contents(harness.subject.python), list[str]()
    with harness.workspace() as ws:
        attempted = Attempts(harness, ws)
        for target in (harness.subject.target, harness.subject.other):
            published = attempted.publish(pipeline, target)
            if published is None:
                continue
            try:
                run = ws.runs.submit(published.id, parameters=given).run
            except ParameterInvalid as error:
                refused.append(f"target `{target}` takes no files of this machine: {error.message}")
                continue
            came_to(11, harness.wait(ws, run.id, 11), expected(pipeline, given, contents), f"on target `{target}`")
        return "; ".join([*refused, *filter(None, [attempted.done()])]) or None


CHECKS = (code_is_the_same, contents_are_the_same, given_files_are_read)
"""What is asked here."""


def _lay_out(folder: Path, files: Mapping[str, bytes], *, with_probe: bool = True) -> None:
    probes = {"probe.py": Path(program.__file__).read_bytes()} if with_probe else {}
    for name, data in {**probes, **files}.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        file.chmod(0o755 if name in _EXECUTABLE else 0o644)


def _as_seen(files: Mapping[str, bytes]) -> dict[str, Any]:
    """What the step says that looks at each of these files."""
    digests = {f"digest{number}": digest_of(data) for number, data in enumerate(files.values())}
    return digests | {f"runnable{number}": name in _EXECUTABLE for number, name in enumerate(files)}


def _kept(outputs: Mapping[str, Any], wanted: Mapping[str, Content]) -> None:
    """Hold artifacts that are paths on this machine to be there; what a URI leads to only its target can say."""
    for name, content in wanted.items():
        path = Path(outputs[name])
        if path.is_absolute():
            there = path.is_file() and path.read_bytes() == content
            require(
                11, there, f"the artifact `{name}` of a run that has ended is not at {path}, or not what was written"
            )


def _contents(python: str) -> Pipeline:
    """Content that came with the pipeline and content that a step made: read, copied on, and read again.

    The outputs `sheet` and `note` are files.
    """
    made: dict[str, Type] = {"sheet": "file", "note": "file", "folder": "directory"}
    first = Step(
        inputs={"sheet": "${{ parameters.sheet }}"},
        command=probe(
            python,
            *("copy", "${{ inputs.sheet }}", "${{ outputs.sheet }}", "put", "${{ outputs.note }}", "é\r\n"),
            *("folder", "${{ outputs.folder }}", " a\n"),
        ),
        outputs=made,
    )
    read = {"whole": "${{ parameters.sheet }}", "tree": "${{ parameters.folder }}"}
    read |= {f"{name}-read": f"${{{{ steps.first.outputs.{name} }}}}" for name in made}
    words = [word for name in read for word in ("digest", f"${{{{ inputs.{name} }}}}", f"${{{{ outputs.{name} }}}}")]
    second = Step(inputs=read, command=probe(python, *words), outputs=dict.fromkeys(read, "string"))
    outputs = {name: f"${{{{ steps.second.outputs.{name} }}}}" for name in read}
    return Pipeline(
        name="contents",
        parameters={"sheet": Parameter("file", default=SHEET), "folder": Parameter("directory", default=FOLDER)},
        defaults=Defaults(code="./src"),
        steps={"first": first, "second": second},
        outputs=outputs | {name: f"${{{{ steps.first.outputs.{name} }}}}" for name in ("sheet", "note")},
    )
