"""Laws 2 and 3: versions count from 0, and the default is where somebody put it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from penstock.testing.asking.ending import canceled_after
from penstock.testing.asking.given import given, unique
from penstock.testing.asking.refusals import refusal, verdict
from penstock.testing.bench import Bench
from penstock.testing.checking import check
from penstock.testing.laws import hold, same
from penstock.testing.probes.pipelines import variant
from penstock.workspace import Endpoint, Workspace


@check(2)
def versions_move_between_targets(bench: Bench) -> None:
    """Does one endpoint run each of its versions where that was published, whatever target it began on?"""
    first, second = bench.subject.target, bench.subject.other
    with bench.workspace() as ws:
        words = {"0": ("here", first), "1": ("there", second), "2": ("back", first), "3": ("here", second)}
        for version, (word, target) in words.items():
            done = ws.pipelines.publish(
                variant(bench.subject.python, word), folder=bench.spec_folder, target=target, endpoint="one"
            )
            same(2, (done.version, done.version_added), (version, True), f"the version that {word} on {target} became")
        endpoint = ws.endpoint("one")
        found = {one.version: one.target for one in endpoint.versions}
        same(2, found, {version: target for version, (_, target) in words.items()}, "the versions' targets")
        runs = {}
        for version in words:
            endpoint.set_default(version)
            runs[version] = endpoint.submit().id
        for version, run in runs.items():
            ended, (word, target) = bench.wait(ws, run, 2), words[version]
            same(2, (ended.version, ended.target), (version, target), f"where the default one@{version} ran")
            same(2, ended.outputs.get("which"), word, f"what ran as one@{version}")


@check(2)
def versions_are_not_doubled(bench: Bench) -> None:
    """Is what the endpoint already has not added again, by whichever way, and is that said?"""
    with bench.workspace() as ws:
        zero, one = (given(bench, ws, word) for word in "ab")
        endpoint = ws.create_endpoint("one", zero)
        same(2, endpoint.add_version(one), "1", "the second version")
        before = endpoint.refresh().record
        for published, version in ((zero, "0"), (one, "1")):
            again = ws.endpoints.add_version("one", published.id)
            same(
                2, (again.version, again.added), (version, False), f"what adding version {version} again is said to be"
            )
            done = ws.pipelines.publish(
                variant(bench.subject.python, "ab"[int(version)]), folder=bench.spec_folder, endpoint="one"
            )
            same(
                2, (done.version, done.version_added), (version, False), f"what publishing version {version} again did"
            )
        same(2, endpoint.refresh().record, before, "the endpoint after versions were added again")
        same(2, endpoint.add_version(given(bench, ws, "c")), "2", "the version after repeats")


@check(2)
def versions_begin_at_zero(bench: Bench) -> None:
    """Does every endpoint count for itself and from 0, also under a name that another one had?"""
    with bench.workspace() as ws:
        published = [given(bench, ws, word) for word in "abc"]
        for name in ("one", "two", "one again"):
            endpoint = ws.create_endpoint(name, published[0])
            same(2, endpoint.default, "0", f"the default of the new endpoint `{name}`")
            given_numbers = [endpoint.add_version(one) for one in published[1:]]
            same(2, given_numbers, ["1", "2"], f"the next versions of `{name}`")
        old = ws.endpoint("one")
        old.delete()
        new = ws.create_endpoint("one", published[1])
        hold(2, new.id != old.id, "an endpoint under a deleted one's name has the deleted one's id")
        same(2, [one.version for one in new.versions], ["0"], "the versions under a deleted endpoint's name")
        refusal(2, "version_not_found", "a version that only a deleted endpoint had", ws.submit, "one@2")
        new.delete()
        given(bench, ws, "c", endpoint="one")
        found = [(one.version, one.published) for one in ws.endpoint("one").versions]
        same(2, found, [("0", published[2].id)], "what is published behind a deleted endpoint's name")


@check(3)
def default_waits_for_words(bench: Bench) -> None:
    """Does the default stay where it is until somebody moves it, however many versions come?"""
    with _one(bench, 2) as (ws, endpoint):
        same(3, endpoint.default, "0", "the default after a second version")
        given(bench, ws, "c", endpoint="one")
        given(bench, ws, "d", endpoint="one", target=bench.subject.other)
        same(3, endpoint.refresh().default, "0", "the default after versions were published")
        given(bench, ws, "b", endpoint="one")
        same(3, endpoint.refresh().default, "0", "the default after a version was published again")
        endpoint.add_version(given(bench, ws, "e"), default=True)
        same(3, endpoint.default, "4", "the default after a version was added as such")
        endpoint.add_version(given(bench, ws, "b"), default=True)
        same(3, endpoint.default, "1", "the default after a version that was there was added as such")
        given(bench, ws, "c", endpoint="one", default=True)
        same(3, endpoint.refresh().default, "2", "the default after a version was published as such")
        ws.endpoints.disable("one@2")
        ws.endpoints.disable("one")
        same(3, endpoint.refresh().default, "2", "the default after gates were closed")


@check(3)
def rollback_walks_back(bench: Bench) -> None:
    """Does each rollback take one move back, down to where the endpoint began, and then say so?"""
    with _one(bench, 3) as (ws, endpoint):
        refusal(3, "nothing_to_roll_back", "a rollback before any move", ws.endpoints.rollback, "one")
        for version in ("1", "2"):
            endpoint.set_default(version)
        back = [_rolled_back(ws), _rolled_back(ws)]
        same(3, back, ["1", "0"], "the default, rolled back twice from 0, 1, 2,")
        refusal(3, "nothing_to_roll_back", "a third rollback of two moves", ws.endpoints.rollback, "one")
        moves = ["2", "2", "0", "1"]  # the second one moves nothing
        done = [ws.endpoints.set_default("one", version).moved for version in moves]
        same(3, done, [True, False, True, True], f"whether moves to {', '.join(moves)} moved anything")
        same(3, _rolled_back(ws), "0", "the default after one rollback")
        endpoint.set_default("2")
        found = [_rolled_back(ws) for _ in range(3)]
        same(3, found, ["0", "2", "0"], "the default, rolled back past a move that came after a rollback,")
        refusal(3, "nothing_to_roll_back", "a rollback of the last move", ws.endpoints.rollback, "one")
        same(3, endpoint.refresh().default, "0", "the default after a refused rollback")
        endpoint.set_default("2")
        endpoint.delete()
        ws.create_endpoint("one", given(bench, ws, "a"))
        what = "a rollback of an endpoint that has the name of another"
        refusal(3, "nothing_to_roll_back", what, ws.endpoints.rollback, "one")


@check(3)
def move_as_expected(bench: Bench) -> None:
    """Is a move refused, and nothing changed, when the default is not what the caller believes?"""
    with _one(bench, 3) as (ws, endpoint):
        endpoint.set_default("1", expect="0")
        before = endpoint.refresh().record
        more = given(bench, ws, "z")
        verbs = ws.endpoints
        for wrong in ("0", "2", "7"):
            for what, call in (
                ("a move", lambda wrong=wrong: verbs.set_default("one", "2", expect=wrong)),
                ("a move to where it is", lambda wrong=wrong: verbs.set_default("one", "1", expect=wrong)),
                ("a rollback", lambda wrong=wrong: verbs.rollback("one", expect=wrong)),
                ("a new version", lambda wrong=wrong: verbs.add_version("one", more.id, default=True, expect=wrong)),
                ("a publish", lambda wrong=wrong: given(bench, ws, "y", endpoint="one", default=True, expect=wrong)),
            ):
                refusal(3, "default_changed", f"{what} that expects {wrong} where 1 is", call)
        same(3, endpoint.refresh().record, before, "the endpoint after moves with wrong expectations")
        verbs.add_version("one", more.id, default=True, expect="1")
        verbs.rollback("one", expect="3")
        same(3, endpoint.refresh().default, "1", "the default after a move and a rollback as expected")
        refusal(3, "version_not_found", "a move to a version that is not there", verbs.set_default, "one", "9")
        same(3, endpoint.refresh().default, "1", "the default after a move to nowhere")


@check(3)
def pointed_to_stays(bench: Bench) -> None:
    """Is what a default or a version points to kept, until the endpoint is gone?"""
    with _one(bench, 2) as (ws, endpoint):
        delete = ws.pipelines.delete
        for version in endpoint.versions:
            refusal(3, "in_use", f"deleting what one@{version.version} is", delete, version.published)
        ws.endpoints.disable("one@1")
        ws.endpoints.disable("one")
        refusal(3, "in_use", "deleting what a version of a closed endpoint is", delete, endpoint.versions[0].published)
        refusal(3, "in_use", "deleting what a closed version is", delete, endpoint.versions[1].published)
        same(3, [one.version for one in endpoint.refresh().versions], ["0", "1"], "the versions after refusals")
        endpoint.delete()
        for version in endpoint.versions:
            delete(version.published)
        same(3, ws.pipelines.list(all=True).items, (), "what is published after everything was deleted")


@check(3, needs=("penstock_cancel_run",))
def running_stays(bench: Bench) -> None:
    """Is what an unfinished run came through kept until the run has ended?"""
    with bench.workspace() as ws:
        alone = given(bench, ws, unique("alone"))
        endpoint = ws.create_endpoint("one", given(bench, ws, unique("behind")))
        runs = [one.submit(parameters={"seconds": 600.0}) for one in (alone, endpoint)]
        with canceled_after(bench, ws, runs):
            refusal(3, "in_use", "deleting what an unfinished run runs", ws.pipelines.delete, alone.id)
            refusal(3, "in_use", "deleting an endpoint with an unfinished run", ws.endpoints.delete, "one")
        endpoint.delete()
        alone.delete()
        refusal(3, "pipeline_not_found", "what was deleted", ws.pipelines.get, alone.id)


CHECKS = (
    versions_are_not_doubled,
    versions_begin_at_zero,
    default_waits_for_words,
    rollback_walks_back,
    move_as_expected,
    pointed_to_stays,
    versions_move_between_targets,
    running_stays,
)


def _rolled_back(ws: Workspace) -> str | None:
    """The default after a rollback, or the code with which that is refused."""
    return verdict(ws.endpoints.rollback, "one") or ws.endpoint("one").default


@contextmanager
def _one(bench: Bench, versions: int) -> Iterator[tuple[Workspace, Endpoint]]:
    """A workspace with an endpoint `one` that has so many versions: a, b, c, ..."""
    with bench.workspace() as ws:
        published = [given(bench, ws, "abcdef"[number]) for number in range(versions)]
        endpoint = ws.create_endpoint("one", published[0])
        for more in published[1:]:
            endpoint.add_version(more)
        yield ws, endpoint
