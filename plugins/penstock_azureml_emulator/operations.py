"""Long-running operations: begun by a call, not done at the first look, and done at the next."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

from penstock_azureml_emulator.arm import LOCATION, PROVIDER, SUBSCRIPTION, Call, Route, answer
from penstock_azureml_emulator.documents import now
from penstock_azureml_emulator.errors import missing
from penstock_emulator.http import Answer
from penstock_emulator.store import Store

TABLES = "create table if not exists operations (id text primary key, looks integer not null, body text not null);"

_BASE = f"/subscriptions/{SUBSCRIPTION}/providers/{PROVIDER}/locations/{LOCATION}"
_PAUSE_MS = "50"
"""Milliseconds until the next look, as Azure ML says them; without, azure-core would wait 30 seconds."""


class Operations:
    """The operations of one state."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def routes(self) -> list[Route]:
        """What is answered."""
        base = _BASE.replace(SUBSCRIPTION, "{subscription}").replace(LOCATION, "{location}")
        return [
            Route("GET", f"{base}/mfeOperationsStatus/{{operation}}", "operations.get", self._status),
            Route("GET", f"{base}/mfeOperationResults/{{operation}}", "operations.result", self._result),
        ]

    def begin(self, call: Call, path: str = "") -> dict[str, str]:
        """Begin an operation on a resource, with the time and end that were asked for; the headers that say where."""
        key = str(uuid.uuid4())
        until = time.time() + call.fate.takes if call.fate.takes else None
        body = {"id": key, "name": key, "startTime": now(), "error": call.fate.error, "path": path, "until": until}
        self._store.run("insert into operations values (?, 0, ?)", key, json.dumps(body))
        version = call.request.one("api-version")
        return {
            "Azure_AsyncOperation": f"{call.url}{_BASE}/mfeOperationsStatus/{key}?api-version={version}",
            "Location": f"{call.url}{_BASE}/mfeOperationResults/{key}?api-version={version}",
            "x_ms_async_operation_timeout": "PT1H",
            "x_ms_retry_after_ms": _PAUSE_MS,
        }

    def working(self, path: str) -> bool:
        """Whether an operation that takes its time still works at a resource."""
        row = self._store.row(
            "select 1 from operations where body ->> '$.path' = ? and body ->> '$.until' > ?", path, time.time()
        )
        return bool(row)

    def _looked(self, call: Call) -> tuple[bool, dict[str, Any]]:
        key = call.names["operation"]
        self._store.run("update operations set looks = looks + 1 where id = ?", key)
        row: Any = self._store.row("select looks, body from operations where id = ?", key)
        if not row:
            raise missing("operations", key)
        body = json.loads(row[1])
        body.pop("path", None)
        until = body.pop("until", None)
        return (row[0] >= 2 if until is None else time.time() >= until), body

    def _status(self, call: Call) -> Answer:
        done, body = self._looked(call)
        late = body.pop("error")
        if not done:
            return answer({**body, "status": "InProgress", "percentComplete": 0.0}, x_ms_retry_after_ms=_PAUSE_MS)
        said: dict[str, Any] = {**body, "endTime": now(), "percentComplete": 100.0}
        if late:
            return answer({**said, "status": "Failed", "error": {"code": "UserError", "message": late}})
        return answer({**said, "status": "Succeeded"})

    def _result(self, call: Call) -> Answer:
        done, body = self._looked(call)
        if not done:
            here = f"{call.url}{call.request.path}?api-version={call.request.one('api-version')}"
            return Answer(202, {"Location": here, "x-ms-retry-after-ms": _PAUSE_MS})
        if body["error"]:
            return answer({"error": {"code": "UserError", "message": body["error"]}}, 400)
        return Answer(200)
