"""What this machine can do, and how it is: problems of a pipeline at publish, health of a target."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
from collections.abc import Iterator

from penstock.contract.target import Health, Problem
from penstock.errors import PenstockError
from penstock.spec import Pipeline, Resources
from penstock.spec.command import Reference, references
from penstock.spec.quantity import bytes_text
from penstock_local import (
    binding,
    database,
    halted,
    installation,
    interpreters,
    journal,
    memory,
    ownership,
    processes,
    queue,
    troubles,
    wake,
)
from penstock_local.layout import Layout, unusable
from penstock_local.options import LocalOptions

Path = tuple[str | int, ...]

_HALTED = {"engine_stopped": "stopped by a signal", "engine_not_started": "not up yet"}
"""What is said of an engine that does nothing, by the code of why."""


def problems(pipeline: Pipeline, options: LocalOptions, *, runs_here: bool = True) -> Iterator[Problem]:
    """What this target cannot do (errors) or does differently (warnings; errors when it is strict).

    Where nothing of this user `runs_here`, because the root is another's, no program is asked for its version either:
    the owner would have it run as whoever looks.
    """
    if not sys.platform.startswith("linux"):
        yield Problem(severity="error", code="platform_unsupported", message="the local engine runs on Linux only")
    wrong = interpreters.wrong(os.fspath(options.python or interpreters.own())) if runs_here else ""
    if wrong:
        yield Problem("python_unusable", _unusable(options, wrong))
    for name, parameter in pipeline.parameters.items():
        scheme = scheme_of(parameter.default) if parameter.is_artifact and parameter.has_default else ""
        if scheme not in ("", "file"):
            yield Problem(
                severity="error",
                code="location_unsupported",
                message=f"this target reads paths and file:// only, not {scheme}://",
                path=("parameters", name, "default"),
            )
    for path, _, resources in _asking(pipeline):
        if resources is not None and 0 < (resources.memory or 0) < memory.LEAST:
            yield _too_small(resources.memory or 0, (*path, "resources", "memory"))
    for code, message, path in (*_differences(pipeline, options), *_shown_secrets(pipeline)):
        yield Problem(severity="error" if options.strict else "warning", code=code, message=message, path=path)


def _unusable(options: LocalOptions, wrong: str) -> str:
    return f"the target's option `python` is `{options.python}`: {wrong}; give the path of an interpreter"


def scheme_of(text: str) -> str:
    """The scheme of a URI in lower case; empty for a path."""
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", text)
    return found[1].lower() if found else ""


def _too_small(size: int, path: Path) -> Problem:
    text = bytes_text(size)
    number = re.match(r"\d+", text)
    meant = f"{number[0]}Mi" if number and len(number[0]) <= 4 else "512Mi"
    asked = f"{text} bytes" if text.isdigit() else text
    message = f"{asked} of memory is too little for anything to begin"
    return Problem("memory_too_small", message, path, hint=f"did you mean `{meant}`?")


def _asking(pipeline: Pipeline) -> Iterator[tuple[Path, str | None, Resources | None]]:
    """Where a pipeline asks for an image and for resources."""
    yield ("defaults",), pipeline.defaults.image, pipeline.defaults.resources
    for name, step in pipeline.steps.items():
        yield ("steps", name), step.image, step.resources


def _differences(pipeline: Pipeline, options: LocalOptions) -> Iterator[tuple[str, str, Path]]:
    for path, image, resources in _asking(pipeline):
        if image is not None:
            yield "image_ignored", f"the image `{image}` is noted and not used on this target", (*path, "image")
        if resources is not None:
            for key, code, message in _beyond(resources, options):
                yield code, message, (*path, "resources", key)


def _shown_secrets(pipeline: Pipeline) -> Iterator[tuple[str, str, Path]]:
    """Arguments that hold a sensitive value: unlike an environment, every user of a machine can list them."""
    hidden = {Reference("parameters", (name,)) for name, one in pipeline.parameters.items() if one.sensitive}
    for name in pipeline.steps:
        step = pipeline.effective(name)
        seen = hidden | {
            Reference("inputs", (key,)) for key, text in step.inputs.items() if hidden.intersection(references(text))
        }
        if any(seen.intersection(references(word)) for word in step.command):
            message = "other users of this machine can see a step's arguments; pass the sensitive value through `env`"
            yield "sensitive_in_command", message, ("steps", name, "command")


def _beyond(resources: Resources, options: LocalOptions) -> Iterator[tuple[str, str, str]]:
    slots = options.slots or os.cpu_count() or 1
    if resources.cpu is not None and resources.cpu > slots:
        yield "cpu", "resources_clipped", f"{resources.cpu} cores are more than the {slots} here; clipped to them"
    if resources.memory and resources.memory >= memory.LEAST:
        there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        asked, shown = bytes_text(resources.memory), f"{there / 2**30:.1f}Gi"
        if not memory.can_limit():
            message = f"{asked} of memory is noted: there are no control groups to use, and a step may have all {shown}"
            yield "memory", "memory_ignored", message
        elif resources.memory > there:
            yield "memory", "resources_clipped", f"{asked} of memory is more than the {shown} here"
    if resources.gpu:
        yield "gpu", "gpu_ignored", f"{resources.gpu} gpu is noted and not given out on this target"


def _installation(layout: Layout) -> str:
    """Which installation the engine is of, and what becomes of it where that is not ours."""
    noted = installation.noted(layout.lock)
    if noted is None:
        return "installation: not known, of an older penstock; it serves until it is idle"
    if noted.gives_way_to(installation.mark_here()):
        return f"installation: {noted.words}; not this one, which takes over with the next run from here"
    return f"installation: {noted.words}"


def _held_up(layout: Layout) -> str:
    """What to say of a keeper that a signal holds up; empty when none is. Raises TargetUnavailable."""
    for path in sorted(layout.keepers.iterdir()) if layout.keepers.exists() else ():
        with contextlib.suppress(OSError):  # its engine has just cleared it away
            pid = journal.read(path).keeper
            if pid and processes.is_stopped(pid) and journal.is_kept(path):
                return (
                    f"process {pid}, which keeps steps, is held up by a signal; the engine lets it go on in a moment, "
                    f"and `kill -CONT {pid}` at once"
                )
    return ""


def health(layout: Layout, options: LocalOptions) -> Health:
    """How the target is: can it be written, is an engine running, what is waiting."""
    lines = [f"root: {layout.root}"]
    try:
        ownership.make(layout)
        free = shutil.disk_usage(layout.root).free
        lines.append(f"free disk space: {free / 2**30:.1f} GiB")
        if not os.access(layout.root, os.W_OK):
            return Health(ok=False, lines=(*lines, "the root cannot be written"))
        with database.opened(layout) as connection:
            waiting = queue.counts(connection)
            original = binding.original(layout, connection) if waiting else None
        if original is not None:
            lines.append(f"a copy of `{original}`, whose unfinished runs are not followed here")
        elif waiting:
            wake.heal(layout, waiting="queued" in waiting)
        running = "running" if wake.listening(layout) else "not running; it starts with the next run"
        paused = ""
        if running == "running":
            stopped = halted.found(layout)
            if stopped is not None:
                running, paused = _HALTED[stopped.code], str(stopped)
            elif waiting:
                paused = str(troubles.noted(layout) or "") or _held_up(layout)
    except PenstockError as error:
        return Health(ok=False, lines=(*lines, str(error)))
    except OSError as error:
        return Health(ok=False, lines=(*lines, str(unusable(layout.root, error))))
    publications = sum(1 for _ in layout.publications.glob("[!.]*.json"))
    endpoints = sum(1 for _ in layout.endpoints.glob("[!.]*.json"))
    python = os.fspath(options.python or interpreters.own())
    wrong = interpreters.wrong(python)
    lines += [
        f"python: {python if wrong else interpreters.described(python)}",
        f"engine: {running}",
        *([] if running.startswith("not") else [_installation(layout)]),
        f"slots: {options.slots or os.cpu_count() or 1}",
        f"runs: {waiting.get('queued', 0)} queued, {waiting.get('running', 0)} running",
        f"publications: {publications}, endpoints: {endpoints}",
    ]
    told = [*([paused] if paused else []), *([_unusable(options, wrong)] if wrong else [])]
    if told:
        return Health(ok=False, lines=(*lines, *told))
    return Health(ok=True, lines=tuple(lines))
