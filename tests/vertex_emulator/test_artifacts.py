"""Artifact Registry through kfp's own client, and a job that is made from what lies there."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

import pytest
import yaml


@pytest.fixture
def registry(emulator):
    from kfp.registry import ApiAuth, RegistryClient

    return RegistryClient(host=f"{emulator.url}/acme/{uuid.uuid4().hex}", auth=ApiAuth("token"))


@pytest.fixture
def file(emulated, tmp_path):
    made = tmp_path / "greet.yaml"
    made.write_text(yaml.safe_dump(emulated.pipeline({"t": emulated.step("echo from the registry")})))
    return made


def test_a_pipeline_is_uploaded_tagged_read_and_deleted(registry, file, tmp_path) -> None:
    from requests.exceptions import HTTPError

    package, version = registry.upload_pipeline(str(file), tags=["v1", "latest"])
    assert (package, version) == ("by-hand", f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}")
    assert registry.upload_pipeline(str(file)) == (package, version)
    for which in ({"version": version}, {"tag": "v1"}):
        target = str(tmp_path / "read.yaml")
        registry.download_pipeline(package, file_name=target, **which)
        with open(target, "rb") as read:
            assert read.read() == file.read_bytes()

    other = file.with_name("other.yaml")
    other.write_text(file.read_text() + "# another\n")
    _, second = registry.upload_pipeline(str(other))
    assert {one["name"].rpartition("/")[2] for one in registry.list_versions(package)} == {version, second}
    assert registry.get_tag(package, "v1")["version"].endswith(version)
    registry.update_tag(package, second, "v1")
    assert registry.get_tag(package, "v1")["version"].endswith(second)
    registry.create_tag(package, version, "v0")
    with pytest.raises(HTTPError, match="409"):
        registry.create_tag(package, second, "v0")
    assert {one["name"].rpartition("/")[2] for one in registry.list_tags(package)} == {"v0", "v1", "latest"}
    assert [one["name"].rpartition("/")[2] for one in registry.list_packages()] == [package]
    assert registry.get_package(package)["name"].endswith(f"/packages/{package}")
    assert {one["name"].rpartition("/")[2] for one in registry.get_version(package, version)["relatedTags"]} == {
        "v0",
        "latest",
    }

    with pytest.raises(HTTPError, match="400"):
        registry.delete_version(package, version)
    for tag in ("v0", "latest"):
        registry.delete_tag(package, tag)
    assert registry.delete_version(package, version)
    with pytest.raises(HTTPError, match="404"):
        registry.get_version(package, version)
    assert registry.delete_package(package)
    with pytest.raises(HTTPError, match="404"):
        registry.get_package(package)
    assert registry.list_packages() == []


@pytest.mark.parametrize("content", ["color: red\n", "{", "a: [\n", "pipelineInfo: {name: x}\n"])
def test_what_is_no_pipeline_is_not_taken(registry, tmp_path, content: str) -> None:
    from requests.exceptions import HTTPError

    made = tmp_path / "no.yaml"
    made.write_text(content)
    with pytest.raises(HTTPError, match=r"400|501"):
        registry.upload_pipeline(str(made))


@pytest.mark.parametrize("by", ["version", "tag"])
def test_a_job_is_made_from_a_template(exceptions, emulator, emulated, registry, file, by: str) -> None:
    package, version = registry.upload_pipeline(str(file), tags="fine")
    uri = f"{registry._host}/{package}/"

    def submit(template: str) -> Any:
        runtime = {"gcs_output_directory": f"{emulator.staging}/runs"}
        job = {"template_uri": template, "runtime_config": runtime}
        return emulator.pipelines.create_pipeline_job(parent=emulator.parent, pipeline_job=job, timeout=30)

    made = submit(uri + (version if by == "version" else "fine"))
    assert made.name.rpartition("/")[2].startswith("by-hand-")
    job = emulator.wait(made.name)
    assert job.state.name == "PIPELINE_STATE_SUCCEEDED"
    assert job.template_metadata.version == version
    assert emulator.log(job.name, "t") == b"from the registry\n"
    with pytest.raises(exceptions.NotFound):
        submit(uri + "none")


def test_a_job_with_a_spec_says_which_version_it_is_from(emulator, emulated, registry, file) -> None:
    package, version = registry.upload_pipeline(str(file), tags="fine")
    spec = yaml.safe_load(file.read_text())
    for item, said in ((version, version), ("fine", version), ("none", "")):
        job = emulator.submit(spec, template_uri=f"{registry._host}/{package}/{item}")
        assert job.template_metadata.version == said
        assert emulator.wait(job.name).state.name == "PIPELINE_STATE_SUCCEEDED"


WRITING = "artifactregistry.repositories.uploadArtifacts"
READING = "artifactregistry.packages.list"


@pytest.mark.parametrize(
    ("ending", "format_", "held", "upload"),
    [
        ("", "KFP", [WRITING, READING], 200),
        ("-readonly", "KFP", [READING], 403),
        ("-docker", "DOCKER", [WRITING, READING], 400),
        ("-missing", None, None, 404),
    ],
)
def test_what_a_repository_is_and_takes_is_in_its_name(emulator, file, ending, format_, held, upload) -> None:
    import requests

    name = f"r{uuid.uuid4().hex}{ending}"
    api = f"{emulator.url}/v1/projects/acme/locations/europe-west1/repositories/{name}"
    shown = requests.get(api, timeout=10)
    tested = requests.post(f"{api}:testIamPermissions", json={"permissions": [WRITING, READING]}, timeout=10)
    assert shown.status_code == tested.status_code == (200 if format_ else 404)
    assert shown.json().get("format") == format_
    assert tested.json().get("permissions") == held
    files = {"content": file.read_bytes()}
    assert requests.post(f"{emulator.url}/acme/{name}", files=files, timeout=10).status_code == upload
    listed = requests.get(f"{api}/packages", timeout=10)
    assert len(listed.json().get("packages", ())) == (1 if upload == 200 else 0)
    asked = requests.post(f"{api}:testIamPermissions", data="no", timeout=10)
    assert asked.status_code == (400 if format_ else 404)
