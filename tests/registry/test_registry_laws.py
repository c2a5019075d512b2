"""Laws 1 to 5 and 8 to 10 as one property: any history of calls does what a few lines of plain Python say."""

import shutil
import tempfile
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from penstock.contract.run import ENDED, Absent, Failure, RunReport, Submission
from penstock.errors import PenstockError
from penstock.registry import NewRun, Registry, TriggerRequest

names = st.sampled_from(["digits", "letters"])
labels = st.sampled_from([None, None, "1", "2", "7", "beta"])
digests = st.sampled_from(["a", "b", "c"])
targets = st.sampled_from(["laptop", "prod"])
identities = st.sampled_from(["{}", "{}", "{}", "[]"])
endpoint_names = st.sampled_from(["one", "two"])
versions = st.sampled_from(["0", "1", "2", "3"])
expectations = st.sampled_from([None, None, None, "0", "1"])
picks = st.integers(0, 1000)


class No(Exception):
    """The model refuses, with a code."""


class Pipeline:
    def __init__(self, name, label, target, digest, identity):
        self.name, self.label, self.target, self.digest, self.identity = name, label, target, digest, identity
        self.id, self.closed, self.deleted = "", False, False


class Endpoint:
    def __init__(self, name, first):
        self.name, self.versions, self.default, self.stack = name, [first], 0, []
        self.id, self.closed, self.closed_versions, self.deleted = "", False, set(), False


class Run:
    def __init__(self, endpoint, version, pipeline, request):
        self.endpoint, self.version, self.pipeline, self.request = endpoint, version, pipeline, request
        self.id, self.state, self.handed, self.started, self.cancel = "", "queued", False, False, False


class Machine(RuleBasedStateMachine):
    kit: object
    template: Path

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="penstock-test-"))
        shutil.copy(self.template, self.folder / "registry.db")
        self.now = 1_800_000_000_000_000
        self.registry = Registry.open(self.folder / "registry.db", clock=lambda: self.now)
        self.labels, self.pipelines, self.endpoints, self.runs, self.keys = {}, [], [], [], {}
        self.answers = []

    def teardown(self):
        try:
            self.the_past_is_as_it_was()
            report = self.registry.check()
            assert report.ok, report.lines
        finally:
            self.registry.close()
            shutil.rmtree(self.folder)

    # What the registry and the model make of the same call

    def both(self, real, model):
        """Do it twice; answer what both gave, or None when both refused with the same code."""
        try:
            expected, code = model(), None
        except No as no:
            expected, code = None, no.args[0]
        try:
            found, refused = real(), None
        except PenstockError as error:
            found, refused = None, error.code
        assert refused == code
        return None if code else (found, expected)

    def endpoint(self, name):
        for endpoint in self.endpoints:
            if endpoint.name == name and not endpoint.deleted:
                return endpoint
        raise No("endpoint_not_found")

    def find(self, name):
        try:
            return self.endpoint(name)
        except No:
            return None

    # The model

    def settle(self, name, label, target, digest, identity):
        mine = self.labels.setdefault(name, {})
        if label is None:
            here = [
                p.label
                for p in self.pipelines
                if (p.name, p.target, p.digest, p.deleted) == (name, target, digest, False)
            ]
            alive = [known for known, (kept, burnt) in mine.items() if kept == digest and not burnt]
            label = (
                (here or alive)[-1]
                if here or alive
                else str(max([0, *(int(known) for known in mine if known.isdigit())]) + 1)
            )
        if label not in mine:
            return label, None
        kept, burnt = mine[label]
        key = (name, label, target, digest)
        found = [p for p in self.pipelines if (p.name, p.label, p.target, p.digest) == key and not p.deleted]
        if not found and burnt:
            raise No("label_reserved")
        if kept != digest:
            raise No("label_frozen")
        if found and found[0].identity != identity:
            raise No("target_changed")
        return label, found[0] if found else None

    def attach(self, name, pipeline, default, expect):
        """Put a pipeline behind an endpoint; answers it with (version, added, moved)."""
        endpoint = self.find(name)
        if endpoint is None:
            if expect is not None:
                raise No("default_changed")
            if pipeline.closed:
                raise No("pipeline_disabled")
            endpoint = Endpoint(name, pipeline)
            self.endpoints.append(endpoint)
            return endpoint, 0, True, True
        self.expect(endpoint, expect)
        added = pipeline not in endpoint.versions
        version = len(endpoint.versions) if added else endpoint.versions.index(pipeline)
        if default and version != endpoint.default:
            if version in endpoint.closed_versions:
                raise No("version_disabled")
            if pipeline.closed:
                raise No("pipeline_disabled")
        if added:
            endpoint.versions.append(pipeline)
        return endpoint, version, added, default and self.move(endpoint, version)

    def expect(self, endpoint, expect):
        if expect is not None and expect != str(endpoint.default):
            raise No("default_changed")

    def open_version(self, endpoint, version):
        if version in endpoint.closed_versions:
            raise No("version_disabled")
        if endpoint.versions[version].closed:
            raise No("pipeline_disabled")

    def move(self, endpoint, version):
        if version == endpoint.default:
            return False
        self.open_version(endpoint, version)
        endpoint.stack.append(endpoint.default)
        endpoint.default = version
        return True

    def version(self, endpoint, text):
        if int(text) >= len(endpoint.versions):
            raise No("version_not_found")
        return int(text)

    # The calls

    @rule(jump=st.sampled_from([-3_600_000_000, -1, 0, 1, 1_000_000]))
    def the_clock_jumps(self, jump):
        self.now += jump

    @rule(
        name=names,
        label=labels,
        place=targets,
        digest=digests,
        identity=identities,
        endpoint=st.none() | endpoint_names,
        default=st.booleans(),
        expect=expectations,
    )
    def publish(self, name, label, place, digest, identity, endpoint, default, expect):
        order = self.kit.order(
            digest, name=name, label=label, target=place, identity=identity, endpoint=endpoint, default=default,
            expect=expect,
        )  # fmt: skip

        def model():
            settled, found = self.settle(name, label, place, digest, identity)
            pipeline = found or Pipeline(name, settled, place, digest, identity)
            attached = self.attach(endpoint, pipeline, default, expect) if endpoint else None
            if found is None:
                self.labels[name].setdefault(settled, (digest, False))
                self.pipelines.append(pipeline)
            return pipeline, found is None, attached

        planned = self.kit.code(self.registry.plan_publish, order)
        done = self.both(lambda: self.registry.publish(order, self.kit.caller), model)
        assert (planned is None) == (done is not None)
        if done is None:
            return
        outcome, (pipeline, created, attached) = done
        assert outcome.created == created
        pipeline.id = pipeline.id or outcome.published.id
        assert (outcome.published.id, outcome.published.label) == (pipeline.id, pipeline.label)
        if attached:
            place, version, added, moved = attached
            place.id = place.id or outcome.endpoint.id
            assert (outcome.version, outcome.version_added, outcome.default_moved) == (str(version), added, moved)

    @precondition(lambda self: self.pipelines)
    @rule(pick=picks, endpoint=endpoint_names, default=st.booleans(), expect=expectations)
    def add_version(self, pick, endpoint, default, expect):
        pipeline = self.pipelines[pick % len(self.pipelines)]

        def model():
            self.endpoint(endpoint)
            if pipeline.deleted:
                raise No("pipeline_not_found")
            return self.attach(endpoint, pipeline, default, expect)

        done = self.both(
            lambda: self.registry.add_version(endpoint, pipeline.id, self.kit.caller, default=default, expect=expect),
            model,
        )
        if done:
            outcome, (_, version, added, moved) = done
            assert (outcome.version, outcome.added, outcome.default_moved) == (str(version), added, moved)

    @precondition(lambda self: self.pipelines)
    @rule(pick=picks)
    def delete_published(self, pick):
        pipeline = self.pipelines[pick % len(self.pipelines)]

        def model():
            if pipeline.deleted:
                raise No("pipeline_not_found")
            if any(pipeline in endpoint.versions for endpoint in self.endpoints if not endpoint.deleted):
                raise No("in_use")
            if any(run.pipeline is pipeline and run.state not in ENDED for run in self.runs):
                raise No("in_use")
            pipeline.deleted = True
            self.labels[pipeline.name][pipeline.label] = (pipeline.digest, True)

        done = self.both(lambda: self.registry.delete_published(pipeline.id, self.kit.caller), model)
        if done:
            place = (pipeline.target, pipeline.digest, pipeline.identity)
            used = any((p.target, p.digest, p.identity) == place and not p.deleted for p in self.pipelines)
            assert (done[0].retire is None) == used
            assert (self.registry.find_publication(*place) is None) == (not used)

    @precondition(lambda self: self.endpoints)
    @rule(endpoint=endpoint_names, version=versions, expect=expectations)
    def set_default(self, endpoint, version, expect):
        def model():
            found = self.endpoint(endpoint)
            self.expect(found, expect)
            return self.move(found, self.version(found, version))

        done = self.both(lambda: self.registry.set_default(endpoint, version, self.kit.caller, expect=expect), model)
        if done:
            assert (done[0].moved, done[0].to) == (done[1], version)

    @precondition(lambda self: self.endpoints)
    @rule(endpoint=endpoint_names, expect=expectations)
    def rollback(self, endpoint, expect):
        def model():
            found = self.endpoint(endpoint)
            self.expect(found, expect)
            if not found.stack:
                raise No("nothing_to_roll_back")
            self.open_version(found, found.stack[-1])
            found.default = found.stack.pop()
            return found.default

        done = self.both(lambda: self.registry.rollback(endpoint, self.kit.caller, expect=expect), model)
        if done:
            assert done[0].to == str(done[1])

    @precondition(lambda self: self.endpoints)
    @rule(endpoint=endpoint_names, version=st.none() | versions, open=st.booleans(), cancel=st.booleans())
    def gate_of_an_endpoint(self, endpoint, version, open, cancel):
        def model():
            found = self.endpoint(endpoint)
            if version is None:
                changed, found.closed = found.closed == open, not open
                return changed, [run for run in self.runs if run.endpoint is found]
            number = self.version(found, version)
            changed = (number in found.closed_versions) == open
            (found.closed_versions.discard if open else found.closed_versions.add)(number)
            return changed, [run for run in self.runs if run.endpoint is found and run.version == number]

        kind = "endpoint" if version is None else "version"
        self.gate(kind, endpoint, version, open, cancel, model)

    @precondition(lambda self: self.pipelines)
    @rule(pick=picks, open=st.booleans(), cancel=st.booleans())
    def gate_of_a_pipeline(self, pick, open, cancel):
        pipeline = self.pipelines[pick % len(self.pipelines)]

        def model():
            if pipeline.deleted:
                raise No("pipeline_not_found")
            changed, pipeline.closed = pipeline.closed == open, not open
            return changed, [run for run in self.runs if run.pipeline is pipeline]

        self.gate("pipeline", pipeline.id, None, open, cancel, model)

    def gate(self, kind, ref, version, open, cancel, model):
        done = self.both(
            lambda: self.registry.set_gate(
                kind, ref, version=version, open=open, caller=self.kit.caller, cancel_runs=cancel
            ),
            model,
        )
        if done:
            outcome, (changed, runs) = done
            assert outcome.changed == changed
            assert (outcome.gate is None) == open
            did = [(run.id, self.cancel_model(run)) for run in runs] if cancel and not open else []
            assert list(outcome.ended) == [run for run, what in did if what == "ended"]
            assert list(outcome.cancel) == [run for run, what in did if what == "requested"]

    @precondition(lambda self: self.endpoints)
    @rule(endpoint=endpoint_names, name=endpoint_names)
    def rename(self, endpoint, name):
        def model():
            found = self.endpoint(endpoint)
            if name != endpoint and self.find(name):
                raise No("name_taken")
            found.name = name

        self.both(lambda: self.registry.rename_endpoint(endpoint, name, self.kit.caller), model)

    @precondition(lambda self: self.endpoints)
    @rule(endpoint=endpoint_names)
    def delete_endpoint(self, endpoint):
        def model():
            found = self.endpoint(endpoint)
            if any(run.endpoint is found and run.state not in ENDED for run in self.runs):
                raise No("in_use")
            found.deleted = True

        self.both(lambda: self.registry.delete_endpoint(endpoint, self.kit.caller), model)

    @precondition(lambda self: self.pipelines)
    @rule(
        pick=picks,
        endpoint=st.none() | endpoint_names,
        version=st.none() | versions,
        key=st.none() | st.sampled_from(["k", "l"]),
        depth=st.integers(1, 2),
    )
    def submit(self, pick, endpoint, version, key, depth):
        pipeline = self.pipelines[pick % len(self.pipelines)]
        version = version if endpoint else None
        kind, ref = ("endpoint", endpoint) if endpoint else ("published", pipeline.id)
        request = {"version": version or "", "depth": depth}

        def model():
            found = [one for one in self.endpoints if one.name == endpoint]
            found.sort(key=lambda one: (not one.deleted, self.endpoints.index(one)))
            place = (found[-1] if found else None) if endpoint else pipeline
            stored = self.keys.get((place, key)) if key and place else None
            if stored:
                if stored.request != request:
                    raise No("idempotency_conflict")
                return stored
            if not endpoint:
                if pipeline.deleted:
                    raise No("pipeline_not_found")
                if pipeline.closed:
                    raise No("pipeline_disabled")
                run = Run(None, None, pipeline, request)
            else:
                place = self.endpoint(endpoint)
                number = self.version(place, version) if version else place.default
                if place.closed:
                    raise No("endpoint_disabled")
                self.open_version(place, number)
                run = Run(place, number, place.versions[number], request)
            self.runs.append(run)
            if key:
                self.keys[(place, key)] = run
            return run

        order = TriggerRequest(
            kind=kind, ref=ref, version=version, key=key, same=lambda stored, asked: dict(stored.parameters) == request
        )

        def real():
            found = self.registry.resolve(order)
            if not hasattr(found, "spec"):
                return found
            accepted = NewRun(id=str(uuid.uuid4()), experiment="e", parameters=request)
            return self.registry.accept(order, found, accepted, self.kit.caller)[0]

        done = self.both(real, model)
        if done:
            record, run = done
            run.id = run.id or record.id
            assert record.id == run.id
            assert (record.published, record.version) == (
                run.pipeline.id,
                None if run.version is None else str(run.version),
            )

    # Runs

    def cancel_model(self, run):
        if run.state in ENDED or run.cancel:
            return "nothing"
        run.cancel = True
        if run.started:
            return "requested"
        run.state = "canceled"
        return "ended"

    @precondition(lambda self: self.runs)
    @rule(pick=picks)
    def cancel(self, pick):
        run = self.runs[pick % len(self.runs)]
        outcome = self.registry.request_cancel(run.id, self.kit.caller)
        did = self.cancel_model(run)
        assert (outcome.ended, outcome.requested) == (did == "ended", did == "requested")

    @precondition(lambda self: self.runs)
    @rule(pick=picks, answer=st.sampled_from(["taken", "taken", "refused", "away", "killed"]))
    def hand_over(self, pick, answer):
        run = self.runs[pick % len(self.runs)]
        work = self.registry.start_handover(run.id)
        assert (work is None) == (run.handed or run.state in ENDED)
        if work is None:
            return
        assert (work.digest, work.target) == (run.pipeline.digest, run.pipeline.target)
        run.started = True
        if answer == "taken":
            run.handed = True
            self.registry.finish_handover(run.id, Submission(external="job"))
        elif answer == "refused":
            run.state = "failed"
            self.registry.refuse_handover(run.id, Failure(code="dispatch_failed", message="no"))
        elif answer == "away":
            self.registry.defer_handover(run.id, 1, "away")

    @precondition(lambda self: any(run.started for run in self.runs))
    @rule(pick=picks, state=st.sampled_from(["queued", "running", "succeeded", "failed", "canceled", "absent"]))
    def report(self, pick, state):
        started = [run for run in self.runs if run.started]
        run = started[pick % len(started)]
        report = Absent() if state == "absent" else RunReport(state=state)
        record, changed = self.registry.report(run.id, report, None, {})
        told = "failed" if state == "absent" else state
        rank = {"queued": 0, "running": 1}
        takes = run.state not in ENDED and rank.get(told, 2) > rank[run.state] and (state != "absent" or run.handed)
        assert changed == takes
        if takes:
            run.state = told
        assert record.state == run.state

    # What holds after every call

    @invariant()
    def the_registry_is_what_the_model_is(self):
        shown = {endpoint.id: endpoint for endpoint in self.registry.list_endpoints(all=True, limit=100).items}
        alive = [endpoint for endpoint in self.endpoints if not endpoint.deleted]
        assert set(shown) == {endpoint.id for endpoint in alive}
        for endpoint in alive:
            record = shown[endpoint.id]
            assert record == self.registry.get_endpoint(endpoint.name)
            assert (record.name, record.default, record.enabled) == (
                endpoint.name,
                str(endpoint.default),
                not endpoint.closed,
            )
            assert [(one.version, one.published, one.enabled, one.published_enabled) for one in record.versions] == [
                (str(number), pipeline.id, number not in endpoint.closed_versions, not pipeline.closed)
                for number, pipeline in enumerate(endpoint.versions)
            ]
        published = {one.id: one for one in self.registry.list_published(all=True, limit=1000).items}
        assert set(published) == {pipeline.id for pipeline in self.pipelines if not pipeline.deleted}
        for pipeline in self.pipelines:
            if not pipeline.deleted:
                record = published[pipeline.id]
                assert (record.name, record.label, record.digest, record.target, record.enabled) == (
                    pipeline.name,
                    pipeline.label,
                    pipeline.digest,
                    pipeline.target,
                    not pipeline.closed,
                )
        runs = self.registry.list_runs(limit=1000).items[::-1]
        assert [(run.id, run.state, run.cancel_requested) for run in runs] == [
            (run.id, run.state, run.cancel) for run in self.runs
        ]
        assert self.registry.unfinished() == [run.id for run in self.runs if run.state not in ENDED]
        wanted = [run.id for run in self.runs if run.cancel and run.handed and run.state not in ENDED]
        assert self.registry.pending_cancels() == wanted

    @invariant()
    def the_present_is_remembered(self):
        last = self.registry.history(runs=True, limit=1).items
        if not last:
            return
        for name in ("one", "two"):
            endpoint = self.find(name)
            if endpoint is None:
                answer = (None, "endpoint_not_found")
            else:
                pipeline = endpoint.versions[endpoint.default]
                closed = (
                    (endpoint.closed, "endpoint_disabled"),
                    (endpoint.default in endpoint.closed_versions, "version_disabled"),
                    (pipeline.closed, "pipeline_disabled"),
                )
                answer = (pipeline.id, next((code for shut, code in closed if shut), None))
            self.answers.append((name, None if endpoint is None else endpoint.id, last[0].at, answer))

    def the_past_is_as_it_was(self):
        latest = {(name, at): (endpoint, answer) for name, endpoint, at, answer in self.answers}
        for (name, at), (endpoint, (published, refused)) in latest.items():
            for ref in (name, endpoint):
                if ref is None or endpoint is None:
                    continue
                found = self.registry.endpoint_at(ref, at)
                assert (found.published, found.refused) == (published, refused)
        times = [row.at for row in self.registry.history(runs=True, limit=10_000).items][::-1]
        assert times == sorted(times)
        assert all(at <= datetime.now(UTC).replace(year=2100) for at in times)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A new registry, to copy."""
    path = tmp_path_factory.mktemp("template") / "registry.db"
    Registry.open(path).close()
    return path


def test_any_history_of_calls_does_what_the_model_does(kit, template):
    machine = type("Machine", (Machine,), {"kit": kit, "template": template})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
