"""Names as Azure takes them, and back: of inputs, outputs and nodes, of components, and tags.

An input or output matches `[A-Za-z_][A-Za-z0-9_]*`, and no two are equal but for the case of their letters; a node
matches `[a-z_][a-z0-9_]*` (azure-ai-ml: `Component._validate_io_names`, `is_valid_node_name`). A spec has more to say:
"1", `max-depth`, `A` beside `a`. What does not fit is written after `x_`, with `__` for `_`, `_d` for a dash and
`_u` before a capital, so that whoever reads a job needs no table.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

LONGEST = 255
"""Characters of the name of a component (Azure: 255) and of what else has a name."""
MOST_TAGS = 40
"""Tags that a target may add: a resource has at most 50 (ARM), and some are penstock's."""

_PREFIX = "x_"
_STEP = "penstock_step__"
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NODE = re.compile(r"[a-z_][a-z0-9_]*")
_TAKEN = re.compile(r"x_|penstock_", re.IGNORECASE)
_READ = re.compile(r"_(_|d|u[a-z])")


def port_names(names: Iterable[str]) -> dict[str, str]:
    """Names of inputs, or of outputs, that are used together, each with its name at Azure."""
    given = list(names)
    seen = Counter(name.lower() for name in given)
    return {
        name: name
        if _PLAIN.fullmatch(name) and not _TAKEN.match(name) and seen[name.lower()] == 1
        else _PREFIX + _written(name)
        for name in given
    }


def node_name(step: str) -> str:
    """The name of a step as a node of a pipeline; no two steps have one node. `fit-model` -> `x_fit_dmodel`."""
    return step if _NODE.fullmatch(step) and not _TAKEN.match(step) else _PREFIX + _written(step)


def own_name(name: str) -> str:
    """The name that one at Azure was made of: of an input, an output or a node."""
    if not name.startswith(_PREFIX):
        return name
    signs = {"_": "_", "d": "-"}
    return _READ.sub(lambda found: signs.get(found[1]) or found[1][1].upper(), name.removeprefix(_PREFIX))


def _written(name: str) -> str:
    signs = {"_": "__", "-": "_d"}
    return "".join(signs.get(char) or (f"_u{char.lower()}" if char.isupper() else char) for char in name)


def component_name(pipeline: str, step: str | None = None) -> str:
    """The name of a pipeline's component, or of a step's: as much of the pipeline's name as Azure takes, which is small
    letters, digits and `_` (its reference of the YAML of components). No two pipelines or steps have one component.

    The parts are joined by `__`, which is in none but the last. A pipeline's name that is not taken as it is has a
    digest behind it, and in the name of a step's component each has one.
    """
    plain = unicodedata.normalize("NFKD", pipeline).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:100].rstrip("_")
    digest = hashlib.sha256(pipeline.encode()).hexdigest()[:8]
    if step is not None:
        return f"{_STEP}{slug}__{digest}__{node_name(step)}"
    return f"penstock_{slug}" if slug == pipeline else f"penstock_{slug}__{digest}"


def is_pipeline(component: str) -> bool:
    """Whether a component is that of a pipeline of ours, by its name."""
    return component.startswith("penstock_") and not component.startswith(_STEP)


def shown_name(step: str) -> str:
    """What the component of a step is displayed as: the step's name, but where it could be the node of another step."""
    return node_name(step) if step.startswith(_PREFIX) else step


def tag_problem(key: str, value: str) -> str | None:
    """What is wrong with a tag, as one sentence, or None: keys have at most 512 characters, values 256 (ARM)."""
    odd = next((char for char in key if char in "<>%&\\?/" or not char.isprintable()), None)
    if odd is not None:
        return f"the key of the tag `{key[:80]}` holds {odd!r}, which ARM takes in no key"
    if not key or len(key) > 512 or len(value) > 256:
        return f"the tag `{key[:80]}`: a key has 1 to 512 characters, a value at most 256"
    return None
