"""Law 5: each gate refuses whatever passes it, on every way, and no gate opens or closes another."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from laws.ending import canceled_after
from laws.error_codes import code_of, refusal
from laws.handover import AtHandOver
from laws.marks import in_one_process, python_only
from laws.trigger_paths import ENDPOINT, PIPELINE, VERSION, Stage, staged

from penstock.errors import TargetUnavailable
from penstock.testing.harness import Harness
from penstock.testing.helpers.setup import set_up
from penstock.testing.laws import require, same
from penstock.workspace import Run

_WALK = (ENDPOINT, VERSION, ENDPOINT, PIPELINE, ENDPOINT, VERSION, ENDPOINT, PIPELINE)
"""Which gate moves next, so that every combination of open and closed comes about once, and all open at the end."""


def test_every_gate_on_every_way(harness):
    """Does each way in refuse by the gates that it passes and no other, whichever of them are closed?"""
    with staged(harness) as stage:
        closed: set[str] = set()
        stage.runs.update((ref, stage.ws.submit(ref)) for ref in ("one", "one@0", "one@1", stage.zero.id))
        expected = len(stage.runs)
        for gate in (None, *_WALK):
            if gate in closed:
                stage.move(gate, open=True)
                closed.remove(gate)
            elif gate is not None:
                stage.move(gate, open=False)
                closed.add(gate)
            for what, passes, submit in stage.ways():
                # What gets past the gates comes to the parameters, and starts nothing.
                wrong = partial(submit, parameters={"depth": 99})
                _refused(what, [code for code in passes if code in closed], "parameter_invalid", wrong)
            for what, passes, rerun in stage.reruns():
                _refused(what, [code for code in passes if code in closed], "", rerun)
                expected += closed.isdisjoint(passes)
        same(5, len(stage.ws.runs.list(limit=1000).items), expected, "the number of runs after refused triggers")


@in_one_process
def test_what_was_accepted_before(harness):
    """Does a gate refuse also what the same caller triggered with success a moment ago, and let it through again?"""
    with staged(harness) as stage:
        accepted = 0
        for gate in (ENDPOINT, VERSION, PIPELINE):
            for what, passes, submit in list(stage.ways())[:3]:
                submit()
                stage.move(gate, open=False)
                _refused(what, [code for code in passes if code == gate], "", submit)
                stage.move(gate, open=True)
                submit()
                accepted += 2
        same(5, len(stage.ws.runs.list(limit=1000).items), accepted, "the number of runs after refused triggers")


def test_closed_says_by_whom(harness):
    """Does a refusal say since when the gate is closed, by whom and why, and does closing again keep that?"""
    with staged(harness) as stage:
        for gate in (ENDPOINT, VERSION, PIPELINE):
            stage.move(gate, open=False, reason="because of the flood")
            found = stage.gate(gate)
            require(5, found is not None, f"a closed gate (`{gate}`) is shown open")
            assert found is not None
            said = (found.by, found.reason)
            same(5, said, ("grace", "because of the flood"), f"who closed the gate (`{gate}`) and why")
            require(
                5, not stage.close(gate, "another").changed, f"closing a closed gate (`{gate}`) is said to change it"
            )
            same(5, stage.gate(gate), found, f"what is said of the gate (`{gate}`) after closing it again")
            for what, passes, submit in stage.ways():
                if gate in passes:
                    message = refusal(5, gate, what, submit)
                    for word, text in (
                        ("since when", f"{found.since:%Y-%m-%d}"),
                        ("since when", f"{found.since:%H:%M:%S}"),
                        ("by whom", "grace"),
                        ("why", "because of the flood"),
                    ):
                        require(5, text in message, f"the refusal of {what} does not say {word} (`{text}`): {message}")
            stage.move(gate, open=True)
            same(5, stage.gate(gate), None, f"the gate (`{gate}`) after it was opened")


def test_reasons_are_whole(harness):
    """Is a reason kept as it was given, however long it is?"""
    reason = "The scanner is dirty: nobody knows since when, é日本.\n" * 20
    with staged(harness) as stage:
        for gate in (ENDPOINT, VERSION, PIPELINE):
            stage.move(gate, open=False, reason=reason)
            found = stage.gate(gate)
            same(5, found and found.reason, reason, f"the reason for which a gate (`{gate}`) was closed")


def test_gates_of_copies(harness):
    """Does what is published on two targets have a gate on each?"""
    with harness.workspace() as ws:
        here = set_up(harness, ws, "a")
        there = ws.pipelines.publish_from(here.id, target=harness.subject.other).published
        ws.pipelines.disable(here.id)
        same(5, ws.pipelines.get(there.id).enabled, True, "the gate on the second target, when the first one is closed")
        ws.pipelines.disable(there.id)
        ws.pipelines.enable(here.id)
        same(5, ws.pipelines.get(there.id).enabled, False, "the gate on the second target, when the first one is open")


def test_pages_are_full(harness):
    """Does a page hold as much of what is open as was asked for, whatever is closed before it and between?"""
    with harness.workspace() as ws:
        for number, word in enumerate("abcdef"):
            published = set_up(harness, ws, word, name=word)
            ws.create_endpoint(word, published)
            if number % 2:
                ws.endpoints.disable(word)
                ws.pipelines.disable(published.id)
        for what, group in (("endpoints", ws.endpoints), ("published pipelines", ws.pipelines)):
            page = group.list(limit=2)
            same(5, [one.name for one in page.items], ["e", "c"], f"the first page of {what} that are open")
            rest = group.list(limit=2, before=page.next)
            same(5, [one.name for one in rest.items], ["a"], f"the second page of {what} that are open")


def test_opened_gate_lets_run(harness):
    """Does what was refused run once the gate is open again?"""
    with staged(harness) as stage:
        runs = []
        for gate in (ENDPOINT, VERSION, PIPELINE):
            stage.move(gate, open=False)
            refusal(5, gate, "the default", stage.endpoint.submit)
            stage.move(gate, open=True)
            runs.append(stage.endpoint.submit().id)
        for run in runs:
            same(
                5,
                harness.wait(stage.ws, run, 5).outputs.get("which"),
                stage.zero.name,
                "what ran after its gate was opened",
            )


def test_nothing_else_opens(harness):
    """Do closed gates stay closed, as they are, whatever else is done to what they are of?"""
    with staged(harness) as stage:
        gates = (ENDPOINT, VERSION, PIPELINE)
        for gate in gates:
            stage.move(gate, open=False, reason="because of the flood")
        before = [stage.gate(gate) for gate in gates]
        ws, verbs, first = stage.ws, stage.ws.endpoints, stage.zero.id
        stage.endpoint.set_default("1")
        for what, change in (
            ("a new version", lambda: verbs.add_version("one", set_up(harness, ws, "c").id, default=True)),
            ("a version that is there", lambda: verbs.add_version("one", first)),
            ("a rollback", lambda: verbs.rollback("one")),
            ("a move of the default", lambda: verbs.set_default("one", "2")),
            ("another name and the old one", lambda: (verbs.rename("one", "two"), verbs.rename("two", "one"))),
            ("publishing it again", lambda: ws.pipelines.publish_from(first)),
            (
                "publishing it on the other target",
                lambda: ws.pipelines.publish_from(first, target=harness.subject.other),
            ),
        ):
            change()
            same(5, [stage.gate(gate) for gate in gates], before, f"what is said of closed gates after {what}")


def test_pointer_stays_off_closed(harness):
    """Does the default never come to stand on something closed, by whichever verb?"""
    with staged(harness) as stage:
        ws, verbs = stage.ws, stage.ws.endpoints
        stage.endpoint.set_default("1")
        for gate in (VERSION, PIPELINE):
            stage.move(gate, open=False)
            before = stage.endpoint.refresh().record
            first = stage.zero.id
            refusal(5, gate, "moving the default onto a closed version", verbs.set_default, "one", "0")
            refusal(5, gate, "rolling back onto a closed version", verbs.rollback, "one")
            refusal(5, gate, "adding a closed version as the default", verbs.add_version, "one", first, default=True)
            again = partial(ws.pipelines.publish_from, first, endpoint="one", default=True)
            refusal(5, gate, "publishing a closed version as the default", again)
            same(5, stage.endpoint.refresh().record, before, "the endpoint after refused moves")
            if gate == PIPELINE:
                refusal(5, gate, "a new endpoint on something closed", verbs.create, "two", first)
                same(5, code_of(verbs.get, "two"), "endpoint_not_found", "a new endpoint on something closed")
            stage.move(gate, open=True)
        stage.move(ENDPOINT, open=False)
        same(5, stage.endpoint.rollback().default, "0", "the default of a closed endpoint, rolled back,")


@python_only
def test_accepted_goes_on(harness):
    """Does a run that was accepted go on when its gate is closed before the target gets it?"""
    held = AtHandOver()
    with staged(harness, held) as stage:
        for gate in (ENDPOINT, VERSION, PIPELINE):
            held.once(partial(_close_and_stay_away, stage, gate))
            run = stage.endpoint.submit()
            ended = harness.wait(stage.ws, run.id, 5)
            same(5, ended.state, "succeeded", f"a run accepted before its gate (`{gate}`) was closed")
            same(5, ended.cancel_requested, False, "whether it was asked to end")
            stage.move(gate, open=True)


def test_cancelled_with_the_gate(harness):
    """Does closing a gate end the runs that came through it, and no other, and only when that is asked?"""
    with staged(harness) as stage:
        for gate in (ENDPOINT, VERSION, PIPELINE):
            runs = {
                what: (passes, submit(parameters={"seconds": 600.0}))
                for what, passes, submit in stage.ways()
                if what in ("the default", "a pinned version", "another version", "the published pipeline")
            }
            with canceled_after(harness, stage.ws, [run for _, run in runs.values()]):
                _closing_ends(harness, stage, gate, runs)
                stage.move(gate, open=True)


def test_listings_leave_closed_out(harness):
    """Do plain listings leave out what is closed and say how much that is, and complete ones show it?"""
    with staged(harness) as stage:
        ws = stage.ws
        ws.create_endpoint("two", stage.one)
        same(5, ws.endpoints.list().hidden, 0, "the number of endpoints left out while all are open")
        stage.move(VERSION, open=False)
        stage.move(PIPELINE, open=False)
        listed = {one.name: one for one in ws.endpoints.list().items}["one"]
        found = ([one.version for one in listed.versions], listed.hidden_versions)
        same(5, found, (["1"], 1), "the versions in a plain listing, and how many it leaves out")
        stage.move(ENDPOINT, open=False)
        for what, page, everything, shown in (
            ("endpoints", ws.endpoints.list(), ws.endpoints.list(all=True), ["two"]),
            ("published pipelines", ws.pipelines.list(), ws.pipelines.list(all=True), [stage.one.name]),
        ):
            names = [one.name for one in page.items]
            same(5, (names, page.hidden), (shown, 1), f"the {what} in a plain listing, and how many it leaves out")
            same(5, (len(everything.items), everything.hidden), (2, 0), f"the {what} in a complete listing")
        named = ws.pipelines.list(name=stage.one.name)
        same(5, named.hidden, 0, "how much a listing of one name leaves out, when something of another is closed")
        complete = {one.name: one for one in ws.endpoints.list(all=True).items}["one"]
        found = ([one.version for one in complete.versions], complete.hidden_versions)
        same(5, found, (["0", "1"], 0), "the versions in a complete listing")


def _close_and_stay_away(stage: Stage, gate: str) -> None:
    stage.move(gate, open=False)
    raise TargetUnavailable("away for a moment", retry_after=0.001)


def _refused(what: str, codes: list[str], otherwise: str, call: Callable[[], object]) -> None:
    """Hold a call to be refused by one of some gates, or with another code when there is none."""
    found = code_of(call)
    said = f"refused with `{found}`" if found else "accepted"
    if codes:
        closed = " and ".join(f"`{code}`" for code in codes)
        require(5, found in codes, f"{what} is {said} while gates on its way are closed: {closed}")
    else:
        require(5, found == otherwise, f"{what} is {said} while no gate on its way is closed")


def _closing_ends(harness: Harness, stage: Stage, gate: str, runs: dict[str, tuple[tuple[str, ...], Run]]) -> None:
    """Close a gate without and with the wish that runs end."""
    stage.move(gate, open=False)
    for what, (_, run) in runs.items():
        asked = run.refresh().record.cancel_requested
        require(
            5, not asked, f"a run by way of {what} is asked to end by closing a gate (`{gate}`), which nobody wished"
        )
    if gate != ENDPOINT:
        # Who closes what is closed already may ask for it too.
        stage.move(gate, open=True)
    stage.close(gate, cancel_runs=True)
    for what, (passes, run) in runs.items():
        if gate in passes:
            found = run.refresh().record
            require(
                5, found.cancel_requested, f"a run by way of {what} is not asked to end by closing a gate (`{gate}`)"
            )
            same(
                5, harness.wait(stage.ws, run.id, 5).state, "canceled", f"a run by way of {what} after its gate closed"
            )
        else:
            found = run.refresh().record
            asked = found.cancel_requested or found.finished
            require(5, not asked, f"a run by way of {what} is `{found.state}` although `{gate}` is not on its way")
