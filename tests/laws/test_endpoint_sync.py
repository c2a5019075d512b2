"""Law 5 at the target: what a backend is told of endpoints is all of it, gates included, and told until it took."""

from __future__ import annotations

import time
from collections.abc import Generator

from laws.marks import python_only
from laws.troubled_sync import MOVE

from penstock.contract.hooks import hookimpl
from penstock.contract.target import EndpointState, EndpointVersion, Target
from penstock.errors import TargetUnavailable
from penstock.records import EndpointRecord
from penstock.testing.faults.troubles import trouble_each
from penstock.testing.harness import Harness
from penstock.testing.helpers.setup import set_up
from penstock.testing.laws import same
from penstock.workspace import Workspace

pytestmark = python_only


def test_told_everything(harness):
    """Is each target told the whole state of an endpoint after every change: versions there, default, gates, name?"""
    told = _Told()
    with harness.workspace(plugins=[("told", told)]) as ws:
        here, there = set_up(harness, ws, "a"), set_up(harness, ws, "b", target=harness.subject.other)
        endpoint = ws.create_endpoint("one", here, description="First.", tags={"team": "water"})
        verbs, pipelines = ws.endpoints, ws.pipelines
        for what, change in (
            ("creating it", lambda: None),
            ("adding a version on the second target", lambda: endpoint.add_version(there)),
            ("closing a version", lambda: verbs.disable("one@1")),
            ("closing the endpoint", lambda: verbs.disable("one")),
            ("closing what a version publishes", lambda: pipelines.disable(here.id)),
            ("opening the endpoint", lambda: verbs.enable("one")),
            ("opening a version", lambda: verbs.enable("one@1")),
            ("moving the default to the second target", lambda: verbs.set_default("one", "1")),
            ("opening what a version publishes", lambda: pipelines.enable(here.id)),
            ("adding a version", lambda: endpoint.add_version(set_up(harness, ws, "c"))),
            ("rolling back", lambda: verbs.rollback("one")),
            ("renaming it", lambda: verbs.rename("one", "two")),
        ):
            change()
            _knows(harness, ws, told, endpoint.id, what)
        endpoint.delete()
        gone = {target: state.deleted for target, state in told.last.items()}
        same(
            5, gone, {harness.subject.target: True, harness.subject.other: True}, "whether each target was told the end"
        )


def test_told_until_it_took(harness):
    """Does a change hold at once while its target is away, and is the target told when it is back?"""
    registry, told = harness.new_registry(), _Told()
    with harness.workspace(registry, plugins=[("told", told)]) as ws:
        endpoint = ws.create_endpoint("one", set_up(harness, ws, "a"))
        told.away = True
        ws.endpoints.disable("one", reason="flood")
        same(5, endpoint.refresh().enabled, False, "whether the gate is open although its target was away")
        same(5, told.last[harness.subject.target].enabled, True, "what a target knows that was away")
        told.away = False
        time.sleep(0.2)  # it is left alone for a moment
    with harness.workspace(registry, plugins=[("told", told)]) as ws:
        ws.endpoints.disable("one")  # changes nothing, and gives what is due its time
        _knows(harness, ws, told, endpoint.id, "the target came back")


def test_troubled_targets_are_told_the_rest(harness):
    """Does the target know an endpoint's default and gates when any answer to being told is lost, late or twice?"""
    trouble_each(harness, MOVE)


class _Told:
    """A plugin that keeps what each target was last told, and can keep targets away."""

    def __init__(self) -> None:
        self.last: dict[str, EndpointState] = {}
        self.away = False

    @hookimpl(wrapper=True)
    def penstock_sync_endpoint(self, target: Target, endpoint: EndpointState) -> Generator[None, bool, bool]:
        """Let the target hear it, and note that it did."""
        if self.away:
            raise TargetUnavailable("away for a moment", retry_after=0.0)
        taken = yield
        self.last[target.name] = endpoint
        return taken


def _knows(harness: Harness, ws: Workspace, told: _Told, endpoint: str, what: str) -> None:
    """Hold each target to have been told what the endpoint is now."""
    record = ws.endpoints.get(endpoint)
    for target in dict.fromkeys(version.target for version in record.versions):
        found = told.last.get(target)
        seen = None if found is None else _seen(found)
        same(5, seen, _due(ws, record, target), f"what `{target}` was told after {what}")


def _seen(state: EndpointState) -> tuple[object, ...]:
    words = (state.id, state.name, state.description, dict(state.tags), state.enabled, state.default, state.deleted)
    return (*words, sorted(state.versions, key=lambda one: int(one.version)))


def _due(ws: Workspace, record: EndpointRecord, target: str) -> tuple[object, ...]:
    """What a target must know of an endpoint: its versions there, and the default if that is one of them."""
    versions = [
        EndpointVersion(
            version=one.version,
            external=ws.pipelines.get(one.published).external,
            digest=one.digest,
            label=one.label,
            enabled=one.enabled,
            published_enabled=one.published_enabled,
        )
        for one in record.versions
        if one.target == target
    ]
    default = record.default if record.default in {one.version for one in versions} else None
    words = (record.id, record.name, record.description, dict(record.tags), record.enabled, default, False)
    return (*words, versions)
