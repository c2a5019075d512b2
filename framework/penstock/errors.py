"""Every way penstock can say no: one tree, so that any door can answer with a code, a status and a line.

Each class has an exit status of its own. It may carry several codes (`version_not_found` and `endpoint_not_found` are
both `NotFound`), and a code may end in another status than its class (`registry_busy` is 503): all of them are in
`penstock.codes` and in `docs/errors.md`. Codes never change their meaning.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from penstock.codes import KINDS, ending
from penstock.text import is_unicode, printable

if TYPE_CHECKING:
    from datetime import datetime

Path = tuple[str | int, ...]
"""A place inside a document or a request: `("steps", "train", "command", 2)`."""


def format_path(path: Path) -> str:
    """Write a path the way error messages show it: `$.steps.train.command[2]`."""
    return "$" + "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint that names the nearest known word, else the known words, else nothing."""
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if near:
        return f"did you mean `{near[0]}`?"
    if not names:
        return ""
    shown = ", ".join(f"`{name}`" for name in names[:8])
    return f"known: {shown}" + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def one_line(error: BaseException) -> str:
    """An exception that is not ours as one line: its type and the first line of what it says."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: what (`message`), where in the document (`path`) and in the file (`where`).

    `where` is `file:line:column`, one-based, empty when the value did not come from a file.
    `hint` says what is known or what to do. `code` is stable. An `error` refuses what was asked, a `warning` is shown.
    """

    code: str
    message: str
    path: Path = ()
    where: str = ""
    hint: str = ""
    severity: Literal["error", "warning"] = "error"

    def at(self, where: str) -> Problem:
        """The same detail with the place in the file filled in."""
        return replace(self, where=where)

    def under(self, *prefix: str | int) -> Problem:
        """The same detail, its path seen from further up in the document."""
        return replace(self, path=(*prefix, *self.path))

    def __str__(self) -> str:
        """One line: place in the file, path in the document, what is wrong, hint."""
        head = f"{self.where}: " if self.where else ""
        path = f"{format_path(self.path)}: " if self.path else ""
        tail = f" ({self.hint})" if self.hint else ""
        return printable(f"{head}{path}{self.message}{tail}")

    def to_dict(self) -> dict[str, Any]:
        """The JSON shape of one problem."""
        return {
            "severity": self.severity,
            "code": self.code,
            "message": self.message,
            "path": format_path(self.path) if self.path else None,
            "where": self.where or None,
            "hint": self.hint or None,
        }


_TOLD = 3
"""How many details the line of an error holds."""


class PenstockError(Exception):
    """Root of the tree. `str(error)` is the one line a person reads; it never holds a traceback or a secret.

    `message` is its beginning, which counts several `details` where `str(error)` says them.
    """

    code: str = KINDS["PenstockError"].code
    exit_code: int = KINDS["PenstockError"].exit_code
    http_status: int = KINDS["PenstockError"].http_status
    retry_after: float = 0
    """Seconds after which the same call may succeed; 0 where it would not."""
    _kind: ClassVar[str] = "PenstockError"

    def __init_subclass__(cls, **keywords: Any) -> None:
        """Give a class of the table its numbers; one that is not there keeps those of the class above it."""
        super().__init_subclass__(**keywords)
        if row := KINDS.get(cls.__name__):
            cls._kind, cls.code, cls.exit_code, cls.http_status = cls.__name__, row.code, row.exit_code, row.http_status

    def __init__(self, message: str, *, code: str | None = None, details: Iterable[Problem] = ()) -> None:
        if not is_unicode(message):  # of a name that is none on the disk: it could be neither printed nor sent
            message = printable(message)
        super().__init__(message)
        self.message = message
        self.details = tuple(details)
        if code is not None:
            self.code = code
        self.exit_code, self.http_status, self.retry_after = ending(self._kind, self.code)

    @property
    def untold(self) -> tuple[Problem, ...]:
        """The details that `message` does not hold already: all of them, unless there is just one that it repeats."""
        only = self.details[0] if len(self.details) == 1 else None
        if only is not None and all(part in self.message for part in (only.message, only.where, only.hint)):
            return ()
        return self.details

    def __str__(self) -> str:
        """The message and what is wrong in detail, on one line: the first few details, and how many more there are."""
        told = "; ".join(str(detail) for detail in self.untold[:_TOLD])
        more = len(self.untold) - _TOLD
        return self.message + (f": {told}" if told else "") + (f"; and {more} more" if more > 0 else "")

    def to_dict(self) -> dict[str, Any]:
        """The one error shape of every door: `{"error": {"code", "message", "details"}}`."""
        details = [detail.to_dict() for detail in self.details]
        return {"error": {"code": self.code, "message": str(self), "details": details}}


class RunFailed(PenstockError):
    """A run that somebody waited for ended `failed` or `canceled`."""


class UsageError(PenstockError):
    """The call itself is wrong: an option, a reference, a time that cannot be read."""


class _Detailed(PenstockError):
    """An error made of details: the message is the only detail, or counts them."""

    @classmethod
    def of(cls, details: Iterable[Problem], subject: str = "") -> Self:
        """Build the error from what is wrong, all of it. `subject` names what was read, for the summary."""
        found = tuple(details)
        if len(found) == 1:
            return cls(str(found[0]), details=found)
        head = f"{subject}: " if subject else ""
        return cls(f"{head}{len(found)} problems", details=found)


class SpecInvalid(_Detailed):
    """A document is not a valid spec. When all its problems share one code, the error carries that code."""

    def __init__(self, message: str, *, code: str | None = None, details: Iterable[Problem] = ()) -> None:
        found = tuple(details)
        codes = {detail.code for detail in found}
        super().__init__(message, code=code or (codes.pop() if len(codes) == 1 else None), details=found)


class ConfigInvalid(_Detailed):
    """The workspace configuration, a target, a backend or a plugin that it names cannot be used."""


class ParameterInvalid(_Detailed):
    """Unknown, missing, mistyped or out-of-range parameters of one trigger, all of them at once."""


class NotFound(PenstockError):
    """What was named does not exist; the message lists what does."""


class GateClosed(PenstockError):
    """A closed gate refused: `endpoint_disabled`, `version_disabled` or `pipeline_disabled`.

    `since`, `by` and `reason` say since when it is closed, by whom and why; `subject` is a reference to what it is of.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        since: datetime | None = None,
        by: str = "",
        reason: str = "",
        subject: str = "",
    ) -> None:
        super().__init__(message, code=code)
        self.subject = subject
        self.since = since
        self.by = by
        self.reason = reason


class Conflict(PenstockError):
    """What is asked contradicts what is there."""


class TargetUnsupported(_Detailed):
    """The target cannot do what the pipeline asks, or its backend lacks the hook that a verb needs."""


class TargetUnavailable(PenstockError):
    """The target did not answer; the same call may succeed later. `retry_after` is in seconds."""

    def __init__(self, message: str, *, retry_after: float | None = None, code: str | None = None) -> None:
        super().__init__(message, code=code)
        if retry_after is not None:
            self.retry_after = retry_after


class TargetRefused(PenstockError):
    """The target answered no, for good: handing over ends the run `failed` with this code."""


class RegistryError(PenstockError):
    """The registry file, or an archive beside it, cannot be used.

    `undone` is what that means for the call which met it: a part of the message, and not of the `cause`, which may be
    told of something else that came of it.
    """

    _PASSING = frozenset({"registry_busy", "registry_disk_full", "registry_undecided"})

    def __init__(
        self, message: str, *, code: str | None = None, details: Iterable[Problem] = (), undone: str = ""
    ) -> None:
        super().__init__(f"{message}; {undone}" if undone else message, code=code, details=details)
        self.cause = message
        self.undone = undone

    @property
    def is_passing(self) -> bool:
        """Whether it is trouble of the disk or of others, which is over at some time: who waits goes on waiting."""
        from penstock.machine import lacked  # a start that meets no error has no use for it

        return self.code in self._PASSING or bool(lacked(self))


def cause_of(error: PenstockError) -> str:
    """What is told of an error by whoever did something before it: what it says of its own call is not true of that."""
    return error.cause if isinstance(error, RegistryError) else str(error)


class WaitTimeout(PenstockError):
    """A run did not end within the time the caller gave; the run itself goes on."""


class BackendBroken(PenstockError):
    """A backend or plugin breaks the hook contract: misspelt, missing or unanswered hook, wrong answer type."""


class PolicyRefused(PenstockError):
    """A plugin refused a verb before anything happened, or the caller's rights do not hold it."""


class NotAuthenticated(PenstockError):
    """A caller from another machine did not show who it is; why is not said, because the answer would help others.

    `issuer_unavailable` is of one of whom that cannot be found out just now.
    """

    def __init__(
        self, message: str = "this needs a valid token: send `Authorization: Bearer TOKEN`", *, code: str | None = None
    ) -> None:
        super().__init__(message, code=code)


class TooManyRequests(PenstockError):
    """The server does not take more of this caller, or at all, just now; `retry_after` is in seconds."""

    def __init__(self, message: str, *, code: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(message, code=code)
        if retry_after is not None:
            self.retry_after = retry_after
