"""What lies in the workspace: resources as ARM has them, under paths such as `components/x/versions/1`."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from penstock_azureml_emulator.arm import PROVIDER, below
from penstock_azureml_emulator.errors import ArmError
from penstock_emulator.http import Request
from penstock_emulator.store import Store

TABLES = """
create table if not exists documents (
    key text primary key, collection text not null, path text not null, seq integer not null, body text not null
);
create index if not exists documents_collection on documents (collection, seq);
"""


def now() -> str:
    """The time, as Azure writes it."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


class Documents:
    """The resources of one state. A path is found whatever the case of its letters."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, path: str) -> dict[str, Any] | None:
        """A resource, or nothing."""
        row = self._store.row("select path, body from documents where key = ?", path.lower())
        return _shown(*row) if row else None

    def put(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Write a resource's body: `properties`, and what else it has besides id, name and type."""
        kept = {key: value for key, value in body.items() if key not in ("id", "name", "type", "systemData")}
        with self._store.transaction():
            before = self.get(path)
            kept["systemData"] = {
                "createdAt": before["systemData"]["createdAt"] if before else now(),
                "createdBy": "emulator",
                "createdByType": "Application",
                "lastModifiedAt": now(),
                "lastModifiedBy": "emulator",
                "lastModifiedByType": "Application",
            }
            if before is None:
                self._store.run(
                    "insert into documents select ?, ?, ?, coalesce(max(seq), 0) + 1, ? from documents",
                    path.lower(),
                    path.lower().rpartition("/")[0],
                    path,
                    json.dumps(kept),
                )
            else:
                self._store.run("update documents set body = ? where key = ?", json.dumps(kept), path.lower())
            found = self.get(path)
        assert found is not None
        return found

    def all_in(self, collection: str) -> list[dict[str, Any]]:
        """The resources directly in a collection, such as `components/x/versions`, the newest first."""
        rows = self._store.rows(
            "select path, body from documents where collection = ? order by seq desc", collection.lower()
        )
        return [_shown(*row) for row in rows]

    def names(self, kind: str) -> list[str]:
        """The names of versioned resources of a kind, those with the newest version first."""
        rows: Any = self._store.rows(
            "select path from documents where key like ? escape '!' order by seq desc", f"{kind.lower()}/%/versions/%"
        )
        return list({str(path).split("/")[1].lower(): str(path).split("/")[1] for (path,) in rows}.values())

    def delete(self, path: str) -> bool:
        """Delete a resource and what lies below it; whether it was there."""
        with self._store.transaction():
            found = self._store.run("delete from documents where key = ?", path.lower())
            below_it = f"{path.lower()}/"
            self._store.run("delete from documents where substr(key, 1, ?) = ?", len(below_it), below_it)
        return bool(found)


def etag(document: dict[str, Any]) -> str:
    """What changes when a resource does."""
    return f'"{hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:32]}"'


def check_match(request: Request, document: dict[str, Any] | None) -> None:
    """`If-Match` and `If-None-Match` of a change. Source: ARM's rules for ETags. Raises ArmError."""
    wanted, unwanted = request.headers.get("If-Match"), request.headers.get("If-None-Match")
    there = etag(document) if document is not None else None
    if (wanted and not (there and wanted in ("*", there))) or (unwanted and there and unwanted in ("*", there)):
        raise ArmError("PreconditionFailed", "The condition of If-Match or If-None-Match is not met.")


def _shown(path: Any, body: Any) -> dict[str, Any]:
    parts = str(path).split("/")
    kinds = "/".join(parts[::2])
    return {
        "id": below(*parts),
        "name": parts[-1],
        "type": f"{PROVIDER}/workspaces/{kinds}",
        **json.loads(body),
    }
