"""Clearing away what runs left on their targets: working copies, logs and artifacts. Their records stay."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from attrs import frozen

from penstock.callers import Caller
from penstock.errors import ConfigInvalid, NotFound, PenstockError, RegistryError, cause_of
from penstock.workspace.services import Services

_HOOK = "penstock_clear_run"


@frozen(kw_only=True)
class Cleared:
    """What `run clean` did, or with `dry_run` what it would do: runs by their ids, and bytes that were freed.

    `left` says of targets why runs on them were left alone, and why what is cleared cannot be noted; it `failed` where
    that is so, or one that is configured could not be asked.
    """

    runs: tuple[str, ...]
    freed: int
    left: tuple[str, ...]
    dry_run: bool
    failed: bool = False


def cleared_text(services: Services, run: str) -> str:
    """That what a run left was cleared away, and when, for people; empty when it was not."""
    when = services.registry.runs.cleared(run)
    if when is None:
        return ""
    return f"what run {run} left was cleared away by `run clean` on {when:%Y-%m-%d at %H:%M:%S} UTC, its record stays"


def refuse_cleared(services: Services, run: str) -> None:
    """Raise NotFound `run_cleared` when what a run left was cleared away."""
    text = cleared_text(services, run)
    if text:
        raise NotFound(text, code="run_cleared")


@contextmanager
def told_as_gone() -> Iterator[None]:
    """What a target does not know any more of a run that is known here is gone: NotFound `run_gone`."""
    try:
        yield
    except NotFound as error:
        if error.code != "run_not_found":
            raise
        raise NotFound(str(error), code="run_gone") from None


def clear(services: Services, caller: Caller, *, age: float, keep: int, dry_run: bool) -> Cleared:
    """Clear away runs that ended more than `age` seconds ago, but for the newest `keep` of each endpoint.

    Raises RegistryError for whoever may not change the registry, also when nothing would be cleared.
    """
    services.refuse_copy()
    if not dry_run:
        services.registry.refuse_reader()  # before a target has cleared what cannot be noted
    runs = services.registry.runs
    cleared: list[str] = []
    left: dict[str, str] = {}
    freed, failed = 0, False
    for run in runs.to_clear(age=age, keep=keep):
        ref, placement = runs.ref(run)
        try:
            target = services.targets.open_frozen(placement)
            if not target.has(_HOOK):
                left[placement.target] = f"target `{placement.target}` keeps what its runs left; remove it there"
                continue
            if not dry_run:
                freed += target.clear_run(ref)
                runs.note_cleared(run, caller)
        except RegistryError as error:  # no trouble of the target's, and the next run would wait as long for nothing
            left[""] = f"the rest was left alone: {cause_of(error)}; call it again"
            failed = True
            break
        except PenstockError as error:
            left[placement.target] = f"target `{placement.target}` was left out: {cause_of(error)}"
            failed = failed or not isinstance(error, ConfigInvalid)  # that stays so: a target that was taken out
            continue
        cleared.append(run)
    return Cleared(runs=tuple(cleared), freed=freed, left=tuple(left.values()), dry_run=dry_run, failed=failed)
