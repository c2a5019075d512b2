"""The plugin manager behind every call: it takes in only what keeps the hook contract and says what does not."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from traceback import walk_tb
from typing import Any, Literal

import pluggy

from penstock.contract.hooks import BackendHooks, WorkspaceHooks
from penstock.errors import BackendBroken, did_you_mean

PREFIX = "penstock_"
"""What the name of every hook starts with; no other attribute of a backend or plugin is ever read."""

Role = Literal["backend", "plugin"]


def hooks_of(spec: type[Any]) -> tuple[str, ...]:
    """The names of the hooks that a specification class declares, in its order."""
    return tuple(name for name in vars(spec) if name.startswith(PREFIX))


BACKEND_HOOKS = hooks_of(BackendHooks)
WORKSPACE_HOOKS = hooks_of(WorkspaceHooks)
EVENT_HOOKS = tuple(name for name in WORKSPACE_HOOKS if name != "penstock_execute_verb")


class _Member:
    """The hooks of one backend or plugin and nothing else of it; equal only to itself.

    pluggy compares plugins with `==`, and a backend made of attrs is equal to its twin.
    """

    def __init__(self, hooks: dict[str, Any]) -> None:
        self.__dict__.update(hooks)


class HookManager(pluggy.PluginManager):
    """A manager for one specification class that refuses what pluggy would take silently."""

    def __init__(self, spec: type[Any]) -> None:
        super().__init__("penstock")
        self.add_hookspecs(spec)
        self._own = hooks_of(spec)

    def add(self, role: Role, name: str, source: object) -> str:
        """Check and register the hooks of one backend or plugin; returns how messages and `culprit` call it.

        Hooks of the other specification are checked and left for the other manager. Raises BackendBroken.
        """
        who, code = f"{role} `{name}`", f"{role}_broken"
        if self.has_plugin(who):
            raise BackendBroken(f"{who} is named twice", code=code)
        attributes = {
            attribute: getattr(source, attribute) for attribute in dir(source) if attribute.startswith(PREFIX)
        }
        hooks = {attribute: value for attribute, value in attributes.items() if callable(value)}
        for hook_name, hook in hooks.items():
            problem = _problem(role, hook_name, hook)
            if problem:
                raise BackendBroken(f"{who}: {problem}", code=code)
        try:
            self.register(_Member({key: hook for key, hook in hooks.items() if key in self._own}), who)
            self.check_pending()
        except pluggy.PluginValidationError as error:
            raise BackendBroken(f"{who}: {' '.join(str(error).split())}", code=code) from error
        return who

    def culprit(self, hook: str, error: BaseException) -> tuple[str | None, str]:
        """Which of the registered ones raised, the innermost of them in the traceback, or None; and the innermost line
        of theirs, like `hooks.py:12`: in the hook's package, or its module if that is in none; or nothing.
        """
        names = {_code(found.function): found.plugin_name for found in self._implementations(hook)}
        culprit, home, line = None, None, ""
        for frame, number in walk_tb(error.__traceback__):
            file = Path(frame.f_code.co_filename)
            if frame.f_code in names:
                culprit = names[frame.f_code]
                home = file.parent if (file.parent / "__init__.py").exists() else file
            if home is not None and home in (file, *file.parents):
                line = f"{file.name}:{number}"
        return culprit, line

    def implementers(self, hook: str) -> tuple[str, ...]:
        """Who implements the hook, outermost wrapper first, the one that answers last."""
        return tuple(found.plugin_name for found in reversed(self._implementations(hook)))

    def _implementations(self, hook: str) -> list[pluggy.HookImpl]:
        caller: pluggy.HookCaller = getattr(self.hook, hook)
        return caller.get_hookimpls()


def _problem(role: Role, name: str, hook: Callable[..., Any]) -> str | None:
    options = getattr(hook, "penstock_impl", None)
    if options is None or not inspect.isroutine(hook):
        return f"`{name}` is not a function marked with `@penstock.hookimpl`, so nobody would call it"
    known = BACKEND_HOOKS if role == "backend" else (*BACKEND_HOOKS, *WORKSPACE_HOOKS)
    if name not in known:
        return None if options["optionalhook"] else f"there is no {role} hook `{name}` ({did_you_mean(name, known)})"
    wraps = options["wrapper"]
    if options["hookwrapper"]:
        return f"`{name}` is an old-style hook wrapper; write `@penstock.hookimpl(wrapper=True)`"
    if role == "backend" and wraps:
        return f"`{name}` is a wrapper; a backend answers, only plugins wrap"
    if role == "plugin" and name in EVENT_HOOKS and wraps:
        return f"`{name}` is an event: plugins are told of it and have nothing to wrap"
    if role == "plugin" and name not in EVENT_HOOKS and not wraps:
        return f"`{name}` answers; plugins may wrap, never answer: write `@penstock.hookimpl(wrapper=True)`"
    if wraps and not inspect.isgeneratorfunction(hook):
        return f"`{name}` is a wrapper and must `yield` exactly once"
    return _signature_problem(name, hook)


def _signature_problem(name: str, hook: Callable[..., Any]) -> str | None:
    spec = BackendHooks if name in BACKEND_HOOKS else WorkspaceHooks
    expected = _shape(getattr(spec(), name))
    found = inspect.signature(hook).parameters.values()
    shapes = f"it is {_shape(hook)}, the hook is {expected}"
    for parameter in found:
        if parameter.kind not in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            return f"`{name}` takes `{parameter.name}` by keyword or as a rest; ask by plain name only: {shapes}"
        if parameter.name not in inspect.signature(getattr(spec(), name)).parameters:
            return f"`{name}` asks for `{parameter.name}`, which the hook does not have: {shapes}"
        if parameter.default is not parameter.empty:
            return f"`{name}` gives `{parameter.name}` a default, which would never be used: {shapes}"
    return None


def _shape(function: Callable[..., Any]) -> str:
    """A signature without annotations, as people compare them: `(target, run)`."""
    parameters = inspect.signature(function).parameters.values()
    bare = inspect.Signature([parameter.replace(annotation=parameter.empty) for parameter in parameters])
    return f"`{bare}`"


def _code(function: Any) -> object:
    return inspect.unwrap(getattr(function, "__func__", function)).__code__
