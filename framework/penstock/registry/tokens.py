"""Tokens: who may come in by HTTP. A secret is shown once and kept as a hash, looked up by the id beside it."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Sequence
from datetime import datetime
from sqlite3 import Row

from penstock.callers import SCOPES, Caller, Scope
from penstock.errors import Conflict, NotAuthenticated, NotFound, UsageError, did_you_mean
from penstock.records import TokenRecord
from penstock.registry.database import AHEAD, LONGEST, Transaction
from penstock.registry.history import record
from penstock.registry.lookup import check_name, need_endpoint
from penstock.registry.messages import NewSession, NewToken
from penstock.registry.rows import from_time, to_json, to_time

PREFIX = "penstock"
"""What a token begins with, so that scanners of leaked secrets know one: `penstock_<id>_<secret>`."""

SESSION_PREFIX = "penstocks"
"""What a short-lived one begins with."""

SESSIONS = 1_000
"""How many short-lived ones of a token there may be; past that the oldest is no more, so that who asks for one in a
loop fills no disk.
"""


def create(
    tx: Transaction, name: str, scope: Scope, endpoints: Sequence[str] | None, expires: datetime | None, caller: Caller
) -> NewToken:
    """A new token, for some endpoints by name or id, or for all. Raises UsageError, NotFound, Conflict `name_taken`."""
    check_name("name of a token", name)
    if scope not in SCOPES:
        raise UsageError(f"`{scope}` is not a scope; they are {', '.join(SCOPES)}")
    if tx.one("SELECT 1 FROM tokens WHERE name = ? AND revoked IS NULL", name):
        raise Conflict(f"there is a token `{name}` already; revoke it, or take another name", code="name_taken")
    until = None if expires is None else from_time(expires)
    if until is not None and until <= tx.now:
        raise UsageError(f"a token that expires at {to_time(until):%Y-%m-%d %H:%M:%S} UTC has expired already")
    ids = None if endpoints is None else sorted({need_endpoint(tx, ref)["id"] for ref in endpoints})
    token_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    number = tx.insert(
        "tokens",
        id=token_id,
        name=name,
        scope=scope,
        secret_hash=_hash(secret),
        endpoints=None if ids is None else to_json(ids),
        by=caller.actor,
        created=tx.now,
        expires=until,
    )
    record(tx, caller, "token_created", "token", token_id, name, to=scope)
    row = tx.need("SELECT * FROM tokens WHERE seq = ?", number)
    return NewToken(token=f"{PREFIX}_{token_id}_{secret}", record=_record(row, tx.now))


def list_all(tx: Transaction, *, all: bool = False) -> tuple[TokenRecord, ...]:
    """Every token, newest first; revoked ones only with `all`."""
    rows = tx.all(f"SELECT * FROM tokens {'' if all else 'WHERE revoked IS NULL'} ORDER BY seq DESC")
    return tuple(_record(row, tx.now) for row in rows)


def revoke(tx: Transaction, ref: str, caller: Caller) -> TokenRecord:
    """Revoke a token by name or id, for good; one that is revoked already stays so. Raises NotFound."""
    row = tx.one("SELECT * FROM tokens WHERE name = ? AND revoked IS NULL", ref) or tx.one(
        "SELECT * FROM tokens WHERE id = ?", ref
    )
    if row is None:
        names = [each["name"] for each in tx.all("SELECT name FROM tokens WHERE revoked IS NULL")]
        raise NotFound(f"no token `{ref}` ({did_you_mean(ref, names) or 'there are none'})", code="token_not_found")
    if row["revoked"] is None:
        tx.run("UPDATE tokens SET revoked = ? WHERE seq = ?", tx.now, row["seq"])
        tx.run("DELETE FROM sessions WHERE token = ?", row["seq"])
        record(tx, caller, "token_revoked", "token", row["id"], row["name"])
    return _record(tx.need("SELECT * FROM tokens WHERE seq = ?", row["seq"]), tx.now)


def verify(tx: Transaction, text: str) -> TokenRecord | None:
    """The token that a text is, or came from, when it is one that is active; else None, and nothing is said of why."""
    prefix, _, rest = text.partition("_")
    id_, _, secret = rest.partition("_")
    if prefix == SESSION_PREFIX:
        row = tx.one(
            """SELECT t.*, s.secret_hash AS said_hash, s.expires AS session_expires FROM sessions s
                JOIN tokens t ON t.seq = s.token WHERE s.id = ?""",
            id_,
        )
    else:
        row = tx.one("SELECT *, secret_hash AS said_hash, NULL AS session_expires FROM tokens WHERE id = ?", id_)
    # Compared whether there is a row or not, and in constant time, so that the time taken tells nothing.
    same = hmac.compare_digest(_hash(secret), row["said_hash"] if row else _hash(""))
    if row is None or prefix not in (PREFIX, SESSION_PREFIX) or not same:
        return None
    # None lasts longer than anything is put off; what does was counted by a clock that was ahead.
    if row["session_expires"] is not None and not tx.clock < row["session_expires"] <= tx.clock + LONGEST:
        return None
    found = _record(row, tx.clock)
    return found if found.state == "active" else None


def refuse_revoked(tx: Transaction, caller: Caller) -> None:
    """Raise NotAuthenticated when the token that a caller came in with was revoked while it waited to decide."""
    token = None if caller.rights is None else caller.rights.token
    if token is not None and tx.one("SELECT 1 FROM tokens WHERE id = ? AND revoked IS NULL", token) is None:
        raise NotAuthenticated()


def exchange(tx: Transaction, name: str, text: str, seconds: int) -> NewSession | None:
    """A short-lived token that holds what a token holds, for who has its name and its text; else None.

    It ends with the token that it came from. Those that are over are forgotten, and the oldest when there are too many.
    """
    found = verify(tx, text)
    if found is None or name not in (found.name, found.id) or not text.startswith(f"{PREFIX}_"):
        return None
    tx.run("DELETE FROM sessions WHERE expires <= ?", tx.clock)
    expires = tx.after(seconds)
    if found.expires is not None:
        expires = min(expires, from_time(found.expires))
    session_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    token = tx.need("SELECT seq FROM tokens WHERE id = ?", found.id)["seq"]
    tx.insert("sessions", id=session_id, token=token, secret_hash=_hash(secret), expires=expires)
    last = "SELECT seq FROM sessions WHERE token = ? ORDER BY seq DESC LIMIT 1 OFFSET ?"
    tx.run(f"DELETE FROM sessions WHERE token = ? AND seq <= ({last})", token, token, SESSIONS)
    return NewSession(token=f"{SESSION_PREFIX}_{session_id}_{secret}", expires=to_time(expires))


def _hash(secret: str) -> str:
    # A secret of 256 random bits needs no slow hash: nobody guesses it.
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _record(row: Row, now: int) -> TokenRecord:
    # How long it lasts was counted from when it was made; by a clock that was far ahead it would last for years.
    expired = row["expires"] is not None and (row["expires"] <= now or row["created"] > now + AHEAD)
    return TokenRecord(
        id=row["id"],
        name=row["name"],
        scope=row["scope"],
        endpoints=None if row["endpoints"] is None else tuple(json.loads(row["endpoints"])),
        state="revoked" if row["revoked"] is not None else "expired" if expired else "active",
        by=row["by"],
        created=to_time(row["created"]),
        expires=None if row["expires"] is None else to_time(row["expires"]),
        revoked=None if row["revoked"] is None else to_time(row["revoked"]),
    )
