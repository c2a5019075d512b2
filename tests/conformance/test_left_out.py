"""What the kit does not get to see is said: uncounted steps, refused pipelines, and checks that nobody would ask."""

from __future__ import annotations

import importlib
import pkgutil

import pytest
from laws.refusals import MAIN, OTHER, Refusals

from penstock.errors import UsageError
from penstock.testing import checks
from penstock.testing.checking import Check
from penstock.testing.examination import is_core
from penstock.testing.laws import LAWS, Untested
from penstock.testing.processes.subprocesses import in_subprocess

pytestmark = pytest.mark.thorough


@pytest.fixture
def prepared(tmp_path, engines_end):
    """Ask checks by their names of a target that was changed so, in a process of its own."""

    from blinded import examined

    def ask(change, *names):
        return in_subprocess(examined, tmp_path, (f"blinded:{change}",), names)

    yield ask
    engines_end(tmp_path)


def test_where_steps_cannot_be_counted_laws_that_need_it_are_skipped(prepared):
    names = ("failure_spares_others", "handed_over_again", "states_go_forward", "retried_and_counted", "canceled_stays")
    names += ("runs_need_nobody_to_wait", "told_twice")
    found, laws = prepared("steps_see_nothing", *names)
    why = "executions could not be counted: steps on this target do not see this machine's files"
    assert {law: laws[law] for law in (8, 9, 12)} == dict.fromkeys((8, 9, 12), ("skip", why))
    passed = {name for name, outcome in found.items() if outcome == ("pass", "")}
    assert passed == {"failure_spares_others", "told_twice"}
    assert laws[5] == ("pass", "")
    assert laws[4] == ("core", "")


def test_what_only_one_target_took_was_not_compared(prepared):
    found, laws = prepared("second_refuses_all", "types_are_kept", "logs_can_be_followed")
    assert {name: result for name, (result, _) in found.items()} == dict.fromkeys(found, "skip")
    assert found["types_are_kept"][1].startswith("the other target refused all of 1 pipelines, the last so: ")
    assert laws[11][0] == "skip"


def test_what_was_refused_is_said_beside_a_pass(prepared):
    found, _ = prepared("retries_are_refused", "runs_are_the_same")
    result, reason = found["runs_are_the_same"]
    assert result == "pass"
    assert reason.startswith("the target refused ") and "pipelines: retry; the other target refused" in reason


def test_what_is_excused_and_there_is_an_error(tmp_path, engines_end):
    from blinded import examined

    with pytest.raises(UsageError, match="offers `penstock_read_logs` by now: take it out of `unsupported`"):
        examined(tmp_path, (), ("types_are_kept",), {"penstock_read_logs": "never"})
    engines_end(tmp_path)


def test_a_tally_counts_and_says_what_for_in_few_words():
    refusals, more = Refusals("a", "b"), Refusals("a", "b")
    assert refusals.done() is None
    for number in range(30):
        more.refused("a", [f"$.steps.s{number}.retry", f"$.parameters.{'x' * 50}"], "no")
    more.refused("a", ["$.steps.s0.timeout"], "no")
    refusals.add(more)
    with pytest.raises(Untested, match=r"^the target refused all of 31 pipelines, the last so: no$"):
        refusals.done()
    refusals.took("a")
    assert refusals.done() == "the target refused 31 of 32 pipelines: retry ..."
    refusals.refused("b", (), "never")
    with pytest.raises(Untested, match=r"^the other target refused all of 1 pipelines, the last so: never$"):
        refusals.done()


def test_a_tally_hears_HookCalls_players():
    refusals = Refusals(MAIN, OTHER)
    refused = {"refused": "target_unsupported", "at": ["$.steps.s0.timeout"], "message": "no"}
    assert refusals.hear("publish", {"variant": "a"}, {"published": {}})
    assert refusals.hear("cancel", {"run": "r"}, refused)
    assert refusals.done() is None
    assert not refusals.hear("publish_from", {"ref": "r", "target": OTHER}, refused)
    with pytest.raises(Untested):
        refusals.done()
    assert refusals.hear("publish_from", {"ref": "r", "target": OTHER}, {"published": {}})
    assert refusals.done() == "the other target refused 1 of 2 pipelines: timeout"


def test_every_check_is_asked_and_each_has_a_name_of_its_own():
    found = []
    for module in pkgutil.iter_modules(checks.__path__, f"{checks.__name__}."):
        there = vars(importlib.import_module(module.name)).values()
        found += [one for one in there if isinstance(one, Check) and one not in found]
    left = [check.name for check in found if check not in checks.CHECKS]
    assert not left, f"decorated by @check and never asked: {', '.join(left)}"
    assert len(found) == len(checks.CHECKS) == len({check.name for check in checks.CHECKS})
    assert {law for check in checks.CHECKS for law in check.laws} == {1, 5, 6, 7, 8, 9, 11, 12, 13}
    assert {law.number for law in LAWS if is_core(law.number)} == {2, 3, 4, 10}
