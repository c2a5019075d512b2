"""A registry of an older penstock: migrated behind a copy, and everything in it found where it is kept now."""

import sqlite3
import stat
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from penstock.contract.run import BoundParameters, Failure, Submission
from penstock.errors import RegistryError
from penstock.records import FrozenSnapshot, Waiting
from penstock.registry import Owed, Registry, schema


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def refusal(path, **options):
    """The error that opening is refused with: one line that names the file or its folder."""
    with pytest.raises(RegistryError) as refused:
        Registry.open(path, **options)
    assert "\n" not in str(refused.value)
    assert str(path.parent) in str(refused.value)
    return refused.value


def test_a_missing_registry_is_only_made_when_asked(path):
    assert refusal(path, create=False).code == "registry_missing"
    assert refusal(path, read_only=True).code == "registry_missing"
    assert not path.parent.exists()


@pytest.mark.parametrize("steps", range(1, len(schema.STEPS)))
def test_an_older_registry_is_migrated_with_a_copy_beside_it(path, kit, steps):
    kit.older(path, steps)
    with Registry.open(path) as registry:
        assert registry.pipelines.snapshot("kept") == FrozenSnapshot(digest="kept", spec="{}", archives="[]")
        kit.publish(registry, "a", endpoint="digits")
        assert registry.check().ok
    copy = path.with_name(f"registry.db.v{steps}.bak")
    assert mode(copy) == 0o600
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] == steps
        assert connection.execute("SELECT digest FROM snapshots").fetchall() == [("kept",)]
    assert {file.name for file in path.parent.iterdir() if "-" not in file.name} == {"registry.db", copy.name}


OLD = """
INSERT INTO snapshots VALUES ('a', '{"digest":"a"}', '[]'), ('b', '{"digest":"b"}', '[]'), ('t', '{}', '[]');
INSERT INTO publications (target, backend, digest, identity, options, external, native, gated, trigger_url, details)
    VALUES ('laptop', 'local', 'a', '{}', '{"o":1}', 'x-a', 0, 1, NULL, '{}'),
           ('prod', 'far', 'b', '{"i":1}', '{}', 'x-b', 1, 0, 'https://t', '{"k":"v"}'),
           ('laptop', 'local', 't', '{}', '{}', 'x-t', 0, 1, NULL, '{}');
INSERT INTO labels (name, label, number, digest, burnt)
    VALUES ('digits', '1', 1, 'a', 0), ('digits', '2', 2, 'b', 0), ('digits', '3', 3, 'a', 1);
INSERT INTO published
    (id, name, label, target, digest, publication, description, tags, by, created, modified, deleted)
    VALUES ('p-1', 'digits', '1', 'laptop', 'a', 1, 'one', '{"t":"u"}', 'ada', 10, 10, NULL),
           ('p-2', 'digits', '2', 'prod', 'b', 2, '', '{}', 'ada', 20, 20, NULL),
           ('p-3', 'digits', '3', 'laptop', 'a', 1, '', '{}', 'ada', 25, 26, 26);
INSERT INTO endpoints (id, name, description, tags, default_version, next_version, created, modified, revision)
    VALUES ('e-1', 'digits', 'numbers', '{}', 1, 2, 10, 30, 7);
INSERT INTO versions (endpoint, version, published, created) VALUES (1, 0, 1, 10), (1, 1, 2, 20);
INSERT INTO moves VALUES (1, 0, 0);
INSERT INTO syncs VALUES (1, 'laptop', 40, 2, 'it was away'), (1, 'prod', NULL, 0, '');
INSERT INTO runs (id, endpoint, endpoint_name, version, resolved_from, published, publication, pipeline, label,
        experiment, description, tags, state, parameters, by, verified, door, scope, key, created, started, ended,
        cancel_requested, cancel_told, external, error, steps, outputs) VALUES
    ('run-new', 1, 'digits', 1, 'default', 2, 2, 'digits', '2', 'e', '', '{}', 'queued', '{"n":1}', 'ada', 0, 'cli',
        'endpoint:e-1', 'k', 100, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '{}'),
    ('run-begun', 1, 'digits', 0, 'pinned', 1, 1, 'digits', '1', 'e', '', '{}', 'queued', '{}', 'ada', 0, 'cli',
        NULL, NULL, 101, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '{}'),
    ('run-unsure', 1, 'digits', 0, 'pinned', 1, 1, 'digits', '1', 'e', '', '{}', 'queued', '{}', 'ada', 0, 'cli',
        NULL, NULL, 102, NULL, NULL, 150, NULL, NULL, NULL, '[]', '{}'),
    ('run-untold', 1, 'digits', 0, 'pinned', 1, 1, 'digits', '1', 'e', '', '{}', 'running', '{}', 'ada', 0, 'cli',
        NULL, NULL, 103, 110, NULL, 151, NULL, 'job-untold', NULL,
        '[{"name":"train","state":"running","attempt":1,"started":111,"ended":null,"exit_code":null,"error":null,'
        || '"outputs":{}},{"name":"after","state":"queued","attempt":0,"started":null,"ended":null,"exit_code":null,'
        || '"error":null,"outputs":{}}]', '{}'),
    ('run-told', 1, 'digits', 1, 'default', 2, 2, 'digits', '2', 'e', '', '{}', 'running', '{}', 'ada', 0, 'cli',
        NULL, NULL, 104, 110, NULL, 152, 153, 'job-told', NULL, '[]', '{}'),
    ('run-trial', NULL, NULL, NULL, 'file', NULL, 3, 'digits', NULL, 'e', 'try', '{}', 'succeeded', '{}', 'bo', 1,
        'python', NULL, NULL, 105, 110, 120, NULL, NULL, 'job-trial', NULL,
        '[{"name":"train","state":"succeeded","attempt":2,"started":111,"ended":119,"exit_code":0,"error":null,'
        || '"outputs":{"big":9007199254740993,"whole":1.0,"text":"ä \\"quoted\\" ${{ x }}","many":[1,1.0,null]}}]',
        '{"big":9007199254740993,"whole":1.0}'),
    ('run-failed', 1, 'digits', 1, 'default', 2, 2, 'digits', '2', 'e', '', '{}', 'failed', '{}', 'ada', 0, 'cli',
        NULL, NULL, 106, 110, 121, 112, 113, 'job-failed', '{"code":"step_failed","message":"exit 1","step":"train"}',
        '[{"name":"train","state":"failed","attempt":1,"started":111,"ended":120,"exit_code":1,'
        || '"error":"{\\"code\\":\\"step_failed\\",\\"message\\":\\"exit 1\\",\\"step\\":\\"train\\"}","outputs":{}},'
        || '{"name":"after","state":"skipped","attempt":0,"started":null,"ended":null,"exit_code":null,"error":null,'
        || '"outputs":{}}]', '{}');
INSERT INTO requests (run, "values", artifacts, travelling, asked)
    SELECT seq, '{"n":"1"}', '{"images":"/data"}', '{"labels":"data/labels"}', 'as it was asked' FROM runs;
INSERT INTO handovers VALUES (1, 100, NULL, 0, ''), (2, 140, 101, 3, 'it was away'), (3, 141, 102, 1, '');
INSERT INTO history (at, action, kind, subject_id, subject, "from", "to", reason, by, verified, door, request_id)
    VALUES (10, 'default_moved', 'endpoint', 'e-1', 'digits', NULL, '0', '', 'ada', 0, 'cli', 'r'),
           (30, 'default_moved', 'endpoint', 'e-1', 'digits', '0', '1', 'why', 'ada', 0, 'cli', 'r');
INSERT INTO history (at, action, kind, subject_id, subject, "from", "to", reason, by, verified, door, request_id)
    SELECT created, 'run_accepted', 'run', id, pipeline, resolved_from, NULL, '', by, verified, door, 'r' FROM runs;
"""
"""What a registry of the five first steps held: everything that has another home since."""


def test_what_an_older_registry_held_is_found_again_where_it_is_kept_now(path, kit, clock):
    path.parent.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        schema.apply(connection, stop_before="words")
        connection.executescript(OLD)

    def at(microseconds):
        return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=microseconds)

    with Registry.open(path, clock=clock) as registry:
        report = registry.check()
        assert report.ok, report.lines
        # What targets are owed, the longest waiting first.
        assert registry.outbox.due() == [
            Owed(kind="sync", subject="e-1", target="laptop"),
            Owed(kind="submit", subject="run-new", target="prod"),
            Owed(kind="submit", subject="run-begun", target="laptop"),
            Owed(kind="submit", subject="run-unsure", target="laptop"),
            Owed(kind="cancel", subject="run-untold", target="laptop"),
        ]
        assert registry.outbox.tries(Owed(kind="sync", subject="e-1", target="laptop")) == 2
        runs = {run.id: run for run in kit.runs(registry).items}
        assert list(runs) == [
            "run-failed", "run-trial", "run-told", "run-untold", "run-unsure", "run-begun", "run-new",
        ]  # fmt: skip
        assert runs["run-new"].waiting == Waiting(tries=0, due=at(100), message="")
        assert runs["run-begun"].waiting == Waiting(tries=3, due=at(140), message="it was away")
        assert [run.waiting for run in runs.values()].count(None) == 4
        cancels = {name: (run.cancel_requested, run.cancel_reason) for name, run in runs.items()}
        asked = ("run-unsure", "run-untold", "run-told", "run-failed")
        assert cancels == {name: (name in asked, None) for name in runs}
        assert {run.id: (run.details, run.stale) for run in runs.values()} == dict.fromkeys(runs, ({}, None))
        # Steps, with values exactly as they were.
        train = runs["run-trial"].steps[0]
        assert repr(train.outputs) == repr(
            {"big": 2**53 + 1, "whole": 1.0, "text": 'ä "quoted" ${{ x }}', "many": [1, 1.0, None]}
        )
        assert (train.name, train.state, train.attempt, train.exit_code) == ("train", "succeeded", 2, 0)
        assert (train.started, train.ended, train.error) == (at(111), at(119), None)
        assert repr(runs["run-trial"].outputs) == "{'big': 9007199254740993, 'whole': 1.0}"
        failure = Failure(code="step_failed", message="exit 1", step="train")
        assert (runs["run-failed"].error, runs["run-failed"].steps[0].error) == (failure, failure)
        assert [(step.name, step.state) for step in runs["run-failed"].steps] == [
            ("train", "failed"),
            ("after", "skipped"),
        ]
        assert [(step.name, step.state) for step in runs["run-untold"].steps] == [
            ("train", "running"),
            ("after", "queued"),
        ]
        # Names and labels.
        assert registry.endpoints.get("digits").default == "1"
        assert registry.pipelines.get("digits:1").tags == {"t": "u"}
        assert kit.code(kit.publish, registry, "a", label="3") == "label_reserved"
        assert registry.counts().runs == {"queued": 3, "running": 2, "succeeded": 1, "failed": 1, "canceled": 0}
        rows = kit.history(registry, runs=True).items
        assert [(row.at, row.happened) for row in rows] == [(row.at, row.at) for row in rows]
        # And it goes on from there.
        assert kit.submit(registry, key="k").id == "run-new"
        request = registry.runs.start_handover("run-begun").request
        assert request.attempt == 4
        assert request.parameters == BoundParameters(
            texts={"n": "1"}, artifacts={"images": "/data"}, bundled={"labels": "data/labels"}
        )
        unsure = registry.runs.start_handover("run-unsure")
        assert (unsure.cancel_requested, unsure.request.attempt) == (True, 2)
        registry.runs.finish_handover("run-unsure", Submission(external="job"))
        assert set(kit.due(registry, "cancel")) == {"run-unsure", "run-untold"}
        assert registry.endpoints.rollback("digits", kit.caller).to == "0"
        assert set(kit.syncs(registry)) == {("e-1", "laptop"), ("e-1", "prod")}
        report = registry.check()
        assert report.ok, report.lines


def test_the_fingerprint_of_an_older_run_still_decides_about_its_key(path, kit):
    path.parent.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        schema.apply(connection, stop_before="words")
        connection.executescript(OLD)
    seen = []

    def same(run, kept):
        seen.append((run.id, kept))
        return kept == "something else"

    with Registry.open(path) as registry:
        assert kit.code(kit.submit, registry, key="k", is_same_request=same) == "idempotency_conflict"
    assert seen == [("run-new", "as it was asked")]


def test_the_copy_of_an_earlier_migration_is_never_overwritten(path, kit):
    kit.older(path, 2)
    path.with_name("registry.db.v2.bak").write_text("earlier")
    Registry.open(path).close()
    assert path.with_name("registry.db.v2.bak").read_text() == "earlier"
    assert path.with_name("registry.db.v2.1.bak").exists()


def test_a_migration_that_fails_leaves_the_registry_as_it_was(path, monkeypatch, kit):
    kit.older(path, 2)

    def broken(db):
        db.execute("CREATE TABLE half (x)")
        raise sqlite3.OperationalError("no")

    monkeypatch.setattr(schema, "STEPS", (*schema.STEPS[:3], broken))
    assert refusal(path).code == "registry_error"
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] == 2
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    assert "runs" not in tables
    assert "half" not in tables


def test_a_draft_that_had_a_word_too_early_is_migrated_all_the_same(path, kit):
    kit.older(path, 5)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("ALTER TABLE requests RENAME COLUMN travelling TO bundled")
    with Registry.open(path) as registry:
        assert registry.check().ok
