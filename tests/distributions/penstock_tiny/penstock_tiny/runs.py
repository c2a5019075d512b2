"""Runs as folders of files: they outlive every process, and whoever looks at one moves it on.

FOLDER/runs/RUN/run.json     what was asked for; it never changes
                state.json   what has become of it; written whole or not at all
                lock         held by whoever moves the run on
                cancel       somebody wants it to end
                steps/STEP/  see `steps`
"""

import contextlib
import errno
import fcntl
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from penstock.contract.run import ENDED, Failure, RunReport, RunRequest, StepReport
from penstock.snapshot import Archive, extract
from penstock.spec.command import Reference
from penstock.spec.optional import filled
from penstock_tiny import steps

State = dict[str, Any]
"""A run's report as JSON, and its `outputs`. Its `steps` are by name, in the order of the graph."""

_CHUNK = 1 << 20


def plan_of(folder: Path, external: str) -> Path:
    """Where a publication's plan is kept."""
    return folder / "publications" / f"{external}.json"


def archive_of(folder: Path, digest: str) -> Path:
    """Where an archive is kept."""
    return folder / "archives" / f"{digest.rpartition(':')[2]}.tar"


def write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, and on the disk before it has its name."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{uuid.uuid4().hex}")
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def create(folder: Path, run: RunRequest) -> None:
    """Make a run unless there is one of this id: its folder appears once, and with everything in it."""
    place = folder / "runs" / run.id
    if place.exists():
        return
    plan = json.loads(plan_of(folder, run.publication.external).read_bytes())
    given = run.parameters
    asked = {"values": {**given.texts, **given.artifacts}, "bundled": dict(given.bundled), "plan": plan}
    asked["absent"] = sorted(given.absent)
    queued = {step["name"]: {"state": "queued"} for step in plan["steps"]}
    draft = place.with_name(f".{uuid.uuid4().hex}")
    write(draft / "run.json", json.dumps(asked).encode())
    write(draft / "state.json", json.dumps({"state": "queued", "steps": queued, "outputs": {}}).encode())
    try:
        draft.rename(place)
    except OSError as error:
        shutil.rmtree(draft)
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise


def look(folder: Path, run: str) -> State | None:
    """Move a run on as far as it goes now. How it stands then; None when there is no such run."""
    place = folder / "runs" / run
    if not place.exists():
        return None
    with _alone(place):
        return _Moved(folder, place).state


def cancel(folder: Path, run: str) -> bool:
    """Ask a run to end; False when it has ended."""
    place = folder / "runs" / run
    with _alone(place):
        if _Moved(folder, place).state["state"] in ENDED:
            return False
        write(place / "cancel", b"")
        _Moved(folder, place)
        return True


def read_log(folder: Path, run: str, step: str, offset: int) -> tuple[bytes, int]:
    """A piece of what a step wrote, and how much there is of it in all."""
    try:
        with (folder / "runs" / run / "steps" / step / "log").open("rb") as log:
            log.seek(offset)
            return log.read(_CHUNK), os.fstat(log.fileno()).st_size
    except FileNotFoundError:  # it has not started, or never will
        return b"", 0


def report(state: State) -> RunReport:
    """A run's state in penstock's words."""
    found = tuple(StepReport(name=name, **_reported(step)) for name, step in state["steps"].items())
    return RunReport(steps=found, **_reported({k: v for k, v in state.items() if k not in ("steps", "outputs")}))


def _reported(item: Mapping[str, Any]) -> dict[str, Any]:
    times = {key: datetime.fromisoformat(item[key]) for key in ("started", "ended") if key in item}
    return {**item, **times, "error": Failure(**item["error"]) if "error" in item else None}


@contextlib.contextmanager
def _alone(place: Path) -> Iterator[None]:
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # gone with its process, however that ends
        yield


def _now() -> str:
    return datetime.now(UTC).isoformat()


class _Moved:
    """A run, moved on by what can be done now. Made by one at a time: see `_alone`."""

    def __init__(self, folder: Path, place: Path) -> None:
        self.folder, self.place = folder, place
        self.state: State = json.loads((place / "state.json").read_bytes())
        if self.state["state"] in ENDED:
            return
        self.run = json.loads((place / "run.json").read_bytes())
        self.canceled = (place / "cancel").exists()
        before = json.dumps(self.state)
        for plan in self.run["plan"]["steps"]:  # what a step needs comes before it
            try:
                self._move(plan, self.state["steps"][plan["name"]])
            except steps.Failed as failed:
                error = {"code": failed.code, "message": f"step `{plan['name']}`: {failed}", "step": plan["name"]}
                self._end(plan["name"], "failed", error=error, exit_code=failed.exit_code)
        self._sum_up()
        if json.dumps(self.state) != before:
            self._save()

    def _save(self) -> None:
        write(self.place / "state.json", json.dumps(self.state).encode())

    def _end(self, step: str, state: str, **more: Any) -> None:
        self.state["steps"][step] |= {"state": state, "ended": _now(), **more}

    def _move(self, plan: steps.Plan, now: State) -> None:
        name, folder = plan["name"], self.place / "steps" / plan["name"]
        if now["state"] == "queued":
            needs = {self.state["steps"][need]["state"] for need in plan["needs"]}
            if self.canceled:
                self._end(name, "canceled")
            elif needs & {"failed", "skipped"}:
                self._end(name, "skipped")
            elif needs <= {"succeeded"}:
                now |= {"state": "running", "attempt": 1, "started": _now()}
                self.state |= {"state": "running", "started": self.state.get("started", now["started"])}
                self._save()  # before it starts, so that nothing runs that nobody knows of
                steps.start(folder, plan, self._archive(plan["code"]), self._known)
        elif now["state"] == "running":
            if steps.is_there(folder):
                if self.canceled:
                    steps.kill(folder)
            elif self.canceled:
                self._end(name, "canceled")
            elif not steps.began(folder):  # whoever was to start it was killed before
                steps.start(folder, plan, self._archive(plan["code"]), self._known)
            else:
                self._end(name, "succeeded", outputs=steps.outputs(folder, plan), exit_code=0)

    def _known(self, reference: Reference) -> str | None:
        """The text of a parameter, None of one without a value, or of an output of a step that has succeeded."""
        if reference.scope == "steps":
            step, _, output = reference.names
            return str(self.state["steps"][step]["outputs"][output])
        (name,) = reference.names
        archive = self._archive(self.run["bundled"].get(name))
        if archive is None:
            return None if name in self.run["absent"] else str(self.run["values"][name])
        unpacked = self.place / "data" / f"{name}-{uuid.uuid4().hex}"
        extract(archive, unpacked)
        return str(unpacked / Path(archive.path).name if archive.kind == "file" else unpacked)

    def _archive(self, path: str | None) -> Archive | None:
        if path is None:
            return None
        planned = self.run["plan"]["archives"][path]
        return Archive(path=path, location=archive_of(self.folder, planned["digest"]), **planned)

    def _sum_up(self) -> None:
        """The run has ended when each of its steps has."""
        found = list(self.state["steps"].values())
        if any(step["state"] not in ENDED for step in found):
            return
        failed = sorted((step for step in found if step["state"] == "failed"), key=lambda step: str(step["ended"]))
        if any(step["state"] == "canceled" for step in found):
            self.state["state"] = "canceled"
        else:
            self.state |= {"state": "failed", "error": failed[0]["error"]} if failed else {"state": "succeeded"}
        for name, text in self.run["plan"]["outputs"].items():
            with contextlib.suppress(KeyError):
                self.state["outputs"][name] = filled(text, self._known)
        self.state["ended"] = _now()
