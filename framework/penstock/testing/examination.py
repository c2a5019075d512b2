"""One examination: every check of the laws, asked in order, and the report that comes of it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from traceback import extract_tb
from typing import Any, Literal

from attrs import evolve, frozen

from penstock.errors import PenstockError, UsageError, one_line
from penstock.testing.checking import Check
from penstock.testing.harness import Harness
from penstock.testing.laws import LAWS, LawBroken, Untested
from penstock.testing.profiles import DEFAULT, Profile
from penstock.testing.subject import Subject

Result = Literal["pass", "fail", "skip", "core"]
"""What became of a law, or of one check. `core`: no backend can break the law, so no backend is asked about it."""

_UNEXPECTED = "the check met an error that it did not expect: "
"""How a failure begins that nobody put into words: the first law of the check has it."""


@frozen(kw_only=True)
class Outcome:
    """What one check came to. `lacking` is the hook it was skipped for; `details` is what a failure has to show.

    `reason` of a pass is what it left out; `told` is what it looked at.
    """

    check: Check
    result: Result
    reason: str = ""
    law: int | None = None
    lacking: str | None = None
    details: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    seconds: float = 0.0


@frozen(kw_only=True)
class LawResult:
    """What a law came to: `pass` only when each of its checks passed or needs a hook that is not offered.

    `core` is a law that the kit asks nothing about: penstock's own tests ask it of the core.
    """

    law: int
    result: Result
    reason: str = ""


@frozen(kw_only=True)
class Report:
    """The matrix of laws by result for one target."""

    target: str
    seed: int
    laws: tuple[LawResult, ...]

    @property
    def failed(self) -> tuple[LawResult, ...]:
        """The laws that are broken."""
        return tuple(one for one in self.laws if one.result == "fail")


def new_seed() -> int:
    """A seed for an examination that nobody gave one."""
    return random.randrange(2**32)


def ask(harness: Harness, check: Check) -> Outcome:
    """Ask one check. Never raises for what the target or penstock does: a failure is an outcome.

    One that left something essential out (`Harness.leave_out`) is skipped, not passed.
    """
    started = time.monotonic()
    harness.told.clear()
    harness.left_out.clear()
    outcome = _asked(harness, check)
    if outcome.result == "pass" and harness.left_out:
        outcome = evolve(outcome, result="skip", reason="; ".join(harness.left_out))
    return evolve(outcome, seconds=time.monotonic() - started, told=tuple(harness.told))


def _asked(harness: Harness, check: Check) -> Outcome:
    for hook in check.needs:
        if not harness.has(hook):
            reason = f"`{hook}`: {harness.subject.reason(hook)}"
            return Outcome(check=check, result="skip", reason=reason, lacking=hook)
    try:
        return Outcome(check=check, result="pass", reason=check.body(harness) or "")
    except Untested as error:
        return Outcome(check=check, result="skip", reason=str(error))
    except ExceptionGroup as group:
        # What hypothesis has seen once and not again, when it tried to make it smaller.
        found = next((error for error in group.exceptions if isinstance(error, LawBroken)), group.exceptions[0])
        outcome = _failed(check, found)
        return evolve(outcome, reason=f"{outcome.reason} (not every time)")
    except Exception as error:
        return _failed(check, error)


def _failed(check: Check, error: Exception) -> Outcome:
    """What a check came to that raised."""
    if isinstance(error, LawBroken):
        return Outcome(check=check, result="fail", reason=error.message, law=error.law, details=_notes(error))
    said = f"`{error.code}`: {error.message}" if isinstance(error, PenstockError) else one_line(error)
    details = (_place(error), *_notes(error))
    return Outcome(check=check, result="fail", reason=f"{_UNEXPECTED}{said}", law=check.laws[0], details=details)


def _notes(error: BaseException) -> tuple[str, ...]:
    return tuple(getattr(error, "__notes__", ()))


def _place(error: BaseException) -> str:
    """Which line of which check met an error that it does not expect."""
    frames = [frame for frame in extract_tb(error.__traceback__) if "checks" in Path(frame.filename).parts]
    return f"met at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "met before any check"


def come_by_now(harness: Harness) -> str | None:
    """What is wrong when the subject's `unsupported` excuses hooks that the backend offers, or None."""
    there = [f"`{hook}`" for hook in harness.subject.unsupported if harness.has(hook)]
    return f"the backend offers {', '.join(there)} by now: take it out of `unsupported`" if there else None


def examine(
    subject: Subject,
    checks: Iterable[Check],
    *,
    profile: Profile = DEFAULT,
    seed: int,
    asked: Callable[[Check], None] = lambda check: None,
    told: Callable[[Outcome], None] = lambda outcome: None,
    until_broken: bool = False,
) -> Report:
    """Ask every check of a subject. `asked` hears each question before, `told` each outcome after it was asked.

    With `until_broken` the first failure ends it. Raises PenstockError when the target cannot even be opened, and
    UsageError when the smallest pipeline fails there, and when the subject is said to lack what is there.
    """
    harness = Harness(subject, profile, seed)
    if come := come_by_now(harness):
        raise UsageError(come)
    harness.try_out()
    outcomes: list[Outcome] = []
    for check in checks:
        asked(check)
        outcomes.append(ask(harness, check))
        told(outcomes[-1])
        if until_broken and outcomes[-1].result == "fail":
            break
    return Report(target=subject.target, seed=seed, laws=tuple(result_of(law.number, outcomes) for law in LAWS))


def examine_laws(subject: Subject, laws: Collection[int] = (), **more: Any) -> Report:
    """`examine` with every check about these laws, or about any; importable, so that another process can do it.

    Of a law that was not asked for, nothing is said but that it broke.
    """
    from penstock.testing.checks import CHECKS

    if not laws:
        return examine(subject, CHECKS, **more)
    report = examine(subject, [check for check in CHECKS if set(laws) & set(check.laws)], **more)
    left = {
        one.law: one if one.result == "core" else evolve(one, result="skip", reason="not asked") for one in report.laws
    }
    return evolve(
        report, laws=tuple(one if one.law in laws or one.result == "fail" else left[one.law] for one in report.laws)
    )


def is_core(law: int) -> bool:
    """Whether the kit asks nothing about a law."""
    from penstock.testing.checks import CHECKS

    return not any(law in check.laws for check in CHECKS)


def result_of(law: int, outcomes: Sequence[Outcome]) -> LawResult:
    """What the checks make of one law."""
    mine = [one for one in outcomes if law in one.check.laws]
    broken = [one for one in outcomes if one.result == "fail" and one.law == law]
    if not mine and not broken and is_core(law):
        return LawResult(law=law, result="core")
    if broken:
        return LawResult(law=law, result="fail", reason=f"{broken[0].check.name}: {broken[0].reason}")
    stopped = [one for one in mine if one.result == "fail"]
    if stopped:
        return LawResult(
            law=law, result="skip", reason=f"{stopped[0].check.name} stopped when law {stopped[0].law} broke"
        )
    skipped = [one for one in mine if one.result == "skip"]
    untested = [one for one in skipped if one.lacking is None]
    if untested or len(skipped) == len(mine):
        reasons = dict.fromkeys(one.reason for one in untested or skipped)
        return LawResult(law=law, result="skip", reason="; ".join(reasons) or "nothing asked about it")
    reasons = dict.fromkeys(f"without {one.check.name}: {one.reason}" for one in skipped)
    reasons |= dict.fromkeys(one.reason for one in mine if one.result == "pass" and one.reason)
    return LawResult(law=law, result="pass", reason="; ".join(reasons))
