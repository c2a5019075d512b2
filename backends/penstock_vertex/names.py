"""Names as Google takes them: of tasks, of pipelines, and labels.

A task's name is made of lower-case letters, digits and dashes, and begins with a letter. What kfp's compiler writes
keeps to that (`kfp.compiler.compiler_utils.sanitize_component_name` makes it so); Google documents no rule, so nothing
more is tried. A step has more characters to choose from: `_` is written as `--`, and what else does not fit as `-x` and
its code in hexadecimal. `task_name` and `step_name` undo each other, so that whoever reads a job needs no table.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from urllib.parse import quote

MAX_TASK = 128
"""Characters of a task's name: that of the job which runs it is as long (Google; a task's own limit is a guess)."""
MAX_LABELS = 56
"""Labels that a target may add: 64 is Google's limit for one resource, and some are penstock's."""
MAX_LABEL = 63

_PREFIX = "x-"
_WRITTEN = re.compile(r"_|-(?![a-wyz0-9])|[A-Z]")
_READ = re.compile(r"-x([0-9a-f]{2})|--")
_NO_HEADER = re.compile(r"[^ -$&-~]+")


def task_name(step: str) -> str:
    """The name of a step as a task, however long; no two steps have one task. `fit_model` -> `fit--model`."""
    made = _WRITTEN.sub(_written, step)
    return made if re.match(r"[a-z]", made) and not made.startswith(_PREFIX) else _PREFIX + made


def step_name(task: str) -> str:
    """The step that a task was made of: `step_name(task_name(step)) == step`."""
    return _READ.sub(lambda found: chr(int(found[1], 16)) if found[1] else "_", task.removeprefix(_PREFIX))


def _written(found: re.Match[str]) -> str:
    last = found.end() == len(found.string)
    return "--" if found[0] == "_" and not last else f"-x{ord(found[0]):02x}"


def pipeline_name(name: str) -> str:
    """A pipeline's name as Google takes it: the first of it that is a letter or digit, and a digest of the rest.

    Google groups what a pipeline made by this name, and shows the one that people gave it.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:63].rstrip("-")
    if slug == name and re.match(r"[a-z]", slug):
        return slug
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return "-".join(part for part in ("p" if not re.match(r"[a-z]", slug) else "", slug, digest) if part)


def header_text(text: str) -> str:
    """A text as the value of an object's metadata, which travels in HTTP headers: what is no printable ASCII, and `%`,
    as percent and hexadecimal, as in URLs. `urllib.parse.unquote` undoes it.
    """
    return _NO_HEADER.sub(lambda found: quote(found[0], safe=""), text)


def label_problem(key: str, value: str) -> str | None:
    """What is wrong with a label of a resource, as one sentence, or None.

    Keys and values are lower-case letters (of any script), digits, `_` and `-`, at most 63 characters; a key begins
    with a letter (Google: requirements for labels).
    """
    for what, text in ((f"the key of the label `{key[:80]}`", key), (f"the value of the label `{key[:80]}`", value)):
        odd = next((char for char in text if not _labels(char)), None)
        if odd is not None:
            return f"{what} holds `{odd}`; it takes lower-case letters, digits, `_` and `-`"
        if len(text) > MAX_LABEL:
            return f"{what} has {len(text)} characters; at most {MAX_LABEL}"
    if not key or not key[0].isalpha():
        return f"the label `{key[:80]}` does not begin with a letter"
    return None


def _labels(char: str) -> bool:
    return char in "_-" or char.isdigit() or (char.isalpha() and char == char.lower())
