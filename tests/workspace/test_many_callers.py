"""One process, many callers: they share what is the process's, and each is who it is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.callers import Caller
from penstock.contract.hooks import hookimpl
from penstock.errors import Conflict, GateClosed, NotFound, PenstockError, UsageError
from penstock.records import EndpointRecord, HistoryRecord, RunRecord
from penstock.registry import Registry
from penstock.targets import discovery
from penstock.workspace import Workspace

THREADS = 16


def at_once(work: Callable[[int], object]) -> list[Any]:
    """Do something in many threads that begin together; returns what each answered or raised."""
    meet = threading.Barrier(THREADS)
    answers: list[Any] = [None] * THREADS

    def run(number: int) -> None:
        meet.wait(30)
        try:
            answers[number] = work(number)
        except BaseException as error:  # to be looked at by whoever asked
            answers[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    return answers


def caller(number: int) -> Caller:
    door = ("rest", "azureml_v1")[number % 2]
    return Caller(actor=f"caller-{number}", verified=True, door=door, request_id=f"request-{number}")


@pytest.fixture
def counted(monkeypatch):
    """How often a registry was opened and each backend loaded."""
    opened, loaded = [], []
    open_registry, load = Registry.open.__func__, discovery.load

    def counting_open(cls, path, **options):
        opened.append(path)
        return open_registry(cls, path, **options)

    def counting_load(kind, name, *place):
        loaded.append(name)
        return load(kind, name, *place)

    monkeypatch.setattr(Registry, "open", classmethod(counting_open))
    monkeypatch.setattr(discovery, "load", counting_load)
    return opened, loaded


def test_threads_that_open_and_use_one_workspace_share_a_registry_and_load_each_backend_once(project, far, counted):
    opened, loaded = counted
    (project / "penstock.yaml").write_text(
        "target: laptop\ntargets:\n  laptop: {backend: local, idle: 2s}\n  far: {backend: far}\n"
    )
    with Workspace.open(project, actor="server") as shared:

        def work(number: int) -> RunRecord:
            mine = shared.as_(evolve(caller(number), folder=project))
            target = ("laptop", "far")[number % 2]
            mine.pipelines.publish("greet.yaml", target=target, name=f"greet-{number % 4}", endpoint=f"hello-{number}")
            return mine.runs.submit(f"hello-{number}").run

        runs = at_once(work)
        assert [type(run) for run in runs] == [RunRecord] * THREADS, runs
        assert len(opened) == 1
        assert sorted(loaded) == ["far", "local"]
        assert {run.by for run in runs} == {f"caller-{number}" for number in range(THREADS)}
        assert all(run.external for run in runs)
        assert shared.admin.check().ok


def test_threads_that_read_while_nothing_is_there_make_nothing(project, counted):
    opened, _ = counted
    with Workspace.open(project, actor="server") as shared:
        answers = at_once(lambda number: shared.as_(caller(number)).endpoints.list().items)
        assert answers == [()] * THREADS
        assert at_once(lambda number: shared.as_(caller(number)).admin.status().exists) == [False] * THREADS
        errors = at_once(lambda number: shared.as_(caller(number)).submit("hello"))
        assert {getattr(error, "code", error) for error in errors} == {"registry_missing"}
    assert opened == []
    assert not (project / ".penstock").exists()


def test_one_key_from_many_callers_is_one_run(workspace, project):
    workspace.pipelines.publish(project / "greet.yaml", endpoint="hello")
    answers = at_once(lambda number: workspace.as_(caller(number)).runs.submit("hello", idempotency_key="k"))
    assert len({answer.run.id for answer in answers}) == 1
    assert [answer.replayed for answer in answers].count(False) == 1
    assert len(workspace.runs.list().items) == 1


def test_another_caller_costs_nothing_and_leaves_the_first_as_it_was(workspace, counted):
    first = workspace.caller
    other = workspace.as_(caller(1))
    assert (other.caller, workspace.caller) == (caller(1), first)
    assert other.config is workspace.config
    assert other.as_(first).caller == first
    assert counted == ([], [])


def rows(workspace: Workspace, subject: str) -> list[HistoryRecord]:
    return list(workspace.admin.history(subject=subject, runs=True).items)[::-1]


def test_every_caller_leaves_its_own_name_door_and_request(workspace, project):
    seen = []

    class Heard:
        @hookimpl(wrapper=True)
        def penstock_execute_verb(self, request):
            seen.append((request.verb, request.actor, request.verified, request.door, request.request_id))
            return (yield)

    with Workspace(workspace.config, actor="owner", plugins=[("heard", Heard())]) as shared:
        shared.pipelines.publish(project / "greet.yaml", endpoint="hello")
        ada, bo = (
            Caller(actor="ada", verified=True, door="rest", request_id="r-ada", folder=None),
            Caller(actor="bo", verified=False, door="cli", request_id="r-bo", folder=Path()),
        )
        run = shared.as_(ada).submit("hello").record
        shared.as_(bo).endpoints.disable("hello", reason="quarter close")
        shared.as_(ada).endpoints.enable("hello")
        with pytest.raises(NotFound):
            shared.as_(bo).endpoints.get("nothing")
        shared.endpoints.rename("hello", "hi")
    assert (run.by, run.verified, run.door) == ("ada", True, "rest")
    (accepted,) = [row for row in rows(workspace, run.id) if row.action == "run_accepted"]
    assert (accepted.by, accepted.verified, accepted.door, accepted.request_id) == ("ada", True, "rest", "r-ada")
    changes = {row.action: row for row in rows(workspace, "hi") if row.kind == "endpoint"}
    who = {action: (row.by, row.verified, row.door, row.request_id) for action, row in changes.items()}
    assert who["gate_closed"] == ("bo", False, "cli", "r-bo")
    assert who["gate_opened"] == ("ada", True, "rest", "r-ada")
    assert who["endpoint_renamed"][:3] == ("owner", False, "python")
    assert who["endpoint_renamed"][3] not in ("", "r-ada", "r-bo")
    assert workspace.endpoints.get("hi").gate is None
    assert seen[1:5] == [
        ("run.submit", "ada", True, "rest", "r-ada"),
        ("endpoint.disable", "bo", False, "cli", "r-bo"),
        ("endpoint.enable", "ada", True, "rest", "r-ada"),
        ("endpoint.get", "bo", False, "cli", "r-bo"),
    ]


def test_a_gate_says_which_caller_closed_it(workspace, project):
    workspace.pipelines.publish(project / "greet.yaml", endpoint="hello")
    workspace.as_(caller(3)).endpoints.disable("hello", reason="x")
    with pytest.raises(GateClosed, match="by caller-3: x"):
        workspace.as_(caller(4)).submit("hello")


@pytest.fixture
def hello(workspace, project) -> EndpointRecord:
    """An endpoint `hello` with two versions and the default on 0; and another one, `taken`."""
    workspace.pipelines.publish(project / "greet.yaml", endpoint="hello")
    workspace.pipelines.publish(project / "greet.yaml", endpoint="taken")
    (project / "second.yaml").write_text((project / "greet.yaml").read_text().replace("hello", "good day"))
    workspace.pipelines.publish(project / "second.yaml", endpoint="hello")
    return workspace.endpoints.get("hello")


def test_an_update_is_one_decision(workspace, hello):
    before = rows(workspace, "hello")
    told = workspace.as_(caller(7)).endpoints.update(
        "hello",
        name="hi",
        description="Says hi.",
        tags={"team": "door"},
        default=1,
        enabled=False,
        reason="moving",
        expect_revision=hello.revision,
    )
    assert (told.id, told.name, told.description, told.tags) == (hello.id, "hi", "Says hi.", {"team": "door"})
    assert (told.default, told.enabled, told.gate.by, told.gate.reason) == ("1", False, "caller-7", "moving")
    assert told == workspace.endpoints.get("hi")
    assert told.revision > hello.revision
    new = rows(workspace, "hi")[len(before) :]
    assert [row.action for row in new] == ["endpoint_renamed", "endpoint_described", "default_moved", "gate_closed"]
    assert len({row.at for row in new}) == 1
    assert {(row.by, row.door, row.request_id) for row in new} == {("caller-7", "azureml_v1", "request-7")}
    back = workspace.endpoints.update("hi", enabled=True, default="0")
    assert (back.enabled, back.default, back.description) == (True, "0", "Says hi.")


def test_an_update_tells_plugins_what_changed_and_nothing_else(workspace, hello):
    told = []

    class Heard:
        @hookimpl
        def penstock_default_moved(self, event):
            told.append(("default", event.subject, event.data["default"]))

        @hookimpl
        def penstock_gate_changed(self, event):
            told.append(("gate", event.subject, event.data["open"]))

    with Workspace(workspace.config, actor="ada", plugins=[("heard", Heard())]) as heard:
        heard.endpoints.update("hello", description="Words.")
        assert told == []
        heard.endpoints.update("hello", name="hi", default="1", enabled=False)
        assert sorted(told) == [("default", "hi", "1"), ("gate", "hi", False)]
        with pytest.raises(PenstockError):
            heard.endpoints.update("hi", enabled=True, default="9")
        assert len(told) == 2


def test_an_update_that_changes_nothing_is_no_change(workspace, hello):
    before = rows(workspace, "hello")
    same = workspace.endpoints.update(
        "hello", name="hello", description=hello.description, tags=dict(hello.tags), default="0", enabled=True
    )
    assert same == hello == workspace.endpoints.update("hello")
    assert rows(workspace, "hello") == before


REFUSALS: dict[str, tuple[dict[str, object], type[PenstockError], str]] = {
    "revision": ({"expect_revision": 1}, Conflict, "revision_changed"),
    "name taken": ({"name": "taken"}, Conflict, "name_taken"),
    "name invalid": ({"name": " hello"}, UsageError, "name_invalid"),
    "name of a file": ({"name": "hello.yaml"}, UsageError, "name_invalid"),
    "version": ({"default": "7"}, NotFound, "version_not_found"),
    "closed": ({"default": "1"}, GateClosed, "version_disabled"),
}
CHANGES: dict[str, object] = {
    "name": "hi",
    "description": "Says hi.",
    "tags": {"a": "b"},
    "default": "0",
    "enabled": False,
}


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(refusal=st.sampled_from(sorted(REFUSALS)), others=st.sets(st.sampled_from(sorted(CHANGES))))
def test_an_update_is_all_or_nothing(workspace, hello, refusal, others):
    if workspace.endpoints.get("hello").versions[1].enabled:
        workspace.endpoints.disable("hello@1")
    wrong, error, code = REFUSALS[refusal]
    before = (workspace.endpoints.get("hello"), rows(workspace, "hello"), workspace.admin.status())
    with pytest.raises(error) as refused:
        workspace.endpoints.update("hello", **{name: CHANGES[name] for name in others} | wrong)
    assert refused.value.code == code
    assert (workspace.endpoints.get("hello"), rows(workspace, "hello"), workspace.admin.status()) == before


def test_of_many_that_expect_one_revision_one_wins(workspace, hello):
    answers = at_once(
        lambda number: workspace.as_(caller(number)).endpoints.update(
            "hello", description=f"by {number}", expect_revision=hello.revision
        )
    )
    won = [answer for answer in answers if isinstance(answer, EndpointRecord)]
    assert len(won) == 1
    assert {error.code for error in answers if isinstance(error, PenstockError)} == {"revision_changed"}
    assert workspace.endpoints.get("hello") == won[0]


def test_closing_a_workspace_closes_it_for_every_caller(project):
    with Workspace.open(project, actor="ada") as opened:
        other = opened.as_(evolve(caller(1), folder=project))
        other.pipelines.publish("greet.yaml", endpoint="hello")
    assert other._services._registry is None
    assert other.endpoints.get("hello").name == "hello", "who goes on opens it again"
    other.close()
