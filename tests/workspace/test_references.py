"""References are read in one order in one place, whatever lies in the folder of whoever writes them."""

from __future__ import annotations

import time

import pytest

from penstock.errors import NotFound, PenstockError, UsageError
from penstock.workspace import Workspace


@pytest.fixture
def hello(workspace, project):
    """An endpoint `hello` with two versions of `greet`."""
    workspace.pipelines.publish(project / "greet.yaml", endpoint="hello")
    (project / "second.yaml").write_text((project / "greet.yaml").read_text().replace("hello", "good day"))
    workspace.pipelines.publish(project / "second.yaml", endpoint="hello")
    return workspace.endpoint("hello")


def behind(workspace: Workspace, ref: str) -> str:
    """The digest that a reference leads to for `publish --from`."""
    return workspace.pipelines.publish_from(ref, name="copy").published.digest


def test_what_lies_in_the_folder_changes_no_reference(workspace, hello, project):
    by_name = workspace.submit("hello").record
    for name in ("hello", "hello@1", "greet:1"):
        (project / name).write_text((project / "second.yaml").read_text())
    assert workspace.submit("hello").record.resolved_from == "default"
    assert workspace.submit("hello").record.digest == by_name.digest
    assert workspace.submit("hello@1").record.resolved_from == "pinned"
    assert workspace.submit("greet:1").record.resolved_from == "published"
    assert behind(workspace, "hello") == by_name.digest


@pytest.mark.sampled(2)
@pytest.mark.parametrize("ref", ["./plain", "../project/plain", "greet.yaml", "GREET.YML", "./greet.yaml"])
def test_a_file_says_so_by_its_folder_or_its_ending(workspace, project, ref):
    text = (project / "greet.yaml").read_text()
    for name in ("plain", "GREET.YML"):
        (project / name).write_text(text)
    assert workspace.submit(ref).record.resolved_from == "file"
    assert workspace.submit(str((project / ref).resolve())).record.resolved_from == "file"
    assert workspace.submit(project / ref).record.resolved_from == "file"


@pytest.mark.parametrize("ref", ["plain", "plain.json", "folder/plain"])
def test_what_does_not_say_so_is_no_file(workspace, project, hello, ref):
    (project / "folder").mkdir()
    (project / ref).write_text((project / "greet.yaml").read_text())
    with pytest.raises(NotFound):
        workspace.submit(ref)


def test_submit_and_publish_from_mean_the_same(workspace, hello):
    first = workspace.published("greet:1")
    second = workspace.published("greet:2")
    meant = {
        "hello": first, hello.id: first, "hello@0": first, "hello@1": second, f"{hello.id}@1": second,
        "greet:2": second, "greet:2@laptop": second, second.id: second,
    }  # fmt: skip
    for ref, published in meant.items():
        assert workspace.submit(ref).record.digest == published.digest, ref
        assert behind(workspace, ref) == published.digest, ref


def test_a_run_is_meant_only_where_one_can_be(workspace, hello):
    run = workspace.submit("hello")
    assert behind(workspace, run.id) == behind(workspace, run.id[:8]) == run.record.digest
    with pytest.raises(NotFound):
        workspace.submit(run.id)


@pytest.mark.parametrize("ref", ["hello@7", "hello@", "hello@x", "hello@00"])
def test_a_version_that_is_not_there_is_no_other_thing(workspace, hello, ref):
    for call in (workspace.submit, lambda ref: behind(workspace, ref)):
        with pytest.raises(NotFound) as missing:
            call(ref)
        assert missing.value.code == "version_not_found"


def test_two_versions_of_one_trigger_are_a_wrong_call(workspace, hello):
    with pytest.raises(UsageError, match="`hello@0` and version 1 are two versions"):
        workspace.submit("hello@0", version="1")
    assert workspace.submit("hello@1", version=1).version == "1"
    with pytest.raises(UsageError, match="which has no versions"):
        workspace.submit("greet:1", version="0")
    with pytest.raises(UsageError, match="which has no versions"):
        workspace.submit("./greet.yaml", version="0")
    with pytest.raises(UsageError, match="publish --from hello"):
        workspace.submit("hello", target="spare")


@pytest.mark.sampled(1)
@pytest.mark.parametrize("ref", ["a@" * 200_000, ":" * 400_000, "a:" * 200_000 + "@b", "x" * 400_000, "@" * 400_000])
def test_a_reference_of_any_length_is_read_in_a_moment(workspace, hello, ref):
    begin = time.monotonic()
    for call in (workspace.submit, workspace.endpoint, workspace.published, workspace.run):
        with pytest.raises(PenstockError):
            call(ref)
    with pytest.raises(PenstockError):
        behind(workspace, ref)
    assert time.monotonic() - begin < 20


def test_a_name_that_was_never_there_says_what_is(workspace, hello):
    with pytest.raises(NotFound, match="did you mean `hello`") as missing:
        workspace.submit("hallo")
    assert missing.value.code == "endpoint_not_found"
    with pytest.raises(NotFound, match="did you mean `greet:1`"):
        workspace.submit("gret:1")
