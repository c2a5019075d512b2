"""What the kit says of one law while something is planted: that it is broken, and not that a check met an error."""

from __future__ import annotations

from attrs import evolve

from penstock.testing.checking import Check
from penstock.testing.checks import CHECKS
from penstock.testing.examination import examine
from penstock.testing.harness import Harness
from penstock.testing.laws import LawBroken, Untested
from penstock.testing.profiles import Profile
from penstock.testing.subject import Subject

QUICK = Profile(name="quick", shrink=False, patience=60.0)


def verdict(subject: Subject, law: int, only: tuple[str, ...] = ()) -> tuple[str, str]:
    """The result for one law, with its reason: `error` when a check met anything but a law that is broken.

    The first failure ends it. `only` are the names of the checks to ask, by default all that are about the law.
    """
    errors: list[str] = []
    subject.ready()
    wanted = [check for check in CHECKS if check.name in only or (not only and law in check.laws)]
    report = examine(subject, [_heard(check, errors) for check in wanted], profile=QUICK, seed=1, until_broken=True)
    if errors:
        return "error", errors[0]
    return next((one.result, one.reason) for one in report.laws if one.law == law)


def _heard(check: Check, errors: list[str]) -> Check:
    """The same check; what it raises that is no verdict is noted."""

    def body(harness: Harness) -> str | None:
        try:
            return check.body(harness)
        except (LawBroken, Untested):
            raise
        except Exception as error:
            errors.append(f"{check.name}: {error!r}")
            raise

    return evolve(check, body=body)
