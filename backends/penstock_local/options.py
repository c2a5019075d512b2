"""What a target of this backend can be told in `penstock.yaml`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from attrs import field, frozen, validators

from penstock.spec.quantity import seconds_of

MOST_SLOTS = 1_000_000
"""So many cores a step may ask for; no machine has more."""


def _names(value: Sequence[str] | None) -> tuple[str, ...]:
    return tuple(value or ())


def _interpreter(value: Path | str | None) -> Path:
    from penstock_local import interpreters

    return Path(value or interpreters.own())


def _paths(value: Sequence[Path | str] | None) -> tuple[Path, ...]:
    return tuple(Path(item) for item in value or ())


@frozen(kw_only=True)
class LocalOptions:
    """Options of a `local` target.

    `root` is the folder of queue, archives and runs; without it, one below the workspace's state folder. `slots` is how
    many cores' worth of steps run at once, a million at the most; without it, the machine's CPUs. `pass_env` are names
    of environment variables that a run takes along from whoever submits it. `data_roots` are folders below which
    callers that are not on this machine may name files. With `strict`, what would otherwise be a warning is refused at
    publish. `grace` is the time between TERM and KILL when a step is canceled or timed out, in seconds or text like
    `10s`. `idle` is how long the engine waits for more work before it ends itself, in seconds or text like `10s`.
    `python` is the path of the interpreter that steps find as `python` and `python3`; without it, the one that the
    publisher's penstock runs on.

    Only the root is the target's identity. The interpreter is frozen by a publication, and a run of a file has that of
    whoever submits it. Every other option takes effect at once, published pipelines included. One engine serves a root:
    it goes by the slots, grace and idle time of the target that submitted or canceled last.
    """

    root: Path | None = field(default=None, metadata={"identity": True})
    slots: int | None = field(
        default=None, validator=validators.optional([validators.ge(1), validators.le(MOST_SLOTS)])
    )
    pass_env: tuple[str, ...] = field(default=(), converter=_names)
    data_roots: tuple[Path, ...] = field(default=(), converter=_paths)
    strict: bool = False
    python: Path | None = field(default=None, converter=_interpreter, metadata={"frozen": True})
    grace: float = field(default=10.0, converter=seconds_of, validator=validators.ge(0))
    idle: float = field(default=10.0, converter=seconds_of, validator=validators.ge(0))
