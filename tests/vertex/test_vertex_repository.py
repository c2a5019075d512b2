"""Publishing into a repository of Artifact Registry too: what lies there, what a job says of it, what goes wrong."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import PenstockError, TargetUnavailable
from penstock.workspace import Workspace

SPEC = """\
apiVersion: penstock/v1
kind: Pipeline
name: {name}
description: {description}
steps:
  only: {{command: [sh, -c, 'printf done > "$1"', sh, "${{{{ outputs.text }}}}"], outputs: {{text: string}}}}
outputs: {{text: "${{{{ steps.only.outputs.text }}}}"}}
"""
UPLOAD, LOOK, TAG = (
    "ArtifactRegistry.UploadKfpArtifact",
    "ArtifactRegistry.GET packages/package/item",
    "ArtifactRegistry.POST packages/package",
)

Open = Callable[..., Workspace]


@pytest.fixture
def place(target: dict[str, Any]) -> str:
    """The URL of a repository of the test's own."""
    return f"{target['storage_endpoint']}/acme/r{uuid.uuid4().hex}"


@pytest.fixture
def opened(tmp_path: Path, target: dict[str, Any]) -> Iterator[Open]:
    """Opens the one workspace of a test with options for its target, closing it first if it is open."""
    current: list[Workspace] = []

    def reopen(**options: Any) -> Workspace:
        while current:
            current.pop().__exit__(None, None, None)
        text = json.dumps({"target": "prod", "targets": {"prod": {**target, **options}}})
        (tmp_path / "penstock.yaml").write_text(text)
        current.append(Workspace.open(tmp_path, env={}, actor="ada").__enter__())
        return current[0]

    yield reopen
    while current:
        current.pop().__exit__(None, None, None)


def publish(workspace: Workspace, name: str = "quick", endpoint: str = "quick", description: str | None = None) -> None:
    """Publish a pipeline; of its own content, unless it says which."""
    file = workspace.config.base / "pipeline.yaml"
    if description is not None or not file.exists():
        said = json.dumps(description or uuid.uuid4().hex)
        file.write_text(SPEC.format(name=json.dumps(name), description=said))
    workspace.publish(file, endpoint=endpoint)


def job_of(workspace: Workspace, run: str) -> dict[str, Any]:
    """A run's job, as Google has it."""
    from penstock_vertex.client import connect

    found = connect(workspace.services.targets.open("prod").target.options).find_job(f"penstock-{run}")
    assert found is not None
    return dict(found)


def client_of(place: str) -> Any:
    """kfp's own client of a repository."""
    from kfp.registry import ApiAuth, RegistryClient

    return RegistryClient(host=place, auth=ApiAuth("token"))


def last(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(row["name"].rpartition("/")[2] for row in rows)


def test_what_lies_there_is_what_a_run_runs(opened: Open, place: str, tmp_path: Path) -> None:
    import yaml

    workspace = opened(repository=f"{place}/")
    publish(workspace, name="Größe & Co", description="a \x85 b \u2028 c \U0001f600 'd': {e}")
    run = workspace.submit("quick").wait()
    job = job_of(workspace, run.id)
    package, version = job["templateUri"].removeprefix(f"{place}/").split("/")
    client, file = client_of(place), tmp_path / "read.yaml"
    client.download_pipeline(package, version=version, file_name=str(file))
    assert version == f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"
    assert job["templateMetadata"] == {"version": version}
    assert yaml.safe_load(file.read_text()) == job["pipelineSpec"]
    assert job["pipelineSpec"]["pipelineInfo"]["name"] == package
    digest = workspace.runs.get(run.id).digest.removeprefix("sha256:")
    assert (last(client.list_packages()), last(client.list_tags(package))) == ([package], [f"penstock-digest-{digest}"])


def test_what_lies_there_runs_by_its_uri_alone(opened: Open, place: str) -> None:
    from penstock_vertex.client import connect

    workspace = opened(repository=place)
    publish(workspace)
    template = job_of(workspace, workspace.submit("quick").wait().id)["templateUri"]
    vertex = connect(workspace.services.targets.open("prod").target.options)
    alone = f"alone-{uuid.uuid4().hex}"
    vertex.create_job(alone, {"template_uri": template, "runtime_config": {"gcs_output_directory": vertex.uri("runs")}})
    made = vertex.find_job(alone)
    while made is not None and made["state"] in ("PIPELINE_STATE_PENDING", "PIPELINE_STATE_RUNNING"):
        made = vertex.find_job(alone)
    assert made is not None and made["state"] == "PIPELINE_STATE_SUCCEEDED"


@pytest.mark.parametrize(("method", "call"), [(LOOK, 1), (LOOK, 2), (UPLOAD, 1), (TAG, 1)])
def test_a_lost_answer_makes_no_second_version(opened: Open, place: str, faults: Any, method: str, call: int) -> None:
    workspace = opened(repository=place)
    lost = []
    faults(method, call=call, times=3, lose_answer=True)  # with both repeats
    for endpoint in ("quick", "again"):
        try:
            publish(workspace, endpoint=endpoint)
        except TargetUnavailable as error:
            lost.append(str(error))
            assert len(workspace.pipelines.list().items) == (endpoint == "again")
            publish(workspace, endpoint=endpoint)
    assert len(lost) == 1, lost
    assert f"{place.partition('/acme')[0]} cannot be reached" in lost[0], "it is the repository, and no other service"
    assert faults()["calls"][UPLOAD] == (3 if method == UPLOAD else 1)
    client = client_of(place)
    (version,) = last(client.list_versions("quick"))
    assert len(client.list_tags("quick")) == 1
    assert job_of(workspace, workspace.submit("again").id)["templateUri"] == f"{place}/quick/{version}"


def test_a_tag_that_somebody_moves_or_removes_changes_nothing(opened: Open, place: str) -> None:
    workspace = opened(repository=place)
    publish(workspace, description="one")
    before = job_of(workspace, workspace.submit("quick").id)["templateUri"]
    client, version = client_of(place), before.rpartition("/")[2]
    (tag,) = last(client.list_tags("quick"))
    publish(workspace, endpoint="other", description="another")
    other = job_of(workspace, workspace.submit("other").id)["templateUri"].rpartition("/")[2]
    assert other != version
    client.update_tag("quick", other, tag)
    publish(workspace, endpoint="third", description="one")
    assert client.get_tag("quick", tag)["version"].endswith(other), "a tag is not moved back either"
    client.delete_tag("quick", tag)
    publish(workspace, endpoint="fourth", description="one")
    assert client.get_tag("quick", tag)["version"].endswith(version)
    for endpoint in ("quick", "third", "fourth"):
        assert job_of(workspace, workspace.submit(endpoint).id)["templateUri"] == before


def test_pipelines_that_look_alike_do_not_disturb_each_other(opened: Open, place: str) -> None:
    workspace = opened(repository=place)
    names = ("grosse", "Grosse", "große", "grösse")
    for number, name in enumerate(names):
        publish(workspace, name=name, endpoint=f"e{number}", description=name)
    templates = {job_of(workspace, workspace.submit(f"e{number}").id)["templateUri"] for number in range(len(names))}
    assert len(templates) == len(names)
    assert len(client_of(place).list_packages()) == len(names)


def test_a_repository_comes_and_goes_and_runs_go_on(opened: Open, place: str) -> None:
    workspace = opened()
    publish(workspace, endpoint="without", description="before")
    without = workspace.submit("without").wait()
    workspace = opened(repository=place)
    publish(workspace, endpoint="without", description="before")  # it was published, and stays as it was
    publish(workspace, name="after", endpoint="with", description="after")
    for endpoint, has in (("without", False), ("with", True)):
        assert ("templateUri" in job_of(workspace, workspace.submit(endpoint).id)) is has
    for options in ({}, {"repository": f"{place}-elsewhere"}):
        workspace = opened(**options)
        for endpoint in ("without", "with"):
            run = workspace.submit(endpoint).wait()
            assert run.outputs == without.outputs == {"text": "done"}
            assert "templateUri" not in job_of(workspace, run.id)


TROUBLES = [
    ("-missing", "target_not_there", "it is not there; create it with the format KFP"),
    ("-readonly", "permission_denied", "permission denied in project `acme`"),
    ("-docker", "dispatch_failed", "is not of format KFP"),
]


@pytest.mark.parametrize(("ending", "code", "says"), TROUBLES)
def test_a_repository_that_takes_nothing_is_said_at_publish_and_by_check(
    opened: Open, place: str, ending: str, code: str, says: str
) -> None:
    workspace = opened(repository=place + ending)
    with pytest.raises(PenstockError, match=says) as caught:
        publish(workspace)
    assert caught.value.code == code
    assert place + ending in str(caught.value) and "\n" not in str(caught.value)
    assert workspace.pipelines.list().items == (), "nothing is half published"
    health = workspace.services.targets.open("prod").check()
    (line,) = [line for line in health.lines if "repository" in line]
    wrong = {
        "-missing": says,
        "-readonly": "lacks artifactregistry.repositories.uploadArtifacts, artifactregistry.tags.create",
        "-docker": "is of the format DOCKER",
    }
    assert not health.ok and wrong[ending] in line
    publish(opened())  # without it, the same is published
    publish(opened(repository=place), endpoint="again")  # and with one that takes it


@pytest.mark.parametrize(
    ("answer", "code", "says"),
    [
        ("UNAVAILABLE", "target_unavailable", "Google answers"),
        ("PERMISSION_DENIED", "permission_denied", "permission denied in project `acme`"),
        ("RESOURCE_EXHAUSTED", "quota_exhausted", "a quota is used up in project `acme`"),
        ("UNAUTHENTICATED", "credentials_expired", "sign in again"),
        ("INVALID_ARGUMENT", "dispatch_failed", "a fault that was asked for"),
    ],
)
@pytest.mark.parametrize("method", [LOOK, UPLOAD, TAG])
def test_an_answer_is_one_line_with_a_code(opened: Open, place, faults, method, answer, code, says) -> None:
    workspace = opened(repository=place)
    faults(method, error=answer, times=3 if answer == "UNAVAILABLE" else 1)  # which is repeated
    with pytest.raises(PenstockError, match=says) as caught:
        publish(workspace)
    assert caught.value.code == code
    assert place in str(caught.value) and "\n" not in str(caught.value)
    assert workspace.pipelines.list().items == ()
    publish(workspace)
    assert len(client_of(place).list_versions("quick")) == 1


@pytest.mark.parametrize("method", ["ArtifactRegistry.GetRepository", "ArtifactRegistry.TestIamPermissions"])
@pytest.mark.parametrize(
    ("answer", "says"), [("PERMISSION_DENIED", "permission denied"), ("RESOURCE_EXHAUSTED", "a quota is used up")]
)
def test_check_says_what_keeps_it_from_asking(opened: Open, place, faults, method, answer, says) -> None:
    workspace = opened(repository=place)
    faults(method, error=answer)
    health = workspace.services.targets.open("prod").check()
    (line,) = [line for line in health.lines if place in line]
    assert not health.ok and says in line and "\n" not in line


def test_check_counts_what_is_published(opened: Open, place: str, target: dict[str, Any]) -> None:
    def counted(workspace: Workspace) -> str:
        health = workspace.services.targets.open("prod").check()
        assert health.ok, health.lines
        return next(line for line in health.lines if line.startswith("published: "))

    staging = f"{target['staging']}/{uuid.uuid4().hex}"
    assert counted(opened(staging=staging)) == "published: 0 compiled pipelines in staging"
    workspace = opened(staging=staging, repository=place)
    publish(workspace, description="one")
    publish(workspace, endpoint="again", description="one")
    assert counted(workspace) == f"published: 1 compiled pipeline in staging, 1 pipeline in {place}"
    publish(workspace, description="another")
    publish(workspace, name="other", endpoint="other", description="other")
    assert counted(workspace) == f"published: 3 compiled pipelines in staging, 2 pipelines in {place}"


def test_objects_say_whose_they_are_and_stay_as_they_are(opened: Open, target: dict[str, Any], tmp_path: Path) -> None:
    from urllib.parse import unquote

    from penstock_vertex.client import connect

    workspace = opened(staging=f"{target['staging']}/{uuid.uuid4().hex}")
    code = tmp_path / "code"
    code.mkdir()
    (code / "a.txt").write_text(uuid.uuid4().hex)
    names = ("größe 100% 数", "second")
    for name in names:
        text = SPEC.format(name=json.dumps(name), description="x").replace("only: {", "only: {code: ./code, ")
        (tmp_path / f"{len(name)}.yaml").write_text(text)
    first, second = (workspace.publish(tmp_path / f"{len(name)}.yaml") for name in names)
    bucket = connect(workspace.services.targets.open("prod").target.options)._bucket
    prefix = workspace.services.targets.open("prod").target.options.staging.rpartition("/")[2]
    said = {}
    for blob in bucket.list_blobs(prefix=prefix):
        assert all(value.isascii() and value.isprintable() for value in blob.metadata.values())
        kind = blob.name.split("/")[1]
        said.setdefault(kind, []).append(
            (blob.metadata["penstock-digest"], unquote(blob.metadata["penstock-pipeline"]))
        )
    both = [(first.digest, names[0]), (second.digest, names[1])]
    assert sorted(said["compiled"]) == sorted(both)
    assert said["code"] == both[:1], "what was there stays the first one's"
