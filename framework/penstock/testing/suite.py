"""pytest's side of the kit: whoever has a backend inherits one class, writes one fixture and has the suite."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from penstock.errors import PenstockError
from penstock.testing.checking import Check
from penstock.testing.checks import CHECKS
from penstock.testing.examination import LawResult, Outcome, ask, come_by_now, new_seed, result_of
from penstock.testing.harness import Harness
from penstock.testing.laws import LAWS
from penstock.testing.profiles import DEFAULT, Profile
from penstock.testing.subject import Subject


class Conformance:
    """The laws as tests, one for each question of the kit. Inherit it in a class named `Test...`.

    In that class, or beside it, there is a fixture `options` with a scope wider than a test: the target's options as
    `penstock.yaml` would hold them, `backend` among them. The attributes say the rest; see `Subject` for `unsupported`,
    `python` and `prepare`. The seed is a new one each time, unless `seed` or `--hypothesis-seed` says which.
    """

    profile: ClassVar[Profile] = DEFAULT
    seed: ClassVar[int | None] = None
    unsupported: ClassVar[Mapping[str, str]] = {}
    python: ClassVar[str] = "python"
    prepare: ClassVar[tuple[str, ...]] = ()

    @pytest.fixture(scope="class")
    @classmethod
    def other_options(cls) -> Mapping[str, Any] | None:
        """The options of the target that versions move to; None is the same place again, under another name."""
        return None

    @pytest.fixture(scope="class")
    @classmethod
    def harness(
        cls,
        request: pytest.FixtureRequest,
        tmp_path_factory: pytest.TempPathFactory,
        options: Mapping[str, Any],
        other_options: Mapping[str, Any] | None,
    ) -> Harness:
        """What the questions are asked of, made once for the class."""
        folder = tmp_path_factory.mktemp("conformance")
        seed = _seed_given(request.config, cls.seed)
        try:
            subject = Subject.of_options(
                folder, options, other_options, unsupported=cls.unsupported, python=cls.python, prepare=cls.prepare
            )
            harness = Harness(subject, cls.profile, new_seed() if seed is None else seed)
            harness.try_out()
        except PenstockError as error:
            pytest.fail(f"the target cannot be examined: {error}", pytrace=False)
        _Matrix.of(request.config).add(request.node.nodeid, harness)
        return harness

    @pytest.fixture(scope="class")
    @classmethod
    def outcomes(cls, request: pytest.FixtureRequest, harness: Harness) -> list[Outcome]:
        """What came of each question so far, in the order in which they were asked."""
        return _Matrix.of(request.config).outcomes(harness)

    @pytest.mark.parametrize("check", [pytest.param(check, id=check.id) for check in CHECKS])
    def test_law(self, harness: Harness, outcomes: list[Outcome], check: Check) -> None:
        """One question. A broken law fails; a hook that is not there, or a law that cannot be tested here, skips."""
        outcome = ask(harness, check)
        outcomes.append(outcome)
        if outcome.result == "fail":
            pytest.fail(_failure(harness, outcome), pytrace=False)
        if outcome.result == "skip":
            pytest.skip(outcome.reason)

    def test_what_is_unsupported_is_not_there(self, harness: Harness) -> None:
        """A hook that `unsupported` excuses is not there: one that has come is noticed, and tested from then on."""
        if come := come_by_now(harness):
            pytest.fail(come, pytrace=False)


def _failure(harness: Harness, outcome: Outcome) -> str:
    law = LAWS[(outcome.law or outcome.check.laws[0]) - 1]
    lines = [
        f"law {law.number} ({law.name}) is broken: {law.says}",
        f"asked: {outcome.check.question}",
        f"found: {outcome.reason}",
        *outcome.details,
        f"to see it again: --hypothesis-seed={harness.seed} -k {outcome.check.id}",
    ]
    return "\n".join(lines)


def _seed_given(config: pytest.Config, usual: int | None) -> int | None:
    """The seed of hypothesis' own option, which counts for everything that the kit draws, else the usual one."""
    given = config.getoption("--hypothesis-seed", default=None)
    if given is None:
        return usual
    try:
        return int(given)
    except ValueError:
        raise pytest.UsageError(f"--hypothesis-seed: the conformance kit takes a number, not `{given}`") from None


class _Matrix:
    """Seeds and laws by result, of every class, at the end of the session: quiet runs show them too."""

    NAME = "penstock-conformance"

    def __init__(self) -> None:
        self._found: list[tuple[str, Harness, list[Outcome]]] = []

    @classmethod
    def of(cls, config: pytest.Config) -> _Matrix:
        """The one of this session, which is a plugin from the first class on."""
        found = config.pluginmanager.get_plugin(cls.NAME)
        if not isinstance(found, cls):
            found = cls()
            config.pluginmanager.register(found, cls.NAME)
        return found

    def add(self, name: str, harness: Harness) -> None:
        """Another class begins."""
        self._found.append((name, harness, []))

    def outcomes(self, harness: Harness) -> list[Outcome]:
        """What a class has found so far."""
        return next(outcomes for _, known, outcomes in self._found if known is harness)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show them."""
        for name, harness, outcomes in self._found:
            terminalreporter.section(f"{name}: backend {harness.hooks.target.backend}")
            terminalreporter.line(f"seed {harness.seed}, profile {harness.profile.name}")
            for law in LAWS:
                found = _result(law.number, outcomes)
                terminalreporter.line(f"{law.number:>2} {law.name:<20} {found.result} {found.reason}".rstrip())


def _result(law: int, outcomes: list[Outcome]) -> LawResult:
    """What came of a law; without all of its questions there is no pass."""
    found = result_of(law, outcomes)
    asked = {outcome.check.id for outcome in outcomes}
    left = sum(law in check.laws and check.id not in asked for check in CHECKS)
    if left and found.result == "pass":
        return LawResult(law=law, result="skip", reason=f"{left} of its questions were not asked")
    return found
