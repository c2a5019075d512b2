"""The conformance kit: the laws of penstock as tests that any backend can take. Needs the extra `testing`.

You have a backend: a module with hooks (`penstock.contract.hooks`), in a distribution with an entry point in the group
`penstock.backends`. This is how you know that it keeps what penstock promises to its callers.

Install
    `pip install 'penstock[testing]'`, and your distribution beside it: penstock finds it by its entry point.

One class and one fixture
    `test_conformance.py`, run by `pytest`:

        import pytest
        from penstock.testing import Conformance

        class TestTiny(Conformance):
            unsupported = {"penstock_sync_endpoint": "never"}

            @pytest.fixture(scope="class")
            @classmethod
            def options(cls, tmp_path_factory):
                return {"backend": "tiny", "folder": str(tmp_path_factory.mktemp("tiny"))}

    `options` are those of a target in `penstock.yaml`; give the tests a place of their own, because a few hundred
    small runs happen there. A second fixture, `other_options`, says where versions of an endpoint move to; without it
    that is the same place under another name. Steps run a small program that is published with them, by `python` on
    the target's PATH, 3.8 or newer: `python = "python3"` in the class calls it otherwise. `prepare` names functions
    (`package.module:function`) that each process of the kit calls first, for what your backend needs to be set up.

What is asked
    One test for each question, named by the laws it is about: whether a published pipeline stays what it is; whether
    values arrive byte for byte, one intent is one run, an end is final; whether the same calls give the same on two
    targets; whether what it is told of endpoints is taken; whether a secret that it says it keeps is kept; whether
    nothing is lost when processes are killed between any two durable steps, or answers come late, twice or never.
    `LAWS` has the laws in a line each. Some is asked through the verbs that your users call, most through your hooks.
    Laws that no backend can break are not asked: they are called `core`, and penstock's own tests ask them.
    What your target cannot do it refuses when a pipeline is published (`penstock_validate_pipeline`), and no question
    is asked about that; how much it refused is said beside the law. What it accepts it has to keep.

What is not there
    An optional hook is offered by being implemented. A question that needs one you do not offer is skipped, by the
    hook's name and with a reason, which is one of three: `not yet` (nobody wrote it), `upstream` (the place itself
    cannot do it), `never` (it makes no sense there). `unsupported` says which; without it the reason is `not yet`. A
    hook that `unsupported` excuses and that is there fails a test of its own, and `penstock conformance` is refused
    with it, so that the excuse goes when the hook comes.

How to read the result
    The end of the session shows each law: `pass`, `fail`, `skip` or `core`. A law passes when all that was asked about
    it passed; what could not be asked for want of a hook is named beside it. It is skipped, never passed, if something
    about it could not be tested: steps that do not see this machine's files cannot be counted, a target that took no
    pipeline cannot be compared, questions that were deselected were not asked, and where another law broke first the
    rest was left. A skip is no failure; nor is it a promise.

A failure
    says which law is broken, what was asked, what was found, and the seed.

Seeds and depth
    Every examination has a seed, new each time, shown at the end, by `pytest -q` as well. `--hypothesis-seed=N`, or
    `seed = N` in the class, draws the same again. `profile = DEEP` in a class asks a dozen times as much: keep it
    for nights, in a class of its own with a marker of yours. What you like in between is a `Profile`; while much is
    still wrong, `profile = Profile(name="sketch", thoroughness=0.3, patience=10)` takes less time over it.

From the command line
    `penstock conformance TARGET` examines a target that is configured, on the real place behind it, with `--deep`,
    `--seed` and `--unsupported HOOK=REASON`; `--json` and `--markdown` give the matrix for a program and for your
    README.

What it leaves behind
    Registries, archives and marks lie in pytest's temporary folder, or in one that `penstock conformance` makes, and
    go with it. What your target keeps of runs and publications stays where your options say. Slow runs are canceled if
    your backend can do that.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.testing.checking import Check, check
    from penstock.testing.examination import LawResult, Outcome, Report, examine
    from penstock.testing.harness import Harness
    from penstock.testing.laws import LAWS, Law, LawBroken, Untested
    from penstock.testing.profiles import DEEP, DEFAULT, Profile
    from penstock.testing.subject import REASONS, Subject
    from penstock.testing.suite import Conformance

__all__ = [
    "DEEP",
    "DEFAULT",
    "LAWS",
    "REASONS",
    "Check",
    "Conformance",
    "Harness",
    "Law",
    "LawBroken",
    "LawResult",
    "Outcome",
    "Profile",
    "Report",
    "Subject",
    "Untested",
    "check",
    "examine",
]

_HOMES = {
    "penstock.testing.harness": ("Harness",),
    "penstock.testing.checking": ("Check", "check"),
    "penstock.testing.examination": ("LawResult", "Outcome", "Report", "examine"),
    "penstock.testing.laws": ("LAWS", "Law", "LawBroken", "Untested"),
    "penstock.testing.profiles": ("DEEP", "DEFAULT", "Profile"),
    "penstock.testing.subject": ("REASONS", "Subject"),
    "penstock.testing.suite": ("Conformance",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module `penstock.testing` has no attribute `{name}`")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
