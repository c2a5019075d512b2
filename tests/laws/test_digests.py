"""Law 1 for digests: any difference makes another one."""

from __future__ import annotations

from attrs import evolve
from laws.marks import python_only

from penstock.spec import Defaults, Parameter, Resources, Retry
from penstock.testing.checks.frozen import own_code, reader
from penstock.testing.helpers.directly import taken
from penstock.testing.laws import require
from penstock.testing.probes.pipelines import chain

pytestmark = python_only

_SLOWLY = Retry(attempts=2, delay=1.0)


def test_any_difference_counts(harness):
    """Is a pipeline that differs in anything at all another one, by its digest?"""
    plain = chain(harness.subject.python, 2)
    first, last = plain.steps["s0"], plain.steps["s1"]
    digests = {"nothing": taken(harness, plain).digest}
    for what, other in (
        ("its description", evolve(plain, description="Another.")),
        ("a variable for all steps", evolve(plain, defaults=Defaults(code="./src", env={"A": "1"}))),
        ("a delay between attempts", evolve(plain, steps={"s0": first, "s1": evolve(last, retry=_SLOWLY)})),
        ("its outputs", evolve(plain, outputs={"number": plain.outputs["count"]})),
        ("the value of that", evolve(plain, defaults=Defaults(code="./src", env={"A": "2"}))),
        *(
            (f"a step's {next(iter(change))}", evolve(plain, steps={"s0": first, "s1": evolve(last, **change)}))
            for change in (
                {"env": {"A": "1"}},
                {"timeout": 60.0},
                {"retry": Retry(attempts=2)},
                {"inputs": {"before": "${{ parameters.start }}"}},
                {"outputs": {"count": "number"}},
                {"after": ("s0",)},
                {"command": (*last.command, "")},
                {"resources": Resources(cpu=2)},
            )
        ),
    ):
        _another(digests, what, taken(harness, other).digest)
    depth = Parameter("integer", default=3, minimum=1, maximum=9)
    for what, parameter in (
        ("another parameter", depth),
        ("a parameter's default", evolve(depth, default=4)),
        ("a parameter's minimum", evolve(depth, minimum=2)),
        ("a parameter's maximum", evolve(depth, maximum=8)),
        ("a parameter's enum", evolve(depth, enum=(1, 2, 3))),
        ("a parameter's description", evolve(depth, description="How deep.")),
    ):
        other = evolve(plain, parameters={**plain.parameters, "depth": parameter})
        _another(digests, what, taken(harness, other).digest)


def test_any_file_counts(harness):
    """Is a pipeline another one when any file that travels with it has another name, content or executable bit?"""
    folder = own_code(harness)
    code, data = folder / "src", folder / "data.txt"
    data.write_text("data")
    pipeline = evolve(reader(harness.subject.python), parameters={"data": Parameter("file", default="./data.txt")})
    digests = {"nothing": taken(harness, pipeline, folder).digest}

    def executable() -> None:
        (code / "word.txt").chmod(0o755)

    for what, change in (
        ("the content of its code", lambda: (code / "word.txt").write_text("new")),
        ("an executable bit of its code", executable),
        ("the name of a file of its code", lambda: (code / "word.txt").rename(code / "worm.txt")),
        ("another file in its code", lambda: (code / "empty").touch()),
        ("the content of a default that travels", lambda: data.write_text("other data")),
    ):
        change()
        _another(digests, what, taken(harness, pipeline, folder).digest)


def _another(digests: dict[str, str], what: str, digest: str) -> None:
    """Note the digest of a pipeline with something changed: none of the others has it."""
    known = next((one for one, found in digests.items() if found == digest), None)
    require(1, known is None, f"a pipeline has the same digest with {what} and with {known} changed")
    digests[what] = digest
