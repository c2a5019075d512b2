"""One attempt at one step: its folders, its arguments and environment, and what it left behind."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import stat
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import define

from penstock.opening import open_file, open_folder
from penstock.snapshot import Archive
from penstock.spec.command import Reference
from penstock.spec.optional import Resolve, arguments, given, variables
from penstock.spec.values import MAX_TEXT, ValueInvalid, read_output
from penstock.text import printable
from penstock_local import interpreters, logs, places, removal, stand_ins, times
from penstock_local.copying import copy_tree
from penstock_local.descent import ABOVE
from penstock_local.jobs import Step
from penstock_local.layout import Layout
from penstock_local.own_keeper import Request, request_of
from penstock_local.processes import TOKEN
from penstock_local.temporary import Temporary
from penstock_local.unpacked import Unpacked

_KINDS = ("logs", "work", "outputs")
_FILLED = ("work", "inputs")
"""What is copied into, which takes so long that it may well be asked whether a link leads there."""
_NAMED, _NAME_LENGTH, _LOOKED_AT = 3, 60, 1000
"""Of what lies beside a missing output: how many names are shown, how much of each, and how many are looked at."""


@define(eq=False)
class Prepared:
    """How an attempt is to be started: its token, arguments, working folder and environment, and its log, which may
    have been `opened` already. What it finds `empty` are the folders to write in that were made for it, and `search`
    is the PATH by which it finds its interpreter, where one is frozen.
    """

    token: str
    command: list[str]
    folder: str
    environment: dict[str, str]
    log: Path
    empty: list[str]
    search: str = ""
    opened: logs.Opened | None = None

    @functools.cached_property
    def request(self) -> Request:
        """The same as the kernel takes it. Raises ValueError when it would not."""
        return request_of(self.token, self.command, self.folder, self.environment, self.log, self.opened)


class OutputWrong(Exception):
    """An output is missing or not what was declared. `code` is stable."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


def takes_long(step: Step) -> bool:
    """Whether preparing an attempt may have to unpack something."""
    return step.plan["code"] is not None or bool(step.job.parameters.bundled)


def prepare(layout: Layout, step: Step, plain: Mapping[str, str], temporary: Temporary, unpacked: Unpacked) -> Prepared:
    """Make the folders of the step's next attempt, and say how it is to be started. Safe in any thread.

    Code is copied, because a step may write beside it; bundled data is shared with other runs. A step without code
    starts in its temporary folder, which is empty and its own. `plain` is the environment that all steps share. A
    `directory` output is not made: an empty one is the step's own doing, as it is with a file, and a folder's times are
    too coarse to tell. Raises OSError, RegistryError.
    """
    layout.see_runs()
    if step.plan["outputs"]:
        find_outputs(layout, step)
    text = _resolver(layout, step, unpacked)  # first, as what has no value yet needs no folders
    command, given_to_it = arguments(step.plan["command"], text), variables(step.plan["env"], text)
    work, private = temporary.make(step)
    empty = [work]
    if step.plan["code"] is not None:
        work = _fresh(layout, step, "work")
        copy_tree(os.fspath(unpacked.get(_archive(layout, step, step.plan["code"]))), work)
    if step.plan["outputs"]:
        empty.append(_fresh(layout, step, "outputs"))
    environment, search = {**plain, "TMPDIR": private}, ""
    if step.job.python:
        interpreters.refuse_gone(step.job.python, command, trial=step.job.trial)
        environment["PATH"] = search = stand_ins.search_path(layout, step.job.python)
    environment.update(step.job.environment)
    environment.update(given_to_it)
    environment[TOKEN] = step.token
    if step.job.above:
        environment[ABOVE] = " ".join(step.job.above)
    return Prepared(step.token, command, work, environment, layout.log_of(step.job.id, step.name), empty, search)


def find_outputs(layout: Layout, step: Step) -> None:
    """Know where the outputs of the step's attempt are to lie, whatever lies there. Raises OSError."""
    outputs = layout.attempt(step.job.id, "outputs", step.name, step.attempt)
    # Links lead to the root alone: one below it would be followed to what others wrote.
    root = os.fspath(layout.root)
    step.folder = os.path.realpath(root) + outputs.removeprefix(root)
    step.paths = {name: f"{outputs}/{name}" for name in step.plan["outputs"]}


def needed_no_more(layout: Layout, step: Step, temporary: Temporary, keep_work: bool) -> list[str]:
    """The folders that an attempt needed only while it ran, its temporary one first.

    A failed attempt keeps its working copy, to look into.
    """
    kinds = ["inputs"] if step.job.parameters.bundled else []
    if not keep_work and step.plan["code"] is not None:
        kinds.append("work")
    others = [layout.attempt(step.job.id, kind, step.name, step.attempt) for kind in kinds]
    return [temporary.folder_of(step), *others]


def clean(paths: Sequence[str]) -> list[str]:
    """Remove folders that an attempt needs no more; returns those that take longer and are left for `remove`."""
    left = []
    for path in paths:
        try:
            os.rmdir(path)  # noqa: PTH106  # mostly nothing is in it, and looking would take longer
        except FileNotFoundError:
            continue
        except OSError:
            left.append(path)
    return left


def remove_unused(layout: Layout, step: Step) -> None:
    """Remove the log that was made for a step that never ran."""
    log = layout.log_of(step.job.id, step.name)
    with contextlib.suppress(OSError):
        if step.attempt == 1 and not log.lstat().st_size:
            log.unlink()


def remove(paths: Sequence[str], root: Path) -> None:
    """Remove folders of a root, as far as possible. Safe in any thread."""
    for path in paths:
        removal.remove_below(path, root)


def read_outputs(step: Step) -> dict[str, str]:
    """The step's outputs: canonical text of values, paths of artifacts. Raises OutputWrong."""
    for folder in {os.path.dirname(path) for path in step.paths.values()}:  # noqa: PTH120  # the path is text
        if os.path.realpath(folder) != step.folder:
            raise OutputWrong("the folder of its outputs was replaced; write into the folder itself", "output_invalid")
    return {name: _output(step, name, declared) for name, declared in step.plan["outputs"].items()}


def mark(layout: Layout, step: Step, why: str, *, counts: bool = True) -> None:
    """Say in the log that another attempt begins; one that `counts` is among those that the step's `retry` allows."""
    what = f"attempt {step.failures + 1} of {step.plan['attempts']}" if counts else "begun again"
    line = f"--- {what} after: {step.job.masked(why)} ---\n"
    path = layout.log_of(step.job.id, step.name)
    # One that does not count was cut short while it ran; one that failed may never have been started.
    was_made = not counts or step.exit_code is not None or step.failures > 1
    with contextlib.suppress(OSError):
        lost = logs.lost(path, was_made=was_made)  # which stays true, and who has read it goes on behind it
        _append(path, lost + line.encode("utf-8", "replace"))


def _append(path: Path, data: bytes) -> None:
    with os.fdopen(logs.open_to_append(path), "wb") as file:
        marks = times.Marks(path, os.fstat(file.fileno()).st_size)
        file.write(data)
        file.flush()
        with contextlib.closing(marks):
            marks.add(os.fstat(file.fileno()).st_size, time.time())


def _fresh(layout: Layout, step: Step, kind: str) -> str:
    path = layout.attempt(step.job.id, kind, step.name, step.attempt)
    try:
        removal.make_fresh(path, layout.root)
    except FileNotFoundError:  # the first of its run
        _begin(layout, step, {*_KINDS, kind})
        removal.make_fresh(path, layout.root)
    if kind in _FILLED:
        os.close(open_folder(Path(path), below=layout.root))
    return path


def _begin(layout: Layout, step: Step, kinds: set[str]) -> None:
    """Make the folders of a run. Raises OSError."""
    run = places.open_made(layout.run(step.job.id), layout.root)
    try:
        for kind in kinds:
            with contextlib.suppress(FileExistsError):
                os.mkdir(kind, 0o700, dir_fd=run)  # `Path` takes no handle
    finally:
        os.close(run)


def _resolver(layout: Layout, step: Step, unpacked: Unpacked) -> Resolve:
    inputs: dict[str, str | None] = {}
    bundled = _Bundled(layout, step, unpacked)

    def text(reference: Reference) -> str | None:
        if reference.scope == "outputs":
            return step.paths[reference.names[0]]
        if reference.scope == "inputs":
            return inputs[reference.names[0]]
        if reference.scope == "parameters" and reference.names[0] in step.job.parameters.bundled:
            return os.fspath(bundled.path_of(step.job.parameters.bundled[reference.names[0]]))
        return step.job.resolve(reference)

    inputs.update(given(step.plan["inputs"], text))
    return text


class _Bundled:
    """Where the defaults that came with the snapshot lie for one attempt."""

    def __init__(self, layout: Layout, step: Step, unpacked: Unpacked) -> None:
        self._layout = layout
        self._step = step
        self._unpacked = unpacked
        self._own = ""

    def path_of(self, path: str) -> Path:
        """Where a default lies, unpacked by whoever asks first. Raises RegistryError, OSError."""
        archive = _archive(self._layout, self._step, path)
        shared = self._unpacked.get(archive)
        folder = shared if self._unpacked.protects(shared) else self._copied(shared)
        return folder / Path(path).name if archive.kind == "file" else folder

    def _copied(self, shared: Path) -> Path:
        """A copy of the attempt's own, because nothing else keeps its step from writing to everybody's."""
        self._own = self._own or _fresh(self._layout, self._step, "inputs")
        folder = Path(self._own) / shared.name
        if not folder.exists():
            folder.mkdir(0o755)
            copy_tree(os.fspath(shared), os.fspath(folder))
        return folder


def _archive(layout: Layout, step: Step, path: str) -> Archive:
    planned: Mapping[str, Any] = step.job.plan["archives"][path]
    return Archive(path=path, location=layout.archive(planned["digest"]), **planned)


def _output(step: Step, name: str, declared: str) -> str:
    path = step.paths[name]
    try:
        found = os.lstat(path)
    except OSError:
        raise OutputWrong(f"the output `{name}` was not written{_beside(step, name)}", "output_missing") from None
    if stat.S_ISLNK(found.st_mode):
        raise OutputWrong(f"the output `{name}` is a link; write the content itself", "output_invalid")
    wanted = stat.S_ISDIR if declared == "directory" else stat.S_ISREG
    if not wanted(found.st_mode):
        kind = "directory" if declared == "directory" else "regular file"
        raise OutputWrong(f"the output `{name}` is not a {kind}", "output_invalid")
    if declared in ("file", "directory"):
        return path
    try:
        # It may be something else by now than it was above.
        with os.fdopen(open_file(Path(step.folder, name), below=Path("/")), "rb") as file:
            data = file.read(MAX_TEXT + 1)
        if len(data) > MAX_TEXT:
            raise ValueInvalid(f"the value is more than {MAX_TEXT:,} bytes of text", "output_invalid")
        return read_output(declared, data)  # type: ignore[arg-type]  # a plan holds the spec's own types
    except (OSError, ValueInvalid) as error:
        raise OutputWrong(f"the output `{name}`: {error}", "output_invalid") from None


def _beside(step: Step, name: str) -> str:
    """What the step wrote next to its outputs without having declared it, what is named like this output first."""
    found = []
    with contextlib.suppress(OSError), os.scandir(step.folder) as entries:
        found = [entry.name for entry in itertools.islice(entries, _LOOKED_AT) if entry.name not in step.paths]
    if not found:
        return ""
    found.sort(key=lambda other: (not other.startswith(name), other))
    named = ", ".join(f"`{_shown(other)}`" for other in found[:_NAMED])
    more = " and more" if len(found) > _NAMED else ""
    return f"; the step wrote {named}{more} beside it, and the path of an output is taken as it stands"


def _shown(name: str) -> str:
    text = printable(os.fsencode(name).decode("utf-8", "backslashreplace"))
    return text if len(text) <= _NAME_LENGTH else f"{text[:_NAME_LENGTH]}..."
