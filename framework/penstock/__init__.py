"""penstock: a stable URL for your ML pipeline, with versions, a gate and rollback behind it.

Names are imported on first use, so that `import penstock` costs nothing that is not used.
"""

from __future__ import annotations

import importlib

TYPE_CHECKING = (
    False  # as `typing` has it, whose import takes longer than all the rest of a start until it hears Ctrl-C
)
if TYPE_CHECKING:
    from penstock.codec import load_pipeline, to_yaml
    from penstock.contract.hooks import hookimpl
    from penstock.errors import PenstockError
    from penstock.spec import Defaults, Output, Parameter, Pipeline, Resources, Retry, Step
    from penstock.workspace import Endpoint, PublishedPipeline, Run, Workspace

__all__ = [
    "Defaults",
    "Endpoint",
    "Output",
    "Parameter",
    "PenstockError",
    "Pipeline",
    "PublishedPipeline",
    "Resources",
    "Retry",
    "Run",
    "Step",
    "Workspace",
    "hookimpl",
    "load_pipeline",
    "to_yaml",
]

_HOMES = {
    "penstock.codec": ("load_pipeline", "to_yaml"),
    "penstock.errors": ("PenstockError",),
    "penstock.contract.hooks": ("hookimpl",),
    "penstock.spec": ("Defaults", "Output", "Parameter", "Pipeline", "Resources", "Retry", "Step"),
    "penstock.workspace": ("Endpoint", "PublishedPipeline", "Run", "Workspace"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module `penstock` has no attribute `{name}`")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
