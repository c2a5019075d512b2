"""The emulator without a transport: its state, what answers calls, and its beginning and end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from penstock_emulator.faults import Fault, Faults, Lost
from penstock_emulator.http import Answer, Request
from penstock_emulator.processes import Processes
from penstock_emulator.server import Why
from penstock_emulator.serving import lock
from penstock_emulator.store import Store
from penstock_vertex_emulator.agent import Agents
from penstock_vertex_emulator.artifacts import Artifacts
from penstock_vertex_emulator.entries import Entries
from penstock_vertex_emulator.errors import CODES, ApiError, invalid
from penstock_vertex_emulator.jobs import Jobs
from penstock_vertex_emulator.logging_http import LoggingHttp
from penstock_vertex_emulator.messages import text_of
from penstock_vertex_emulator.methods import Method, Route, methods
from penstock_vertex_emulator.pipelines import Operations, Pipelines
from penstock_vertex_emulator.storage import Storage, StorageError
from penstock_vertex_emulator.storage_http import StorageHttp
from penstock_vertex_emulator.tables import TABLES

T = TypeVar("T")


class Emulator:
    """One emulator, over the state in a folder. Raises InUse."""

    def __init__(self, folder: Path) -> None:
        self._lock = lock(folder)
        self.folder = folder.resolve()
        store = Store(self.folder / "state.db", TABLES)
        self.store = store
        self.storage = Storage(self.folder / "gcs", store)
        self._processes = Processes(store.identity)
        entries = Entries(store)
        self.jobs = Jobs(
            store, self.storage, self._processes, Agents(store, entries, self.folder / "logs"), self.folder
        )
        self.faults = Faults(CODES, _of_fault, invalid)
        artifacts = Artifacts(store, self.folder / "packages")
        self.methods = methods(Pipelines(self.jobs, self.storage, store, artifacts), Operations(store))
        self._routes: dict[str, list[Route]] = {}
        for method in self.methods:
            self._routes.setdefault(method.verb, []).extend(Route(method, path) for path in method.paths)
        # Those that look at a path by themselves.
        self._others = (StorageHttp(self.storage, store), LoggingHttp(entries), artifacts)
        self.jobs.resume()

    def ensure_bucket(self, name: str) -> None:
        """Make a bucket if it is not there."""
        try:
            self.storage.bucket(name)
        except StorageError:
            self.storage.create_bucket(name)

    def close(self) -> None:
        """Stop; what ran goes on when this state is opened again."""
        self.jobs.close()
        self._processes.close()
        self.store.close()
        self._lock.close()

    def do(self, method: Method, request: Any) -> Any:
        """Answer one call, with the faults that were asked for. Raises ApiError, Lost."""
        return self._met(method.full, method.subject(request), lambda: method.call(request))

    def answer(self, request: Request) -> Answer:
        """Answer one HTTP request. Raises Lost."""
        try:
            if request.path.startswith("/emulator/v1/"):
                return self._own(request)
            for route in self._routes.get(request.verb, ()):
                message = route.request(request.path, request.query, request.body)
                if message is not None:
                    return _message(request, self.do(route.method, message))
            for other in self._others:
                found = other.find(request)
                if found is not None:
                    return self._met(found[0], f"{request.path} {request.one('name')}", found[1])
            raise ApiError("NOT_FOUND", f"{request.verb} {request.path} is nothing that the emulator answers")
        except ApiError as error:
            return refusal(error)

    def refuse(self, why: Why, message: str) -> Answer:
        """Say no to what is not answered at all."""
        status = {"stranger": "PERMISSION_DENIED", "invalid": "INVALID_ARGUMENT", "failed": "INTERNAL"}[why]
        return refusal(ApiError(status, message))

    def _met(self, name: str, subject: str, call: Callable[[], T]) -> T:
        hit = self.faults.meet(name, subject)
        try:
            return call()
        finally:
            if any(fault.lose_answer for fault in hit):  # also when the answer is no
                raise Lost

    def _own(self, request: Request) -> Answer:
        if request.path == "/emulator/v1/faults":
            if request.verb == "POST":
                return _data(self.faults.ask(request.body))
            return _data(self.faults.forget() if request.verb == "DELETE" else self.faults.shown())
        raise ApiError("NOT_FOUND", f"{request.verb} {request.path} is nothing that the emulator answers")


def _of_fault(fault: Fault) -> ApiError:
    """The refusal that was asked for."""
    return ApiError(fault.error, fault.message)


def refusal(error: ApiError) -> Answer:
    """An error in Google's shape."""
    return _data({"error": {"code": error.http, "message": error.message, "status": error.status}}, error.http)


def _message(request: Request, message: Any) -> Answer:
    asked = request.one("$alt") or request.one("alt")
    text = text_of(message, numbers="enum-encoding=int" in asked)
    return Answer(200, {"Content-Type": "application/json; charset=UTF-8"}, text.encode())


def _data(data: Any, status: int = 200) -> Answer:
    return Answer(status, {"Content-Type": "application/json; charset=UTF-8"}, json.dumps(data).encode())
