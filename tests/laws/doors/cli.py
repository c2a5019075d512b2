"""The command line as a door: each verb is one command with `--json`, in this process, and its answer read back."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from attrs import evolve
from laws.doors.reading import read, read_error, read_submitted

from penstock.cli import main
from penstock.codec import to_yaml
from penstock.config import Setting
from penstock.records import (
    DefaultAt,
    EndpointRecord,
    HistoryRecord,
    Page,
    PublishedRecord,
    RunRecord,
)
from penstock.registry import CancelOutcome, CheckReport, GateOutcome, MoveOutcome, VersionOutcome
from penstock.spec import Pipeline
from penstock.spec.values import RawValue
from penstock.testing.subject import Subject
from penstock.workspace import LogPart, Publishing, Submitted, Workspace


def told(*words: str) -> Any:
    """What a command answers in the current folder, as plain data. Raises the PenstockError that it told."""
    with _output() as said:
        status = main([*words, "--json"])
    document = json.loads(said().decode())
    if "error" in document and set(document) == {"error"}:
        raise read_error(document["error"], exit_code=status)
    return document


class CommandLine:
    """A workspace behind the command line. The handles on it are Python's own."""

    def __init__(self, subject: Subject, registry: str, *, actor: str = "ada") -> None:
        subject.ready()
        self._file = subject.config.home / f"{registry}.db"
        self.config = evolve(subject.config, registry=Setting(self._file, "laws"))
        self._actor = actor
        self.pipelines = _Pipelines(self)
        self.endpoints = _Endpoints(self)
        self.runs = _Runs(self)
        self.admin = _Admin(self)

    def __enter__(self) -> CommandLine:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing is open between two commands."""

    publish = Workspace.publish
    published = Workspace.published
    create_endpoint = Workspace.create_endpoint
    endpoint = Workspace.endpoint
    submit = Workspace.submit
    run = Workspace.run

    def call(self, cls: Any, *words: str) -> Any:
        """What a command answers, as an instance of a class. Raises the PenstockError that it told."""
        variables = {
            "PENSTOCK_CONFIG": str(self.config.home.parent / "penstock.yaml"),
            "PENSTOCK_REGISTRY": str(self._file),
            "PENSTOCK_ACTOR": self._actor,
        }
        with environment(variables):
            return read(cls, told(*words))


class _Group:
    def __init__(self, door: CommandLine) -> None:
        self._door = door
        self._call = door.call


class _Pipelines(_Group):
    def publish(self, source: Any, *, folder: Path | None = None, **asked: Any) -> Publishing:
        if isinstance(source, Pipeline):
            assert folder is not None
            with tempfile.NamedTemporaryFile("w", suffix=".yaml", dir=folder, encoding="utf-8") as file:
                file.write(to_yaml(source))
                file.flush()
                return self._call(Publishing, "publish", file.name, *_options(asked))
        return self._call(Publishing, "publish", str(source), *_options(asked))

    def publish_from(self, ref: str, **asked: Any) -> Publishing:
        return self._call(Publishing, "publish", "--from", ref, *_options(asked))

    def get(self, ref: str) -> PublishedRecord:
        shown = self._call(dict, "pipeline", "show", ref)
        shown.pop("parameters")
        found: PublishedRecord = read(PublishedRecord, shown)
        return found

    def list(self, *, name: str | None = None, **asked: Any) -> Page[PublishedRecord]:
        return self._call(Page[PublishedRecord], "pipeline", "list", *_options({"name": name, **_paging(asked)}))

    def disable(self, ref: str, **asked: Any) -> GateOutcome:
        return self._call(GateOutcome, "pipeline", "disable", ref, *_options(asked))

    def enable(self, ref: str) -> GateOutcome:
        return self._call(GateOutcome, "pipeline", "enable", ref)

    def delete(self, ref: str) -> PublishedRecord:
        return self._call(PublishedRecord, "pipeline", "delete", ref)


class _Endpoints(_Group):
    def create(
        self, name: str, published: str, *, description: str = "", tags: Mapping[str, str] | None = None
    ) -> EndpointRecord:
        words = _options({"description": description or None})
        words += [word for key, value in (tags or {}).items() for word in ("--tag", f"{key}={value}")]
        return self._call(EndpointRecord, "endpoint", "create", name, published, *words)

    def add_version(self, ref: str, published: str, *, expect: None = None, **asked: Any) -> VersionOutcome:
        return self._call(VersionOutcome, "endpoint", "add-version", ref, published, *_options(asked))

    def get(self, ref: str) -> EndpointRecord:
        shown = self._call(dict, "endpoint", "show", ref)
        assert shown.pop("urls").keys() == {"trigger", "openapi", "azureml_v1", "native"}
        shown.pop("parameters")
        found: EndpointRecord = read(EndpointRecord, shown)
        return found

    def list(self, **asked: Any) -> Page[EndpointRecord]:
        return self._call(Page[EndpointRecord], "endpoint", "list", *_options(_paging(asked)))

    def set_default(self, ref: str, version: str, **asked: Any) -> MoveOutcome:
        return self._call(MoveOutcome, "endpoint", "set-default", ref, str(version), *_options(asked))

    def rollback(self, ref: str, **asked: Any) -> MoveOutcome:
        return self._call(MoveOutcome, "endpoint", "rollback", ref, *_options(asked))

    def disable(self, ref: str, **asked: Any) -> GateOutcome:
        return self._call(GateOutcome, "endpoint", "disable", ref, *_options(asked))

    def enable(self, ref: str) -> GateOutcome:
        return self._call(GateOutcome, "endpoint", "enable", ref)

    def access(self, ref: str, access: str) -> EndpointRecord:
        return self._call(EndpointRecord, "endpoint", "access", ref, f"--{access}")

    def deduplicate(self, ref: str, window: int | None) -> EndpointRecord:
        words = ["--off"] if window is None else ["--window", f"{window}s"]
        return self._call(EndpointRecord, "endpoint", "deduplicate", ref, *words)

    def rename(self, ref: str, name: str) -> EndpointRecord:
        return self._call(EndpointRecord, "endpoint", "rename", ref, name)

    def delete(self, ref: str) -> EndpointRecord:
        return self._call(EndpointRecord, "endpoint", "delete", ref)

    def history(self, ref: str, **asked: Any) -> Page[HistoryRecord]:
        return self._call(Page[HistoryRecord], "endpoint", "history", ref, *_options(_paging(asked)))

    def at(self, ref: str, when: datetime) -> DefaultAt:
        return self._call(DefaultAt, "endpoint", "history", ref, "--at", when.isoformat())


class _Runs(_Group):
    def submit(
        self,
        ref: str,
        *,
        version: str | int | None = None,
        parameters: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
        **asked: Any,
    ) -> Submitted:
        words = [word for key, value in (tags or {}).items() for word in ("--tag", f"{key}={value}")]
        words += _options(asked)
        ref = ref if version is None else f"{ref}@{version}"
        given = dict(parameters or {})
        raw = [name for name, value in given.items() if isinstance(value, RawValue)]
        words += [word for name in raw for word in ("-p", f"{name}={given.pop(name)}")]
        with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
            json.dump(given, file)
            file.flush()
            return self._submitted("submit", ref, "--params", file.name, *words)

    def rerun(self, ref: str, *, parameters: Mapping[str, str] | None = None, **asked: Any) -> Submitted:
        given = [word for name, text in (parameters or {}).items() for word in ("-p", f"{name}={text}")]
        return self._submitted("run", "rerun", ref, *given, *_options(asked))

    def get(self, ref: str) -> RunRecord:
        return self._call(RunRecord, "run", "show", ref)

    def list(self, *, all: bool = False, **asked: Any) -> Page[RunRecord]:
        return self._call(Page[RunRecord], "run", "list", *_options(_paging(asked)))

    def wait(self, ref: str, *, timeout: float | None = None, watch: Any = None) -> RunRecord:
        words = [] if timeout is None else ["--timeout", f"{max(timeout, 0.001):.3f}s"]
        return self._call(RunRecord, "run", "wait", ref, *words)

    def cancel(self, ref: str, *, reason: str = "", force: bool = False) -> CancelOutcome:
        return self._call(CancelOutcome, "run", "cancel", ref, *_options({"reason": reason, "force": force}))

    def logs(self, ref: str, *, step: str | None = None) -> list[LogPart]:
        found = self._call(dict, "run", "logs", ref, *([] if step is None else [step]))
        return [LogPart(step=name, data=text.encode()) for name, text in found["steps"].items()]

    def outputs(self, ref: str) -> dict[str, Any]:
        outputs: dict[str, Any] = self._call(dict, "run", "outputs", ref)["outputs"]
        return outputs

    def _submitted(self, *words: str) -> Submitted:
        return read_submitted(self._call(dict, *words))


class _Admin(_Group):
    def history(self, *, subject: str | None = None, runs: bool = False, **asked: Any) -> Page[HistoryRecord]:
        page = self._call(Page[HistoryRecord], "history", *_options(_paging({**asked, "all": runs or bool(subject)})))
        if subject is None:
            return page
        return Page(items=tuple(row for row in page.items if row.subject_id == subject))

    def check(self) -> CheckReport:
        return self._call(CheckReport, "registry", "check")


def _paging(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a listing; the most that a command lists at once is 100,000."""
    limit = asked.get("limit")
    return {**asked, "limit": None if limit is None else min(limit, 100_000)}


def _options(asked: Mapping[str, Any]) -> list[str]:
    """Keyword arguments as the options of a command: what says nothing is not said."""
    words: list[str] = []
    for name, value in asked.items():
        option = f"--{name.replace('_', '-')}"
        if value is True:
            words.append(option)
        elif isinstance(value, datetime):
            words += [option, value.isoformat()]
        elif value is not None and value is not False and value != "":
            words += [option, str(value)]
    return words


@contextlib.contextmanager
def environment(more: Mapping[str, str]) -> Iterator[None]:
    """Set variables of this process's environment for a while."""
    before = dict(os.environ)
    os.environ.update(more)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def _output() -> Iterator[Any]:
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = out, err
    try:
        yield lambda: (out.flush(), out.buffer.getvalue())[1]  # type: ignore[attr-defined]  # it is a BytesIO
    finally:
        sys.stdout, sys.stderr = before
