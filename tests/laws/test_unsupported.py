"""Law 6 at publish: what one target cannot do is refused there, whichever way it comes."""

from __future__ import annotations

from collections.abc import Generator

from laws.error_codes import refusal
from laws.marks import python_only

from penstock.codec import to_yaml
from penstock.contract.hooks import hookimpl
from penstock.contract.target import Problem, Publication, Target
from penstock.testing.helpers.setup import set_up, unique
from penstock.testing.laws import same
from penstock.testing.probes.pipelines import variant

pytestmark = python_only


def test_refused_on_every_way(harness):
    """Is what one target cannot do refused there, whichever way it comes, before anything is put or kept there?"""
    lacking = _Lacking(harness.subject.other)
    with harness.workspace(plugins=[("lacking", lacking)]) as ws:
        pipeline, other = variant(harness.subject.python, unique("lacking")), harness.subject.other
        first = set_up(harness, ws, pipeline)
        file = harness.spec_folder / f"{unique('trial')}.yaml"
        file.write_text(to_yaml(pipeline), encoding="utf-8")
        publish, again, trial = ws.pipelines.publish, ws.pipelines.publish_from, ws.runs.submit
        code = "target_unsupported"
        refusal(6, code, "publishing it there", publish, pipeline, folder=harness.spec_folder, target=other)
        refusal(6, code, "publishing it from the first target", again, first.id, target=other)
        refusal(6, code, "running its file there", trial, str(file), target=other)
        same(6, lacking.publications, 1, "how often a target was given something, when one took it and one did not")
        same(6, [one.id for one in ws.pipelines.list(all=True).items], [first.id], "what is published")
        same(6, ws.runs.list().items, (), "what was accepted")


class _Lacking:
    """A plugin by which a target cannot do anything; counts what the targets are given."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.publications = 0

    @hookimpl(wrapper=True)
    def penstock_validate_pipeline(self, target: Target) -> Generator[None, list[Problem], list[Problem]]:
        """Say that it cannot, after what the target says itself."""
        found = list((yield))
        if target.name == self.target:
            found.append(Problem(severity="error", code="lacking", message="the kit says that this cannot be done"))
        return found

    @hookimpl(wrapper=True)
    def penstock_publish_pipeline(self) -> Generator[None, Publication, Publication]:
        """Count, change nothing."""
        self.publications += 1
        return (yield)
