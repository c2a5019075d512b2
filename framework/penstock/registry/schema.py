"""The registry's schema as a list of small steps. `PRAGMA user_version` counts those a file has, and is what decides;
the table of sqlite-utils only says which of them are still to be applied.

A step never changes; a new need is a new step at the end. Longer than a module should be, because they are read in
order and only ever get more. Every time is in microseconds since
1970 UTC. Things are numbered (`seq`) in the order they came; `id` is what the world knows them by.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite_utils import Database

APPLICATION_ID = 0x70656E73
"""What marks a SQLite file as ours: `pens`."""

_GATE = "gate_since INTEGER, gate_by TEXT NOT NULL DEFAULT '', gate_reason TEXT NOT NULL DEFAULT ''"


def published_pipelines(db: Database) -> None:
    """Snapshots, what backends call them, and the names and labels they are frozen under."""
    db.execute(
        "CREATE TABLE snapshots (digest TEXT PRIMARY KEY, spec TEXT NOT NULL, archives TEXT NOT NULL) WITHOUT ROWID"
    )
    db.execute(
        """CREATE TABLE publications (
            seq INTEGER PRIMARY KEY,
            target TEXT NOT NULL,
            backend TEXT NOT NULL,
            digest TEXT NOT NULL REFERENCES snapshots (digest),
            identity TEXT NOT NULL,
            options TEXT NOT NULL,
            external TEXT NOT NULL,
            native INTEGER NOT NULL,
            gated INTEGER NOT NULL,
            trigger_url TEXT,
            details TEXT NOT NULL,
            retired INTEGER NOT NULL DEFAULT 0,
            UNIQUE (target, digest, identity)
        )"""
    )
    db.execute(
        """CREATE TABLE labels (
            seq INTEGER PRIMARY KEY,
            name TEXT NOT NULL,
            label TEXT NOT NULL,
            number INTEGER,
            digest TEXT NOT NULL REFERENCES snapshots (digest),
            burnt INTEGER NOT NULL DEFAULT 0,
            UNIQUE (name, label)
        )"""
    )
    db.execute("CREATE INDEX labels_number ON labels (name, number)")
    db.execute("CREATE INDEX labels_digest ON labels (name, digest)")
    db.execute(
        f"""CREATE TABLE published (
            seq INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            name TEXT NOT NULL,
            label TEXT NOT NULL,
            target TEXT NOT NULL,
            digest TEXT NOT NULL,
            publication INTEGER NOT NULL REFERENCES publications (seq),
            description TEXT NOT NULL,
            tags TEXT NOT NULL,
            {_GATE},
            by TEXT NOT NULL,
            created INTEGER NOT NULL,
            modified INTEGER NOT NULL,
            revision INTEGER NOT NULL DEFAULT 1,
            deleted INTEGER
        )"""
    )
    db.execute("CREATE UNIQUE INDEX published_live ON published (name, label, target) WHERE deleted IS NULL")
    db.execute("CREATE INDEX published_named ON published (name, label)")
    db.execute("CREATE INDEX published_name ON published (name) WHERE deleted IS NULL")
    db.execute("CREATE INDEX published_closed ON published (name) WHERE deleted IS NULL AND gate_since IS NOT NULL")
    db.execute("CREATE INDEX published_publication ON published (publication) WHERE deleted IS NULL")


def endpoints(db: Database) -> None:
    """Endpoints, their versions, and the stack of defaults that a rollback goes back to."""
    db.execute(
        f"""CREATE TABLE endpoints (
            seq INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            name TEXT NOT NULL,
            description TEXT NOT NULL,
            tags TEXT NOT NULL,
            default_version INTEGER NOT NULL,
            next_version INTEGER NOT NULL,
            {_GATE},
            created INTEGER NOT NULL,
            modified INTEGER NOT NULL,
            revision INTEGER NOT NULL DEFAULT 1,
            deleted INTEGER
        )"""
    )
    db.execute("CREATE UNIQUE INDEX endpoints_live ON endpoints (name) WHERE deleted IS NULL")
    db.execute("CREATE INDEX endpoints_named ON endpoints (name)")
    db.execute("CREATE INDEX endpoints_closed ON endpoints (seq) WHERE deleted IS NULL AND gate_since IS NOT NULL")
    db.execute(
        f"""CREATE TABLE versions (
            endpoint INTEGER NOT NULL REFERENCES endpoints (seq),
            version INTEGER NOT NULL,
            published INTEGER NOT NULL REFERENCES published (seq),
            {_GATE},
            created INTEGER NOT NULL,
            PRIMARY KEY (endpoint, version)
        ) WITHOUT ROWID"""
    )
    db.execute("CREATE UNIQUE INDEX versions_published ON versions (published, endpoint)")
    db.execute(
        """CREATE TABLE moves (
            endpoint INTEGER NOT NULL,
            position INTEGER NOT NULL,
            version INTEGER NOT NULL,
            PRIMARY KEY (endpoint, position),
            FOREIGN KEY (endpoint, version) REFERENCES versions (endpoint, version)
        ) WITHOUT ROWID"""
    )


def runs(db: Database) -> None:
    """Runs, what the backend gets of each, and the hand-overs that are still to do."""
    db.execute(
        """CREATE TABLE runs (
            seq INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            endpoint INTEGER REFERENCES endpoints (seq),
            endpoint_name TEXT,
            version INTEGER,
            resolved_from TEXT NOT NULL,
            published INTEGER REFERENCES published (seq),
            publication INTEGER NOT NULL REFERENCES publications (seq),
            pipeline TEXT NOT NULL,
            label TEXT,
            experiment TEXT NOT NULL,
            description TEXT NOT NULL,
            tags TEXT NOT NULL,
            state TEXT NOT NULL DEFAULT 'queued',
            parameters TEXT NOT NULL,
            by TEXT NOT NULL,
            verified INTEGER NOT NULL,
            door TEXT NOT NULL,
            scope TEXT,
            key TEXT,
            rerun_of TEXT,
            created INTEGER NOT NULL,
            started INTEGER,
            ended INTEGER,
            cancel_requested INTEGER,
            cancel_told INTEGER,
            external TEXT,
            error TEXT,
            steps TEXT NOT NULL DEFAULT '[]',
            outputs TEXT NOT NULL DEFAULT '{}',
            CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'canceled')),
            CHECK ((ended IS NULL) = (state IN ('queued', 'running')))
        )"""
    )
    db.execute("CREATE UNIQUE INDEX runs_key ON runs (scope, key) WHERE key IS NOT NULL")
    for column in ("endpoint", "experiment", "state", "pipeline"):
        db.execute(f"CREATE INDEX runs_{column} ON runs ({column})")
    db.execute("CREATE INDEX runs_unfinished ON runs (seq) WHERE ended IS NULL")
    db.execute(
        """CREATE INDEX runs_cancel ON runs (seq)
        WHERE ended IS NULL AND cancel_requested IS NOT NULL AND cancel_told IS NULL AND external IS NOT NULL"""
    )
    db.execute(
        """CREATE TABLE requests (
            run INTEGER PRIMARY KEY REFERENCES runs (seq),
            "values" TEXT NOT NULL,
            artifacts TEXT NOT NULL,
            travelling TEXT NOT NULL,
            asked TEXT NOT NULL
        )"""
    )
    db.execute(
        """CREATE TABLE handovers (
            run INTEGER PRIMARY KEY REFERENCES runs (seq),
            due INTEGER NOT NULL,
            started INTEGER,
            tries INTEGER NOT NULL DEFAULT 0,
            message TEXT NOT NULL DEFAULT ''
        )"""
    )
    db.execute("CREATE INDEX handovers_due ON handovers (due)")


def history(db: Database) -> None:
    """What happened, in order; nothing in it is ever changed or taken out."""
    db.execute(
        """CREATE TABLE history (
            seq INTEGER PRIMARY KEY,
            at INTEGER NOT NULL,
            action TEXT NOT NULL,
            kind TEXT NOT NULL,
            subject_id TEXT NOT NULL,
            subject TEXT NOT NULL,
            "from" TEXT,
            "to" TEXT,
            reason TEXT NOT NULL,
            by TEXT NOT NULL,
            verified INTEGER NOT NULL,
            door TEXT NOT NULL,
            request_id TEXT NOT NULL
        )"""
    )
    db.execute("CREATE INDEX history_subject ON history (subject_id)")
    db.execute("CREATE INDEX history_at ON history (at)")
    db.execute("CREATE INDEX history_by ON history (by)")
    db.execute("CREATE INDEX history_plain ON history (seq) WHERE kind <> 'run'")
    db.execute("CREATE INDEX history_plain_by ON history (by) WHERE kind <> 'run'")
    db.execute("CREATE INDEX history_names ON history (subject) WHERE kind = 'endpoint'")
    for verb in ("UPDATE", "DELETE"):
        db.execute(
            f"CREATE TRIGGER history_no_{verb.lower()} BEFORE {verb} ON history "
            "BEGIN SELECT RAISE(ABORT, 'the history is append-only'); END"
        )
    # INSERT OR REPLACE takes rows out without telling the trigger above.
    db.execute(
        "CREATE TRIGGER history_no_replace BEFORE INSERT ON history "
        "WHEN EXISTS (SELECT 1 FROM history WHERE seq = NEW.seq) "
        "BEGIN SELECT RAISE(ABORT, 'the history is append-only'); END"
    )


def syncs(db: Database) -> None:
    """Which targets do not know the latest state of an endpoint yet; `due` is empty when they do."""
    db.execute(
        """CREATE TABLE syncs (
            endpoint INTEGER NOT NULL REFERENCES endpoints (seq),
            target TEXT NOT NULL,
            due INTEGER,
            tries INTEGER NOT NULL DEFAULT 0,
            message TEXT NOT NULL DEFAULT '',
            PRIMARY KEY (endpoint, target)
        ) WITHOUT ROWID"""
    )
    db.execute("CREATE INDEX syncs_due ON syncs (due) WHERE due IS NOT NULL")


def words(db: Database) -> None:
    """The words of the trade for what had other names."""
    db.execute("ALTER TABLE labels RENAME COLUMN burnt TO reserved")
    db.execute("ALTER TABLE moves RENAME TO default_stack")
    db.execute('ALTER TABLE requests RENAME COLUMN "values" TO texts')
    if any(column.name == "travelling" for column in db["requests"].columns):  # some drafts were a word ahead
        db.execute("ALTER TABLE requests RENAME COLUMN travelling TO bundled")
    db.execute("ALTER TABLE requests RENAME COLUMN asked TO fingerprint")


def outbox(db: Database) -> None:
    """Everything that is owed to targets, and which targets are left alone for a while.

    `subject` is the number of a run (`submit`, `cancel`), an endpoint (`sync`) or a publication (`retire`). A `submit`
    that has `started` may have reached its target; what is `stuck` waits for somebody to mend configuration or backend.
    """
    db.execute(
        """CREATE TABLE outbox (
            seq INTEGER PRIMARY KEY,
            kind TEXT NOT NULL,
            subject INTEGER NOT NULL,
            target TEXT NOT NULL,
            due INTEGER NOT NULL,
            tries INTEGER NOT NULL DEFAULT 0,
            started INTEGER,
            message TEXT NOT NULL DEFAULT '',
            stuck INTEGER NOT NULL DEFAULT 0,
            UNIQUE (kind, subject, target)
        )"""
    )
    db.execute("CREATE INDEX outbox_due ON outbox (due)")
    db.execute(
        """CREATE TABLE breakers (
            target TEXT PRIMARY KEY,
            until INTEGER NOT NULL,
            failures INTEGER NOT NULL,
            message TEXT NOT NULL
        ) WITHOUT ROWID"""
    )
    db.execute(
        """CREATE TABLE endpoint_targets (
            endpoint INTEGER NOT NULL REFERENCES endpoints (seq),
            target TEXT NOT NULL,
            PRIMARY KEY (endpoint, target)
        ) WITHOUT ROWID"""
    )
    db.execute("INSERT INTO endpoint_targets (endpoint, target) SELECT endpoint, target FROM syncs")
    db.execute(
        """INSERT INTO outbox (kind, subject, target, due, tries, started, message)
            SELECT 'submit', h.run, b.target, h.due, h.tries, h.started, h.message
            FROM handovers h JOIN runs r ON r.seq = h.run JOIN publications b ON b.seq = r.publication
            WHERE r.ended IS NULL ORDER BY h.due"""
    )
    db.execute(
        """INSERT INTO outbox (kind, subject, target, due)
            SELECT 'cancel', r.seq, b.target, r.cancel_requested
            FROM runs r JOIN publications b ON b.seq = r.publication
            WHERE r.ended IS NULL AND r.cancel_requested IS NOT NULL AND r.cancel_told IS NULL
                AND r.external IS NOT NULL"""
    )
    db.execute(
        """INSERT INTO outbox (kind, subject, target, due, tries, message)
            SELECT 'sync', endpoint, target, due, tries, message FROM syncs WHERE due IS NOT NULL"""
    )
    db.execute("DROP TABLE handovers")
    db.execute("DROP TABLE syncs")
    db.execute("DROP INDEX runs_cancel")
    db.execute("ALTER TABLE runs DROP COLUMN cancel_told")


def run_steps(db: Database) -> None:
    """A row for each step of a run, so that a report changes what changed in it."""
    db.execute(
        """CREATE TABLE run_steps (
            run INTEGER NOT NULL REFERENCES runs (seq),
            position INTEGER NOT NULL,
            name TEXT NOT NULL,
            state TEXT NOT NULL,
            attempt INTEGER NOT NULL,
            started INTEGER,
            ended INTEGER,
            exit_code INTEGER,
            error TEXT,
            outputs TEXT NOT NULL,
            PRIMARY KEY (run, position)
        ) WITHOUT ROWID"""
    )
    db.execute(
        """INSERT INTO run_steps
            SELECT r.seq, s.key,
                json_extract(s.value, '$.name'),
                json_extract(s.value, '$.state'),
                json_extract(s.value, '$.attempt'),
                json_extract(s.value, '$.started'),
                json_extract(s.value, '$.ended'),
                json_extract(s.value, '$.exit_code'),
                json_extract(s.value, '$.error'),
                json_extract(s.value, '$.outputs')
            FROM runs r, json_each(r.steps) s"""
    )
    db.execute("ALTER TABLE runs DROP COLUMN steps")


def what_was_said(db: Database) -> None:
    """Why a run was canceled, what its backend says of the submission, and when a change happened at its target."""
    db.execute("ALTER TABLE runs ADD COLUMN cancel_reason TEXT")
    db.execute("ALTER TABLE runs ADD COLUMN details TEXT NOT NULL DEFAULT '{}'")
    db.execute("ALTER TABLE history ADD COLUMN happened INTEGER")


def what_was_frozen(db: Database) -> None:
    """One publication for each set of options that a target froze, not one for all of them."""
    db.execute(
        """CREATE TABLE publications_anew (
            seq INTEGER PRIMARY KEY,
            target TEXT NOT NULL,
            backend TEXT NOT NULL,
            digest TEXT NOT NULL REFERENCES snapshots (digest),
            identity TEXT NOT NULL,
            options TEXT NOT NULL,
            external TEXT NOT NULL,
            native INTEGER NOT NULL,
            gated INTEGER NOT NULL,
            trigger_url TEXT,
            details TEXT NOT NULL,
            retired INTEGER NOT NULL DEFAULT 0,
            UNIQUE (target, digest, identity, options)
        )"""
    )
    # What was kept until now were all options, of which no backend had marked any.
    db.execute(
        """INSERT INTO publications_anew SELECT seq, target, backend, digest, identity, '{}', external, native, gated,
            trigger_url, details, retired FROM publications"""
    )
    db.execute("DROP TABLE publications")
    db.execute("ALTER TABLE publications_anew RENAME TO publications")


STEPS: tuple[Callable[[Database], None], ...] = (
    published_pipelines,
    endpoints,
    runs,
    history,
    syncs,
    words,
    outbox,
    run_steps,
    what_was_said,
    what_was_frozen,
)


def apply(connection: sqlite3.Connection, *, stop_before: str | None = None) -> None:
    """Bring a file up to the last step (or to just before one), all in the caller's transaction."""
    # A quarter of a second to import, and needed once in a registry's life per step.
    from sqlite_utils import Database, Migrations

    migrations = Migrations("penstock.registry")
    for step in STEPS:
        migrations()(step)
    database = Database(connection, recursive_triggers=False, execute_plugins=False)
    migrations.apply(database, stop_before=stop_before)
    connection.execute(f"PRAGMA user_version = {len(migrations.applied(database))}")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
