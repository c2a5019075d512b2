"""The default of an endpoint (law 3): an explicit pointer, moved by compare-and-set, and a stack to go back on."""

from __future__ import annotations

from sqlite3 import Row

from penstock.callers import Caller
from penstock.errors import Conflict
from penstock.registry import outbox
from penstock.registry.database import Transaction
from penstock.registry.gates import refuse_version
from penstock.registry.history import record
from penstock.registry.lookup import check_revision, get_endpoint, need_endpoint, need_version
from penstock.registry.messages import MoveOutcome


def set_default(
    tx: Transaction,
    ref: str,
    version: str,
    caller: Caller,
    *,
    expect: str | None = None,
    expect_revision: int | None = None,
    reason: str = "",
) -> MoveOutcome:
    """Move the default to a version; `reason` is recorded with the move.

    Raises Conflict `default_changed`, `revision_changed`, GateClosed, NotFound.
    """
    endpoint = need_endpoint(tx, ref)
    check_revision(f"endpoint `{endpoint['name']}`", endpoint, expect_revision)
    check_expected(endpoint, expect)
    moved = move(tx, endpoint, need_version(tx, endpoint, version), caller, reason)
    return _outcome(tx, endpoint, int(version), moved)


def rollback(
    tx: Transaction,
    ref: str,
    caller: Caller,
    *,
    expect: str | None = None,
    expect_revision: int | None = None,
    reason: str = "",
) -> MoveOutcome:
    """Take the last move of the default back; `reason` is recorded with it.

    Raises Conflict `nothing_to_roll_back`, `default_changed`, `revision_changed`, GateClosed.
    """
    endpoint = need_endpoint(tx, ref)
    check_revision(f"endpoint `{endpoint['name']}`", endpoint, expect_revision)
    check_expected(endpoint, expect)
    top = tx.one("SELECT * FROM default_stack WHERE endpoint = ? ORDER BY position DESC LIMIT 1", endpoint["seq"])
    if top is None:
        raise Conflict(
            f"the default of endpoint `{endpoint['name']}` is {endpoint['default_version']}, "
            "and there is nothing to go back to",
            code="nothing_to_roll_back",
        )
    refuse_version(tx, endpoint, need_version(tx, endpoint, str(top["version"])))
    tx.run("DELETE FROM default_stack WHERE endpoint = ? AND position = ?", endpoint["seq"], top["position"])
    _point(tx, endpoint, top["version"], caller, "default_rolled_back", reason)
    return _outcome(tx, endpoint, top["version"], True)


def move(tx: Transaction, endpoint: Row, version: Row, caller: Caller, reason: str = "") -> bool:
    """Move the default to a row of `versions`; false when it is there already. Raises GateClosed."""
    if version["version"] == endpoint["default_version"]:
        return False
    refuse_version(tx, endpoint, version)
    tx.run(
        """INSERT INTO default_stack (endpoint, position, version)
            SELECT ?, coalesce(max(position) + 1, 0), ? FROM default_stack WHERE endpoint = ?""",
        endpoint["seq"],
        endpoint["default_version"],
        endpoint["seq"],
    )
    _point(tx, endpoint, version["version"], caller, "default_moved", reason)
    return True


def check_expected(endpoint: Row, expect: str | None) -> None:
    """Refuse when the default is not what the caller believes. Raises Conflict `default_changed`."""
    if expect is not None and expect != str(endpoint["default_version"]):
        raise Conflict(
            f"the default of endpoint `{endpoint['name']}` is {endpoint['default_version']}, not {expect}; "
            "look at it again before moving it",
            code="default_changed",
        )


def _point(tx: Transaction, endpoint: Row, version: int, caller: Caller, action: str, reason: str) -> None:
    tx.run("UPDATE endpoints SET default_version = ? WHERE seq = ?", version, endpoint["seq"])
    outbox.endpoint_changed(tx, endpoint["seq"])
    before, about = str(endpoint["default_version"]), (endpoint["id"], endpoint["name"])
    record(tx, caller, action, "endpoint", *about, from_=before, to=str(version), reason=reason)


def _outcome(tx: Transaction, before: Row, version: int, moved: bool) -> MoveOutcome:
    return MoveOutcome(
        endpoint=get_endpoint(tx, before["id"]), from_=str(before["default_version"]), to=str(version), moved=moved
    )
