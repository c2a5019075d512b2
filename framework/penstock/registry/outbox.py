"""The outbox: everything owed to targets, written in the transaction of the change and done after it (laws 8, 12).

`submit` hands a run over, `cancel` asks it to end, `sync` tells what an endpoint is now, `retire` forgets a
publication. What could not be done is due again later; a target that cannot be reached is left alone for a while.
"""

from __future__ import annotations

from collections.abc import Collection

from penstock.contract.target import Publication
from penstock.records import Placement
from penstock.registry.database import LONGEST, Transaction
from penstock.registry.messages import Breaker, Owed
from penstock.registry.rows import placement_of, publication_of, to_json, to_time

LEASE = 15.0
"""How long, in seconds, what was begun is left to the process that began it before it is due again."""

_OF_SUBJECT = {
    "submit": "(SELECT seq FROM runs WHERE id = ?)",
    "cancel": "(SELECT seq FROM runs WHERE id = ?)",
    "sync": "(SELECT seq FROM endpoints WHERE id = ?)",
    "retire": "CAST(? AS INTEGER)",
}


def _which(owed: Owed) -> str:
    """The condition that finds it; its parameters are those of `_named`."""
    return f"kind = ? AND subject = {_OF_SUBJECT[owed.kind]} AND target = ?"


def _named(owed: Owed) -> tuple[str, str, str]:
    return owed.kind, owed.subject, owed.target


def owe(tx: Transaction, kind: str, subject: int, target: str) -> None:
    """Owe a target something, due now. What is owed already is due now again."""
    tx.run(
        """INSERT INTO outbox (kind, subject, target, due, noted) VALUES (?1, ?2, ?3, ?4, ?4)
            ON CONFLICT (kind, subject, target) DO UPDATE
                SET due = excluded.due, noted = excluded.noted, tries = 0, message = ''""",
        kind,
        subject,
        target,
        tx.clock,
    )


def forget(tx: Transaction, kind: str, subject: int, target: str) -> bool:
    """Owe it no more; returns whether it was owed."""
    return bool(tx.run("DELETE FROM outbox WHERE kind = ? AND subject = ? AND target = ?", kind, subject, target))


def endpoint_changed(tx: Transaction, endpoint: int) -> None:
    """Note that an endpoint changed: a new revision, which every target of its versions is owed."""
    tx.run("UPDATE endpoints SET revision = revision + 1, modified = ? WHERE seq = ?", tx.now, endpoint)
    for row in tx.all("SELECT target FROM endpoint_targets WHERE endpoint = ?", endpoint):
        owe(tx, "sync", endpoint, row["target"])


def add_target(tx: Transaction, endpoint: int, target: str) -> None:
    """Note that an endpoint has a version on a target."""
    tx.run("INSERT OR IGNORE INTO endpoint_targets (endpoint, target) VALUES (?, ?)", endpoint, target)


def published_changed(tx: Transaction, published: int) -> None:
    """Note that a published pipeline changed, for every live endpoint that has it."""
    rows = tx.all(
        """SELECT e.seq FROM versions v JOIN endpoints e ON e.seq = v.endpoint
            WHERE v.published = ? AND e.deleted IS NULL""",
        published,
    )
    for row in rows:
        endpoint_changed(tx, row["seq"])


_LATER = "{until} > ?1 AND {until} <= ?1 + ?2 AND coalesce({noted}, 0) <= ?1"
"""Whether something is put off at a time. What lies ahead by more than anything is put off for, or was noted in what is
the future now, was noted before the clock was set back, and is waited for by nobody.
"""

_DUE = f"""NOT ({_LATER.format(until="o.due", noted="o.noted")}) AND NOT EXISTS (SELECT 1 FROM breakers b
    WHERE b.target = o.target AND {_LATER.format(until="b.until", noted="b.noted")})"""
"""What is due at a time, without what targets are left alone with."""

AT_ONCE = ("sync", "cancel")
"""What a target is told before everything else: a gate that closes, or a run that ends, waits behind no hand-over."""


def due(
    tx: Transaction, *, target: str | None = None, limit: int = 100, kinds: Collection[str] | None = None
) -> list[Owed]:
    """What is due now, without what targets are left alone with: first `AT_ONCE`, then the longest waiting first.

    `target`, `kinds`: only its own, only these.
    """
    found: list[Owed] = []
    at_once = "o.kind IN ('sync', 'cancel')"
    # Each in the order of an index: there may be many.
    for which, order in ((at_once, "o.kind, o.subject"), (f"NOT {at_once}", "o.due, o.seq")):
        rows = tx.all(
            f"""SELECT o.kind, o.target, coalesce(r.id, e.id, o.subject) AS subject FROM outbox o
                LEFT JOIN runs r ON o.kind IN ('submit', 'cancel') AND r.seq = o.subject
                LEFT JOIN endpoints e ON o.kind = 'sync' AND e.seq = o.subject
                WHERE {which} AND {_DUE} AND (?3 IS NULL OR o.target = ?3)
                    AND (?4 IS NULL OR o.kind IN (SELECT value FROM json_each(?4)))
                ORDER BY {order} LIMIT ?5""",
            tx.clock,
            LONGEST,
            target,
            None if kinds is None else to_json(list(kinds)),
            limit - len(found),
        )
        found += [Owed(kind=row["kind"], subject=str(row["subject"]), target=row["target"]) for row in rows]
    return found


def take(tx: Transaction, target: str, kinds: Collection[str] | None = None) -> Owed | None:
    """What is due first for a target, left to the caller for a while: of several who take, each gets another.

    `kinds`: only of these.
    """
    for owed in due(tx, target=target, limit=1, kinds=kinds):
        begin(tx, owed)
        return owed
    return None


def due_targets(tx: Transaction, kinds: Collection[str] | None = None) -> list[str]:
    """The targets that are owed something now; `kinds`: something of these."""
    rows = tx.all(
        f"""SELECT o.target FROM outbox o WHERE {_DUE}
            AND (?3 IS NULL OR o.kind IN (SELECT value FROM json_each(?3)))""",
        tx.clock,
        LONGEST,
        None if kinds is None else to_json(list(kinds)),
    )
    return sorted({row["target"] for row in rows})


def is_owed(tx: Transaction, owed: Owed) -> bool:
    """Whether it is still to be done."""
    found = tx.one(
        f"SELECT 1 FROM outbox WHERE {_which(owed)}",
        *_named(owed),
    )
    return found is not None


def done(tx: Transaction, owed: Owed) -> None:
    """Note that it is done."""
    tx.run(
        f"DELETE FROM outbox WHERE {_which(owed)}",
        *_named(owed),
    )


def defer(tx: Transaction, owed: Owed, seconds: float, message: str, *, stuck: bool = False) -> None:
    """Note that it could not be done now, why, and that it is due again after so many seconds.

    `stuck`: not because the target is away, but because somebody has to mend something.
    """
    # A hand-over counts its tries when it begins, see `handover.start`.
    tx.run(
        f"""UPDATE outbox SET due = ?, noted = ?, message = ?, stuck = ?, tries = tries + (kind <> 'submit')
            WHERE {_which(owed)}""",
        tx.after(seconds),
        tx.clock,
        message,
        stuck,
        *_named(owed),
    )


def is_due(tx: Transaction, owed: Owed) -> bool:
    """Whether it is to be done now, and its target is not left alone."""
    found = tx.one(
        f"SELECT due, noted FROM outbox WHERE {_which(owed)}",
        *_named(owed),
    )
    if found is None or _is_later(tx, found["due"], found["noted"]):
        return False
    return breaker(tx, owed.target) is None


def _is_later(tx: Transaction, until: int, noted: int | None) -> bool:
    """See `_LATER`."""
    return tx.clock < until <= tx.clock + LONGEST and (noted or 0) <= tx.clock


def begin(tx: Transaction, owed: Owed) -> None:
    """Leave it to whoever begins now for a while, so that others go on with the rest should its target be slow."""
    tx.run(
        f"UPDATE outbox SET due = ?, noted = ? WHERE {_which(owed)}",
        tx.after(LEASE),
        tx.clock,
        *_named(owed),
    )


def is_stuck(tx: Transaction, owed: Owed) -> bool:
    """Whether it waits for somebody to mend something."""
    found = tx.one(
        f"SELECT stuck FROM outbox WHERE {_which(owed)}",
        *_named(owed),
    )
    return found is not None and bool(found["stuck"])


def tries(tx: Transaction, owed: Owed) -> int:
    """How often it was tried in vain."""
    found = tx.one(
        f"SELECT tries FROM outbox WHERE {_which(owed)}",
        *_named(owed),
    )
    return 0 if found is None else int(found["tries"])


def breaker(tx: Transaction, target: str) -> Breaker | None:
    """Until when a target is left alone, or None when it is not, or not any more."""
    row = tx.one("SELECT * FROM breakers WHERE target = ?", target)
    if row is None or not _is_later(tx, row["until"], row["noted"]):
        return None
    return Breaker(until=to_time(row["until"]), failures=row["failures"], message=row["message"])


def trouble(tx: Transaction, target: str) -> str | None:
    """Why a target could not be reached when it was tried last; None when it could, or when it is not left alone for
    that any more and nothing waits for it.
    """
    row = tx.one("SELECT * FROM breakers WHERE target = ?", target)
    waits = """SELECT 1 FROM outbox WHERE target = ?1 UNION ALL SELECT 1 FROM runs r INDEXED BY runs_unfinished
        JOIN publications b ON b.seq = r.publication WHERE r.ended IS NULL AND b.target = ?1 LIMIT 1"""
    if row is None or not (_is_later(tx, row["until"], row["noted"]) or tx.one(waits, target)):
        return None
    return str(row["message"])


def failures(tx: Transaction, target: str) -> int:
    """How often in a row a target could not be reached."""
    row = tx.one("SELECT failures FROM breakers WHERE target = ?", target)
    return 0 if row is None else int(row["failures"])


def leave_alone(tx: Transaction, target: str, seconds: float, message: str) -> None:
    """Note that a target could not be reached once more, and that everybody leaves it alone for so many seconds."""
    tx.run(
        """INSERT INTO breakers (target, until, failures, message, noted) VALUES (?, ?, 1, ?, ?)
            ON CONFLICT (target) DO UPDATE SET until = excluded.until, failures = failures + 1,
                message = excluded.message, noted = excluded.noted""",
        target,
        tx.after(seconds),
        message,
        tx.clock,
    )


def reached(tx: Transaction, target: str) -> None:
    """Note that a target can be reached: what was tried in vain is due now."""
    tx.run("DELETE FROM breakers WHERE target = ?", target)
    tx.run("UPDATE outbox SET due = ? WHERE target = ? AND due > ? AND message <> ''", tx.clock, target, tx.clock)


def to_retire(tx: Transaction, owed: Owed) -> tuple[Placement, Publication] | None:
    """The publication to forget, or None when it is in use again, and then it is owed no more.

    With other frozen options, or under another name of the same place, the backend may call a snapshot that is in use
    by the same name; then it stays there.
    """
    row = tx.one(
        """SELECT b.* FROM publications b JOIN outbox o ON o.kind = 'retire' AND o.subject = b.seq
            WHERE b.seq = CAST(? AS INTEGER) AND b.retired AND NOT EXISTS (SELECT 1 FROM publications t
                WHERE t.identity = b.identity AND t.external = b.external AND NOT t.retired)""",
        owed.subject,
    )
    if row is None:
        done(tx, owed)
        return None
    return placement_of(row), publication_of(row)


def namesakes(tx: Transaction, owed: Owed) -> list[tuple[Placement, Publication]]:
    """The retired publications of the same name at the same place under another name: while one was in use, the
    others were not forgotten, and two targets that say the same of themselves may still keep things apart.
    """
    rows = tx.all(
        """SELECT t.* FROM publications b JOIN publications t ON t.identity = b.identity AND t.external = b.external
            WHERE b.seq = CAST(? AS INTEGER) AND t.retired AND t.target <> b.target ORDER BY t.seq""",
        owed.subject,
    )
    return [(placement_of(row), publication_of(row)) for row in rows]
