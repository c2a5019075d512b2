"""Pipelines whose steps run the probe, so that everything they must get and give can be computed (see `expected`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import evolve, field, frozen
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from penstock.spec import ARTIFACT_TYPES, TYPES, Defaults, Output, Parameter, Pipeline, Resources, Retry, Step, Type
from penstock.testing.probes.pipelines import VALUE_TYPES, probe, written
from penstock.testing.strategies.parameters import declarations, values_of
from penstock.testing.strategies.text import hostile_text, keys, literal, names, templates
from penstock.testing.strategies.values import values_for

SHEET, FOLDER = "./data/sheet.bin", "./data/folder"
"""Defaults of parameters that travel with the pipelines: where they are, relative to the spec."""

TRAVELLING: Mapping[str, bytes | Mapping[str, bytes]] = {
    SHEET: bytes(range(256)) * 4_500 + "é\r\n".encode() * 3,
    FOLDER: {"a": b"", "b/c": b"\0 \n"},
}
"""What must lie there."""


def lay_out(folder: Path) -> None:
    """Write what travels with runnable pipelines into the folder that their paths are relative to."""
    for path, content in TRAVELLING.items():
        for name, data in ({"": content} if isinstance(content, bytes) else content).items():
            file = folder / path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)


@frozen
class _Source:
    """Something that a step can read: the placeholder that names it, and its type."""

    text: str
    type: Type


@frozen
class _Draft:
    """A step while it is made: the probe's words, the declared outputs, and the sources it can use as values."""

    words: list[str] = field(factory=list)
    outputs: dict[str, Output] = field(factory=dict)
    env: dict[str, str] = field(factory=dict)

    def do(self, *words: str) -> None:
        """Say what the probe is to do next."""
        self.words.extend(words)

    def output(self, prefix: str, type_: Type) -> str:
        """Declare one more output; answers its placeholder."""
        name = f"{prefix}{len(self.outputs)}"
        self.outputs[name] = Output(type_)
        return f"${{{{ outputs.{name} }}}}"


@st.composite
def runnable_pipelines(
    draw: DrawFn, python: str, *, marks: bool = False, failures: bool = True, max_steps: int = 5
) -> Pipeline:
    """Pipelines of the probe: chains, fans, diamonds and after-edges, values and artifacts from step to step.

    `python` calls Python on the target. The code is `./src`, which holds the probe, and `TRAVELLING` says what
    else has to be there. With `marks` some steps need a second attempt: then the parameter `marks` must be given
    a folder that steps can write to. With `failures` a step fails now and then. About one pipeline in six asks for
    timeouts that are never reached, and for a small machine.
    """
    declared = draw(declarations(VALUE_TYPES, most=4))
    declared["sheet"] = Parameter("file", default=SHEET)
    declared["folder"] = Parameter("directory", default=FOLDER)
    declared["marks"] = Parameter("string", default="")
    sources = [_Source(f"${{{{ parameters.{name} }}}}", one.type) for name, one in declared.items() if name != "marks"]
    steps: dict[str, Step] = {}
    # Rare, so that a target that takes neither is still examined.
    demanding = draw(st.sampled_from([False] * 5 + [True]))
    for name in draw(st.lists(keys(), min_size=1, max_size=max_steps, unique=True)):
        step = draw(_steps(python, name, sources, sorted(steps), marks, failures))
        step = evolve(step, **draw(_demands())) if demanding else step
        sources += [_Source(f"${{{{ steps.{name}.outputs.{key} }}}}", one.type) for key, one in step.outputs.items()]
        steps[name] = step
    produced = [source.text for source in sources if source.text.startswith("${{ steps.")]
    return Pipeline(
        name=draw(names()),
        description=draw(hostile_text()),
        parameters=declared,
        defaults=Defaults(
            code="./src", env={"BASE": literal(draw(hostile_text()))}, **(draw(_demands()) if demanding else {})
        ),
        steps=dict(draw(st.permutations(list(steps.items())))),
        outputs=draw(st.dictionaries(keys(), st.sampled_from(produced), max_size=4)),
    )


def triggers_of(pipeline: Pipeline) -> SearchStrategy[dict[str, Any]]:
    """Values for a runnable pipeline; `marks`, `sheet` and `folder` are left to the caller."""
    kept = {"marks", "sheet", "folder"}
    return values_of({name: one for name, one in pipeline.parameters.items() if name not in kept})


@st.composite
def _steps(
    draw: DrawFn, python: str, name: str, sources: list[_Source], earlier: list[str], marks: bool, failures: bool
) -> Step:
    # The later a source, the sooner it is read: else most steps would only read parameters.
    read = draw(st.dictionaries(keys(), st.sampled_from(sources[::-1]), max_size=3))
    inputs = [_Source(f"${{{{ inputs.{key} }}}}", source.type) for key, source in read.items()]
    direct = [source for source in sources if source.text.startswith("${{ parameters.")]
    values = [source for source in (*inputs, *direct) if source.type not in ARTIFACT_TYPES]
    fate = draw(st.sampled_from(["well"] * 9 + ["exit", "missing", "mistyped"])) if failures else "well"
    draft = _Draft()
    retry = None
    if marks and fate == "well" and draw(st.integers(0, 3)) == 0:
        retry = Retry(attempts=draw(st.integers(2, 3)))
        draft.do("mark", "${{ parameters.marks }}", name)
        draft.do("flaky", "${{ parameters.marks }}", name, "2")
    draft.do("args", draft.output("args", "list"))
    for source in inputs:
        _pass_on(draw, draft, source)
    for type_ in draw(st.lists(st.sampled_from(TYPES), max_size=2)):
        _give(draw, draft, type_, [source.text for source in values if source.type == type_])
    texts = [source.text for source in values]
    if draw(st.booleans()):
        draft.env["PROBE"] = draw(templates(texts))
        draft.do("env", draw(st.sampled_from(["PROBE", "BASE"])), draft.output("env", "string"))
    draft.do("lines", str(draw(st.integers(0, 3))))
    draft.do("say", draw(templates(texts)))
    if fate == "exit":
        draft.do("exit", draw(st.sampled_from(["1", "2", "77"])))
    elif fate == "missing":
        draft.output("missing", draw(st.sampled_from(VALUE_TYPES)))
    elif fate == "mistyped":
        draft.do("put", draft.output("mistyped", draw(st.sampled_from(VALUE_TYPES[1:]))), "neither")
    return Step(
        command=probe(python, *draft.words, arguments=draw(st.lists(templates(texts), max_size=4))),
        inputs={key: source.text for key, source in read.items()},
        outputs=draft.outputs,
        env=draft.env,
        after=draw(st.lists(st.sampled_from(earlier), max_size=2, unique=True)) if earlier else (),
        retry=retry,
    )


def _demands() -> SearchStrategy[dict[str, Any]]:
    """What a step may ask for that changes nothing of what it gives: an hour's time, and a small machine."""
    small = st.builds(Resources, cpu=st.sampled_from([None, 0.5, 1]), memory=st.sampled_from([None, "64Mi", "256Mi"]))
    asked = st.fixed_dictionaries({"timeout": st.none() | st.just(3600.0), "resources": st.none() | small})
    return asked.map(lambda found: {name: value for name, value in found.items() if value is not None})


def _pass_on(draw: DrawFn, draft: _Draft, source: _Source) -> None:
    """Make something of what the step reads, so that what arrived can be seen in an output."""
    if source.type in ARTIFACT_TYPES:
        draft.do("digest", source.text, draft.output("digest", "string"))
        if source.type == "file" and draw(st.booleans()):
            draft.do("copy", source.text, draft.output("copy", "file"))
    elif source.type == "integer" and draw(st.booleans()):
        draft.do("count", source.text, draft.output("count", "integer"))
    else:
        draft.do("put", draft.output("same", source.type), source.text)


def _give(draw: DrawFn, draft: _Draft, type_: Type, sources: list[str]) -> None:
    """Write something new: an artifact, a value of the step's own, or what a source of that type says."""
    if type_ == "directory":
        draft.do("folder", draft.output("folder", type_), draw(hostile_text().map(literal)))
    elif type_ == "file":
        draft.do("put", draft.output("file", type_), draw(hostile_text().map(literal)))
    else:
        own = values_for(Parameter(type_)).flatmap(lambda value: st.sampled_from(_spellings(type_, value)))
        text = own.map(literal)
        draft.do("put", draft.output("value", type_), draw(st.sampled_from(sources) | text if sources else text))


def _spellings(type_: Type, value: Any) -> list[str]:
    """How programs write a value: as it is, with the end of a line after it, and JSON with spaces in it."""
    text = written(value)
    if type_ == "string":
        return [text]
    if type_ in ("list", "object"):
        return [text, json.dumps(value), json.dumps(value, indent=2) + "\n"]
    return [text, text + "\n"]
