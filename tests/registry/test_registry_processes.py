"""Laws 2 to 5, 8 and 12 with real processes: all at once, and killed at any moment."""

import random
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from penstock.registry import Registry

WORKER = Path(__file__).with_name("worker.py")
EXPECTED = {"version_disabled", "endpoint_disabled", "default_changed", "nothing_to_roll_back"}


def start(role, path, seed, rounds):
    command = [sys.executable, str(WORKER), role, str(path), str(seed), str(rounds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    lines = [line.split() for line in out.splitlines()]
    wrong = [line for line in lines if line[0] == "wrong:"]
    assert wrong == []
    assert {line[1] for line in lines if line[0] == "refused"} <= EXPECTED
    return lines


@pytest.fixture
def shared(path, kit):
    """A closed registry with an endpoint `digits`."""
    with Registry.open(path) as registry:
        kit.publish(registry, "first", endpoint="digits")
    return path


def test_everybody_at_once_keeps_every_law(shared, kit):
    roles = ["publish"] * 2 + ["move"] * 2 + ["gate"] + ["submit"] * 3 + ["backup"]
    rounds = {"backup": 5, "gate": 15}
    processes = [start(role, shared, seed, rounds.get(role, 40)) for seed, role in enumerate(roles)]
    said = [line for process in processes for line in finish(process)]
    with Registry.open(shared) as registry:
        report = registry.check()
        assert report.ok, report.lines
        endpoint = registry.endpoints.get("digits")
        rows, before = [], None
        while True:
            page = kit.history(registry, runs=True, limit=500, before=before)
            rows.extend(page.items)
            if not page.more:
                break
            before = page.next
        runs = {run.id: run for run in kit.runs(registry, limit=100_000).items}
    assert [version.version for version in endpoint.versions] == [str(n) for n in range(len(endpoint.versions))]
    assert len({version.published for version in endpoint.versions}) == len(endpoint.versions)
    assert {line[1] for line in said if line[0] == "accepted"} == set(runs)
    replay(rows[::-1], endpoint, runs)
    for copy in shared.parent.glob("*.copy"):
        with Registry.open(copy) as registry:
            report = registry.check()
            assert report.ok, report.lines


def replay(rows, endpoint, runs):
    """Walk the history in its order: what was accepted is what was the default then, through open gates."""
    default, closed, versions, accepted, times = None, set(), [], Counter(), []
    for row in rows:
        times.append(row.at)
        if row.action == "version_added":
            versions.append(row.subject)
        elif row.action in ("default_moved", "default_rolled_back"):
            assert row.from_ == default
            assert f"digits@{row.to}" not in closed
            default = row.to
        elif row.action == "gate_closed":
            closed.add(row.subject)
        elif row.action == "gate_opened":
            closed.discard(row.subject)
        elif row.action == "run_accepted":
            run = runs[row.subject_id]
            accepted[run.id] += 1
            assert row.to == f"digits@{run.version}"
            assert not closed & {"digits", row.to}
            if run.resolved_from == "default":
                assert run.version == default
            assert run.published == endpoint.versions[int(run.version)].published
    assert versions == [f"digits@{number}" for number in range(len(versions))]
    assert default == endpoint.default
    assert accepted == dict.fromkeys(runs, 1)
    assert times == sorted(times)


@pytest.mark.thorough
def test_one_key_from_many_processes_is_one_run(shared, kit):
    processes = [start("keyed", shared, seed, 15) for seed in range(6)]
    said = [line for process in processes for line in finish(process)]
    by_key = {}
    for _, run_id, key in said:
        by_key.setdefault(key, set()).add(run_id)
    assert {key: len(ids) for key, ids in by_key.items()} == {f"key-{turn}": 1 for turn in range(15)}
    with Registry.open(shared) as registry:
        assert len(kit.runs(registry, limit=1000).items) == 15


@pytest.mark.thorough
def test_many_processes_may_make_or_migrate_the_same_registry(path):
    processes = [start("publish", path, seed, 3) for seed in range(5)]
    for process in processes:
        finish(process)
    with Registry.open(path) as registry:
        assert registry.check().ok
    assert [file.name for file in path.parent.iterdir() if "-" not in file.name and file.name != ".gitignore"] == [
        "registry.db"
    ]


def test_killed_at_any_moment_nothing_said_is_lost_and_the_registry_opens(path, kit):
    chance = random.Random(7)
    said = []
    for turn in range(6):
        writers = [start("everything", path, f"{turn}-{number}", 100_000) for number in range(3)]
        # The first turns hit the making of the registry, the later ones its use.
        if turn >= 2:
            assert select.select([writer.stdout for writer in writers], [], [], 60)[0]
        time.sleep(chance.uniform(0.1, 0.4))
        for writer in writers:
            writer.send_signal(signal.SIGKILL)
        for writer in writers:
            out, err = writer.communicate(timeout=60)
            assert "Traceback" not in err
            whole = out[: out.rfind("\n") + 1]
            said += [line.split() for line in whole.splitlines()]
        with Registry.open(path) as registry:
            report = registry.check()
            assert report.ok, report.lines
            lost = [line[1] for line in said if line[0] == "accepted" and kit.code(registry.runs.get, line[1])]
            assert lost == []
            for _, run_id, key in [line for line in said if line[0] == "accepted"][-5:]:
                assert kit.submit(registry, key=key).id == run_id
            waiting = kit.due(registry, limit=100_000)
            for run in kit.runs(registry, limit=100_000).items:
                if not run.finished and run.external is None:
                    assert run.id in waiting or run.waiting.tries > 0
    assert any(line[0] == "accepted" for line in said)
