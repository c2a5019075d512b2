"""Two names of one place share what they publish there; different places share nothing, not even a wait."""

from __future__ import annotations

import threading
import time

import pytest

from penstock.contract.target import Publication
from penstock.errors import TargetUnavailable
from penstock.workspace import Workspace

CONFIG = """\
target: left
targets:
  left: {backend: far, place: mill}
  right: {backend: far, place: mill}
  gone: {backend: far, place: mill}
  apart: {backend: far, place: weir}
"""


@pytest.fixture
def shared(folder, far, monkeypatch):
    """A workspace with names of one place, where a digest has one name whoever publishes it."""
    monkeypatch.setattr(far, "Publication", lambda external: Publication(external=external.rpartition("-")[2]))
    (folder / "penstock.yaml").write_text(CONFIG)
    with Workspace.open(folder, actor="ada") as opened:
        yield opened


def delete(ws, target, name="flood"):
    (one,) = [one for one in ws.pipelines.list().items if (one.target, one.name) == (target, name)]
    ws.pipelines.delete(one.id)


@pytest.mark.parametrize(("first", "second"), [("left", "right"), ("right", "left")])
def test_what_another_name_of_the_place_uses_stays(shared, far, first, second):
    shared.publish("flood.yaml", target=first)
    shared.publish("flood.yaml", target=second, endpoint="flood")
    shared.publish("flood.yaml", target="apart")
    delete(shared, first)
    assert (far.retired, shared.admin.status().pending_retires) == ([], 0)
    delete(shared, "apart")
    assert [target for target, _ in far.retired] == ["apart"]
    assert shared.submit("flood").record.external is not None


def test_the_last_name_takes_it_away_for_all(shared, far):
    """A backend that keeps two such names apart forgets what it has under each."""
    for target in ("left", "right"):
        shared.publish("flood.yaml", target=target)
    delete(shared, "left")
    delete(shared, "right")
    assert sorted(target for target, _ in far.retired) == ["left", "right"]
    assert shared.admin.check().ok


def test_an_unfinished_trial_under_another_name_uses_it_too(shared, far):
    shared.publish("flood.yaml", target="left")
    run = shared.submit("flood.yaml", target="right")
    delete(shared, "left")
    assert far.retired == []
    far.reports[run.id] = far.RunReport(state="succeeded")
    assert run.state == "succeeded"
    shared._services.outbox.give_time()
    assert ("right", run.record.digest[-12:]) in far.retired


def test_a_name_that_is_gone_stops_no_other(shared, far, folder):
    shared.publish("flood.yaml", target="gone")
    shared.publish("flood.yaml", target="left")
    delete(shared, "gone")
    (folder / "penstock.yaml").write_text(CONFIG.replace("  gone: {backend: far, place: mill}\n", ""))
    with Workspace.open(folder, actor="ada") as later:
        delete(later, "left")
        assert [target for target, _ in far.retired] == ["left"]
        assert later.admin.status().pending_retires == 0


@pytest.fixture
def retiring(shared, far, monkeypatch):
    """`left` is busy retiring something until `go_on`."""
    inside, go_on = threading.Event(), threading.Event()
    reach = far.reach

    def slow(target, what):
        if what == "retire" and target.name == "left":
            inside.set()
            go_on.wait(30)
        reach(target, what)

    monkeypatch.setattr(far, "reach", slow)
    shared.publish("flood.yaml", target="left")
    delete(shared, "left")
    assert inside.wait(5)
    yield go_on
    go_on.set()


def test_a_publish_waits_for_no_retirement_at_another_place(shared, far, retiring, folder):
    done = []
    work = threading.Thread(target=lambda: done.append(shared.publish("flood.yaml", target="apart")))
    work.start()
    work.join(10)
    assert done
    assert shared.submit("flood.yaml", target="apart").record.external is not None


@pytest.mark.parametrize("target", ["left", "right"])
def test_a_publish_to_the_same_place_waits_for_it_but_not_for_ever(shared, far, retiring, monkeypatch, target):
    with monkeypatch.context() as hasty:
        hasty.setattr("penstock.dispatch.retire.PUBLISH_PATIENCE", 0.2)
        with pytest.raises(TargetUnavailable, match=f"in retirement on target `{target}`"):
            shared.publish("flood.yaml", target=target)
    threading.Timer(0.3, retiring.set).start()
    begin = time.monotonic()
    published = shared.publish("flood.yaml", target=target)
    assert time.monotonic() - begin > 0.1
    assert shared.submit(published.id).record.external is not None
