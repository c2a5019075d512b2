"""Operations of the workspace: verbs that plugins wrap, and events that plugins are told of."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from penstock.contract.hooks import Event, VerbRequest, WorkspaceHooks
from penstock.errors import BackendBroken, PenstockError, one_line
from penstock.targets.manager import HookManager

if TYPE_CHECKING:
    from penstock.contract.http import AnsweredRequest, HttpRoute
    from penstock.workspace import Workspace

R = TypeVar("R")

_log = logging.getLogger("penstock")

_FAILURES = (Exception, SystemExit, GeneratorExit)
"""What a plugin may fail with; Ctrl-C is the caller's."""


class WorkspacePlugins:
    """The plugins of one workspace, given as (name, plugin); the first is the outermost wrapper.

    Raises BackendBroken when one of them breaks the hook contract.
    """

    def __init__(self, plugins: Sequence[tuple[str, object]] = ()) -> None:
        self._manager = HookManager(WorkspaceHooks)
        for name, plugin in reversed(plugins):
            self._manager.add("plugin", name, plugin)
        self.wrap_verbs = bool(self._manager.hook.penstock_execute_verb.get_hookimpls())
        """Whether any of them wraps verbs."""
        self.hear_runs = bool(self._manager.hook.penstock_run_changed.get_hookimpls())
        """Whether any of them is told of runs."""
        self.hear_requests = bool(self._manager.hook.penstock_request_answered.get_hookimpls())
        """Whether any of them is told of requests that were answered."""

    def execute_verb(self, request: VerbRequest, execute: Callable[[], R]) -> R:
        """Run one verb inside the plugins that wrap it, and give back what `execute` answered or raised.

        Plugins observe or refuse: before `execute` ran, a PenstockError of theirs is the outcome and any other
        failure is BackendBroken. Once it ran, its outcome stands, and a plugin that fails is logged.
        """
        if not self.wrap_verbs:
            return execute()
        answers: list[R] = []
        raised: list[BaseException] = []

        def penstock_execute_verb(request: VerbRequest) -> R:
            try:
                answers.append(execute())
            except BaseException as error:
                raised.append(error)
                raise
            return answers[0]

        try:
            self._manager.hook.penstock_execute_verb.call_extra([penstock_execute_verb], {"request": request})
        except _FAILURES as error:
            if not answers and not raised:
                if isinstance(error, PenstockError):
                    raise
                raise BackendBroken(self._failure("penstock_execute_verb", error), code="plugin_broken") from error
            if error not in raised:
                _log.warning("%s", self._failure("penstock_execute_verb", error))
        if raised:
            raise raised[0]
        return answers[0]

    def routes(self, workspace: Workspace) -> list[HttpRoute]:
        """The routes that plugins contribute, in their order. Raises BackendBroken."""
        try:
            found = self._manager.hook.penstock_register_routes(workspace=workspace)
        except PenstockError:
            raise
        except Exception as error:
            raise BackendBroken(self._failure("penstock_register_routes", error), code="plugin_broken") from error
        return [route for routes in found for route in routes]

    def tell(self, event_hook: str, event: Event | AnsweredRequest) -> None:
        """Tell an event to one plugin after the other; one that fails is logged and the next is told."""
        for found in reversed(getattr(self._manager.hook, event_hook).get_hookimpls()):
            try:
                found.function(*[event for _ in found.argnames])
            except _FAILURES as error:
                _log.warning("%s failed in hook `%s`: %s", found.plugin_name, event_hook, one_line(error))

    def _failure(self, hook: str, error: BaseException) -> str:
        who, _ = self._manager.culprit(hook, error)
        return f"{who or 'a plugin'} failed in hook `{hook}`: {one_line(error)}"
