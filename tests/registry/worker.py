"""One of many processes that use a registry at once: `python worker.py ROLE REGISTRY SEED ROUNDS`.

Writes one line for everything that the registry said it did, so that a killed process still left its word.
"""

import random
import sys
import time
import uuid
from pathlib import Path

from penstock.contract.run import RunReport, Submission
from penstock.contract.target import Publication
from penstock.errors import PenstockError
from penstock.records import Caller, RunRecord
from penstock.registry import NewRun, PublishRequest, Registry, ResolutionChanged, TriggerRequest


def say(*words: object) -> None:
    print(*words, flush=True)


def publish(registry: Registry, caller: Caller, chance: random.Random) -> None:
    digest = f"d{chance.randrange(40)}"
    order = PublishRequest(
        name="digits",
        digest=digest,
        target=chance.choice(["laptop", "prod"]),
        backend="local",
        identity="{}",
        options="{}",
        publication=Publication(external=digest),
        spec="{}",
        archives="[]",
        endpoint="digits",
        default=chance.random() < 0.2,
    )
    outcome = registry.publish(order, caller)
    say("published", outcome.published.id, outcome.version)


def move(registry: Registry, caller: Caller, chance: random.Random) -> None:
    if chance.random() < 0.5:
        endpoint = registry.get_endpoint("digits")
        version = chance.choice(endpoint.versions).version
        registry.set_default("digits", version, caller, expect=endpoint.default)
    else:
        registry.rollback("digits", caller)


def gate(registry: Registry, caller: Caller, chance: random.Random) -> None:
    version = None if chance.random() < 0.6 else chance.choice(registry.get_endpoint("digits").versions).version
    kind = "endpoint" if version is None else "version"
    registry.set_gate(kind, "digits", version=version, open=False, caller=caller, cancel_runs=chance.random() < 0.3)
    if version is None:
        # From here until the gate opens, no process may get a run in.
        before = len(registry.list_runs(limit=100_000).items)
        time.sleep(0.01)
        if len(registry.list_runs(limit=100_000).items) != before:
            say("wrong: a run was accepted through a closed gate")
    registry.set_gate(kind, "digits", version=version, open=True, caller=caller)


def submit(registry: Registry, caller: Caller, chance: random.Random, key: str | None = None) -> str:
    versions = registry.get_endpoint("digits").versions
    pinned = chance.choice(versions).version if chance.random() < 0.3 and key is None else None
    order = TriggerRequest(kind="endpoint", ref="digits", version=pinned, key=key)
    while True:
        found = registry.resolve(order)
        if isinstance(found, RunRecord):
            run = found
            break
        try:
            run, _ = registry.accept(order, found, NewRun(id=str(uuid.uuid4()), experiment="e"), caller)
            break
        except ResolutionChanged:
            continue
    say("accepted", run.id, key)
    return run.id


def work_off(registry: Registry, chance: random.Random) -> None:
    for run_id in registry.due(limit=3):
        work = registry.start_handover(run_id)
        if work is not None:
            registry.finish_handover(run_id, Submission(external=f"job-{run_id}"))
            registry.report(run_id, RunReport(state=chance.choice(["running", "succeeded"])), None, {})
    for endpoint_id, target in registry.pending_syncs():
        registry.sync_done(endpoint_id, target, registry.endpoint_state(endpoint_id, target).revision)


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
