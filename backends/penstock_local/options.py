"""What a target of this backend can be told in `penstock.yaml`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from attrs import field, frozen, validators

from penstock.spec.quantity import seconds_of


def _names(value: Sequence[str] | None) -> tuple[str, ...]:
    return tuple(value or ())


def _paths(value: Sequence[Path | str] | None) -> tuple[Path, ...]:
    return tuple(Path(item) for item in value or ())


@frozen(kw_only=True)
class LocalOptions:
    """Options of a `local` target.

    `root`: the folder of queue, archives and runs; without it, one below the workspace's state folder.
    `slots`: how many cores' worth of steps run at once; without it, the machine's CPUs.
    `pass_env`: names of environment variables that a run takes along from whoever submits it.
    `data_roots`: folders below which callers that are not on this machine may name files.
    `strict`: refuse at publish what would otherwise be a warning.
    `grace`: seconds (or text like `10s`) between TERM and KILL when a step is canceled or timed out.
    `idle`: seconds that the engine waits for more work before it ends itself.

    Only `root` is the target's identity; every other option takes effect at once, published pipelines included. One
    engine serves a root: it goes by the `slots`, `grace` and `idle` of the target that submitted or canceled last.
    """

    root: Path | None = field(default=None, metadata={"identity": True})
    slots: int | None = field(default=None, validator=validators.optional(validators.ge(1)))
    pass_env: tuple[str, ...] = field(default=(), converter=_names)
    data_roots: tuple[Path, ...] = field(default=(), converter=_paths)
    strict: bool = False
    grace: float = field(default=10.0, converter=seconds_of, validator=validators.ge(0))
    idle: float = field(default=10.0, converter=seconds_of, validator=validators.ge(0))
