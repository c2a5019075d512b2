"""Law 4: a trigger runs what it resolved to when it was accepted, and the run says what and from what."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import Any

from attrs import evolve

from penstock.contract.hooks import hookimpl
from penstock.errors import ParameterInvalid, TargetUnavailable
from penstock.records import RunRecord
from penstock.spec import Parameter, Pipeline
from penstock.testing.asking.given import given
from penstock.testing.asking.refusals import refusal
from penstock.testing.bench import Bench
from penstock.testing.checking import check
from penstock.testing.faults.handover import AtHandOver
from penstock.testing.laws import same
from penstock.testing.probes.pipelines import variant
from penstock.workspace import Workspace


@check(4)
def default_of_acceptance(bench: Bench) -> None:
    """Does a run that waits for its target run what was the default when it was accepted?"""
    registry = bench.new_registry()
    away = AtHandOver()
    with bench.workspace(registry) as elsewhere, bench.workspace(registry, plugins=[("away", away)]) as ws:
        endpoint = ws.create_endpoint("one", given(bench, ws, "a"))
        endpoint.add_version(given(bench, ws, "b", target=bench.subject.other))

        def move(default: str) -> None:
            elsewhere.endpoints.set_default("one", default)
            raise TargetUnavailable("away for a moment", retry_after=0.001)

        for number, (accepted, later, word) in enumerate((("0", "1", "a"), ("1", "0", "b"))):
            away.once(partial(move, later))
            run = endpoint.submit()
            same(4, ws.endpoints.get("one").default, later, f"the default after run {number} was accepted")
            _ran(bench, ws, run.id, word, version=accepted, resolved_from="default")


@check(4)
def what_it_came_through(bench: Bench) -> None:
    """Does a run say whether it came by the default, a version or the published pipeline, and run just that?"""
    with bench.workspace() as ws:
        zero, one = given(bench, ws, "a"), given(bench, ws, "b")
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
            _ran(bench, ws, run, word, version=version, resolved_from=resolved_from)


@check(4)
def renamed_and_gone(bench: Bench) -> None:
    """Does a run keep what it resolved to when its endpoint is renamed, and then deleted?"""
    with bench.workspace() as ws:
        endpoint = ws.create_endpoint("before", given(bench, ws, "a"))
        run = bench.wait(ws, endpoint.submit().id, 4)
        endpoint.rename("after")
        same(4, ws.runs.get(run.id), run, "a run after its endpoint was renamed")
        refusal(4, "endpoint_not_found", "the name that an endpoint had", ws.submit, "before")
        later = bench.wait(ws, ws.submit("after").id, 4)
        same(4, (later.endpoint, later.endpoint_id), ("after", endpoint.id), "the endpoint of a run by the new name")
        other = ws.create_endpoint("before", given(bench, ws, "b"))
        again = _ran(bench, ws, ws.runs.rerun(run.id).run.id, "a", version="0")
        same(4, again.endpoint_id, endpoint.id, "the endpoint of a rerun, when another endpoint has the name")
        other.delete()
        endpoint.add_version(given(bench, ws, "b"), default=True)
        endpoint.delete()
        ws.create_endpoint("before", given(bench, ws, "b"))
        same(4, ws.runs.get(run.id), run, "a run after its endpoint was deleted and its name given to another")


@check(4)
def rerun_repeats(bench: Bench) -> None:
    """Does a rerun run what its run had resolved to, with its parameters, wherever the default is by now?"""
    with bench.workspace() as ws:
        zero = given(bench, ws, "a")
        endpoint = ws.create_endpoint("one", zero)
        first = [endpoint.submit(parameters={"depth": 5}), zero.submit(parameters={"depth": 5})]
        endpoint.add_version(given(bench, ws, "b"), default=True)
        for run, version in zip(first, ("0", None), strict=True):
            again = run.rerun()
            same(4, again.record.rerun_of, run.id, "what a rerun says it repeats")
            resolved_from = "published" if version is None else "pinned"
            ended = _ran(bench, ws, again.id, "a", version=version, resolved_from=resolved_from)
            same(4, ended.outputs.get("args"), ["a", "5"], "what a rerun's step was given")
        endpoint.set_default("0")
        _ran(bench, ws, again.rerun().id, "a", version=None)


@check(4, needs=("penstock_resolve_location",))
def moved_while_deciding(bench: Bench) -> str | None:
    """Does a trigger whose default moves while it is being decided run, and say, one and the same version?"""
    registry, file = bench.new_registry(), bench.folder / "located.txt"
    file.write_text("found")
    moving = _WhileDeciding()
    with bench.workspace(registry) as elsewhere, bench.workspace(registry, plugins=[("moving", moving)]) as ws:
        endpoint = ws.create_endpoint("one", given(bench, ws, _located(bench, "a")))
        endpoint.add_version(given(bench, ws, _located(bench, "b")))
        for later, word in (("1", "b"), ("0", "a")):
            moving.act = partial(elsewhere.endpoints.set_default, "one", later)
            try:
                run = endpoint.submit(parameters={"file": str(file)})
            except ParameterInvalid as error:
                return f"a default that moves within one decision was not tried: {error.message}"
            _ran(bench, ws, run.id, word, version=later, resolved_from="default")
    return None


CHECKS = (what_it_came_through, default_of_acceptance, renamed_and_gone, rerun_repeats, moved_while_deciding)


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


def _located(bench: Bench, word: str) -> Pipeline:
    """The `variant` of a word with a parameter `file` on top, which has no default and is not read."""
    pipeline = variant(bench.subject.python, word)
    return evolve(pipeline, parameters={**pipeline.parameters, "file": Parameter("file")})


def _ran(bench: Bench, ws: Workspace, run: str, word: str, **resolved: str | None) -> RunRecord:
    """Wait for a run, which must have run the `variant` of a word and say that it resolved so."""
    accepted = ws.runs.get(run)
    ended = bench.wait(ws, run, 4)
    for record in (accepted, ended):
        for name, expected in resolved.items():
            same(4, getattr(record, name), expected, f"`{name}` of a run of `{word}`")
        published = None if record.published is None else ws.pipelines.get(record.published)
        if published is not None:
            same(4, (record.digest, record.target), (published.digest, published.target), "digest and target of a run")
    same(4, ended.outputs.get("which"), word, f"what ran (`{ended.state}`)")
    return ended
