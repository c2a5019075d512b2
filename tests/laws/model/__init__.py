"""What penstock should do, in plain Python: a call's answer either fits the calls before it, or breaks a law."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

from laws.doors import ANYBODY
from laws.model import endpoints, gates, history, listings, published, runs
from laws.model.expectations import No, Seen
from laws.model.state import State
from laws.player import Answer

__all__ = ["Model"]

_VERBS: dict[str, Callable[..., None]] = {
    "publish": published.publish,
    "publish_from": published.publish_from,
    "delete_published": published.delete,
    "create_endpoint": endpoints.create,
    "add_version": endpoints.add_version,
    "set_default": endpoints.set_default,
    "rollback": endpoints.rollback,
    "access": endpoints.access,
    "deduplicate": endpoints.deduplicate,
    "rename": endpoints.rename,
    "delete_endpoint": endpoints.delete,
    "disable": gates.disable,
    "enable": gates.enable,
    "submit": runs.submit,
    "rerun": runs.rerun,
    "wait": runs.wait,
    "get": runs.get,
    "cancel": runs.cancel,
    "logs": runs.logs,
    "outputs": runs.outputs,
    "endpoint": listings.endpoint,
    "endpoints": listings.endpoints,
    "published": listings.published,
    "runs": listings.runs,
    "history": history.history,
    "moment": history.moment,
    "endpoint_at": history.endpoint_at,
}


class Model:
    """The state that a history of calls has left, as far as callers can know it.

    `actor` is who calls when a call does not say `by`, `doors` are the ways in which calls may come, and `by_http` is
    whether those are by HTTP: then it is known who calls, and deduplication windows count. With `remember` false the
    history and the past are left out: calls that commute then lead to equal keys, and the verbs `history`, `moment`
    and `endpoint_at` raise ValueError.
    Names of runs are one name space, whoever gives them. The listing `runs`, and publishing from an endpoint or from
    what is deleted meanwhile (`publish_from`), are no single moment; leave them out where calls overlap.
    """

    def __init__(
        self,
        *,
        actor: str = "ada",
        doors: tuple[str, ...] = ("python",),
        by_http: bool = False,
        remember: bool = True,
    ) -> None:
        self._state = State(actor=actor, doors=doors, by_http=by_http, remember=remember)

    def check(self, verb: str, arguments: Mapping[str, Any], answer: Answer) -> None:
        """Take one call in, as `Player.call` made it. Raises LawBroken when its answer cannot be; then the model
        is of no more use.
        """
        if verb == "reopen":
            return
        given = {"by": self._state.actor, **arguments}
        said = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
        seen = Seen(f"{verb}({said})", answer)
        try:
            if given["by"] == ANYBODY and verb != "submit":
                raise No("not_authenticated", "nothing is known of the caller")
            _VERBS[verb](self._state, seen, **given)
        except No as no:
            seen.refused_by(no)
        else:
            seen.granted()

    def copy(self) -> Model:
        """Another model in the same state, cheaply."""
        other = Model.__new__(Model)
        other._state = self._state.copy()
        return other

    def key(self) -> Hashable:
        """Something hashable: two models with equal keys allow the same answers to the same calls."""
        return self._state.key()

    def maybe_running(self) -> list[str]:
        """The ids of runs that may not have ended, oldest first."""
        return [run.id for run in self._state.runs.values() if not run.ended]

    def in_use(self) -> list[tuple[str | None, str]]:
        """The endpoint, if any, and the published pipeline of every run that cannot have ended."""
        state = self._state
        return [
            (None if run.endpoint is None else state.endpoints[run.endpoint].name, state.published[run.published].ref)
            for run in state.runs.values()
            if run.lasting and not run.ended
        ]
