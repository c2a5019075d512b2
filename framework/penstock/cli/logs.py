"""How logs are answered: the bytes of one step as they are, whole lines under the step's name, or one document."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from penstock.cli.output import Output
from penstock.records import RunRecord

if TYPE_CHECKING:
    from penstock.workspace import LogPart


def answer_logs(output: Output, run: RunRecord, step: str | None, parts: Iterable[LogPart]) -> None:
    """Print the parts as they come."""
    if output.json:
        found: dict[str, bytearray] = {one.name: bytearray() for one in run.steps if step in (None, one.name)}
        for part in parts:
            found.setdefault(part.step, bytearray()).extend(part.data)
        texts = {name: data.decode(errors="replace") for name, data in found.items()}
        output.document({"id": run.id, "steps": texts})
    elif step is not None or len(run.steps) == 1:
        for part in parts:
            output.raw(part.data)
    else:
        _under_names(output, parts, max((len(one.name) for one in run.steps), default=0))


def _under_names(output: Output, parts: Iterable[LogPart], width: int) -> None:
    """Steps write at the same time: a line is printed when it is whole."""
    unfinished: dict[str, bytes] = {}
    for part in parts:
        *lines, unfinished[part.step] = (unfinished.get(part.step, b"") + part.data).split(b"\n")
        head = f"{part.step:{width}} | ".encode()
        output.raw(b"".join(head + line + b"\n" for line in lines))
    for name, rest in unfinished.items():
        if rest:
            output.raw(f"{name:{width}} | ".encode() + rest + b"\n")
