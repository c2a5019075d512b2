"""What one SQLite connection changes, and right before which of its statements that becomes durable."""

from __future__ import annotations

import re
from collections.abc import Callable

_SHOWN = 12
"""How many changes of one transaction its name says."""

_TABLE = re.compile(
    r"\b(INSERT|REPLACE|UPDATE|DELETE|CREATE|DROP|ALTER)\b(?:\s+OR\s+\w+)?"
    r"(?:\s+(?:INTO|FROM|UNIQUE|TABLE|INDEX|TRIGGER|VIEW|IF|NOT|EXISTS)\b)*\s+[\"'\[`]?(\w+)",
    re.IGNORECASE,
)
_KEPT_PRAGMA = re.compile(r"PRAGMA\s+(journal_mode|user_version|application_id)\s*=", re.IGNORECASE)
_SAVEPOINT = re.compile(r"\s*(SAVEPOINT|RELEASE)\s+(?:SAVEPOINT\s+)?[\"'\[`]?(\w+)", re.IGNORECASE)
_BACK_TO = re.compile(r"\s*ROLLBACK\s+(TRANSACTION\s+)?TO\b", re.IGNORECASE)


class Statements:
    """Hears every statement of one connection before it runs, and tells `reach` of those that make things durable.

    These are a commit, the release of a savepoint that began a transaction, and a change outside of both. What was
    taken back to a savepoint is still named.
    """

    def __init__(self, reach: Callable[[str], None], file: str) -> None:
        self._reach = reach
        self._file = file
        self._open = False
        self._outermost: str | None = None
        self._written: dict[str, None] = {}

    def __call__(self, statement: str) -> None:
        """Hear one statement."""
        word = statement.lstrip()[:8].upper()
        savepoint = _SAVEPOINT.match(statement)
        if savepoint:
            self._savepoint(savepoint[1].upper(), savepoint[2].lower())
        elif _BACK_TO.match(statement):
            return
        elif word.startswith(("BEGIN", "ROLLBACK")):
            self._open, self._outermost, self._written = word.startswith("BEGIN"), None, {}
        elif word.startswith(("COMMIT", "END")):
            self._commit()
        elif (written := _written(statement)) is not None:
            if self._open:
                self._written[written] = None
            else:
                self._reach(f"write in {self._file}: {written}")

    def _savepoint(self, word: str, name: str) -> None:
        if word == "SAVEPOINT" and not self._open:
            self._open, self._outermost = True, name
        elif word == "RELEASE" and name == self._outermost:
            self._commit()

    def _commit(self) -> None:
        if self._written:
            more = ", ..." if len(self._written) > _SHOWN else ""
            self._reach(f"commit in {self._file}: {', '.join(list(self._written)[:_SHOWN])}{more}")
        self._open, self._outermost, self._written = False, None, {}


def _written(statement: str) -> str | None:
    """What a statement changes, in two words; None when nothing that stays."""
    pragma = _KEPT_PRAGMA.search(statement)
    if pragma:
        return f"pragma {pragma[1].lower()}"
    if statement.lstrip()[:6].upper() in ("SELECT", "PRAGMA", "ATTACH", "DETACH", "EXPLAI", "VALUES"):
        return None
    found = _TABLE.search(statement)
    return f"{found[1].lower()} {found[2]}" if found else None
