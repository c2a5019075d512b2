"""Backends and plugins to route to: complete ones, and distributions installed like a stranger's."""

import os
import subprocess
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from penstock.contract.artifacts import ArtifactPlace, Destination, Words
from penstock.contract.hooks import hookimpl
from penstock.contract.run import Absent, LogChunk, RunOutputs, RunRef, RunRequest, Submission
from penstock.contract.target import Compiled, EndpointState, Health, Location, Publication, Target
from penstock.records import Placement
from penstock.targets.calls import HookCalls
from penstock.targets.facade import OpenTarget

DISTRIBUTIONS = Path(__file__).parents[1] / "distributions"
PUBLICATION = Publication(external="pub-1")


@frozen(kw_only=True)
class Options:
    """Options of the backend below."""


ANSWERS: dict[str, Callable[..., Any]] = {
    "penstock_target_options": lambda: Options,
    "penstock_validate_pipeline": lambda target, pipeline: [],
    "penstock_compile_pipeline": lambda target, snapshot: Compiled(media_type="text/plain", data=b"compiled"),
    "penstock_publish_pipeline": lambda target, snapshot, compiled: PUBLICATION,
    "penstock_resolve_location": lambda target, location: f"resolved:{location.text}",
    "penstock_submit_run": lambda target, run: Submission(external=f"ext-{run.id}"),
    "penstock_get_run": lambda target, run: Absent(),
    "penstock_list_runs": lambda target, runs: {run.id: Absent() for run in runs},
    "penstock_get_outputs": lambda target, run: RunOutputs(outputs={"a": "1"}),
    "penstock_fetch_artifact": lambda target, run, name, destination: not destination.folder(""),
    "penstock_locate_artifact": lambda target, run, reported: ArtifactPlace(reported),
    "penstock_read_logs": lambda target, run, step, offset: LogChunk(
        data=step.encode(), next_offset=offset + len(step), complete=True
    ),
    "penstock_cancel_run": lambda target, run: True,
    "penstock_clear_run": lambda target, run: 7,
    "penstock_sync_endpoint": lambda target, endpoint: True,
    "penstock_retire_pipeline": lambda target, publication: True,
    "penstock_check_publication": lambda target, publication: ["its plan was changed"],
    "penstock_keep_secrets": lambda target: True,
    "penstock_check_target": lambda target: Health(ok=True, lines=("well",)),
}


@pytest.fixture
def make_backend() -> Callable[..., types.ModuleType]:
    """Make a module that answers every hook; keyword arguments replace hooks, None leaves one out."""

    def make(**changed: Callable[..., Any] | None) -> types.ModuleType:
        module = types.ModuleType("penstock_made")
        for name, answer in {**ANSWERS, **changed}.items():
            if answer is not None:
                setattr(module, name, hookimpl(_own(answer)))
        return module

    return make


def _own(function: Callable[..., Any]) -> Callable[..., Any]:
    # The marker is kept on the function, so a shared one is copied before it is marked.
    return types.FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )


@pytest.fixture
def open_target(tmp_path: Path) -> Callable[..., OpenTarget]:
    """Open a target with a backend of these hooks, wrapped by these plugins."""

    def opened(backend: object, wrappers: Sequence[tuple[str, object]] = ()) -> OpenTarget:
        target = Target(name="here", backend="made", options=Options(), home=tmp_path)
        placement = Placement(target="here", backend="made", identity="{}", options="{}")
        return OpenTarget(target, placement, HookCalls("made", backend, wrappers))

    return opened


class _Taken(Destination):
    """Takes whatever comes."""

    def _put_file(self, words: Words, size: int, pieces: Iterator[bytes], executable: bool) -> None:
        pass

    def _put_folder(self, words: Words) -> None:
        pass

    def _put_link(self, words: Words, to: str) -> None:
        pass


@pytest.fixture
def arguments() -> dict[str, tuple[Any, ...]]:
    """Arguments for every method of an opened target."""
    run = RunRef(id="run-1", publication=PUBLICATION)
    request = RunRequest(id="run-1", publication=PUBLICATION, pipeline="digits")
    endpoint = EndpointState(id="e", name="digits", description="", enabled=True, default=None, versions=(), revision=1)
    return {
        "validate": (None,),
        "compile": (None,),
        "publish": (None, Compiled(media_type="text/plain", data=b"")),
        "resolve_location": (Location(parameter="images", type="file", text="gs://bucket/a"),),
        "submit": (request,),
        "get_run": (run,),
        "list_runs": ((run,),),
        "get_outputs": (run,),
        "fetch_artifact": (run, "model", _Taken("model", "directory")),
        "locate_artifact": (run, "/here/model"),
        "read_logs": (run, "train", 7),
        "cancel": (run,),
        "clear_run": (run,),
        "sync_endpoint": (endpoint,),
        "retire": (PUBLICATION,),
        "check_publication": (PUBLICATION,),
        "keep_secrets": (),
        "check": (),
    }


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the distributions under tests/distributions are installed, as pip installs them."""
    folder = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    sources = [str(DISTRIBUTIONS / "penstock_tiny"), str(DISTRIBUTIONS / "penstock_odd")]
    done = subprocess.run([*command, "--target", str(folder), *sources], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def python(installed: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run python, in a folder of its own, where the installed distributions are found."""

    def run(*arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
        found = os.pathsep.join(str(each) for each in (path, installed) if each)
        env = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
        return subprocess.run(
            [sys.executable, *arguments],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            cwd=tmp_path,
            env={**env, "PYTHONPATH": found},
        )

    return run
