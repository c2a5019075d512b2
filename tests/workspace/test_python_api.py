"""The Python face: what somebody who knew Azure ML v1 would write."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from typing import ClassVar

import pytest

import penstock
from penstock.contract.hooks import hookimpl
from penstock.errors import Conflict, GateClosed, NotFound, ParameterInvalid, PenstockError, RunFailed, UsageError
from penstock.workspace import Endpoint, PublishedPipeline, Run, Workspace, publishing


def greeting(**changes) -> penstock.Pipeline:
    arguments = {
        "name": "greet",
        "description": "Writes a greeting.",
        "parameters": {
            "times": penstock.Parameter("integer", default=1, minimum=1, maximum=5),
            "name": penstock.Parameter("string", default="world", max_length=20),
        },
        "steps": {
            "write": penstock.Step(
                command=[
                    "sh", "-c", 'printf "hello %s x%s" "$1" "$2" > "$3"', "sh",
                    "${{ parameters.name }}", "${{ parameters.times }}", "${{ outputs.text }}",
                ],
                outputs={"text": "string"},
            )
        },
        "outputs": {"text": "${{ steps.write.outputs.text }}"},
    }  # fmt: skip
    return penstock.Pipeline(**{**arguments, **changes})


def test_python_and_yaml_have_the_same_digest(workspace, project):
    written = workspace.publish(project / "greet.yaml")
    built = workspace.publish(greeting(), folder=project)
    assert (built.digest, built.label, built.id) == (written.digest, written.label, written.id)


def test_the_main_job(workspace):
    endpoint = workspace.create_endpoint("hello", workspace.publish(greeting()))
    endpoint.add_version(workspace.publish(greeting(description="Second.")))
    assert (endpoint.default, [v.version for v in endpoint.versions]) == ("0", ["0", "1"])

    run = endpoint.submit(experiment="trial", parameters={"name": "Ada", "times": 3}).wait()
    assert run.outputs == {"text": "hello Ada x3"}
    assert (run.version, run.record.resolved_from, run.record.experiment) == ("0", "default", "trial")

    pinned = endpoint.submit(version="1").wait()
    assert (pinned.version, pinned.record.resolved_from) == ("1", "pinned")
    assert endpoint.submit().version == "0", "a pin must not leak into the next trigger"

    endpoint.set_default("1", expect="0")
    with pytest.raises(Conflict, match="is 1") as refused:
        endpoint.set_default("0", expect="0")
    assert refused.value.code == "default_changed"
    endpoint.rollback()
    assert endpoint.default == "0"
    with pytest.raises(Conflict) as nothing:
        endpoint.rollback()
    assert nothing.value.code == "nothing_to_roll_back"


def test_a_closed_gate_refuses_with_since_by_and_why(workspace):
    endpoint = workspace.create_endpoint("hello", workspace.publish(greeting()))
    endpoint.disable(reason="quarter close")
    with pytest.raises(GateClosed, match="quarter close") as refused:
        endpoint.submit()
    assert refused.value.code == "endpoint_disabled"
    assert "ada" in str(refused.value)
    endpoint.enable().disable("0", reason="bad model")
    with pytest.raises(GateClosed) as closed:
        endpoint.submit()
    assert closed.value.code == "version_disabled"
    endpoint.enable("0")
    workspace.published("greet:1").disable()
    with pytest.raises(GateClosed) as published:
        endpoint.submit()
    assert published.value.code == "pipeline_disabled"
    workspace.published("greet:1").enable()
    assert endpoint.submit().wait().state == "succeeded"


def test_all_wrong_parameters_come_in_one_answer_and_nothing_is_accepted(workspace):
    endpoint = workspace.create_endpoint("hello", workspace.publish(greeting()))
    with pytest.raises(ParameterInvalid) as refused:
        endpoint.submit(parameters={"tmes": 2, "times": 9, "name": 5})
    assert {(d.code, d.path) for d in refused.value.details} == {
        ("parameter_unknown", ("tmes",)),
        ("parameter_range", ("times",)),
        ("parameter_type", ("name",)),
    }
    assert "did you mean `times`" in str(refused.value)
    assert workspace.runs.list().items == ()


def test_a_trial_run_of_a_file_is_kept_and_can_be_published(workspace, project):
    run = workspace.submit(str(project / "greet.yaml"), parameters={"name": "Bo"}).wait()
    assert (run.record.published, run.record.resolved_from) == (None, "file")
    assert workspace.pipelines.list().items == ()
    published = workspace.pipelines.publish_from(run.id, name="kept", endpoint="kept").published
    assert (published.name, published.digest) == ("kept", run.record.digest)
    assert workspace.submit("kept").wait().outputs == {"text": "hello world x1"}


def test_a_trial_is_decided_before_its_target_gets_anything(workspace, project):
    class Heard:
        told: ClassVar[list[str]] = []

        @hookimpl(wrapper=True)
        def penstock_publish_pipeline(self, snapshot):
            self.told.append(snapshot.digest)
            return (yield)

    spec = str(project / "greet.yaml")
    with Workspace(workspace.config, actor="ada", plugins=[("heard", Heard())]) as heard:
        with pytest.raises(ParameterInvalid):
            heard.submit(spec, parameters={"times": 9}, idempotency_key="k")
        assert Heard.told == []
        run = heard.submit(spec, parameters={"times": 2}, idempotency_key="k")
        assert len(Heard.told) == 1
        assert heard.submit(spec, parameters={"times": 2}, idempotency_key="k").id == run.id
        with pytest.raises(Conflict):
            heard.submit(spec, parameters={"times": 9}, idempotency_key="k")
        assert len(Heard.told) == 1


def test_the_same_snapshot_on_another_target_has_the_same_label_and_digest(workspace):
    first = workspace.publish(greeting())
    endpoint = workspace.create_endpoint("hello", first)
    moved = workspace.pipelines.publish_from("hello", target="spare", endpoint="hello", default=True)
    assert (moved.published.label, moved.published.digest) == (first.label, first.digest)
    assert moved.published.id != first.id
    run = endpoint.refresh().submit().wait()
    assert (run.version, run.record.target) == ("1", "spare")


def test_an_idempotency_key_gives_one_run_even_behind_a_closed_gate(workspace):
    endpoint = workspace.create_endpoint("hello", workspace.publish(greeting()))
    first = endpoint.submit(idempotency_key="k", parameters={"times": 2})
    endpoint.disable()
    again = endpoint.submit(idempotency_key="k", parameters={"times": 2})
    assert again.id == first.id
    with pytest.raises(Conflict) as other:
        endpoint.submit(idempotency_key="k", parameters={"times": 3})
    assert other.value.code == "idempotency_conflict"


def test_an_idempotency_key_remembers_whether_the_version_was_pinned(workspace):
    endpoint = workspace.create_endpoint("hello", workspace.publish(greeting()))
    endpoint.submit(idempotency_key="k")
    with pytest.raises(Conflict) as other:
        endpoint.submit(idempotency_key="k", version="0")
    assert other.value.code == "idempotency_conflict"


def test_rerun_repeats_what_was_resolved(workspace):
    endpoint = workspace.create_endpoint("hello", workspace.publish(greeting()))
    endpoint.add_version(workspace.publish(greeting(description="Second.")))
    run = endpoint.submit(parameters={"name": "Ada"}).wait()
    endpoint.set_default("1")
    again = run.rerun().wait()
    assert (again.version, again.outputs, again.record.rerun_of) == ("0", run.outputs, run.id)


@pytest.mark.parametrize("face", [Workspace, Endpoint, PublishedPipeline, Run])
def test_help_says_something_about_everything_public(face):
    assert [name for name, one in vars(face).items() if not (name.startswith("_") or one.__doc__)] == []


def test_a_run_whose_parameters_cannot_be_read_is_not_rerun_with_others(workspace, project):
    endpoint = workspace.create_endpoint("hello", workspace.publish(greeting()))
    run = endpoint.submit(parameters={"name": "Ada"}).wait()
    with contextlib.closing(sqlite3.connect(project / ".penstock" / "registry.db")) as connection, connection:
        connection.execute("UPDATE runs SET parameters = '{'")
    with pytest.raises(ParameterInvalid, match="registry_corrupt"):
        run.rerun()
    assert len(workspace.runs.list().items) == 1


def test_a_trial_can_be_rerun_after_its_publication_was_retired(workspace, project):
    trial = workspace.submit(str(project / "greet.yaml")).wait()
    published = workspace.pipelines.publish_from(trial.id).published
    workspace.pipelines.delete(published.id)
    again = trial.rerun().wait()
    assert (again.outputs, again.record.resolved_from, again.record.rerun_of) == (trial.outputs, "file", trial.id)


def test_publishing_while_others_delete_never_leaves_a_version_that_cannot_run(workspace, project):
    deleter = threading.Thread(target=_delete_again_and_again, args=(project,))
    deleter.start()
    ran = 0
    for number in range(15):
        published = workspace.publish(project / "greet.yaml", label=None)
        try:
            run = published.submit(parameters={"name": str(number)})
        except NotFound:
            continue  # it was deleted first
        assert run.wait().state == "succeeded"
        ran += 1
    deleter.join()
    assert ran


def test_who_published_what_another_deletes_at_once_is_told_that_it_was_published(workspace, project, monkeypatch):
    first = workspace.publish(project / "greet.yaml")
    publish = publishing.publish

    def publish_and_lose(*arguments):
        outcome = publish(*arguments)
        with Workspace.open(project, actor="bo") as other:
            other.pipelines.delete(outcome.published.id)
        return outcome

    monkeypatch.setattr(publishing, "publish", publish_and_lose)
    assert workspace.publish(project / "greet.yaml").id == first.id


def _delete_again_and_again(project):
    with Workspace.open(project, actor="bo") as other:
        for _ in range(60):
            for published in other.pipelines.list().items:
                with contextlib.suppress(Conflict, NotFound):
                    other.pipelines.delete(published.id)
            time.sleep(0.01)


def test_a_failed_run_raises_when_awaited(workspace):
    failing = greeting(steps={"no": penstock.Step(command="sh -c 'exit 3'")}, outputs={}, parameters={})
    run = workspace.create_endpoint("bad", workspace.publish(failing)).submit()
    with pytest.raises(RunFailed, match="3") as caught:
        run.wait()
    assert caught.value.code == "run_failed"
    assert run.wait(check=False).state == "failed"


def test_names_that_do_not_exist_list_what_does(workspace):
    workspace.create_endpoint("hello", workspace.publish(greeting()))
    with pytest.raises(NotFound, match="hello") as missing:
        workspace.submit("helo")
    assert missing.value.code == "endpoint_not_found"
    with pytest.raises(NotFound) as version:
        workspace.submit("hello@7")
    assert version.value.code == "version_not_found"


def test_what_is_wrong_in_python_is_an_error_of_ours(workspace):
    with pytest.raises(PenstockError) as operator:
        penstock.Step(command="sort in | uniq")
    assert (operator.value.code, operator.value.exit_code) == ("shell_operator", 3)
    endpoint = workspace.create_endpoint("hello", workspace.publish(greeting()))
    for wrong in (
        {"idempotency_key": ""},
        {"idempotency_key": 3},
        {"experiment": "a\nb"},
        {"tags": {"a": 1}},
        {"parameters": {1: 2}},
    ):
        with pytest.raises(PenstockError):
            endpoint.submit(**wrong)
    assert workspace.runs.list().items == ()


def test_plugins_may_be_given_as_objects(project):
    class Counting:
        calls: ClassVar[list[str]] = []

        @penstock.hookimpl(wrapper=True)
        def penstock_execute_verb(self, request):
            self.calls.append(request.verb)
            return (yield)

        @penstock.hookimpl(wrapper=True)
        def penstock_submit_run(self, run):
            self.calls.append("submit " + run.id)
            return (yield)

    config = Workspace.open(project).config
    with Workspace(config, actor="ada", plugins=[("counting", Counting())]) as workspace:
        run = workspace.publish("greet.yaml").submit()
    assert Counting.calls == ["pipeline.publish", "run.submit", f"submit {run.id}"]


def test_a_version_may_be_written_as_a_number(workspace):
    endpoint = workspace.create_endpoint("hello", workspace.publish(greeting()))
    endpoint.add_version(workspace.publish(greeting(description="Second.")))
    assert endpoint.submit(version=1).version == "1"
    assert endpoint.set_default(1, expect=0).default == "1"


def test_a_run_that_ended_unseen_keeps_nothing_from_being_deleted(workspace, project):
    endpoint = workspace.create_endpoint("hello", workspace.publish(greeting()))
    run = endpoint.submit()
    with Workspace.open(project, actor="bo") as other:
        other.run(run.id).wait()
    late = endpoint.submit()
    queue = project / ".penstock/local/laptop/queue.db"
    with contextlib.closing(sqlite3.connect(queue)) as database:
        for _ in range(400):
            if database.execute("SELECT count(*) FROM jobs WHERE ended IS NULL").fetchone() == (0,):
                break
            time.sleep(0.02)
    status = workspace.admin.status()
    assert status.runs["succeeded"] == 1 and not late.record.finished, "a read asks no target"
    endpoint.delete()
    assert workspace.admin.status().runs["succeeded"] == 2
    assert workspace.run(late.id).state == "succeeded"


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ({"description": None}, "`description` is text, got nothing"),
        ({"tags": {"a": None}}, "the tag `a` is text, got nothing"),
        ({"tags": {1: "a"}}, "the name of a tag is text, got integer `1`"),
    ],
)
def test_what_is_no_text_is_refused_before_the_registry_meets_it(workspace, said, what):
    with pytest.raises(UsageError) as refused:
        workspace.submit("digits", **said)
    assert str(refused.value) == what
