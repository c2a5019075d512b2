"""Law 12 for machines that lack something for a while: that ends no run that was accepted."""

from __future__ import annotations

import os
import resource

from penstock.contract.run import RunRequest
from penstock.errors import PenstockError, TargetRefused
from penstock.testing.checking import check
from penstock.testing.harness import Harness, executions
from penstock.testing.helpers.directly import handed_over, is_over, put, request, until
from penstock.testing.laws import require, same
from penstock.testing.opened import Hooks
from penstock.testing.probes.pipelines import variant
from penstock.testing.processes.subprocesses import in_subprocess
from penstock.testing.subject import Subject

_LEFT = (0, 1, 2, 4)
"""How many files a process may still open that hands a run over."""


@check(12)
def lacking_files_end_no_run(harness: Harness) -> None:
    """Is a run that could not be handed over for want of open files taken, once, when there are some again?"""
    marks = harness.counting()
    made = put(harness, variant(harness.subject.python, "a"))
    runs = [request(made, marks=str(marks or "")) for _ in _LEFT]
    said = in_subprocess(_hand_over, harness.subject, runs, timeout=2 * harness.profile.patience)
    for left, one in zip(_LEFT, said, strict=True):
        require(12, not one, f"for want of open files, of which {left} were left, a run is refused for good: {one}")
    for ref in [handed_over(harness, run) for run in runs]:
        same(12, until(harness, ref, is_over, law=12)[-1].state, "succeeded", "a run handed over when there were files")
    if marks is not None:
        same(12, executions(marks), {"tell": len(runs)}, "how often the steps ran of runs that were handed over again")


CHECKS = (lacking_files_end_no_run,)
"""What is asked here."""


def _hand_over(subject: Subject, runs: list[RunRequest]) -> list[str]:
    """Hand each run over with fewer files than that may take; answers why it was refused for good, or nothing."""
    subject.ready()
    hooks, (soft, hard) = Hooks(subject.config, subject.target), resource.getrlimit(resource.RLIMIT_NOFILE)
    said = []
    for left, run in zip(_LEFT, runs, strict=True):
        why, limit = "", _limit(left)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        try:
            hooks.submit(run)
        except TargetRefused as error:
            why = error.message
        except (PenstockError, OSError):  # it is tried again
            pass
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        said.append(why)
    return said


def _limit(left: int) -> int:
    """The number from which on there is no file, so that just so many can be opened: a file gets the lowest."""
    number = 0
    while left >= 0:
        left -= not _is_open(number)
        number += 1
    return number - 1


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True
