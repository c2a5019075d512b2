"""A snapshot in the engine's own language: every step as it runs, plain JSON, no code of ours needed to read it."""

from __future__ import annotations

import json
import math
from typing import Any

from penstock.contract.target import Compiled
from penstock.snapshot import Snapshot
from penstock.spec import Step, graph

FORMAT = "penstock-local/v1"
MEDIA_TYPE = "application/vnd.penstock.local+json"


def compile_snapshot(snapshot: Snapshot) -> Compiled:
    """The plan that the engine follows. Deterministic: the same snapshot, the same bytes, whatever the options are."""
    pipeline = snapshot.pipeline
    needs = graph.dependencies(pipeline)
    order = list(graph.order(pipeline))
    plan = {
        "format": FORMAT,
        "name": pipeline.name,
        "digest": snapshot.digest,
        "steps": [_step(name, pipeline.effective(name), sorted(needs[name], key=order.index)) for name in order],
        "outputs": dict(pipeline.outputs),
        "archives": {
            path: {"kind": archive.kind, "digest": archive.digest, "size": archive.size}
            for path, archive in snapshot.archives.items()
        },
    }
    text = json.dumps(plan, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return Compiled(media_type=MEDIA_TYPE, data=text.encode())


def _step(name: str, step: Step, needs: list[str]) -> dict[str, Any]:
    cpu = step.resources.cpu if step.resources else None
    memory = step.resources.memory if step.resources else None
    plan = {
        "name": name,
        "needs": needs,
        "command": list(step.command),
        "inputs": dict(step.inputs),
        "outputs": {output: declared.type for output, declared in step.outputs.items()},
        "env": dict(step.env),
        "code": step.code,
        "slots": max(1, math.ceil(cpu or 1)),
        "attempts": step.retry.attempts if step.retry else 1,
        "delay": step.retry.delay if step.retry else 0.0,
        "timeout": step.timeout,
    }
    # A plan without it is what it was before there was a limit, byte by byte.
    return {**plan, "memory": memory} if memory else plan
