"""The pipeline: parameters, steps, outputs, and what all steps have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import evolve, field, frozen

from penstock.errors import Path
from penstock.spec.keys import KEY, Key, attributes, is_default
from penstock.spec.parameters import Parameter
from penstock.spec.shown import Shown, mapping
from penstock.spec.steps import Defaults, Step

API_VERSION = "penstock/v1"

_NAMED = {KEY: Key(named=True)}
_OUTPUTS = {KEY: Key(links=("steps",), named=True)}


@frozen(kw_only=True, repr=False)
class Pipeline(Shown):
    """A backend-neutral pipeline: parameters, steps, outputs. The document's `kind` is `Pipeline`.

    `name` is what it is published under unless another name is said. `description` is for people. `parameters` are what
    a trigger may say, by name. `defaults` are what steps inherit that do not say it themselves. `steps` are its
    processes, by name. `outputs` are what a run of it shows, by name: each an output of a step, like
    `${{ steps.train.outputs.accuracy }}`.
    """

    name: str = field(metadata={KEY: Key(own_rules=True)})
    description: str = ""
    parameters: Mapping[str, Parameter] = field(factory=dict, converter=mapping, metadata=_NAMED)
    defaults: Defaults = field(factory=Defaults)
    steps: Mapping[str, Step] = field(converter=mapping, metadata=_NAMED)
    outputs: Mapping[str, str] = field(factory=dict, converter=mapping, metadata=_OUTPUTS)

    def effective(self, name: str) -> Step:
        """The step as it runs: what it says itself, else the pipeline's defaults; mappings are put together.

        Raises KeyError.
        """
        step = self.steps[name]
        inherited: dict[str, Any] = {}
        for attribute in attributes(Defaults):
            own, base = getattr(step, attribute.name), getattr(self.defaults, attribute.name)
            if isinstance(base, Mapping):
                inherited[attribute.name] = {**base, **own}
            elif not _says(step, attribute.name):
                otherwise = attribute.about.otherwise
                inherited[attribute.name] = otherwise() if base is None and otherwise else base
        return evolve(step, **inherited)

    def heirs(self, path: Path) -> Iterator[tuple[str, Step]]:
        """The steps for which what stands at a path of `defaults` holds, because they do not say it themselves."""
        attribute = next(one for one in attributes(Defaults) if one.key == path[0])
        for name, step in self.steps.items():
            own = getattr(step, attribute.name)
            if path[1] not in own if isinstance(own, Mapping) else not _says(step, attribute.name):
                yield name, step


def _says(step: Step, name: str) -> bool:
    default = next(one.default for one in attributes(Step) if one.name == name)
    return not is_default(getattr(step, name), default)
