"""Taking a snapshot: everything a spec points to beside it is archived, and one digest says what it is."""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Literal

from attrs import evolve, frozen

from penstock.codec import canonical_json, checked
from penstock.codec.details import located
from penstock.errors import Path as DocumentPath
from penstock.errors import Problem, SpecInvalid, did_you_mean
from penstock.snapshot.packing import location_of, pack, weigh
from penstock.snapshot.refused import NotBundled, unreadable
from penstock.snapshot.stored import snapshot_digest
from penstock.snapshot.types import Archive, Bundled, Snapshot
from penstock.snapshot.walking import Contents, Found, checked_name, files_in, nothing, resolve_inside
from penstock.spec import Pipeline
from penstock.spec.keys import walk
from penstock.text import disk_name, name_text, size_text

if TYPE_CHECKING:
    from penstock.codec import Document

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


_NOWHERE = Path(os.devnull)
"""Where archives lie that were not kept."""

_LEFT_NAMED = 100
"""Of what stays at home, how much is named."""


def take(
    pipeline: Pipeline,
    folder: Path,
    store: Path | None,
    *,
    document: Document | None = None,
    most_code: int | None = None,
    stays: Callable[[Path], bool] = nothing,
) -> Snapshot:
    """Freeze a pipeline with its code folders and relative data defaults, which lie in `folder`.

    Archives go to `store`, content-addressed; the same content twice is one archive. Without it nothing is kept, and
    what is answered is what would travel and its digest. `document` is what the
    pipeline was read from, so that errors can say line and column. `most_code` are the bytes of code that may travel;
    None is any number. `stays` says of a path without links in its folder whether it never travels in a folder, be it
    code or data. Raises SpecInvalid with everything that cannot travel, each at its key: `file_not_found`,
    `path_outside_folder`, `link_outside_folder`, `link_broken`, `link_loop`, `not_a_folder`, `not_a_file`,
    `file_special`, `file_unreadable`, `file_changed`, `name_clash`, `name_not_utf8`, `ignore_rules_large`,
    `code_large`. Raises RegistryError when the store cannot be written.
    """
    pipeline = checked(pipeline)
    root = Path(os.path.realpath(folder))
    found: dict[_BundledPath, Contents] = {}
    archives: dict[str, Archive] = {}
    problems: list[Problem] = []
    for bundled in _bundled_paths(pipeline):
        try:
            found[bundled] = _contents(bundled, root, store, stays)
        except NotBundled as error:
            problems.append(Problem(error.code, str(error), bundled.key, hint=error.hint))
    problems = problems or list(_too_much(found, most_code))
    for bundled, contents in () if problems else found.items():
        try:
            packed = weigh(contents.found) if store is None else pack(contents.found, store)
        except NotBundled as error:
            problems.append(Problem(error.code, str(error), bundled.key, hint=error.hint))
            continue
        archives[bundled.path] = Archive(
            path=bundled.path,
            kind=bundled.kind,
            digest=packed.digest,
            normal=packed.normal,
            size=packed.size,
            location=location_of(packed.digest, store or _NOWHERE),
        )
    if problems:
        raise SpecInvalid.of(located(problems, document), document.source if document else "")
    canonical = canonical_json(pipeline)
    return Snapshot(
        pipeline=pipeline,
        archives=archives,
        digest=snapshot_digest(canonical, archives),
        canonical=canonical,
        bundled=tuple(_told(bundled, contents) for bundled, contents in found.items()),
    )


def _too_much(found: Mapping[_BundledPath, Contents], most: int | None) -> Iterator[Problem]:
    """Whether more code would travel than is meant to without somebody saying so, told at the largest folder."""
    code = {bundled: contents for bundled, contents in found.items() if bundled.kind == "code"}
    total = sum(contents.size for contents in code.values())
    if most is not None and total > most:
        bundled = max(code, key=lambda one: code[one].size)
        largest = max(code[bundled].found, key=lambda one: one.size)
        message = (
            f"{size_text(total)} of code would travel, more than {size_text(most)}; the largest file of "
            f"`{bundled.path}` is `{largest.path}` with {size_text(largest.size)}"
        )
        hint = "name what is no code in `.gitignore`, or say that it is meant (`--yes`, in Python `large_code=True`)"
        yield Problem("code_large", message, bundled.key, hint=hint)


def _told(bundled: _BundledPath, contents: Contents) -> Bundled:
    return Bundled(
        path=bundled.path,
        kind=bundled.kind,
        files=sum(each.source is not None for each in contents.found),
        size=contents.size,
        left_out=contents.left[:_LEFT_NAMED],
        left_out_count=len(contents.left),
    )


@frozen
class _BundledPath:
    """A path that the spec writes, what it must be, the key that writes it, and whether ignore rules hold for it."""

    path: str
    kind: Literal["code", "directory", "file"]
    key: DocumentPath
    is_ruled: bool = False


def _bundled_paths(pipeline: Pipeline) -> Iterator[_BundledPath]:
    known: set[tuple[str, bool]] = set()
    data = list(_data(pipeline))
    whole = {each.path for each in data}
    code = (evolve(each, is_ruled=each.path not in whole) for each in _steps(pipeline))
    for each in (*code, *data):
        # One path can be code here and a folder of data there: that is the same archive, and data travels whole.
        if (each.path, each.kind == "file") not in known:
            known.add((each.path, each.kind == "file"))
            yield each


def _steps(pipeline: Pipeline) -> Iterator[_BundledPath]:
    """What steps say, and what `defaults` says for those that do not."""
    for key, value, about in walk(pipeline):
        if about.bundled is not None and isinstance(value, str):
            if key[0] == "defaults" and not any(pipeline.heirs(key[1:])):
                continue
            yield _BundledPath(value, about.bundled, key)


def _data(pipeline: Pipeline) -> Iterator[_BundledPath]:
    for name, parameter in pipeline.parameters.items():
        path = parameter.default
        if parameter.is_artifact and parameter.has_default and is_bundled(path):
            kind: Literal["directory", "file"] = "file" if parameter.type == "file" else "directory"
            yield _BundledPath(path, kind, ("parameters", name, "default"))


def is_bundled(path: str) -> bool:
    """Whether a default of a `file` or `directory` parameter travels: it is relative, and no URI."""
    return not PurePath(path).is_absolute() and not _URI.match(path)


def lacking(pipeline: Pipeline, folder: Path) -> Iterator[Problem]:
    """What a pipeline names in `folder` and is not there, or not what it should be, each at its key.

    It is for a pipeline in which more is wrong: `take` finds all that cannot travel.
    """
    root = Path(os.path.realpath(folder))
    for bundled in _bundled_paths(pipeline):
        try:
            _real(bundled, root)
        except NotBundled as error:
            yield Problem(error.code, str(error), bundled.key, hint=error.hint)


def _contents(bundled: _BundledPath, root: Path, store: Path | None, stays: Callable[[Path], bool]) -> Contents:
    real, status = _real(bundled, root)
    if bundled.kind == "file":
        name = checked_name(PurePath(os.path.normpath(bundled.path)).name, "")
        return Contents((Found(name, real, status.st_size),))
    return files_in(real, store, top=root if bundled.is_ruled else None, stays=stays)


def _real(bundled: _BundledPath, root: Path) -> tuple[Path, os.stat_result]:
    """The file or folder of a path, behind its links, and what the system knows of it. Raises NotBundled."""
    path = bundled.path
    plain = PurePath(os.path.normpath(path))
    if plain.is_absolute() or plain.parts[:1] == (os.pardir,):
        hint = "put it beside the spec, or below"
        raise NotBundled("path_outside_folder", f"`{path}` is outside the spec's folder {root}", hint)
    source = root / disk_name(os.fspath(plain))
    try:
        source.lstat()
    except PermissionError as error:
        raise unreadable(path, error) from None
    except OSError:
        raise NotBundled("file_not_found", f"`{path}` does not exist in {root}", _near(source)) from None
    real, status = resolve_inside(source, root, path)
    is_folder = stat.S_ISDIR(status.st_mode)
    if bundled.kind == "file":
        if is_folder:
            raise NotBundled("not_a_file", f"`{path}` is a folder", "write `type: directory`")
    elif not is_folder:
        hint = "write `type: file`" if bundled.kind == "directory" else "code is a folder"
        raise NotBundled("not_a_folder", f"`{path}` is a file", hint)
    return real, status


def _near(source: Path) -> str:
    """What was meant, as far as the first name of a path that is not there can tell."""
    while not os.path.lexists(source.parent):
        source = source.parent
    try:
        name, there = name_text(source.name), [name_text(entry.name) for entry in source.parent.iterdir()]
    except OSError:
        return ""
    if any(unicodedata.normalize("NFC", name) == unicodedata.normalize("NFC", one) for one in there):
        # The nearest name would look the same.
        return f"`{name}` is there in another Unicode form, which looks the same; rename it as it is written here"
    return did_you_mean(name, there)
