"""A workspace on a far place that can be away, refuse, forget and lose its answers."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from penstock.workspace import Workspace

FAR = (Path(__file__).with_name("far_backend.py")).read_text()
CONFIG = "target: far\ntargets:\n  far: {backend: far, project: acme}\n  other: {backend: far, project: two}\n"


@pytest.fixture
def place(project, distribution, monkeypatch) -> Iterator[ModuleType]:
    """The far place's module, installed and configured as `far` and `other`; and patience cut short."""
    distribution("penstock-far", {"penstock.backends": {"far": "far_backend"}}, far_backend=FAR)
    (project / "penstock.yaml").write_text(CONFIG)
    monkeypatch.setattr("penstock.dispatch.outbox.PATIENCE", 0.2)
    import far_backend

    yield far_backend
    far_backend.GO_ON.set()
    sys.modules.pop("far_backend", None)


@pytest.fixture
def far(place, project) -> Iterator[Workspace]:
    """A workspace with the endpoint `hello` on the far place."""
    with Workspace.open(project, actor="ada") as workspace:
        workspace.pipelines.publish(project / "greet.yaml", endpoint="hello")
        place.CALLS.clear()
        place.WHERE.clear()
        yield workspace


@pytest.fixture
def reopened(project) -> Iterator[Callable[[], Workspace]]:
    """The next command: another opening of the same workspace."""
    opened = []

    def again() -> Workspace:
        opened.append(Workspace.open(project, actor="bo"))
        return opened[-1]

    yield again
    for workspace in opened:
        workspace.close()


@pytest.fixture
def in_time() -> Callable[..., None]:
    """Wait until something is true; `work` is done again and again meanwhile."""

    def wait(true: Callable[[], object], work: Callable[[], object] = lambda: None) -> None:
        deadline = time.monotonic() + 20
        while not true():
            assert time.monotonic() < deadline
            time.sleep(0.02)
            work()

    return wait
