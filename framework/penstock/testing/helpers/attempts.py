"""Publishing and running what a strategy drew: what a target does not take says nothing, what it takes must run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock.errors import ParameterInvalid, TargetUnsupported, format_path
from penstock.records import RunRecord
from penstock.spec import Pipeline
from penstock.testing.harness import Harness
from penstock.testing.helpers.refusals import Refusals
from penstock.testing.laws import LawBroken, require
from penstock.workspace import PublishedPipeline, Workspace


class Attempts:
    """The tries of one check in one workspace. A target may refuse a pipeline at publish (law 6 allows it)."""

    def __init__(self, harness: Harness, workspace: Workspace) -> None:
        self.harness = harness
        self.workspace = workspace
        self._tally = Refusals(harness.subject.target, harness.subject.other)

    def publish(self, pipeline: Pipeline, target: str | None = None) -> PublishedPipeline | None:
        """The published pipeline, or None when the target does not take it."""
        asked = target or self.harness.subject.target
        try:
            published = self.workspace.publish(pipeline, folder=self.harness.spec_folder, target=asked)
        except TargetUnsupported as error:
            self._tally.refused(asked, [format_path(one.path) for one in error.details if one.path], error.message)
            return None
        self._tally.took(asked)
        return published

    def submit(self, published: PublishedPipeline, parameters: Mapping[str, Any]) -> str:
        """The id of an accepted run; the parameters are within their limits."""
        try:
            return self.workspace.runs.submit(published.id, parameters=parameters).run.id
        except ParameterInvalid as error:
            told = "; ".join(str(detail) for detail in error.details)
            raise LawBroken(6, f"parameters within their limits are refused: {told}") from None

    def run(self, law: int, pipeline: Pipeline, parameters: Mapping[str, Any]) -> RunRecord | None:
        """A run that must succeed, after its end, or None when the target does not take the pipeline."""
        published = self.publish(pipeline)
        if published is None:
            return None
        run = self.harness.wait(self.workspace, self.submit(published, parameters), law)
        why = "; ".join(f"step `{one.name}`: {one.error.message}" for one in run.steps if one.error)
        why = why or (run.error.message if run.error else "no error is given")
        require(law, run.state == "succeeded", f"a run that must succeed is {run.state}: {why}")
        return run

    def done(self) -> str | None:
        """What was refused, in a line, or None. Raises Untested when a target that was asked took nothing at all."""
        return self._tally.done()
