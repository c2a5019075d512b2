"""What a pipeline of the probe must give: computed here from the spec alone, with nothing of penstock's own rendering.

An argument's text, the order of steps, what a failure stops, typed outputs and the bytes of the log are said once
more, in plain Python. A path is a text that starts with NUL, which no real value can.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from attrs import field, frozen

from penstock.spec import ARTIFACT_TYPES, Pipeline, Step, Type, Value
from penstock.testing.probes.pipelines import written
from penstock.testing.probes.probe import ARITY, FILES

Content: TypeAlias = bytes | Mapping[str, bytes]
"""A file's bytes, or a folder's files by relative name."""

_PLACEHOLDER = re.compile(r"\$\$\{\{|\$\{\{\s*([^\s}]+)\s*\}\}")


@frozen(kw_only=True)
class ExpectedStep:
    """What one step must come to. `arguments` are those behind `--`, None when the step never runs.

    `outputs` are its values, by name, and `artifacts` the names of its other outputs; both are empty unless it
    succeeds. `log` is None where attempts follow each other, which targets may show in their own way.
    `executions` is how often it runs.
    """

    state: str
    arguments: tuple[str, ...] | None = None
    outputs: Mapping[str, Value] = field(factory=dict)
    artifacts: frozenset[str] = frozenset()
    log: bytes | None = b""
    executions: int = 0


@frozen(kw_only=True)
class Expected:
    """What a run must come to. `outputs` are the pipeline's values, `artifacts` the names of its other outputs."""

    state: str
    steps: Mapping[str, ExpectedStep]
    outputs: Mapping[str, Value]
    artifacts: frozenset[str]


def expected(
    pipeline: Pipeline,
    parameters: Mapping[str, Value] | None = None,
    files: Mapping[str, Content] | None = None,
) -> Expected:
    """What a run of a pipeline of the probe must come to, with these parameters.

    `files` are the contents of `file` and `directory` parameters, by the path that is their value. Raises
    ValueError for a pipeline of which nothing can be said: steps in a circle, another program than the probe, or a
    parameter without a value.
    """
    return _Run(pipeline, parameters or {}, files or {}).expected()


def text_of(type_: Type, value: Value) -> str:
    """The text of a value of a type: a whole number given for `number` is a number."""
    return written(float(value) if type_ == "number" else value)


def digest_of(content: Content) -> str:
    """The digest that the probe gives for a content."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    found = hashlib.sha256()
    for name in sorted(content, key=_walked):
        found.update(name.encode() + b"\0" + content[name] + b"\0")
    return found.hexdigest()


class _Failed(Exception):
    """An attempt ended badly."""


class _Run:
    def __init__(self, pipeline: Pipeline, parameters: Mapping[str, Value], files: Mapping[str, Content]) -> None:
        self.pipeline = pipeline
        self.marks: dict[str, int] = {}
        self.contents: dict[str, Content] = {f"\0{path}": content for path, content in files.items()}
        self.texts: dict[str, str] = {}
        self.steps: dict[str, ExpectedStep] = {}
        for name, parameter in pipeline.parameters.items():
            value = parameters.get(name, parameter.default)
            if value is None:
                raise ValueError(f"the parameter `{name}` has no value, of which `checks.optional` asks")
            text = f"\0{value}" if parameter.is_artifact else text_of(parameter.type, value)
            self.texts[f"parameters.{name}"] = text

    def expected(self) -> Expected:
        for name in self._order():
            self.steps[name] = self._step(name, self.pipeline.effective(name))
        succeeded = all(step.state == "succeeded" for step in self.steps.values())
        outputs: dict[str, Value] = {}
        artifacts = set()
        for name, text in self.pipeline.outputs.items() if succeeded else ():
            _, step, _, output = _name(text).split(".")
            if output in self.steps[step].artifacts:
                artifacts.add(name)
            else:
                outputs[name] = self.steps[step].outputs[output]
        state = "succeeded" if succeeded else "failed"
        return Expected(state=state, steps=self.steps, outputs=outputs, artifacts=frozenset(artifacts))

    def _needs(self, step: Step) -> set[str]:
        names = [_name(text).split(".") for text in step.inputs.values()]
        return {name[1] for name in names if name[0] == "steps"} | set(step.after)

    def _order(self) -> Iterator[str]:
        left = dict(self.pipeline.steps)
        while left:
            ready = [name for name, step in left.items() if not self._needs(step) & left.keys()]
            if not ready:
                raise ValueError("the steps wait in a circle")
            for name in ready:
                del left[name]
                yield name

    def _step(self, name: str, step: Step) -> ExpectedStep:
        if any(self.steps[need].state != "succeeded" for need in self._needs(step)):
            return ExpectedStep(state="skipped")
        here = {f"inputs.{key}": self.texts[_name(text)] for key, text in step.inputs.items()}
        paths = {key: f"\0{name}/{key}" for key in step.outputs}
        known = {**self.texts, **here, **{f"outputs.{key}": path for key, path in paths.items()}}
        command = [_filled(text, known) for text in step.command]
        env = {key: _filled(text, known) for key, text in step.env.items()}
        attempts = step.retry.attempts if step.retry else 1
        state, executions, values, log = "failed", 0, dict[str, Value](), list[bytes]()
        while state == "failed" and executions < attempts:
            executions += 1
            log.clear()
            for path in paths.values():
                self.contents.pop(path, None)
            try:
                self._probe(command, env, log)
                values = {key: self._value(step.outputs[key].type, path) for key, path in paths.items()}
            except _Failed:
                continue
            state = "succeeded"
        arguments = tuple(_program(command)[1])
        whole = b"".join(log) if executions == 1 else None
        if state == "failed":
            return ExpectedStep(state=state, arguments=arguments, log=whole, executions=executions)
        artifacts = {key for key in paths if step.outputs[key].type in ARTIFACT_TYPES}
        for key, path in paths.items():
            text = path if key in artifacts else text_of(step.outputs[key].type, values[key])
            self.texts[f"steps.{name}.outputs.{key}"] = text
        return ExpectedStep(
            state=state,
            arguments=arguments,
            outputs={key: value for key, value in values.items() if key not in artifacts},
            artifacts=frozenset(artifacts),
            log=whole,
            executions=executions,
        )

    def _value(self, type_: Type, path: str) -> Value:
        """What an output is, as its type reads it. Raises _Failed when it is not there or not of the type."""
        if path not in self.contents:
            raise _Failed
        content = self.contents[path]
        if type_ in ARTIFACT_TYPES:
            return content
        assert isinstance(content, bytes)
        text = content.decode()
        if type_ == "string":
            return text
        try:
            value = json.loads(text)
        except ValueError:
            raise _Failed from None
        return float(value) if type_ == "number" else value

    def _probe(self, command: list[str], env: Mapping[str, str], log: list[bytes]) -> None:
        """Do what the probe would. Raises _Failed when it exits with anything but 0."""
        words, arguments = _program(command)
        for word, values in words:
            if word == "args":
                self.contents[values[0]] = json.dumps(arguments).encode()
            elif word == "env":
                if values[0] not in env:
                    raise _Failed
                self.contents[values[1]] = env[values[0]].encode()
            elif word == "put":
                self.contents[values[0]] = values[1].encode()
            elif word == "copy":
                self.contents[values[1]] = self.contents[values[0]]
            elif word == "folder":
                self.contents[values[0]] = {name: values[1].encode() if full else b"" for name, full in FILES.items()}
            elif word == "digest":
                self.contents[values[1]] = digest_of(self.contents[values[0]]).encode()
            elif word == "count":
                self.contents[values[1]] = str(int(values[0]) + 1).encode()
            elif word in ("say", "warn"):
                log.append(values[0].encode())
            elif word == "lines":
                log.append(b"".join(b"line %d\n" % number for number in range(int(values[0]))))
            elif word == "mark" and values[0]:
                self.marks[values[1]] = self.marks.get(values[1], 0) + 1
            elif word == "flaky":
                if self.marks.get(values[1], 0) < int(values[2]):
                    raise _Failed
            elif word == "exit" and int(values[0]):
                raise _Failed
            elif word == "exit":
                return


def _program(command: list[str]) -> tuple[list[tuple[str, list[str]]], list[str]]:
    """The probe's words with their values, and its arguments. Raises ValueError for another program."""
    if "probe.py" not in command:
        raise ValueError(f"`{command[0]}` is not the probe")
    rest = command[command.index("probe.py") + 1 :]
    words: list[tuple[str, list[str]]] = []
    while rest and rest[0] != "--":
        count = ARITY[rest[0]]
        words.append((rest[0], rest[1 : count + 1]))
        rest = rest[count + 1 :]
    return words, rest[1:]


def _filled(text: str, known: Mapping[str, str]) -> str:
    """A text with its placeholders replaced, in one go: what a value says is not looked at."""
    return _PLACEHOLDER.sub(lambda found: "${{" if found[1] is None else known[found[1]], text)


def _name(placeholder: str) -> str:
    """The name in a text that is exactly one placeholder."""
    found = _PLACEHOLDER.fullmatch(placeholder)
    assert found is not None
    return found[1]


def _walked(name: str) -> list[tuple[bool, str]]:
    """The order in which the probe walks a folder: its files, then what is below each folder in it."""
    *folders, last = name.split("/")
    return [*((True, folder) for folder in folders), (False, last)]
