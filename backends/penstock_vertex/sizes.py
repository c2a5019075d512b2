"""How long a step's arguments become with the values of one run, which nobody can know when a pipeline is published."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MOST_ARGUMENTS = 100_000
"""Characters of all arguments of a container together (Google: limits of custom training, as which steps run)."""

_MENTIONED = re.compile(r"\{\{\$\.inputs\.parameters\['([^']+)'\]\}\}")


def longest_arguments(spec: Mapping[str, Any], values: Mapping[str, str]) -> tuple[str, int]:
    """The step of a compiled pipeline whose arguments become longest, and their characters.

    `values` are the pipeline's parameters as they travel. What a step is given by another one is not counted.
    """
    executors = spec["deploymentSpec"]["executors"]
    sizes: dict[str, int] = {}
    for task in spec["root"]["dag"]["tasks"].values():
        label = spec["components"][task["componentRef"]["name"]]["executorLabel"]
        sources = task.get("inputs", {}).get("parameters", {})
        given = {key: values.get(source.get("componentInputParameter", ""), "") for key, source in sources.items()}
        sizes[task["taskInfo"]["name"]] = sum(
            len(text) + sum(len(given.get(key, "")) for key in _MENTIONED.findall(text))
            for text in executors[label]["container"].get("args", [])
        )
    return max(sizes.items(), key=lambda item: item[1])
