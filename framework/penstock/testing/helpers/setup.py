"""What most checks begin with: something published, under names that nobody else uses."""

from __future__ import annotations

import uuid
from typing import Any

from penstock.errors import TargetUnsupported
from penstock.spec import Pipeline
from penstock.testing.harness import Harness
from penstock.testing.laws import Untested
from penstock.testing.probes.pipelines import variant
from penstock.workspace import PublishedPipeline, Workspace


def unique(word: str) -> str:
    """A word that nobody has used: what is made with it has a digest, or a name, of its own."""
    return f"{word}-{uuid.uuid4().hex[:12]}"


def set_up(harness: Harness, workspace: Workspace, pipeline: Pipeline | str, **asked: Any) -> PublishedPipeline:
    """A published pipeline of the kit's, or the `variant` of a word; the arguments are those of `Pipelines.publish`.

    Raises Untested when the target refuses it, as law 6 allows.
    """
    source = variant(harness.subject.python, pipeline) if isinstance(pipeline, str) else pipeline
    try:
        return workspace.publish(source, **{"folder": harness.spec_folder, **asked})
    except TargetUnsupported as error:
        raise Untested(f"the target does not take the pipeline `{source.name}`: {error.message}") from None
