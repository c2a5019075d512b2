"""What others change or remove in a workspace is found at publish, and what is missing is brought again."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.codec import load_pipeline
from penstock.contract.run import ENDED, RunRef, RunRequest
from penstock.errors import TargetRefused, TargetUnavailable
from penstock.snapshot import take
from penstock.workspace import Workspace
from penstock_azureml import datastores
from penstock_azureml.addresses import STORAGE
from penstock_azureml.client import connect
from penstock_azureml.content import already_there, check_resource
from penstock_azureml.troubles import Answer

SPEC = """\
apiVersion: penstock/v1
kind: Pipeline
name: kept-{one}
defaults: {code: ./src, image: "x:{one}"}
steps:
  only: {command: [sh, -c, 'cat own > "$1"', sh, "${{ outputs.text }}"], outputs: {text: string}}
outputs: {text: "${{ steps.only.outputs.text }}"}
"""
GOLDEN = Path(__file__).parents[2] / "specs/golden/azureml/everything.json"


class Published:
    """A pipeline with parts of its own, published once; it can be published again."""

    def __init__(self, workspace: Workspace) -> None:
        folder, one = workspace.config.base, uuid.uuid4().hex[:12]
        (folder / "src").mkdir()
        (folder / "src" / "own").write_text(one)
        (folder / "it.yaml").write_text(SPEC.replace("{one}", one))
        self.text = one
        self.target: Any = workspace.services.targets.open("prod")
        self.taken = take(load_pipeline(folder / "it.yaml"), folder, folder / "store")
        self.document = json.loads(self.target.compile(self.taken).data)
        self.publication = self.again()
        self.azure = connect(self.target.target.options)

    def again(self) -> Any:
        return self.target.publish(self.taken, self.target.compile(self.taken))

    def path(self, kind: str) -> str:
        paths = [*self.document["codes"], *dict(self.document["resources"])]
        return next(path for path in paths if path.startswith(kind))

    def properties(self, path: str) -> dict[str, Any]:
        return dict(self.azure.arm("GET", path, "none").json()["properties"])

    def replace(self, path: str, properties: dict[str, Any] | None) -> None:
        """What whoever may write to the workspace can do."""
        self.azure.arm("DELETE", path, "none")
        if properties is not None:
            kept = {key: value for key, value in properties.items() if key != "provisioningState"}
            self.azure.arm("PUT", path, "none", {"properties": kept})

    def run(self) -> Any:
        ref = RunRef(id=uuid.uuid4().hex, publication=self.publication)
        self.target.submit(RunRequest(id=ref.id, publication=self.publication, pipeline="kept"))
        while self.target.get_run(ref).state not in ENDED:
            pass
        return self.target.get_outputs(ref).outputs


@pytest.fixture
def published(tmp_path: Path, target: dict[str, Any]) -> Iterator[Published]:
    (tmp_path / "penstock.yaml").write_text(json.dumps({"target": "prod", "targets": {"prod": target}}))
    with Workspace.open(tmp_path, env={}, actor="ada") as workspace:
        yield Published(workspace)


def changed_command(found: dict[str, Any]) -> dict[str, Any]:
    return {**found, "componentSpec": {**found["componentSpec"], "command": "exec sh harm.sh"}}


def one_node_more(found: dict[str, Any]) -> dict[str, Any]:
    jobs = found["componentSpec"]["jobs"]
    more = {**jobs, "other": {**jobs["only"], "name": "other", "outputs": {}}}
    return {**found, "componentSpec": {**found["componentSpec"], "jobs": more}}


CHANGES: list[tuple[str, Callable[[dict[str, Any]], dict[str, Any]], str]] = [
    ("components/penstock_step__", changed_command, "componentSpec.command"),
    ("components/penstock_kept", one_node_more, "componentSpec.jobs"),
    ("components/penstock_kept", lambda found: {**found, "properties": {"penstock_outputs": "{}"}}, "penstock_outputs"),
    ("environments/", lambda found: {**found, "image": "harm"}, "image"),
]


@pytest.mark.parametrize(("kind", "change", "says"), CHANGES)
def test_a_part_that_is_not_what_its_name_says_is_refused(published, kind, change, says) -> None:
    path = published.path(kind)
    published.replace(path, change(published.properties(path)))
    with pytest.raises(TargetRefused, match=says) as caught:
        published.again()
    assert caught.value.code == "publication_damaged" and path in str(caught.value)
    published.replace(path, None)  # what the message says to do
    published.again()
    assert published.run() == {"text": published.text}


@pytest.mark.parametrize("file", ["launch.sh", "attempt.sh", "code.tar"])
@pytest.mark.parametrize("content", [b"exec sh harm.sh", None])
def test_code_that_somebody_changed_is_refused(published, file, content) -> None:
    base = published.properties(published.path("codes/"))["codeUri"]
    if content is None:
        published.azure.call("DELETE", f"{base}/{file}", "none", audience=STORAGE)
    else:
        told = {"x-ms-blob-type": "BlockBlob", "x-ms-version": "2021-08-06"}
        published.azure.call("PUT", f"{base}/{file}", "none", content, headers=told, audience=STORAGE)
    with pytest.raises(TargetRefused, match=f"/{file}`") as caught:
        published.again()
    assert caught.value.code == "publication_damaged"
    published.replace(published.path("codes/"), None)
    published.again()
    assert published.run() == {"text": published.text}


@pytest.mark.parametrize("kind", ["codes/", "environments/", "components/penstock_step__", "components/penstock_kept"])
def test_a_part_that_was_removed_is_brought_again(published, kind) -> None:
    published.replace(published.path(kind), None)
    said = published.again().details["reused"]
    assert said in ("1 of 4 parts were not there any more, and are again", "3 of 4 parts were there already")
    assert "reused" not in published.again().details
    assert published.run() == {"text": published.text}


def test_who_may_not_read_storage_can_publish_again(published, faults) -> None:
    faults("blobs.get", error="AuthorizationFailed", times=0)
    assert published.again().external == published.publication.external
    assert faults()["calls"]["blobs.get"] >= 3


def test_a_long_value_is_written_once_and_not_over_another_s(published) -> None:
    azure, path = published.azure, f"penstock/values/{uuid.uuid4().hex}"
    uri = datastores.keep(azure, path, b"mine")
    assert datastores.keep(azure, path, b"mine") == uri
    for others in (b"not mine", b"mine, and more", b""):
        datastores.write(azure, path, others)
        with pytest.raises(TargetRefused, match="is not what its name says") as caught:
            datastores.keep(azure, path, b"mine")
        assert caught.value.code == "publication_damaged" and datastores.read(azure, uri, 99) == others


def test_many_may_publish_the_same_at_once(tmp_path, target) -> None:
    (tmp_path / "penstock.yaml").write_text(json.dumps({"target": "prod", "targets": {"prod": target}}))
    with Workspace.open(tmp_path, env={}, actor="ada") as workspace:
        published = Published(workspace)
        for path in (*reversed(list(dict(published.document["resources"]))), *published.document["codes"]):
            published.replace(path, None)
        with ThreadPoolExecutor(6) as pool:
            made = list(pool.map(lambda _: published.again(), range(6)))
        assert {one.external for one in made} == {published.publication.external}
        assert published.run() == {"text": published.text}


def in_words_of_azure(value: Any) -> Any:
    """What Azure may answer for what was registered: more keys, texts for booleans, other letters in ids."""
    if isinstance(value, dict):
        return {**{key: in_words_of_azure(one) for key, one in value.items()}, "more": None}
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, str) and "/subscriptions/" in value:
        return value.removeprefix("azureml:").replace("resourceGroups", "resourcegroups")
    return {"uri_file": "UriFile", "uri_folder": "uri_folder", "string": "String"}.get(value, value)


RESOURCES = json.loads(GOLDEN.read_text())["resources"]


@pytest.mark.parametrize(("path", "properties"), RESOURCES)
def test_what_azure_says_in_words_of_its_own_is_the_same(path, properties) -> None:
    found = in_words_of_azure(properties)
    spec = found.get("componentSpec", {})
    for key in ("inputs", "outputs", "jobs"):
        spec.get(key, {}).pop("more", None)
    for node in spec.get("jobs", {}).values():
        for key in ("inputs", "outputs"):
            node[key].pop("more", None)
    check_resource(path, properties, {"properties": found})
    check_resource(path, properties, {"properties": {**properties, "isArchived": True, "tags": {"a": "b"}}})


@given(st.sampled_from(RESOURCES), st.none() | st.integers() | st.text() | st.lists(st.integers()))
def test_what_is_no_resource_is_not_the_same(resource, garbage) -> None:
    path, properties = resource
    for found in (garbage, {"properties": garbage}, {}):
        with pytest.raises(TargetRefused, match="is not what penstock registers"):
            check_resource(path, properties, found)


@pytest.mark.parametrize(
    ("second", "raised", "says"),
    [
        (404, TargetRefused, "no job: the first"),
        (400, TargetRefused, "no job: the first"),
        (500, TargetUnavailable, "no job: the first; whether it is there already cannot be read"),
    ],
)
def test_a_second_question_does_not_hide_what_the_first_one_was_told(monkeypatch, target, second, raised, says) -> None:
    from penstock_azureml.options import AzuremlOptions

    azure = connect(AzuremlOptions(**{key: value for key, value in target.items() if key != "backend"}))

    def answered(message: str, status: int) -> Answer:
        return Answer(status, {}, json.dumps({"error": {"code": "UserError", "message": message}}).encode())

    monkeypatch.setattr(type(azure), "_sent", lambda *_: answered("the second", second))
    with pytest.raises(raised, match=says):
        already_there(azure, "jobs/x", "no job", answered("the first", 400))
