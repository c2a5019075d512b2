"""Artifacts of a run by where they lie now: a place that was moved or copied has others than were reported once."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve

from penstock.codec import from_canonical
from penstock.contract.run import RunRef
from penstock.dispatch.reports import output_types, step_types
from penstock.errors import PenstockError
from penstock.records import RunRecord
from penstock.registry import Registry, WouldBlock
from penstock.spec import Pipeline, Type, Value
from penstock.targets.facade import OpenTarget
from penstock.targets.opened import OpenTargets

HOOK = "penstock_locate_artifact"


class Placing:
    """Asks targets where artifacts lie by now."""

    def __init__(self, registry: Registry, targets: OpenTargets) -> None:
        self._registry = registry
        self._targets = targets
        self._pipelines: dict[str, Pipeline] = {}

    def placed(self, run: RunRecord) -> RunRecord:
        """A run with the paths that its artifacts have by now; as reported where its target does not say.

        URIs are left alone, and what has no path is returned as it is. Raises WouldBlock where nothing may wait.
        """
        if not any(map(_is_path, run.outputs.values())) and not any(
            _is_path(value) for step in run.steps for value in step.outputs.values()
        ):
            return run
        if self._registry.must_not_block:
            raise WouldBlock
        try:
            ref, placement = self._registry.runs.ref(run.id)
            target = self._targets.open_frozen(placement)
            if not target.has(HOOK):
                return run
            return self._located(run, ref, target)
        except PenstockError:
            return run

    def pipeline(self, digest: str) -> Pipeline:
        """What a run resolved to."""
        if digest not in self._pipelines:
            self._pipelines[digest] = from_canonical(self._registry.pipelines.snapshot(digest).spec)
        return self._pipelines[digest]

    def _located(self, run: RunRecord, ref: RunRef, target: OpenTarget) -> RunRecord:
        pipeline = self.pipeline(run.digest)

        def located(values: Mapping[str, Value], types: Mapping[str, Type]) -> dict[str, Value]:
            return {
                name: target.locate_artifact(ref, value).text
                if isinstance(value, str) and _is_path(value) and types.get(name) in ("file", "directory")
                else value
                for name, value in values.items()
            }

        steps = tuple(
            evolve(step, outputs=located(step.outputs, step_types(pipeline, step.name)))
            if step.outputs and step.name in pipeline.steps
            else step
            for step in run.steps
        )
        return evolve(run, outputs=located(run.outputs, output_types(pipeline)), steps=steps)


def _is_path(value: Value) -> bool:
    return isinstance(value, str) and value.startswith("/")
