"""Law 8 where it is hard: the same request is known again whatever became of what it named."""

from __future__ import annotations

import pytest

from penstock.contract.hooks import hookimpl
from penstock.errors import Conflict, NotFound, TargetUnavailable
from penstock.spec.values import RawValue
from penstock.workspace import Workspace

READER = """\
apiVersion: penstock/v1
kind: Pipeline
name: reader
parameters:
  table: {type: file}
  times: {type: integer, default: 1}
steps:
  read:
    inputs: {table: "${{ parameters.table }}"}
    command: [cp, "${{ inputs.table }}", "${{ outputs.copy }}"]
    outputs: {copy: file}
"""


@pytest.fixture
def endpoint(workspace, project):
    (project / "reader.yaml").write_text(READER)
    (project / "data.txt").write_text("1")
    workspace.pipelines.publish(project / "reader.yaml", endpoint="reader")
    return workspace.endpoint("reader")


def test_a_file_that_is_gone_since_makes_no_other_request(endpoint, project):
    first = endpoint.submit(parameters={"table": "data.txt"}, idempotency_key="k").wait()
    (project / "data.txt").unlink()
    again = endpoint.submit(parameters={"table": str(project / "data.txt")}, idempotency_key="k")
    assert again.id == first.id
    with pytest.raises(Conflict) as other:
        endpoint.submit(parameters={"table": "other.txt"}, idempotency_key="k")
    assert other.value.code == "idempotency_conflict"


def test_a_target_that_is_gone_since_makes_no_other_request(endpoint, project):
    first = endpoint.submit(parameters={"table": "data.txt"}, idempotency_key="k").wait()
    (project / "penstock.yaml").write_text("targets: {renamed: {backend: local}}\n")
    with Workspace.open(project, actor="bo") as later:
        again = later.submit("reader", parameters={"table": "data.txt"}, idempotency_key="k")
    assert again.id == first.id


def test_a_key_outlives_its_endpoint(endpoint, workspace):
    first = endpoint.submit(parameters={"table": "data.txt"}, idempotency_key="k").wait()
    endpoint.delete()
    again = workspace.submit("reader", parameters={"table": "data.txt"}, idempotency_key="k")
    assert again.id == first.id


def test_a_key_outlives_its_published_pipeline(workspace, project):
    published = workspace.publish(project / "greet.yaml")
    first = published.submit(idempotency_key="k").wait()
    published.delete()
    for ref in (published.id, "greet:1"):
        assert workspace.submit(ref, idempotency_key="k").id == first.id
        with pytest.raises(NotFound):
            workspace.submit(ref, idempotency_key="another")


@pytest.mark.parametrize(("ref", "code"), [("greet:9", "pipeline_not_found"), ("nobody", "endpoint_not_found")])
def test_what_never_was_is_not_found_with_a_key_too(workspace, project, ref, code):
    workspace.publish(project / "greet.yaml", endpoint="hello")
    for key in (None, "k"):
        with pytest.raises(NotFound) as missing:
            workspace.submit(ref, idempotency_key=key)
        assert missing.value.code == code


@pytest.mark.parametrize("change", [{"experiment": "reader"}, {"description": "x"}, {"tags": {"a": "b"}}])
def test_whatever_is_asked_otherwise_is_another_request(endpoint, change):
    asked = {"parameters": {"table": "data.txt"}, "idempotency_key": "k"}
    endpoint.submit(**asked)
    with pytest.raises(Conflict):
        endpoint.submit(**asked, **change)


def test_text_and_typed_values_are_one_request(endpoint, workspace):
    typed = {"table": "data.txt", "times": 3}
    first = endpoint.submit(parameters=typed, idempotency_key="k")
    as_text = {name: RawValue(value) for name, value in typed.items()}
    assert workspace.submit("reader", parameters=as_text, idempotency_key="k").id == first.id
    with pytest.raises(Conflict):
        workspace.submit("reader", parameters=typed | {"times": "3"}, idempotency_key="k")


def test_a_trial_of_another_snapshot_is_another_request(workspace, project):
    first = workspace.submit(str(project / "greet.yaml"), idempotency_key="k")
    assert workspace.submit(str(project / "greet.yaml"), idempotency_key="k").id == first.id
    spec = project / "greet.yaml"
    spec.write_text(spec.read_text().replace("default: world", "default: earth"))
    with pytest.raises(Conflict):
        workspace.submit(str(spec), idempotency_key="k")


def test_a_trial_on_another_target_is_another_request(workspace, project):
    spec = str(project / "greet.yaml")
    first = workspace.submit(spec, target="laptop", idempotency_key="k")
    assert workspace.submit(spec, target="laptop", idempotency_key="k").id == first.id
    assert workspace.submit(spec, idempotency_key="k").id == first.id
    with pytest.raises(Conflict):
        workspace.submit(spec, target="spare", idempotency_key="k")


def test_a_trial_is_known_again_whatever_became_of_its_target(workspace, project):
    class Away:
        @hookimpl(wrapper=True)
        def penstock_validate_pipeline(self):
            raise TargetUnavailable("away", retry_after=1.0)
            yield

    spec = str(project / "greet.yaml")
    first = workspace.submit(spec, idempotency_key="k").wait()
    again = first.rerun(idempotency_key="again").wait()
    with Workspace(workspace.config, actor="bo", plugins=[("away", Away())]) as later:
        assert later.submit(spec, idempotency_key="k").id == first.id
        with pytest.raises(TargetUnavailable):
            later.submit(spec, idempotency_key="new")
    (project / "penstock.yaml").write_text("targets: {renamed: {backend: local}}\n")
    with Workspace.open(project, actor="bo") as later:
        assert later.submit(spec, idempotency_key="k").id == first.id
        assert later.runs.rerun(first.id, idempotency_key="again").run.id == again.id


def test_a_delete_is_done_when_the_target_is_gone(workspace, project):
    published = workspace.publish(project / "greet.yaml")
    (project / "penstock.yaml").write_text("targets: {renamed: {backend: local}}\n")
    with Workspace.open(project, actor="bo") as later:
        assert later.pipelines.delete(published.id).id == published.id
        assert later.pipelines.list(all=True).items == ()
