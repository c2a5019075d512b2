"""The registry's schema, as steps of which a file has the first few; `PRAGMA user_version` says up to which.

A step never changes; a new need is a new step at the end. Every time is in microseconds since 1970 UTC. Things are
numbered (`seq`) in the order they came; `id` is what the world knows them by. Longer than other modules, because the
tables are read together.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING

from penstock import log_mark

if TYPE_CHECKING:
    from sqlite_utils import Database

APPLICATION_ID = 0x70656E73
"""What marks a SQLite file as ours: `pens`."""

DRAFTS = 10
"""The last version of the drafts before the first release, which nobody reads any more."""

_GATE = "gate_since INTEGER, gate_by TEXT NOT NULL DEFAULT '', gate_reason TEXT NOT NULL DEFAULT ''"

_LIFE = "created INTEGER NOT NULL, modified INTEGER NOT NULL, revision INTEGER NOT NULL DEFAULT 1, deleted INTEGER"

_TABLES = f"""
CREATE TABLE snapshots (digest TEXT PRIMARY KEY, spec TEXT NOT NULL, archives TEXT NOT NULL) WITHOUT ROWID;

/* What backends call snapshots: one for each place and each set of options that a target froze. */
CREATE TABLE publications (
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
);

CREATE TABLE labels (
    seq INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    label TEXT NOT NULL,
    number INTEGER,
    digest TEXT NOT NULL REFERENCES snapshots (digest),
    reserved INTEGER NOT NULL DEFAULT 0,
    UNIQUE (name, label)
);
CREATE INDEX labels_number ON labels (name, number);
CREATE INDEX labels_digest ON labels (name, digest);

CREATE TABLE published (
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
    {_LIFE}
);
CREATE UNIQUE INDEX published_live ON published (name, label, target) WHERE deleted IS NULL;
CREATE INDEX published_named ON published (name, label);
CREATE INDEX published_name ON published (name) WHERE deleted IS NULL;
CREATE INDEX published_closed ON published (name) WHERE deleted IS NULL AND gate_since IS NOT NULL;
CREATE INDEX published_publication ON published (publication) WHERE deleted IS NULL;

CREATE TABLE endpoints (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    tags TEXT NOT NULL,
    default_version INTEGER NOT NULL DEFAULT 0,
    next_version INTEGER NOT NULL DEFAULT 0,
    access TEXT NOT NULL DEFAULT 'private',
    deduplication_window INTEGER, /* in seconds */
    {_GATE},
    {_LIFE},
    CHECK (access IN ('private', 'public'))
);
CREATE UNIQUE INDEX endpoints_live ON endpoints (name) WHERE deleted IS NULL;
CREATE INDEX endpoints_named ON endpoints (name);
CREATE INDEX endpoints_closed ON endpoints (seq) WHERE deleted IS NULL AND gate_since IS NOT NULL;

CREATE TABLE versions (
    endpoint INTEGER NOT NULL REFERENCES endpoints (seq),
    version INTEGER NOT NULL,
    published INTEGER NOT NULL REFERENCES published (seq),
    {_GATE},
    created INTEGER NOT NULL,
    PRIMARY KEY (endpoint, version)
) WITHOUT ROWID;
CREATE UNIQUE INDEX versions_published ON versions (published, endpoint);

/* The defaults that a rollback goes back to. */
CREATE TABLE default_stack (
    endpoint INTEGER NOT NULL,
    position INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (endpoint, position),
    FOREIGN KEY (endpoint, version) REFERENCES versions (endpoint, version)
) WITHOUT ROWID;

CREATE TABLE endpoint_targets (
    endpoint INTEGER NOT NULL REFERENCES endpoints (seq),
    target TEXT NOT NULL,
    PRIMARY KEY (endpoint, target)
) WITHOUT ROWID;

CREATE TABLE runs (
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
    cancel_reason TEXT,
    external TEXT,
    details TEXT NOT NULL DEFAULT '{{}}',
    error TEXT,
    outputs TEXT NOT NULL DEFAULT '{{}}',
    CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'canceled')),
    CHECK ((ended IS NULL) = (state IN ('queued', 'running')))
);
CREATE UNIQUE INDEX runs_key ON runs (scope, key) WHERE key IS NOT NULL;
CREATE INDEX runs_endpoint ON runs (endpoint);
CREATE INDEX runs_experiment ON runs (experiment);
CREATE INDEX runs_state ON runs (state);
CREATE INDEX runs_pipeline ON runs (pipeline);
CREATE INDEX runs_unfinished ON runs (seq) WHERE ended IS NULL;
CREATE INDEX runs_unfinished_endpoint ON runs (endpoint) WHERE ended IS NULL;

CREATE TABLE run_steps (
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
) WITHOUT ROWID;

/* What the backend gets of a run; the values of `sensitive` parameters are elsewhere (see `sensitive.py`). */
CREATE TABLE requests (
    run INTEGER PRIMARY KEY REFERENCES runs (seq),
    texts TEXT NOT NULL,
    artifacts TEXT NOT NULL,
    bundled TEXT NOT NULL,
    sensitive TEXT NOT NULL,
    fingerprint TEXT NOT NULL
);

/* What targets are owed. `subject` is the number of a run (`submit`, `cancel`), an endpoint (`sync`) or a publication
   (`retire`). A `submit` that has `started` may have reached its target; what is `stuck` waits for somebody to mend
   configuration or backend. */
CREATE TABLE outbox (
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
);
CREATE INDEX outbox_due ON outbox (due);

CREATE TABLE breakers (
    target TEXT PRIMARY KEY,
    until INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    message TEXT NOT NULL
) WITHOUT ROWID;

/* Who may come in by HTTP, what for, and on which endpoints (a JSON list of ids, or NULL for all). */
CREATE TABLE tokens (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    scope TEXT NOT NULL,
    secret_hash TEXT NOT NULL,
    endpoints TEXT,
    by TEXT NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER,
    revoked INTEGER
);
CREATE UNIQUE INDEX tokens_live ON tokens (name) WHERE revoked IS NULL;

/* Short-lived tokens that came from others, of each only so many. */
CREATE TABLE sessions (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    token INTEGER NOT NULL REFERENCES tokens (seq),
    secret_hash TEXT NOT NULL,
    expires INTEGER NOT NULL
);
CREATE INDEX sessions_token ON sessions (token);
CREATE INDEX sessions_expires ON sessions (expires);

/* What happened, in order; nothing in it is ever changed or taken out. */
CREATE TABLE history (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    happened INTEGER,
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
);
CREATE INDEX history_subject ON history (subject_id);
CREATE INDEX history_at ON history (at);
CREATE INDEX history_by ON history (by);
CREATE INDEX history_plain ON history (seq) WHERE kind <> 'run';
CREATE INDEX history_plain_by ON history (by) WHERE kind <> 'run';
CREATE INDEX history_names ON history (subject) WHERE kind = 'endpoint';
CREATE TRIGGER history_no_update BEFORE UPDATE ON history
    BEGIN SELECT RAISE(ABORT, 'the history is append-only'); END;
CREATE TRIGGER history_no_delete BEFORE DELETE ON history
    BEGIN SELECT RAISE(ABORT, 'the history is append-only'); END;
/* INSERT OR REPLACE takes rows out without telling the trigger above. */
CREATE TRIGGER history_no_replace BEFORE INSERT ON history WHEN EXISTS (SELECT 1 FROM history WHERE seq = NEW.seq)
    BEGIN SELECT RAISE(ABORT, 'the history is append-only'); END;
"""


def first_release(db: Database) -> None:
    """All that the first release keeps."""
    for statement in _TABLES.split(";\n"):  # `executescript` would commit the transaction
        db.execute(statement)


def native_triggers(db: Database) -> None:
    """The URL that a target has of its own for an endpoint, and whether our gates cover it."""
    db.execute("ALTER TABLE endpoint_targets ADD COLUMN native_url TEXT")
    db.execute("ALTER TABLE endpoint_targets ADD COLUMN native_gated INTEGER NOT NULL DEFAULT 0")


def noted_times(db: Database) -> None:
    """When it was noted until when something is put off: when that lies ahead, the clock was set back since."""
    db.execute("ALTER TABLE outbox ADD COLUMN noted INTEGER")
    db.execute("ALTER TABLE breakers ADD COLUMN noted INTEGER")


def log_marks(db: Database) -> None:
    """What tells a file's own log from another's, see `log_mark`."""
    db.execute(log_mark.TABLE)
    db.execute(log_mark.FIRST)


def waits_for(db: Database) -> None:
    """What a run waits for that its target has."""
    db.execute("ALTER TABLE runs ADD COLUMN waits_for TEXT")


STEPS: tuple[Callable[[Database], None], ...] = (first_release, native_triggers, noted_times, log_marks, waits_for)


def latest() -> int:
    """The version of a file that has every step."""
    return DRAFTS + len(STEPS)


def apply(connection: sqlite3.Connection) -> None:
    """Bring a file up to the last step, in the caller's transaction."""
    # A quarter of a second to import, and needed once in a registry's life per step.
    from sqlite_utils import Database, Migrations

    began = log_mark.first_page(connection)
    migrations = Migrations("penstock.registry")
    for step in STEPS:
        migrations()(step)
    migrations.apply(Database(connection, recursive_triggers=False, execute_plugins=False))
    connection.execute(f"PRAGMA user_version = {latest()}")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    log_mark.mark(connection, began)
