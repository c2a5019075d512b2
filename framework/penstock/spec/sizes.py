"""What becomes a file name, an argument or a variable is measured when it can be known: no system takes longer ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attrs import frozen

from penstock.errors import Path, Problem
from penstock.spec.command import Reference, pieces
from penstock.spec.pipeline import Pipeline
from penstock.spec.steps import Step

MAX_KEY = 251
"""The longest name of a step, parameter, input or output, in bytes: with `.log` it is a file name of 255."""
MAX_WORD = 128 * 1024 - 1
"""The longest argument, or variable with its name, that Linux gives a program, in bytes of UTF-8."""
MAX_WORDS = 2_000_000
"""The longest arguments and variables of a step together; Linux takes 2 MiB, the target's own variables among them."""
_MAX_NAME = 255
_COUNTED = 10**18
"""A step is tried less often, and Python writes no number of thousands of digits."""
_EACH = 9
"""Bytes that an argument takes besides its text: a NUL and a pointer."""


@frozen
class Word:
    """An argument or variable of a step: where it stands, what it is called, the bytes of its text as far as that is
    known, and the parameters whose values are put into it.
    """

    path: Path
    shown: str
    literal: int
    parameters: tuple[str, ...]

    def size(self, sizes: Mapping[str, int]) -> int:
        """Its bytes with values of these sizes; what is not known counts nothing."""
        return self.literal + sum(sizes.get(name, 0) for name in self.parameters)


@frozen
class Oversized:
    """What is too long for a program: a word, or with None all words of a step."""

    step: str
    word: Word | None
    size: int
    parameters: tuple[str, ...]

    def __str__(self) -> str:
        """What it is, how long it is and how long it may be."""
        if self.word is None:
            return f"the arguments and variables of step `{self.step}` are {self.size:,} bytes; at most {MAX_WORDS:,}"
        return f"{self.word.shown} of step `{self.step}` is {self.size:,} bytes; at most {MAX_WORD:,}"


class Sizes:
    """The words of a pipeline that nothing is wrong with, to be measured with values again and again."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._steps = {name: tuple(_words(name, pipeline.effective(name))) for name in pipeline.steps}
        words = [word for step in self._steps.values() for word in step]
        self._longest = max((word.literal for word in words), default=0)
        self._most = max((len(word.parameters) for word in words), default=0)
        self._together = max((sum(word.literal + _EACH for word in step) for step in self._steps.values()), default=0)
        self._all = max((sum(len(word.parameters) for word in step) for step in self._steps.values()), default=0)

    def oversized(self, sizes: Mapping[str, int]) -> Iterator[Oversized]:
        """What is too long with values of these sizes, in bytes."""
        largest = max(sizes.values(), default=0)
        if self._longest + self._most * largest <= MAX_WORD and self._together + self._all * largest <= MAX_WORDS:
            return
        for name, words in self._steps.items():
            total = 0
            for word in words:
                size = word.size(sizes)
                total += size + _EACH
                if size > MAX_WORD:
                    yield Oversized(name, word, size, word.parameters)
            if total > MAX_WORDS:
                yield Oversized(name, None, total, tuple(one for word in words for one in word.parameters))


def size_problems(pipeline: Pipeline) -> Iterator[Problem]:
    """What is too long in a pipeline whatever the values are, each with its path; nothing else is wrong with it."""
    for name in pipeline.steps:
        retry = pipeline.effective(name).retry
        most = _MAX_NAME - len(f".{min(retry.attempts, _COUNTED) if retry else 1}")
        if most < len(name) <= MAX_KEY:  # one that is longer anyway is told as such
            message = f"the name of a step that is tried so often has at most {most} bytes, not {len(name)}"
            yield Problem("key_invalid", message, ("steps", name), hint="it becomes a file name, the attempt behind it")
    for found in Sizes(pipeline).oversized({}):
        path = found.word.path if found.word else ("steps", found.step)
        yield Problem("argument_too_large", str(found), path, hint="put it into a file beside the spec")


def _words(name: str, step: Step) -> Iterator[Word]:
    for index, text in enumerate(step.command):
        yield _word(("steps", name, "command", index), f"argument {index}", 0, text, step)
    for key, text in step.env.items():
        shown, before = f"the variable `{key[:40]}`", len(key.encode()) + len("=")
        yield _word(("steps", name, "env", key), shown, before, text, step)


def _word(path: Path, shown: str, literal: int, text: str, step: Step) -> Word:
    parameters = []
    for piece in pieces(text):
        if isinstance(piece, str):
            literal += len(piece.encode())
        elif (name := _parameter(piece, step)) is not None:
            parameters.append(name)
    return Word(path, shown, literal, tuple(parameters))


def _parameter(reference: Reference, step: Step) -> str | None:
    """The parameter whose value replaces a placeholder; None when it is a path or is known only when the step runs."""
    if reference.scope == "inputs":
        (source,) = pieces(step.inputs[reference.names[0]])
        return _parameter(source, step) if isinstance(source, Reference) else None
    return reference.names[0] if reference.scope == "parameters" else None
