"""KFP's message types, without KFP: its compiler and client take ten times as long to import and are not needed."""

from __future__ import annotations

import functools
import importlib.util
import sys
from pathlib import Path
from typing import Any

from penstock.errors import ConfigInvalid

_MODULE = "kfp.pipeline_spec.pipeline_spec_pb2"


@functools.cache
def messages() -> Any:
    """The module of `kfp-pipeline-spec` with `PipelineSpec` and what it is made of.

    Where the package `kfp` is installed too, importing one of its modules would import all of it, so the file is
    loaded by itself. Raises ConfigInvalid (`backend_unavailable`) without the extra `vertex`.
    """
    try:
        return _loaded()
    except ModuleNotFoundError as error:
        raise ConfigInvalid(
            f"the backend `vertex` needs the package `{error.name}`, which is not installed. Install it with: "
            "pip install 'penstock[vertex]'",
            code="backend_unavailable",
        ) from None


def _loaded() -> Any:
    if _MODULE in sys.modules:
        return sys.modules[_MODULE]
    package = importlib.util.find_spec("kfp")
    for folder in package.submodule_search_locations or () if package else ():
        file = Path(folder, "pipeline_spec", "pipeline_spec_pb2.py")
        if file.is_file():
            spec = importlib.util.spec_from_file_location(f"{__name__}.pipeline_spec_pb2", file)
            assert spec is not None and spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
    raise ModuleNotFoundError(name="kfp-pipeline-spec")
