"""The audit plugin: one JSON line per call of a verb, written by one append so that processes do not mix lines."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attrs import frozen

from penstock import trust
from penstock.contract.hooks import VerbRequest, hookimpl
from penstock.errors import PenstockError, PolicyRefused
from penstock.making import make_folder
from penstock.opening import open_file


@frozen(kw_only=True)
class Audit:
    """Writes who called which verb on what, through which door, how it ended and how long it took.

    `file` is where to, `audit.jsonl` in the state folder unless given; it is made with mode 0600 and only ever
    appended to. A line has `at` (UTC), `actor`, `verified`, `door`, `verb`, `subject`, `outcome` (`ok` or the
    error's code), `duration_ms` and `request_id`.

    What cannot be audited does not happen: when the file cannot be opened, the verb is refused before anything
    else. When it opens and the write itself fails (a full disk), the verb has happened; its outcome stands and
    the failure is logged.
    """

    home: Path
    file: Path | None = None

    @hookimpl(wrapper=True, tryfirst=True)
    def penstock_execute_verb(self, request: VerbRequest) -> Generator[None, Any, Any]:
        """Open the file, let the verb happen, write the line.

        Raises PolicyRefused when the file does not open, and ConfigInvalid `not_trusted` where its folder would be made
        in one of somebody else.
        """
        at, started, outcome = datetime.now(UTC), time.monotonic(), "ok"
        descriptor = self._open()
        try:
            return (yield)
        except BaseException as error:
            outcome = error.code if isinstance(error, PenstockError) else PenstockError.code
            raise
        finally:
            line = {
                "at": at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
                "actor": request.actor,
                "verified": request.verified,
                "door": request.door,
                "verb": request.verb,
                "subject": request.subject,
                "outcome": outcome,
                "duration_ms": round((time.monotonic() - started) * 1000, 3),
                "request_id": request.request_id,
            }
            _append(descriptor, line)

    def _open(self) -> int:
        path = self.file or self.home / "audit.jsonl"
        if not path.parent.exists():
            trust.refuse_place(path, "the audit file")
        try:
            if path.parent == self.home and not self.home.exists():
                self._make_home()
            make_folder(path.parent, 0o700)
            made = os.O_CREAT if trust.is_mine(path.parent.stat()) else 0  # its owner could not go on with ours
            return self._append_to(path, os.O_WRONLY | os.O_APPEND | made)
        except OSError as error:
            raise PolicyRefused(
                f"nothing was done, because the audit file {path} cannot be written: {error.strerror}; "
                "make it writable, or take `audit` out of the plugins"
            ) from error

    def _append_to(self, path: Path, flags: int) -> int:
        """What a person named may be a link, a device or a pipe, if somebody reads that: nobody is waited for."""
        if self.file is None:
            return open_file(path, flags)
        opened = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
        os.set_blocking(opened, True)
        return opened

    def _make_home(self) -> None:
        # The first verb of all may come before there is a registry, which would have made the folder like this.
        make_folder(self.home, 0o700)
        ignore = self.home / ".gitignore"
        ignore.touch(mode=0o600)
        ignore.write_text("*\n", encoding="utf-8")


def _append(descriptor: int, line: dict[str, Any]) -> None:
    data = json.dumps(line, separators=(",", ":")).encode() + b"\n"
    try:
        if os.write(descriptor, data) < len(data):
            raise OSError("only a part of the line was written; is the disk full?")
    finally:
        os.close(descriptor)
