"""The logging agent of a container: what a step writes to its file becomes log entries, a line each, as it grows.

How far a file was read is kept with the entries that were made of it, so that whatever ends the emulator, each byte
becomes part of one entry. A file goes once all of it did.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from penstock_emulator.store import Store
from penstock_vertex_emulator.entries import Entries, Entry

TASK = "workerpool0-0"
"""The log of a container and the resource's label `task_name`: the only replica of the only pool."""

_LOOK = 0.05
"""Seconds between looks at a file."""

_MOST = 250_000
"""The most bytes of text in one entry, which may have 256 KB in all (cloud.google.com/logging/quotas)."""

_BLOCK = 1 << 19
"""The most bytes that are read at once; more than an entry has."""


class Agents:
    """The agents of one state, and the folder with the files of containers that run."""

    def __init__(self, store: Store, entries: Entries, folder: Path) -> None:
        self._store = store
        self._entries = entries
        self._folder = folder
        for file in sorted(folder.glob("*/*")):  # of steps that were interrupted
            self.follow(file.parent.name, file.name).end()
        store.run("delete from agents")

    def file(self, project: str, job: str) -> Path:
        """Where a custom job of a project (a number) writes."""
        return self._folder / project / job

    def follow(self, project: str, job: str) -> Agent:
        """An agent of a file that may be there already."""
        file = self.file(project, job)
        file.parent.mkdir(parents=True, exist_ok=True)
        return Agent(self._store, self._entries, file)


class Agent:
    """Reads one file. `start` makes it follow the file in a thread of its own, `end` reads what is left."""

    def __init__(self, store: Store, entries: Entries, file: Path) -> None:
        self._store = store
        self._entries = entries
        self._file = file
        self._name = f"{file.parent.name}/{file.name}"
        labels = {"job_id": file.name, "project_id": file.parent.name, "task_name": TASK}
        # As Vertex AI's agent writes a line, once for all lines but the line itself.
        self._head = json.dumps({"resource": {"type": "ml_job", "labels": labels}, "severity": "INFO"})[:-1]
        row = store.row("select position from agents where file = ?", self._name)
        self._position = int(str(row[0])) if row else 0
        self._split, self._index = "", 0
        self._time = 0
        self._done = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Follow the file until `end`."""
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Read the rest, the end of a line or not, and remove the file: nobody writes to it any more."""
        self._done.set()
        if self._thread is not None:
            self._thread.join()
        while self._read(last=True):
            pass
        self._file.unlink(missing_ok=True)
        self._store.run("delete from agents where file = ?", self._name)

    def _run(self) -> None:
        while not self._done.wait(_LOOK):
            while self._read(last=False) and not self._done.is_set():
                pass

    def _read(self, *, last: bool) -> bool:
        """Make entries of what there is; whether there was anything to make some of."""
        try:
            with self._file.open("rb") as file:
                file.seek(self._position)
                data = file.read(_BLOCK)
        except FileNotFoundError:
            return False
        whole = data.rfind(b"\n") + 1
        if last and len(data) < _BLOCK:
            whole = len(data)
        elif not whole and len(data) == _BLOCK:  # a line that is longer
            whole = _without_half(data)
        if not whole:
            return False
        self._position += whole
        note = ("insert or replace into agents values (?, ?)", (self._name, self._position))
        self._entries.write(self._made(data[:whole]), note)
        return True

    def _made(self, data: bytes) -> Iterator[Entry]:
        batch = uuid.uuid4().hex[:10]
        for number, (text, goes_on) in enumerate(_pieces(data)):
            self._time = max(self._time + 1, time.time_ns())
            split = ""
            if goes_on or self._split:
                self._split = self._split or uuid.uuid4().hex
                # How many there will be is known at the last.
                numbers = {"uid": self._split, "index": self._index, "totalSplits": 0 if goes_on else self._index + 1}
                split = f', "split": {json.dumps(numbers)}'
                self._split, self._index = (self._split, self._index + 1) if goes_on else ("", 0)
            payload = json.dumps({"attrs": {"tag": TASK}, "levelname": "INFO", "message": text})
            yield Entry(
                project=self._file.parent.name,
                log_id=TASK,
                time=self._time,
                insert_id=f"{batch}{number:08x}",
                job=self._file.name,
                rest=f'{self._head}, "jsonPayload": {payload}{split}}}',
            )


def _pieces(data: bytes) -> Iterator[tuple[str, bool]]:
    """The text of each entry, and whether its line goes on after it. What is not UTF-8 is U+FFFD."""
    lines = data.split(b"\n")
    for number, line in enumerate(lines):
        ends = number < len(lines) - 1
        if not line and not ends:
            return
        text = line.decode("utf-8", "replace")
        while len(text) * 4 > _MOST and len(whole := text.encode()) > _MOST:
            piece = whole[: _without_half(whole[:_MOST])].decode()
            yield piece, True
            text = text[len(piece) :]
        yield text, not ends


def _without_half(data: bytes) -> int:
    """How many bytes there are without a character that is not all there."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte & 0xC0 == 0x80:
            continue
        size = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
        return len(data) - back if size > back else len(data)
    return len(data)
