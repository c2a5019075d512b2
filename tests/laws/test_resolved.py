"""Law 4: a trigger runs what it resolved to when it was accepted, and the run says what and from what."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import Any

from attrs import evolve
from laws.error_codes import refusal
from laws.handover import AtHandOver
from laws.marks import python_only

from penstock.contract.hooks import hookimpl
from penstock.errors import TargetUnavailable
from penstock.records import RunRecord
from penstock.spec import Parameter, Pipeline
from penstock.testing.harness import Harness
from penstock.testing.helpers.setup import set_up
from penstock.testing.laws import same
from penstock.testing.probes.pipelines import variant
from penstock.workspace import Workspace


@python_only
def test_default_of_acceptance(harness):
    """Does a run that waits for its target run what was the default when it was accepted?"""
    registry = harness.new_registry()
    away = AtHandOver()
    with harness.workspace(registry) as elsewhere, harness.workspace(registry, plugins=[("away", away)]) as ws:
        endpoint = ws.create_endpoint("one", set_up(harness, ws, "a"))
        endpoint.add_version(set_up(harness, ws, "b", target=harness.subject.other))

        def move(default: str) -> None:
            elsewhere.endpoints.set_default("one", default)
            raise TargetUnavailable("away for a moment", retry_after=0.001)

        for number, (accepted, later, word) in enumerate((("0", "1", "a"), ("1", "0", "b"))):
            away.once(partial(move, later))
            run = endpoint.submit()
            same(4, ws.endpoints.get("one").default, later, f"the default after run {number} was accepted")
            _ran(harness, ws, run.id, word, version=accepted, resolved_from="default")


def test_what_it_came_through(harness):
    """Does a run say whether it came by the default, a version or the published pipeline, and run just that?"""
    with harness.workspace() as ws:
        zero, one = set_up(harness, ws, "a"), set_up(harness, ws, "b")
        endpoint = ws.create_endpoint("one", zero)
        endpoint.add_version(one)
        by_name = f"{one.name}:{one.label}@{one.target}"
        ways: list[tuple[str, str | None, str, str | None, str]] = [
            ("one", None, "default", "0", "a"),
            (endpoint.id, None, "default", "0", "a"),
            ("one@1", None, "pinned", "1", "b"),
            (f"{endpoint.id}@0", None, "pinned", "0", "a"),
            ("one", "1", "pinned", "1", "b"),
            (one.id, None, "published", None, "b"),
            (by_name, None, "published", None, "b"),
        ]
        runs = [ws.submit(ref, version=pinned).id for ref, pinned, *_ in ways]
        endpoint.set_default("1")
        for run, (_, _, resolved_from, version, word) in zip(runs, ways, strict=True):
            _ran(harness, ws, run, word, version=version, resolved_from=resolved_from)


def test_renamed_and_gone(harness):
    """Does a run keep what it resolved to when its endpoint is renamed, and then deleted?"""
    with harness.workspace() as ws:
        endpoint = ws.create_endpoint("before", set_up(harness, ws, "a"))
        run = harness.wait(ws, endpoint.submit().id, 4)
        endpoint.rename("after")
        same(4, ws.runs.get(run.id), run, "a run after its endpoint was renamed")
        refusal(4, "endpoint_not_found", "the name that an endpoint had", ws.submit, "before")
        later = harness.wait(ws, ws.submit("after").id, 4)
        same(4, (later.endpoint, later.endpoint_id), ("after", endpoint.id), "the endpoint of a run by the new name")
        other = ws.create_endpoint("before", set_up(harness, ws, "b"))
        again = _ran(harness, ws, ws.runs.rerun(run.id).run.id, "a", version="0")
        same(4, again.endpoint_id, endpoint.id, "the endpoint of a rerun, when another endpoint has the name")
        other.delete()
        endpoint.add_version(set_up(harness, ws, "b"), default=True)
        endpoint.delete()
        ws.create_endpoint("before", set_up(harness, ws, "b"))
        same(4, ws.runs.get(run.id), run, "a run after its endpoint was deleted and its name given to another")


def test_rerun_repeats(harness):
    """Does a rerun run what its run had resolved to, with its parameters, wherever the default is by now?"""
    with harness.workspace() as ws:
        zero = set_up(harness, ws, "a")
        endpoint = ws.create_endpoint("one", zero)
        first = [endpoint.submit(parameters={"depth": 5}), zero.submit(parameters={"depth": 5})]
        endpoint.add_version(set_up(harness, ws, "b"), default=True)
        for run, version in zip(first, ("0", None), strict=True):
            again = run.rerun()
            same(4, again.record.rerun_of, run.id, "what a rerun says it repeats")
            resolved_from = "published" if version is None else "pinned"
            ended = _ran(harness, ws, again.id, "a", version=version, resolved_from=resolved_from)
            same(4, ended.outputs.get("args"), ["a", "5"], "what a rerun's step was given")
        endpoint.set_default("0")
        _ran(harness, ws, again.rerun().id, "a", version=None)


@python_only
def test_moved_while_deciding(harness):
    """Does a trigger whose default moves while it is being decided run, and say, one and the same version?"""
    registry, file = harness.new_registry(), harness.folder / "located.txt"
    file.write_text("found")
    moving = _WhileDeciding()
    with harness.workspace(registry) as elsewhere, harness.workspace(registry, plugins=[("moving", moving)]) as ws:
        endpoint = ws.create_endpoint("one", set_up(harness, ws, _located(harness, "a")))
        endpoint.add_version(set_up(harness, ws, _located(harness, "b")))
        for later, word in (("1", "b"), ("0", "a")):
            moving.act = partial(elsewhere.endpoints.set_default, "one", later)
            run = endpoint.submit(parameters={"file": str(file)})
            _ran(harness, ws, run.id, word, version=later, resolved_from="default")


class _WhileDeciding:
    """A plugin that acts once, between what a trigger resolves to and its acceptance."""

    def __init__(self) -> None:
        self.act: Callable[[], object] | None = None

    @hookimpl(wrapper=True)
    def penstock_resolve_location(self) -> Generator[None, Any, Any]:
        """Act, and let the target answer."""
        act, self.act = self.act, None
        if act is not None:
            act()
        return (yield)


def _located(harness: Harness, word: str) -> Pipeline:
    """The `variant` of a word with a parameter `file` on top, which has no default and is not read."""
    pipeline = variant(harness.subject.python, word)
    return evolve(pipeline, parameters={**pipeline.parameters, "file": Parameter("file")})


def _ran(harness: Harness, ws: Workspace, run: str, word: str, **resolved: str | None) -> RunRecord:
    """Wait for a run, which must have run the `variant` of a word and say that it resolved so."""
    accepted = ws.runs.get(run)
    ended = harness.wait(ws, run, 4)
    for record in (accepted, ended):
        for name, expected in resolved.items():
            same(4, getattr(record, name), expected, f"`{name}` of a run of `{word}`")
        published = None if record.published is None else ws.pipelines.get(record.published)
        if published is not None:
            same(4, (record.digest, record.target), (published.digest, published.target), "digest and target of a run")
    same(4, ended.outputs.get("which"), word, f"what ran (`{ended.state}`)")
    return ended
