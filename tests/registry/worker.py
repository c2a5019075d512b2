"""One of many processes that use a registry at once: `python worker.py ROLE REGISTRY SEED ROUNDS`.

Writes one line for everything that the registry said it did, so that a killed process still left its word.
"""

import random
import sys
import time
import uuid
from pathlib import Path

from penstock.callers import Caller
from penstock.contract.run import RunReport, Submission
from penstock.contract.target import Publication
from penstock.errors import PenstockError
from penstock.records import FrozenSnapshot, Placement, RunRecord
from penstock.registry import NewRun, PublishRequest, Registry, ResolutionChanged, RunQuery, TriggerRequest


def say(*words: object) -> None:
    print(*words, flush=True)


def publish(registry: Registry, caller: Caller, chance: random.Random) -> None:
    digest = f"d{chance.randrange(40)}"
    order = PublishRequest(
        name="digits",
        snapshot=FrozenSnapshot(digest=digest, spec="{}", archives="[]"),
        placement=Placement(target=chance.choice(["laptop", "prod"]), backend="local", identity="{}", options="{}"),
        publication=Publication(external=digest),
        endpoint="digits",
        default=chance.random() < 0.2,
    )
    outcome = registry.pipelines.publish(order, caller)
    say("published", outcome.published.id, outcome.version)


def move(registry: Registry, caller: Caller, chance: random.Random) -> None:
    if chance.random() < 0.5:
        endpoint = registry.endpoints.get("digits")
        version = chance.choice(endpoint.versions).version
        registry.endpoints.set_default("digits", version, caller, expect=endpoint.default)
    else:
        registry.endpoints.rollback("digits", caller)


def gate(registry: Registry, caller: Caller, chance: random.Random) -> None:
    version = None if chance.random() < 0.6 else chance.choice(registry.endpoints.get("digits").versions).version
    kind = "endpoint" if version is None else "version"
    registry.set_gate(kind, "digits", version=version, open=False, caller=caller, cancel_runs=chance.random() < 0.3)
    if version is None:
        # From here until the gate opens, no process may get a run in.
        before = len(registry.runs.list(RunQuery(limit=100_000)).items)
        time.sleep(0.01)
        if len(registry.runs.list(RunQuery(limit=100_000)).items) != before:
            say("wrong: a run was accepted through a closed gate")
    registry.set_gate(kind, "digits", version=version, open=True, caller=caller)


def submit(registry: Registry, caller: Caller, chance: random.Random, key: str | None = None) -> str:
    versions = registry.endpoints.get("digits").versions
    pinned = chance.choice(versions).version if chance.random() < 0.3 and key is None else None
    order = TriggerRequest(kind="endpoint", ref="digits", version=pinned, key=key)
    while True:
        found = registry.runs.resolve(order)
        if isinstance(found, RunRecord):
            run = found
            break
        try:
            run, _ = registry.runs.accept(order, found, NewRun(id=str(uuid.uuid4()), experiment="e"), caller)
            break
        except ResolutionChanged:
            continue
    say("accepted", run.id, key)
    return run.id


def work_off(registry: Registry, chance: random.Random) -> None:
    for owed in registry.outbox.due(limit=5):
        if owed.kind == "submit":
            if registry.runs.start_handover(owed.subject) is not None:
                registry.runs.finish_handover(owed.subject, Submission(external=f"job-{owed.subject}"))
                report = RunReport(state=chance.choice(["running", "succeeded"]))
                registry.runs.report(owed.subject, report, None, {})
        elif owed.kind == "sync":
            revision = registry.outbox.endpoint_state(owed.subject, owed.target).revision
            registry.outbox.synced(owed.subject, owed.target, revision)
        else:
            registry.outbox.done(owed)


def main(role: str, path: str, seed: str, rounds: str) -> None:
    chance = random.Random(f"{role} {seed}")
    caller = Caller(actor=f"{role}-{seed}", door="python", request_id=seed)
    with Registry.open(Path(path)) as registry:
        for turn in range(int(rounds)):
            try:
                if role == "publish":
                    publish(registry, caller, chance)
                elif role == "move":
                    move(registry, caller, chance)
                elif role == "gate":
                    gate(registry, caller, chance)
                elif role == "submit":
                    submit(registry, caller, chance)
                    work_off(registry, chance)
                elif role == "keyed":
                    submit(registry, caller, chance, key=f"key-{turn}")
                elif role == "backup":
                    registry.backup(Path(f"{path}.{turn}.copy"))
                else:  # everything: whatever comes, for as long as it lives
                    publish(registry, caller, chance)
                    submit(registry, caller, chance, key=f"{seed}-{turn}")
                    work_off(registry, chance)
            except PenstockError as error:
                say("refused", error.code)


if __name__ == "__main__":
    main(*sys.argv[1:])
