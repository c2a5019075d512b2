"""The pipeline: parameters, steps, outputs, and what all steps have in common."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from penstock.spec.parameters import Parameter
from penstock.spec.shown import Shown, mapping
from penstock.spec.steps import Defaults, Retry, Step

API_VERSION = "penstock/v1"


@frozen(kw_only=True, repr=False)
class Pipeline(Shown):
    """A backend-neutral pipeline: parameters, steps, outputs. The document's `kind` is `Pipeline`."""

    name: str
    description: str = ""
    parameters: Mapping[str, Parameter] = field(factory=dict, converter=mapping)
    defaults: Defaults = field(factory=Defaults)
    steps: Mapping[str, Step] = field(converter=mapping)
    outputs: Mapping[str, str] = field(factory=dict, converter=mapping)

    def effective(self, name: str) -> Step:
        """The step as it runs: what it says itself, else the pipeline's defaults. Raises KeyError."""
        from attrs import evolve

        step, base = self.steps[name], self.defaults
        return evolve(
            step,
            env={**base.env, **step.env},
            code=step.code if step.code is not None else base.code,
            image=step.image if step.image is not None else base.image,
            resources=step.resources or base.resources,
            retry=step.retry or base.retry or Retry(),
            timeout=step.timeout if step.timeout is not None else base.timeout,
        )
