"""What a registry that grew by a factor of a thousand still takes to accept a run and to list a page.

Both registries are filled straight with SQL and asked in turns; what is compared are medians of one run.
"""

from __future__ import annotations

import shutil
import statistics
import time
import uuid
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

from penstock.callers import Caller
from penstock.contract.run import BoundParameters, RunReport, StepReport, Submission
from penstock.contract.target import Publication
from penstock.records import FrozenSnapshot, Placement
from penstock.registry import HistoryQuery, NewRun, PublishRequest, Registry, Resolution, RunQuery, TriggerRequest

pytestmark = pytest.mark.benchmark

VERSIONS = 100
"""Versions of every endpoint, in both registries: so a page of endpoints holds as much in both."""

SMALL = {"endpoints": 60, "runs": 1_000}
LARGE = {"endpoints": 1_000, "runs": 1_000_000}
ROUNDS = 150
CALLER = Caller(actor="ada", door="python", request_id="request-1")

FILL = (
    "INSERT INTO snapshots SELECT 'digest' || n, '{}', '[]' FROM numbers WHERE n < :versions",
    """INSERT INTO publications (target, backend, digest, identity, options, external, native, gated, details)
        SELECT 'laptop', 'local', 'digest' || n, '{}', '{}', 'external' || n, 0, 1, '{}'
        FROM numbers WHERE n < :versions""",
    """INSERT INTO labels (name, label, number, digest)
        SELECT 'pipeline', n, n, 'digest' || n FROM numbers WHERE n < :versions""",
    """INSERT INTO published (id, name, label, target, digest, publication, description, tags, by, created, modified)
        SELECT id, 'pipeline', n, 'laptop', 'digest' || n, n + 1, '', '{}', 'ada', 1, 1
        FROM numbers WHERE n < :versions""",
    """INSERT INTO endpoints (id, name, description, tags, default_version, next_version, created, modified)
        SELECT id, 'endpoint' || n, '', '{}', :versions - 1, :versions, 1, 1 FROM numbers WHERE n < :endpoints""",
    """INSERT INTO versions (endpoint, version, published, created)
        SELECT e.n + 1, v.n, v.n + 1, 1 FROM numbers e, numbers v WHERE e.n < :endpoints AND v.n < :versions""",
    "INSERT INTO endpoint_targets (endpoint, target) SELECT n + 1, 'laptop' FROM numbers WHERE n < :endpoints",
    """INSERT INTO runs (id, endpoint, endpoint_name, version, resolved_from, published, publication, pipeline, label,
            experiment, description, tags, state, parameters, by, verified, door, scope, key, created, started, ended,
            external, outputs)
        SELECT id, n % :endpoints + 1, 'endpoint' || (n % :endpoints), n % :versions, 'pinned', n % :versions + 1,
            n % :versions + 1, 'pipeline', n % :versions, 'experiment' || (n % 50), '', '{}', 'succeeded',
            '{"depth":8,"rate":0.5}', 'ada', 0, 'cli', 'endpoint', n, n, n, n + 1, 'job',
            '{"accuracy":0.9}'
        FROM numbers WHERE n < :runs""",
    """INSERT INTO run_steps (run, position, name, state, attempt, started, ended, exit_code, outputs)
        SELECT seq, 0, 'train', 'succeeded', 1, 1, 2, 0, '{"accuracy":0.9}' FROM runs""",
    """INSERT INTO requests (run, texts, artifacts, bundled, sensitive, fingerprint)
        SELECT seq, '{"depth":"8","rate":"0.5"}', '{}', '{}', '[]', '{}' FROM runs""",
    """INSERT INTO history (at, action, kind, subject_id, subject, "to", reason, by, verified, door, request_id)
        SELECT created, 'run_accepted', 'run', id, pipeline, 'endpoint', '', 'ada', 0, 'cli', 'request' FROM runs""",
)


@pytest.fixture(scope="module")
def registries(tmp_path_factory: pytest.TempPathFactory, filling: ModuleType) -> Iterator[tuple[Registry, Registry]]:
    """A small registry and a large one."""
    folder = tmp_path_factory.mktemp("growth")
    Registry.open(folder / "small.db").close()
    shutil.copy(folder / "small.db", folder / "large.db")
    for name, sizes in (("small", SMALL), ("large", LARGE)):
        with filling.filling(folder / f"{name}.db", max(sizes.values())) as connection:
            for statement in FILL:
                connection.execute(statement, {**sizes, "versions": VERSIONS})
    with Registry.open(folder / "small.db") as small, Registry.open(folder / "large.db") as large:
        yield small, large
    shutil.rmtree(folder)


def ratio(what: str, call: Callable[[Registry, int], object], small: Registry, large: Registry) -> float:
    """How many times longer the large registry takes: medians of calls that take turns, after a few for the caches."""
    taken: dict[str, list[float]] = {"small": [], "large": []}
    for turn in range(ROUNDS):
        for name, registry in (("small", small), ("large", large)):
            begin = time.perf_counter()
            call(registry, turn)
            if turn >= 10:
                taken[name].append(time.perf_counter() - begin)
    medians = {name: statistics.median(times) for name, times in taken.items()}
    found = medians["large"] / medians["small"]
    print(f"{what}: {medians['small'] * 1e3:.2f} ms small, {medians['large'] * 1e3:.2f} ms large, {found:.2f} times")
    return found


def accept(registry: Registry, turn: int) -> None:
    """Accept one run, from the key's look-up to its commit."""
    order = TriggerRequest(kind="endpoint", ref=f"endpoint{turn % 50}", key=f"key{turn}")
    resolution = registry.runs.resolve(order)
    assert isinstance(resolution, Resolution)
    bound = BoundParameters(typed={"depth": 8}, texts={"depth": "8"})
    filled = NewRun(id=str(uuid.uuid4()), experiment="experiment1", parameters=bound)
    registry.runs.accept(order, resolution, filled, CALLER)


def publish(registry: Registry, turn: int) -> None:
    """Publish one more pipeline and add it to an endpoint."""
    order = PublishRequest(
        name="pipeline",
        snapshot=FrozenSnapshot(digest=f"new{turn}", spec="{}", archives="[]"),
        placement=Placement(target="laptop", backend="local", identity="{}", options="{}"),
        publication=Publication(external="x"),
        endpoint=f"endpoint{turn % 50}",
    )
    registry.pipelines.publish(order, CALLER)


def test_accepting_a_run_does_not_grow(registries: tuple[Registry, Registry]) -> None:
    assert ratio("accepting a run", accept, *registries) <= 1.5


def test_handing_over_and_reporting_do_not_grow(registries: tuple[Registry, Registry]) -> None:
    def follow(registry: Registry, turn: int) -> None:
        """Hand a run over and take in what its target says, from what is due to its end."""
        accept(registry, 1000 + turn)
        for owed in registry.outbox.due():
            if owed.kind == "submit":
                registry.runs.start_handover(owed.subject)
                registry.runs.finish_handover(owed.subject, Submission(external="job"))
                steps = (StepReport(name="train", state="succeeded"),)
                registry.runs.report(owed.subject, RunReport(state="succeeded", steps=steps), {}, {})

    for registry in registries:
        follow(registry, -1)  # what the other tests left over
    assert ratio("following a run to its end", follow, *registries) <= 1.5


def test_a_page_of_runs_does_not_grow(registries: tuple[Registry, Registry]) -> None:
    assert ratio("a page of runs", lambda registry, _: registry.runs.list(RunQuery()), *registries) <= 1.5


def test_a_page_of_one_endpoint_s_runs_does_not_grow(registries: tuple[Registry, Registry]) -> None:
    def runs(registry: Registry, turn: int) -> None:
        registry.runs.list(RunQuery(endpoint=f"endpoint{turn % 50}", limit=15))

    assert ratio("runs of an endpoint", runs, *registries) <= 1.5


def test_a_page_of_endpoints_does_not_grow(registries: tuple[Registry, Registry]) -> None:
    assert ratio("a page of endpoints", lambda registry, _: registry.endpoints.list(limit=20), *registries) <= 1.5


def test_publishing_and_history_do_not_grow(registries: tuple[Registry, Registry]) -> None:
    assert ratio("publishing a version", publish, *registries) <= 1.5
    assert ratio("a page of history", lambda registry, _: registry.history(HistoryQuery()), *registries) <= 1.5
