"""Once something is committed it is no error any more, whatever plugins, targets and the registry do then, and Ctrl-C
says what was accepted.
"""

from __future__ import annotations

import json
import os
import signal
import threading

import pytest

from penstock import hookimpl
from penstock.cli.root import run as penstock
from penstock.config import load_config
from penstock.contract.target import Publication
from penstock.errors import BackendBroken, RegistryError
from penstock.registry import RunQuery
from penstock.workspace import Workspace

VERBS = {
    "publish": lambda ws: ws.pipelines.publish("flood.yaml", endpoint="new").version,
    "publish_from": lambda ws: ws.pipelines.publish_from("near", name="other").published.name,
    "create": lambda ws: ws.endpoints.create("new", "flood:1@near").default,
    "update": lambda ws: ws.endpoints.update("near", description="x", enabled=False).enabled,
    "disable": lambda ws: ws.endpoints.disable("near", cancel_runs=True).changed,
    "rename": lambda ws: ws.endpoints.rename("near", "new").name,
    "submit": lambda ws: bool(ws.runs.submit("near").run.id),
    "trial": lambda ws: bool(ws.runs.submit("flood.yaml").run.id),
    "cancel": lambda ws: ws.runs.cancel(ws.runs.list().items[0].id).requested,
    "force": lambda ws: ws.runs.cancel(ws.runs.list().items[0].id, force=True).requested,
    "delete": lambda ws: ws.pipelines.delete("spare:1").name,
}
EXPECTED = {"publish": "0", "publish_from": "other", "create": "0", "update": False, "rename": "new", "delete": "spare"}


class Rude:
    """A plugin that fails at every event, and after every verb."""

    def __init__(self, error):
        self.error = error

    def _fail(self, event):
        raise self.error

    @hookimpl
    def penstock_pipeline_published(self, event):
        self._fail(event)

    @hookimpl
    def penstock_default_moved(self, event):
        self._fail(event)

    @hookimpl
    def penstock_gate_changed(self, event):
        self._fail(event)

    @hookimpl
    def penstock_run_changed(self, event):
        self._fail(event)

    @hookimpl
    def penstock_run_handed_over(self, event):
        self._fail(event)

    @hookimpl(wrapper=True)
    def penstock_execute_verb(self, request):
        yield
        raise self.error


@pytest.mark.sampled(2)
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("error", [ValueError("odd"), SystemExit(3), GeneratorExit()], ids=repr)
def test_no_plugin_undoes_what_is_committed(ws, folder, verb, error):
    ws.publish("flood.yaml", name="spare")
    ws.submit("near")
    config = load_config(folder, env={})
    with Workspace(config, actor="ada", plugins=[("rude", Rude(error))]) as rude:
        assert VERBS[verb](rude) == EXPECTED.get(verb, True)


@pytest.mark.sampled(5)
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    "error",
    [RegistryError("busy", code="registry_busy"), OSError(28, "No space left on device"), MemoryError(), KeyError("x")],
    ids=repr,
)
@pytest.mark.parametrize("where", ["due_targets", "due", "begin"])
def test_what_is_owed_makes_no_verb_fail(ws, monkeypatch, verb, error, where):
    ws.publish("flood.yaml", name="spare")
    ws.submit("near")

    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(ws._services.registry.outbox, where, fail, raising=False)
    assert VERBS[verb](ws) == EXPECTED.get(verb, True)


@pytest.mark.parametrize(
    "content",
    [
        {"external": ""},
        {"external": None},
        {"external": 2**70},
        {"external": "a\udcff"},
        {"external": "x", "details": None},
        {"external": "x", "details": {"a": object()}},
        {"external": "x", "trigger_url": 7},
    ],
    ids=range(7),
)
def test_a_publication_that_is_none_is_the_backends_fault_and_leaves_nothing(ws, far, monkeypatch, content):
    monkeypatch.setattr(far, "Publication", lambda **_: Publication(**content))
    for call in (
        lambda: ws.publish("flood.yaml", name="other"),
        lambda: ws.pipelines.publish_from("near", name="other"),
        lambda: ws.submit("flood.yaml"),
    ):
        with pytest.raises(BackendBroken, match="penstock_publish_pipeline"):
            call()
    assert [one.name for one in ws.pipelines.list().items] == ["flood", "flood"]
    assert (ws.runs.list().items, ws.admin.check().ok) == ((), True)


@pytest.fixture
def interrupted(far, monkeypatch):
    """Somebody presses Ctrl-C once the target is asked to take a run, which it does all the same."""
    go_on = threading.Event()
    reach = far.reach

    def slow(target, what):
        if what == "submit" and not go_on.is_set():
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
            go_on.wait(30)
        reach(target, what)

    monkeypatch.setattr(far, "reach", slow)
    yield go_on
    go_on.set()


@pytest.mark.parametrize("given", [["near"], ["./flood.yaml"], ["near", "--wait"], ["near", "--json"]], ids=" ".join)
def test_ctrl_c_while_a_run_is_handed_over_says_which(ws, far, interrupted, capsys, given):
    assert penstock(["submit", *given]) == 130
    said = capsys.readouterr()
    (run,) = ws._services.registry.runs.list(RunQuery()).items
    line = f"interrupted: accepted as run {run.id}, its hand-over goes on with the next command"
    if "--json" in given:
        assert json.loads(said.out)["error"] == {"code": "interrupted", "message": line, "details": []}
    else:
        assert (said.out, said.err) == ("", f"{line}\n")
    interrupted.set()
    with ws._services.registry.write() as tx:
        tx.run("UPDATE outbox SET due = 0")
    assert ws.runs.get(run.id).external is not None
    assert list(far.jobs) == [run.id]


def test_ctrl_c_before_a_run_is_accepted_says_only_that(ws, monkeypatch, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("penstock.registry.runs.record", interrupt)
    with pytest.raises(KeyboardInterrupt) as caught:
        ws.runs.submit("near")
    assert (str(caught.value), ws.runs.list().items) == ("", ())
    assert penstock(["submit", "near"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_plugins_hear_that_a_run_was_handed_over_and_how_long_it_waited(ws, far, all_due):
    heard = []

    class Ear:
        @hookimpl
        def penstock_run_handed_over(self, event):
            heard.append(event)

    far.away.add("away")
    with Workspace(ws.config, actor="ada", plugins=[("ear", Ear())]) as hearing:
        near, away = hearing.submit("near"), hearing.submit("away")
        assert [(event.subject_id, event.data["target"]) for event in heard] == [(near.id, "near")]
        far.away.clear()
        all_due()
        hearing.services.outbox.give_time()
        assert [event.subject_id for event in heard] == [near.id, away.id]
        assert heard[1].data["seconds"] >= (heard[1].at - away.record.created).total_seconds() > 0
