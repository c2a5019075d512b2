"""Documents with a header: files and texts to pipelines, with everything that is wrong told at once."""

from __future__ import annotations

import os
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any, BinaryIO

from penstock.codec.canonical_form import canonical
from penstock.codec.details import located
from penstock.codec.parsing import MAX_BYTES, refused
from penstock.codec.reading import Document, read_yaml
from penstock.codec.structuring import structure
from penstock.errors import Path, Problem, SpecInvalid, did_you_mean
from penstock.opening import open_named
from penstock.spec import API_VERSION, Pipeline
from penstock.spec.command import COMMAND_CODES, readable
from penstock.spec.problems import check
from penstock.spec.values import describe

_ENOUGH = MAX_BYTES + 1 + len(BOM_UTF8)
"""So many bytes are too many, whatever they are."""
_STUBS: Mapping[str, Any] = {"name": "-", "steps": {}, "command": ["-"]}
"""What stands in for a required key that cannot be read, so that the rest can still be checked."""


def load_document(path: FilePath, stream: BinaryIO | None = None) -> Document:
    """Read a YAML or JSON file, or instead of it a stream, which `path` then names in errors.

    Raises SpecInvalid: `file_not_found`, `document_not_utf8`, what `read_yaml` says.
    """
    source = str(path)
    try:
        with os.fdopen(open_named(path), "rb") if stream is None else nullcontext(stream) as file:
            data = file.read(_ENOUGH)
    except (OSError, ValueError) as error:
        why = (getattr(error, "strerror", None) or str(error)).lower()
        message = f"`{source}` cannot be read: {why}"
        raise SpecInvalid(message, details=[Problem("file_not_found", message, where=source)]) from None
    try:
        # One that is too large is refused for that; the cut may have split a character.
        text = data.decode(errors="replace" if len(data) == _ENOUGH else "strict")
    except UnicodeDecodeError as error:
        position = (data.count(b"\n", 0, error.start) + 1, 1)
        raise refused(source, position, "document_not_utf8", "the file is not UTF-8 text") from None
    return read_yaml(text, source, read_on=True)


def load_pipeline(path: FilePath | str) -> Pipeline:
    """Read and check the pipeline in a file. Raises SpecInvalid with all its problems."""
    if not isinstance(path, str | os.PathLike):
        message = f"expected the path of a file, got {describe(path)}"
        raise SpecInvalid(message, code="type_mismatch", details=[Problem("type_mismatch", message)])
    return pipeline_in(load_document(FilePath(path)))


def parse_pipeline(text: str, source: str = "<text>") -> Pipeline:
    """Read and check the pipeline in a text. Raises SpecInvalid with all its problems."""
    return pipeline_in(read_yaml(text, source, read_on=True))


def pipeline_in(document: Document, more: Callable[[Pipeline], Iterable[Problem]] | None = None) -> Pipeline:
    """The checked pipeline in a document that was read. Raises SpecInvalid with all its problems.

    Where there are any, `more` adds what else is wrong with as much of the pipeline as can be read.
    """
    return _build(document.data, document, more)


def pipeline_of(data: Mapping[str, Any]) -> Pipeline:
    """The checked pipeline in plain data, header included. Raises SpecInvalid with all its problems."""
    return _build(data, None)


def checked(pipeline: Pipeline) -> Pipeline:
    """A pipeline made in Python, held to the rules that documents are held to. Raises SpecInvalid."""
    return pipeline_of(canonical(pipeline))


def _build(
    data: Any, document: Document | None, more: Callable[[Pipeline], Iterable[Problem]] | None = None
) -> Pipeline:
    pipeline, details = _read(data)
    written = document.problems if document else ()
    if more is not None and pipeline is not None and (written or details):
        details += more(pipeline)
    if written or details or pipeline is None:
        raise SpecInvalid.of([*written, *located(details, document)], document.source if document else "")
    return pipeline


def _read(data: Any) -> tuple[Pipeline | None, list[Problem]]:
    if not isinstance(data, Mapping):
        return None, [Problem("type_mismatch", f"expected a document, which is an object, got {describe(data)}")]
    details = [
        *_header(data, "apiVersion", "api_version_unknown", [API_VERSION]),
        *_header(data, "kind", "kind_unknown", ["Pipeline"]),
    ]
    if any(detail.path == ("kind",) and "kind" in data for detail in details):
        return None, details  # what else stands here belongs to a kind that is not known
    body = {key: value for key, value in data.items() if key not in ("apiVersion", "kind")}
    unread: set[Path] = set()
    met: set[tuple[str, Path]] = set()
    pipeline = None
    while pipeline is None:
        try:
            pipeline = structure(body, Pipeline)
        except SpecInvalid as error:
            if not met:
                details += error.details
                body = _copied(body)
            # What was cut may be required: then it is missing next, and a stub takes its place.
            found = {(detail.code, detail.path) for detail in error.details}
            if found <= met:
                return None, details
            met |= found
            unread |= {place for detail in error.details if (place := _cut(body, detail)) is not None}
    # What stands in for a command is one argument, which the document does not have.
    commands = {detail.path for detail in details if detail.code in COMMAND_CODES}
    more = check(pipeline, unread=unread)
    return pipeline, details + [replace(one, path=one.path[:-1]) if one.path[:-1] in commands else one for one in more]


def _copied(data: Any) -> Any:
    """The same data to cut from. What is neither object nor list, and may be anything in Python, is the same one."""
    if isinstance(data, dict):
        return {key: _copied(item) for key, item in data.items()}
    return [_copied(item) for item in data] if isinstance(data, list) else data


def _header(data: Mapping[str, Any], key: str, code: str, known: Iterable[str]) -> list[Problem]:
    if key not in data:
        hint = f"write `{key}: {next(iter(known))}`"
        return [Problem("missing_key", f"missing key `{key}`", (key,), hint=hint)]
    value = data[key]
    if value in known:
        return []
    return [Problem(code, f"unknown {key}: {describe(value)}", (key,), hint=did_you_mean(str(value)[:80], known))]


def _cut(body: dict[str, Any], detail: Problem) -> Path | None:
    """Take what cannot be read out of a document, so that the rest can be checked. Returns what was taken."""
    *above, last = detail.path or ("",)
    if detail.code == "missing_key" and last in _STUBS:
        parent = _inside(body, tuple(above))
        if isinstance(parent, dict):
            parent[str(last)] = deepcopy(_STUBS[str(last)])
            return detail.path
    if detail.code in COMMAND_CODES and last == "command":
        # Its other placeholders can be checked, whatever its arguments are.
        parent = _inside(body, tuple(above))
        if isinstance(parent, dict) and isinstance(text := parent.get("command"), str):
            parent["command"] = [readable(text) or "-"]
        return None
    path = detail.path[:-1] if detail.code == "missing_key" else detail.path
    while path:
        parent = _inside(body, path[:-1])
        if isinstance(parent, dict) and path[-1] in parent:
            del parent[path[-1]]
            return path
        path = path[:-1]
    return None


def _inside(data: Any, path: Path) -> Any:
    for part in path:
        if not isinstance(data, dict) or part not in data:
            return None
        data = data[part]
    return data
