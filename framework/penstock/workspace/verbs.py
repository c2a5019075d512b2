"""What makes a method a verb: every call of it passes the plugins, and it learns who calls."""

from __future__ import annotations

import functools
import inspect
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath
from typing import Any, Concatenate, ParamSpec, TypeVar

from attrs import evolve

from penstock.callers import Caller, Scope
from penstock.contract.hooks import VerbRequest
from penstock.errors import NotFound, UsageError
from penstock.spec import Pipeline
from penstock.spec.names import note_problem, tags_problem
from penstock.spec.values import describe
from penstock.workspace.arguments import taken
from penstock.workspace.rights import SUBMIT_PUBLISHED, Verb, Within, confine, without_names
from penstock.workspace.services import Services

P = ParamSpec("P")
R = TypeVar("R")
G = TypeVar("G", bound="Group")

_VERBS: dict[Callable[..., Any], Verb] = {}


class Group:
    """Verbs that belong together, for one caller."""

    def __init__(self, services: Services, caller: Caller) -> None:
        self._services = services
        self._caller = caller


def verb(
    name: str, scope: Scope, *, within: Within | None = None
) -> Callable[[Callable[Concatenate[G, Caller, P], R]], Callable[Concatenate[G, P], R]]:
    """Make a method a verb. It is called without its first argument, the caller.

    `name` is what plugins and the audit log see, like `endpoint.disable`; the subject is the first argument. `scope`
    is what a caller with `Rights` needs, `within` how one who was given some endpoints is kept to them; without it
    the verb is not for such a caller. Besides its own errors a verb raises PolicyRefused `scope_missing`, and
    UsageError for an argument that is not what its signature says, see `penstock.workspace.arguments`.
    """

    known = Verb(name, scope, within)

    def decorate(method: Callable[Concatenate[G, Caller, P], R]) -> Callable[Concatenate[G, P], R]:
        code = method.__code__
        positional = code.co_varnames[2 : code.co_argcount]
        by_name: Callable[..., R] = method
        takes = {name: str(kind) for name, kind in method.__annotations__.items() if name not in ("caller", "return")}

        def call(self: G, /, *args: P.args, **kwargs: P.kwargs) -> R:
            caller = self._caller
            if not caller.request_id:
                caller = evolve(caller, request_id=str(uuid.uuid4()))
            given: dict[str, Any] = dict(zip(positional, args, strict=False)) | kwargs

            def execute() -> R:
                if len(given) < len(args) + len(kwargs) or not given.keys() <= takes.keys():
                    return method(self, caller, *args, **kwargs)  # which raises TypeError: it takes no such argument
                named = taken(takes, given)
                _check_notes(named)
                if caller.rights is None:
                    return by_name(self, caller, **named)
                subject = named.get(positional[0]) if positional else None
                told = SUBMIT_PUBLISHED if named.get("only") == "published" else known
                allowed = confine(self._services, caller, told.name, told.scope, told.within, subject)
                if within in (None, "listing"):
                    return by_name(self, caller, **named)
                named[positional[0]] = allowed
                try:
                    return by_name(self, caller, **named)
                except NotFound as error:
                    raise without_names(caller, within, subject, error) from None

            plugins = self._services.plugins
            if not plugins.wrap_verbs:
                return execute()
            subject = given.get(positional[0], "") if positional else ""
            request = VerbRequest(
                verb=name,
                subject=subject.name if isinstance(subject, Pipeline) else _shown(subject),
                actor=caller.actor,
                verified=caller.verified,
                door=caller.door,
                request_id=caller.request_id,
                arguments=given,
            )
            answer: R = plugins.execute_verb(request, execute)
            return answer

        functools.update_wrapper(call, method)
        _VERBS[call] = known
        shown = inspect.signature(method)  # what `help` shows is what can be called: without the caller
        me, _, *others = shown.parameters.values()
        call.__signature__ = shown.replace(parameters=[me, *others])  # type: ignore[attr-defined]  # known to `inspect`
        return call

    return decorate


def _check_notes(arguments: Mapping[str, Any]) -> None:
    """Refuse texts beside what a verb does that are too long to keep. Raises UsageError `text_too_large`."""
    wrong = [
        note_problem(f"the {what}", text)
        for what in ("description", "reason")
        if isinstance(text := arguments.get(what), str)
    ]
    tags = arguments.get("tags")
    if tags and isinstance(tags, Mapping):
        texts = {name: value for name, value in tags.items() if isinstance(name, str) and isinstance(value, str)}
        wrong.append(tags_problem(texts))
    for problem in filter(None, wrong):
        raise UsageError(problem, code="text_too_large")


def _shown(subject: Any) -> str:
    """What a call is about, for plugins, which hear of it before it is refused for what it is."""
    return str(subject) if isinstance(subject, str | PurePath) else describe(subject)


def verb_of(method: Callable[..., Any]) -> Verb:
    """The verb that a method is."""
    return _VERBS[method]


def folder_of(caller: Caller, what: str) -> Path:
    """The folder that paths of the caller are relative to.

    Raises UsageError `file_not_allowed` for a caller from another machine, who names no file of this one.
    """
    if caller.folder is None:
        raise UsageError(
            f"{what} names a file of the server, which cannot be named from here; name an endpoint, a published "
            "pipeline or a URI",
            code="file_not_allowed",
        )
    return Path.cwd() / caller.folder


def placed(caller: Caller, path: Path) -> Path:
    """A path that a caller names, seen from its folder. Raises UsageError as `folder_of`, and for what is no path."""
    folder = folder_of(caller, f"`{path}`")
    if "\0" in str(path):
        raise UsageError(f"{str(path)!r} is no path: it holds a NUL character")
    return folder / path
