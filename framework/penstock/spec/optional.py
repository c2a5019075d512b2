"""What a step is given for a parameter that has no value (`default: null`): one rule, the same on every target.

An argument that says nothing but the placeholder is left out, whether it stands alone, behind a name and `=`
(`--epochs=${{ ... }}`, `epochs=${{ ... }}`) or behind an option of one letter (`-n${{ ... }}`). With an argument that
does not begin with `-` itself goes the option directly in front of it (`--epochs ${{ ... }}`): one or two `-`, a
letter, and no `=`. A variable that says nothing but the placeholder is not set. An input has no value where its
parameter has none. Anywhere else the empty text stands for it. What goes is decided by the spec's own text, never by a
value. The program, which is the first argument, always has one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

from attrs import frozen

from penstock.spec.command import Reference, fill, pieces, sole_reference
from penstock.spec.pipeline import Pipeline
from penstock.spec.steps import Step

Resolve: TypeAlias = Callable[[Reference], str | None]
"""What a placeholder stands for; None is no value."""

_NAMED = re.compile(r"(?:--?|\+\+?|~)?[A-Za-z_][\w.@/-]*=|-[A-Za-z]", re.ASCII)
"""What may stand in front of the placeholder in an argument that is left out with it."""
_OPTION = re.compile(r"--?[A-Za-z][^=\s$]*", re.ASCII)


@frozen
class Word:
    """An argument as it is written. Without a value of `reference` it is left out, and so is `option`, which stands
    directly in front of it.
    """

    text: str
    reference: Reference | None = None
    option: str | None = None


def words(command: Sequence[str]) -> Iterator[Word]:
    """The arguments of a command, each option together with what it would be left out with."""
    option: str | None = None
    for place, text in enumerate(command):
        reference = _reference(text) if place else None
        waited, option = option, None
        if reference is not None:
            if waited is not None and text.startswith("-"):
                yield Word(waited)
                waited = None
            yield Word(text, reference, waited)
            continue
        if waited is not None:
            yield Word(waited)
        if place and _OPTION.fullmatch(text):
            option = text
        else:
            yield Word(text)
    if option is not None:
        yield Word(option)


def arguments(command: Sequence[str], resolve: Resolve) -> list[str]:
    """The arguments that a program is given. Raises what `resolve` does."""
    left: list[str] = []
    for word in words(command):
        if word.reference is None or resolve(word.reference) is not None:
            left += [] if word.option is None else [word.option]
            left.append(filled(word.text, resolve))
    return left


def variables(env: Mapping[str, str], resolve: Resolve) -> dict[str, str]:
    """The variables that are set. Raises what `resolve` does."""
    return {
        name: filled(text, resolve)
        for name, text in env.items()
        if (reference := sole_reference(text)) is None or resolve(reference) is not None
    }


def given(inputs: Mapping[str, str], resolve: Resolve) -> dict[str, str | None]:
    """What each input of a step is; None without a value. Raises what `resolve` does."""
    sources = {name: sole_reference(text) for name, text in inputs.items()}
    return {name: resolve(source) for name, source in sources.items() if source is not None}


def filled(text: str, resolve: Resolve) -> str:
    """The text with every placeholder replaced, by the empty text where there is no value."""
    return fill(text, lambda reference: resolve(reference) or "")


def may_lack(pipeline: Pipeline, step: Step) -> frozenset[Reference]:
    """The placeholders of a step that may have no value."""
    found = {Reference("parameters", (name,)) for name, one in pipeline.parameters.items() if one.optional}
    inputs = {Reference("inputs", (key,)) for key, text in step.inputs.items() if found.intersection(pieces(text))}
    return frozenset(found | inputs)


def _reference(text: str) -> Reference | None:
    """The placeholder without whose value an argument is left out."""
    match tuple(pieces(text)):
        case (Reference() as reference,):
            return reference
        case (str() as name, Reference() as reference) if _NAMED.fullmatch(name):
            return reference
    return None
