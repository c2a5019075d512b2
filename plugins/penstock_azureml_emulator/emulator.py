"""The emulator without a transport: its state, what answers calls, and its beginning and end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from penstock_azureml_emulator import blobs, documents, identity, jobs, operations, reuse
from penstock_azureml_emulator.arm import Call, Fate, Route, answer, check_place, check_version
from penstock_azureml_emulator.assets import Assets
from penstock_azureml_emulator.blobs import Blobs
from penstock_azureml_emulator.blobs_http import BlobHttp
from penstock_azureml_emulator.documents import Documents
from penstock_azureml_emulator.endpoints import Endpoints
from penstock_azureml_emulator.errors import CODES, ArmError, AzureFault, invalid, of_fault
from penstock_azureml_emulator.history import History
from penstock_azureml_emulator.invoke import Invocations
from penstock_azureml_emulator.jobs import Jobs
from penstock_azureml_emulator.operations import Operations
from penstock_azureml_emulator.reuse import Reuse
from penstock_azureml_emulator.running import Places
from penstock_azureml_emulator.schemas import Schemas
from penstock_azureml_emulator.storage import Storage
from penstock_azureml_emulator.submissions import Submissions
from penstock_azureml_emulator.workspace import Workspace
from penstock_emulator.faults import Faults, Lost
from penstock_emulator.http import Answer, Request
from penstock_emulator.processes import Processes
from penstock_emulator.server import Why
from penstock_emulator.serving import lock
from penstock_emulator.store import Store

_FAULTS = "/emulator/v1/faults"
_MFE = "/mferp/managementfrontend"
"""Where the SDK finds Azure ML's part of ARM behind the workspace's own address."""


class Emulator:
    """One emulator, over the state in a folder; with Microsoft's schemas, bodies are held to them. Raises InUse."""

    def __init__(self, folder: Path, schemas: Path | None = None) -> None:
        self._lock = lock(folder)
        self.folder = folder.resolve()
        self.url = ""
        self._schemas = Schemas(schemas) if schemas else None
        tables = (blobs.TABLES, documents.TABLES, jobs.TABLES, operations.TABLES, reuse.TABLES)
        self.store = Store(self.folder / "state.db", "".join(tables))
        self.faults = Faults(CODES, of_fault, invalid, AzureFault)
        self._processes = Processes(self.store.identity)
        content = Blobs(self.folder / "blobs", self.store)
        storage = Storage(content, self.store.identity)
        stored, begun = Documents(self.store), Operations(self.store)
        assets, workspace = Assets(stored, storage), Workspace(stored, storage, begun)
        places = Places(stored, storage, Reuse(self.store), self._processes, self.folder, lambda: self.url)
        submissions = Submissions(stored, assets, workspace)
        self.jobs = Jobs(self.store, submissions, begun, places)
        endpoints = Endpoints(stored, assets, workspace, begun)
        invocations = Invocations(endpoints, submissions, self.jobs)
        history = History(self.jobs, storage)
        parts: tuple[Any, ...] = (workspace, assets, storage, endpoints, invocations, begun, self.jobs, history)
        self.routes: list[Route] = [route for part in parts for route in part.routes()]
        self._blobs = BlobHttp(content)

    def start(self, url: str) -> None:
        """Go on with what was interrupted, now that it is known where the emulator answers."""
        self.url = url
        self.jobs.resume()

    def close(self) -> None:
        """Stop; what ran goes on when this state is opened again."""
        self.jobs.close()
        self._processes.close()
        self.store.close()
        self._lock.close()

    def answer(self, request: Request) -> Answer:
        """Answer one HTTP request. Raises Lost."""
        try:
            if request.path == _FAULTS:
                return self._own(request)
            blob = self._blobs.find(request)
            if blob is not None:
                name, call = blob
                return self._met(name, request.path, lambda fate: call())
            return self._called(request)
        except ArmError as error:
            return error.answer()

    def refuse(self, why: Why, message: str) -> Answer:
        """Say no to what is not answered at all."""
        code = {"stranger": "AuthorizationFailed", "invalid": "InvalidRequest", "failed": "InternalServerError"}[why]
        return ArmError(code, message).answer()

    def _called(self, request: Request) -> Answer:
        path = request.path.removeprefix(_MFE).replace("//", "/")
        verb = "GET" if request.verb == "HEAD" else request.verb
        url = f"https://{request.headers['Host']}"
        for route in self.routes:
            names = route.match(verb, path)
            if names is None:
                continue
            if not route.open:
                identity.check(request, url, arm=route.arm and not request.path.startswith(_MFE))
            check_place(names)
            if route.arm:
                check_version(request)

            def call(fate: Fate, route: Route = route, names: dict[str, str] = names, url: str = url) -> Answer:
                asked = Call(request, url, names, fate)
                if route.schema and self._schemas is not None:
                    self._schemas.check(request.one("api-version"), route.schema, asked.body())
                return route.handler(asked)

            return self._met(route.name, path, call)
        raise ArmError("NotFound", f"{request.verb} {request.path} is nothing that the emulator answers")

    def _met(self, name: str, subject: str, call: Callable[[Fate], Answer]) -> Answer:
        hit = self.faults.meet(name, subject)
        late = next((fault.message for fault in hit if fault.late), "")
        try:
            return call(Fate(max((fault.takes for fault in hit), default=0.0), late))
        finally:
            if any(fault.lose_answer for fault in hit):  # also when the answer is no
                raise Lost

    def _own(self, request: Request) -> Answer:
        if request.verb == "POST":
            return answer(self.faults.ask(request.body))
        return answer(self.faults.forget() if request.verb == "DELETE" else self.faults.shown())
