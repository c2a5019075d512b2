"""Laws 2 and 3: versions count from 0, and the default is where somebody put it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from laws.ending import canceled_after
from laws.error_codes import code_of, refusal
from laws.marks import python_only

from penstock.testing.harness import Harness
from penstock.testing.helpers.setup import set_up, unique
from penstock.testing.laws import require, same
from penstock.testing.probes.pipelines import variant
from penstock.workspace import Endpoint, Workspace


def test_versions_move_between_targets(harness):
    """Does one endpoint run each of its versions where that was published, whatever target it began on?"""
    first, second = harness.subject.target, harness.subject.other
    with harness.workspace() as ws:
        words = {"0": ("here", first), "1": ("there", second), "2": ("back", first), "3": ("here", second)}
        for version, (word, target) in words.items():
            done = ws.pipelines.publish(
                variant(harness.subject.python, word), folder=harness.spec_folder, target=target, endpoint="one"
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
            ended, (word, target) = harness.wait(ws, run, 2), words[version]
            same(2, (ended.version, ended.target), (version, target), f"where the default one@{version} ran")
            same(2, ended.outputs.get("which"), word, f"what ran as one@{version}")


def test_versions_are_not_doubled(harness):
    """Is what the endpoint already has not added again, by whichever way, and is that said?"""
    with harness.workspace() as ws:
        zero, one = (set_up(harness, ws, word) for word in "ab")
        endpoint = ws.create_endpoint("one", zero)
        same(2, endpoint.add_version(one), "1", "the second version")
        before = endpoint.refresh().record
        for published, version in ((zero, "0"), (one, "1")):
            again = ws.endpoints.add_version("one", published.id)
            same(
                2, (again.version, again.added), (version, False), f"what adding version {version} again is said to be"
            )
            done = ws.pipelines.publish(
                variant(harness.subject.python, "ab"[int(version)]), folder=harness.spec_folder, endpoint="one"
            )
            same(
                2, (done.version, done.version_added), (version, False), f"what publishing version {version} again did"
            )
        same(2, endpoint.refresh().record, before, "the endpoint after versions were added again")
        same(2, endpoint.add_version(set_up(harness, ws, "c")), "2", "the version after repeats")


def test_versions_begin_at_zero(harness):
    """Does every endpoint count for itself and from 0, also under a name that another one had?"""
    with harness.workspace() as ws:
        published = [set_up(harness, ws, word) for word in "abc"]
        for name in ("one", "two", "one again"):
            endpoint = ws.create_endpoint(name, published[0])
            same(2, endpoint.default, "0", f"the default of the new endpoint `{name}`")
            given_numbers = [endpoint.add_version(one) for one in published[1:]]
            same(2, given_numbers, ["1", "2"], f"the next versions of `{name}`")
        old = ws.endpoint("one")
        old.delete()
        new = ws.create_endpoint("one", published[1])
        require(2, new.id != old.id, "an endpoint under a deleted one's name has the deleted one's id")
        same(2, [one.version for one in new.versions], ["0"], "the versions under a deleted endpoint's name")
        refusal(2, "version_not_found", "a version that only a deleted endpoint had", ws.submit, "one@2")
        new.delete()
        set_up(harness, ws, "c", endpoint="one")
        found = [(one.version, one.published) for one in ws.endpoint("one").versions]
        same(2, found, [("0", published[2].id)], "what is published behind a deleted endpoint's name")


def test_default_waits_for_words(harness):
    """Does the default stay where it is until somebody moves it, however many versions come?"""
    with _one(harness, 2) as (ws, endpoint):
        same(3, endpoint.default, "0", "the default after a second version")
        set_up(harness, ws, "c", endpoint="one")
        set_up(harness, ws, "d", endpoint="one", target=harness.subject.other)
        same(3, endpoint.refresh().default, "0", "the default after versions were published")
        set_up(harness, ws, "b", endpoint="one")
        same(3, endpoint.refresh().default, "0", "the default after a version was published again")
        endpoint.add_version(set_up(harness, ws, "e"), default=True)
        same(3, endpoint.default, "4", "the default after a version was added as such")
        endpoint.add_version(set_up(harness, ws, "b"), default=True)
        same(3, endpoint.default, "1", "the default after a version that was there was added as such")
        set_up(harness, ws, "c", endpoint="one", default=True)
        same(3, endpoint.refresh().default, "2", "the default after a version was published as such")
        ws.endpoints.disable("one@2")
        ws.endpoints.disable("one")
        same(3, endpoint.refresh().default, "2", "the default after gates were closed")


def test_rollback_walks_back(harness):
    """Does each rollback take one move back, down to where the endpoint began, and then say so?"""
    with _one(harness, 3) as (ws, endpoint):
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
        ws.create_endpoint("one", set_up(harness, ws, "a"))
        what = "a rollback of an endpoint that has the name of another"
        refusal(3, "nothing_to_roll_back", what, ws.endpoints.rollback, "one")


@python_only
def test_move_as_expected(harness):
    """Is a move refused, and nothing changed, when the default is not what the caller believes?"""
    with _one(harness, 3) as (ws, endpoint):
        endpoint.set_default("1", expect="0")
        before = endpoint.refresh().record
        more = set_up(harness, ws, "z")
        verbs = ws.endpoints
        for wrong in ("0", "2", "7"):
            for what, call in (
                ("a move", lambda wrong=wrong: verbs.set_default("one", "2", expect=wrong)),
                ("a move to where it is", lambda wrong=wrong: verbs.set_default("one", "1", expect=wrong)),
                ("a rollback", lambda wrong=wrong: verbs.rollback("one", expect=wrong)),
                ("a new version", lambda wrong=wrong: verbs.add_version("one", more.id, default=True, expect=wrong)),
                ("a publish", lambda wrong=wrong: set_up(harness, ws, "y", endpoint="one", default=True, expect=wrong)),
            ):
                refusal(3, "default_changed", f"{what} that expects {wrong} where 1 is", call)
        same(3, endpoint.refresh().record, before, "the endpoint after moves with wrong expectations")
        verbs.add_version("one", more.id, default=True, expect="1")
        verbs.rollback("one", expect="3")
        same(3, endpoint.refresh().default, "1", "the default after a move and a rollback as expected")
        refusal(3, "version_not_found", "a move to a version that is not there", verbs.set_default, "one", "9")
        same(3, endpoint.refresh().default, "1", "the default after a move to nowhere")


def test_pointed_to_stays(harness):
    """Is what a default or a version points to kept, until the endpoint is gone?"""
    with _one(harness, 2) as (ws, endpoint):
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


def test_running_stays(harness):
    """Is what an unfinished run came through kept until the run has ended?"""
    with harness.workspace() as ws:
        alone = set_up(harness, ws, unique("alone"))
        endpoint = ws.create_endpoint("one", set_up(harness, ws, unique("behind")))
        runs = [one.submit(parameters={"seconds": 600.0}) for one in (alone, endpoint)]
        with canceled_after(harness, ws, runs):
            refusal(3, "in_use", "deleting what an unfinished run runs", ws.pipelines.delete, alone.id)
            refusal(3, "in_use", "deleting an endpoint with an unfinished run", ws.endpoints.delete, "one")
        endpoint.delete()
        alone.delete()
        refusal(3, "pipeline_not_found", "what was deleted", ws.pipelines.get, alone.id)


def _rolled_back(ws: Workspace) -> str | None:
    """The default after a rollback, or the code with which that is refused."""
    return code_of(ws.endpoints.rollback, "one") or ws.endpoint("one").default


@contextmanager
def _one(harness: Harness, versions: int) -> Iterator[tuple[Workspace, Endpoint]]:
    """A workspace with an endpoint `one` that has so many versions: a, b, c, ..."""
    with harness.workspace() as ws:
        published = [set_up(harness, ws, "abcdef"[number]) for number in range(versions)]
        endpoint = ws.create_endpoint("one", published[0])
        for more in published[1:]:
            endpoint.add_version(more)
        yield ws, endpoint
