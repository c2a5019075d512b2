"""Calling hooks: exactly one backend answers, plugins only wrap, and only errors of ours leave a call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from penstock.contract.hooks import BackendHooks
from penstock.errors import BackendBroken, PenstockError, TargetUnavailable, TargetUnsupported, one_line
from penstock.machine import lacked
from penstock.targets.manager import BACKEND_HOOKS, HookManager

CAPABILITIES: dict[str, str] = {
    hook: capability for hook in BACKEND_HOOKS if (capability := getattr(getattr(BackendHooks, hook), "capability", ""))
}
"""The optional hooks, each with what a backend can do that has it; every other hook is mandatory."""

S = TypeVar("S")
T = TypeVar("T")


class HookCalls:
    """The hooks of one backend, wrapped by plugins given as (name, plugin), the first outermost: each is answered once.

    Raises BackendBroken when one of them breaks the hook contract or the backend lacks a mandatory hook.
    """

    def __init__(self, name: str, backend: object, wrappers: Sequence[tuple[str, object]] = ()) -> None:
        self.backend = name
        self._manager = HookManager(BackendHooks)
        self._who = self._manager.add("backend", name, backend)
        missing = [hook for hook in BACKEND_HOOKS if not (hook in CAPABILITIES or self._manager.implementers(hook))]
        if missing:
            names = ", ".join(f"`{hook}`" for hook in missing)
            raise BackendBroken(f"{self._who} lacks the mandatory hook{'s' * (len(missing) > 1)} {names}")
        for wrapper, plugin in reversed(wrappers):
            self._manager.add("plugin", wrapper, plugin)

    def has(self, hook_name: str) -> bool:
        """Whether the backend implements the hook: that is what a capability is."""
        return hook_name in BACKEND_HOOKS and self._who in self._manager.implementers(hook_name)

    def options_class(self) -> type[Any]:
        """The attrs class of the backend's target options."""
        import attrs

        answer = self.call("penstock_target_options", type)
        if not attrs.has(answer):
            raise self.wrong("penstock_target_options", f"the class `{answer.__name__}`, which is not an attrs class")
        return answer

    def call(self, hook: str, returns: type[T], *others: type[S], **arguments: Any) -> T | S:
        """What the backend returns, of one of the types that the hook returns.

        Raises what the backend raises of ours, TargetUnsupported, ConfigInvalid, BackendBroken.
        """
        if not self.has(hook):
            raise TargetUnsupported(f"{self._who} cannot {CAPABILITIES[hook]}: it has no hook `{hook}`")
        try:
            answer: object = getattr(self._manager.hook, hook)(**arguments)
        except PenstockError:
            raise
        except (Exception, SystemExit, GeneratorExit) as error:
            raise self._failed(hook, error) from error
        kinds: tuple[type[T] | type[S], ...] = (returns, *others)
        if not isinstance(answer, kinds):
            raise self.wrong(hook, "nothing" if answer is None else f"a `{type(answer).__name__}`")
        return answer

    def wrong(self, hook: str, found: str) -> BackendBroken:
        """The error for an answer that is not what the hook returns."""
        expected = getattr(BackendHooks, hook).__annotations__["return"]
        *wrappers, _ = self._manager.implementers(hook)
        note = f"; it is wrapped by {', '.join(wrappers)}, which must return what `yield` gives" if wrappers else ""
        return BackendBroken(f"{self._who} answered hook `{hook}` with {found}, expected `{expected}`{note}")

    def _failed(self, hook: str, error: BaseException) -> PenstockError:
        if lacking := lacked(error):
            return TargetUnavailable(f"{self._who} cannot be asked: {lacking}")
        culprit, location = self._manager.culprit(hook, error)
        failed = f"failed in hook `{hook}`: {one_line(error)}{f' ({location})' if location else ''}"
        if culprit not in (None, self._who):
            return BackendBroken(f"{culprit} {failed}", code="plugin_broken")
        if isinstance(error, ImportError):
            from penstock.targets.discovery import unavailable

            return unavailable("backend", self.backend, error)
        return BackendBroken(f"{self._who} {failed}")
