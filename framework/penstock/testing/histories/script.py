"""A history of calls as a program that can be run by itself: it makes the calls and breaks the same law."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from penstock.testing.bench import Bench
from penstock.testing.histories.play import Call, Play
from penstock.testing.laws import LawBroken
from penstock.testing.profiles import DEFAULT
from penstock.testing.subject import Subject


def script_of(subject: Subject, history: Iterable[Call], broken: LawBroken, pause: float = 0.0) -> str:
    """The program of a history. Run by Python it ends with status 1, and its last line is what broke; where that
    depends on the target's pace and does not break this time, it says so.
    """
    options = subject.options()
    lines = [
        f'"""{_in_docstring(str(broken))}"""',
        "",
        "from penstock.testing.histories.script import stage",
        "",
        "with stage(",
        f"    main={options[subject.target]!r},",
        f"    other={options[subject.other]!r},",
        f"    python={subject.python!r},",
        f"    prepare={subject.prepare!r},",
        *([f"    pause={pause!r},"] if pause else []),
        ") as play:",
    ]
    lines += [f"    play({', '.join([repr(verb), *_said(arguments)])})" for verb, arguments in history]
    lines.append('print("every call was answered as it should be: what broke depends on the pace of the target")')
    return "\n".join(lines) + "\n"


@contextmanager
def stage(
    *,
    main: Mapping[str, Any],
    other: Mapping[str, Any],
    python: str = "python",
    prepare: tuple[str, ...] = (),
    pause: float = 0.0,
) -> Iterator[Play]:
    """Where a program's calls are made: two targets by their options, in a temporary folder, and a new registry.

    `prepare` names functions as in `Subject`; the modules they are in have to be found by Python. `pause` is how
    many seconds runs have before each call that looks at them. Raises ConfigInvalid, BackendBroken.
    """
    with tempfile.TemporaryDirectory(prefix="penstock-play-", ignore_cleanup_errors=True) as folder:
        subject = Subject.of_options(Path(folder), main, other, python=python, prepare=prepare)
        with Play(Bench(subject, DEFAULT, seed=0), pause) as play:
            yield play


def _said(arguments: Mapping[str, Any]) -> list[str]:
    return [f"{name}={value!r}" for name, value in arguments.items()]


def _in_docstring(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"') + (" " if text.endswith('"') else "")
