"""What a restore makes valid again that was ended since its backup: revoked tokens and closed gates."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from penstock.errors import RegistryError
from penstock.registry.copying import connect_read_only
from penstock.registry.messages import Revived

_ENDED = """\
SELECT id, name FROM tokens WHERE revoked IS NOT NULL
"""
_ACTIVE = """\
SELECT id, name FROM tokens WHERE revoked IS NULL AND (expires IS NULL OR expires > :now) ORDER BY name
"""
_GATES = """\
SELECT e.id, 'endpoint ' || e.name AS name FROM endpoints e WHERE e.deleted IS NULL AND e.gate_since IS {0} NULL
UNION ALL SELECT e.id || '@' || v.version, 'version ' || e.name || '@' || v.version FROM versions v
    JOIN endpoints e ON e.seq = v.endpoint WHERE e.deleted IS NULL AND v.gate_since IS {0} NULL
UNION ALL SELECT p.id, 'pipeline ' || p.name || ':' || p.label || '@' || p.target FROM published p
    WHERE p.deleted IS NULL AND p.gate_since IS {0} NULL
ORDER BY name
"""


def revived(path: Path, replaced: Path) -> Revived | None:
    """Tokens that are active and gates that are open in a registry, and were not any more in the one that it replaced.

    Each by its name in the registry. None when one of the two cannot be read.
    """
    now = {"now": time.time_ns() // 1000}
    try:
        with closing(connect_read_only(replaced)) as before, closing(connect_read_only(path)) as after:
            ended = {row["id"] for row in before.execute(_ENDED)}
            closed = {row["id"] for row in before.execute(_GATES.format("NOT"))}
            return Revived(
                tokens=tuple(row["name"] for row in after.execute(_ACTIVE, now) if row["id"] in ended),
                gates=tuple(row["name"] for row in after.execute(_GATES.format("")) if row["id"] in closed),
            )
    except (sqlite3.Error, OSError, RegistryError):  # it was damaged, is older, or was put away by now
        return None
