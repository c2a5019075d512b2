"""What was published runs as it was published or not at all, and publishing it again makes it whole."""

from __future__ import annotations

import json
import os

import pytest

from penstock.errors import TargetRefused
from penstock.spec import Parameter, Step
from penstock_local import hooks


def lay(place, text="good"):
    """A step with code and a data default, which says both and leaves a mark where it ran."""
    (place.spec / "src").mkdir(exist_ok=True)
    (place.spec / "src" / "go.sh").write_text(f'echo "{text}"; cat "$1"; touch {place.folder}/ran')
    (place.spec / "data.txt").write_text(f"data of {text}\n")
    step = Step(command=["sh", "go.sh", "${{ inputs.data }}"], inputs={"data": "${{ parameters.data }}"}, code="./src")
    return {"one": step}, {"data": Parameter("file", default="./data.txt")}


def publish(place, text="good"):
    steps, parameters = lay(place, text)
    return place.publish(steps, parameters=parameters)


def start(place, publication):
    return place.start(publication, bundled={"data": "./data.txt"})


def overwrite(path, old, new):
    """Change a file in place."""
    data = path.read_bytes()
    assert old in data
    with path.open("r+b") as file:
        file.write(data.replace(old, new))


def archive_with(place, text):
    (found,) = [path for path in place.layout.archives.glob("*.tar") if text in path.read_bytes()]
    return found


@pytest.mark.parametrize("text", [b"go.sh", b"data of good"])
def test_nothing_of_a_changed_archive_is_run_and_publishing_again_heals(place, text):
    publication = publish(place)
    archive = archive_with(place, text)
    overwrite(archive, b"good", b"evil")
    run = start(place, publication)
    error = place.wait(run).error
    assert (error.code, error.step) == ("publication_damaged", "one")
    assert str(archive) in error.message and error.message.endswith("publish it again")
    assert not (place.folder / "ran").exists()
    assert [str(archive) in line for line in hooks.penstock_check_publication(place.target, publication)] == [True]
    assert publish(place) == publication
    assert list(hooks.penstock_check_publication(place.target, publication)) == []
    run = start(place, publication)
    assert place.wait(run).state == "succeeded"
    assert place.log(run, "one") == b"good\ndata of good\n"


def _changed(path):
    plan = json.loads(path.read_text())
    plan["steps"][0]["command"] = ["sh", "-c", "echo evil"]
    path.write_text(json.dumps(plan, sort_keys=True, separators=(",", ":")))


def _pipe(path):
    path.unlink()
    os.mkfifo(path)


def _link(path):
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def _folder(path):
    path.unlink()
    (path / "full").mkdir(parents=True)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("harm", [_changed, _pipe, _link, _folder])
def test_a_changed_plan_is_followed_by_nobody_and_publishing_again_heals(place, harm):
    publication, other = publish(place), publish(place, "other")
    path = place.layout.publication(publication.external)
    harm(path)
    with pytest.raises(TargetRefused) as caught:
        start(place, publication)
    assert caught.value.code == "publication_damaged"
    assert str(path) in str(caught.value) and str(caught.value).endswith("publish it again")
    assert not (place.folder / "ran").exists()
    assert place.wait(start(place, other)).state == "succeeded"
    assert publish(place) == publication
    run = start(place, publication)
    assert place.wait(run).state == "succeeded"
    assert place.log(run, "one").startswith(b"good\n")


@pytest.mark.parametrize("harm", [_changed, _pipe, _folder])
def test_a_damaged_plan_keeps_nobody_from_retiring_another_and_loses_no_archive(place, harm):
    publication, other = publish(place), publish(place, "other")
    harm(place.layout.publication(publication.external))
    assert hooks.penstock_retire_pipeline(place.target, other)
    assert not place.layout.publication(other.external).exists()
    assert archive_with(place, b"data of good").exists()


def test_every_damaged_thing_of_a_publication_is_told(place):
    publication = publish(place)
    for text in (b"go.sh", b"data of good"):
        overwrite(archive_with(place, text), b"good", b"evil")
    assert len(hooks.penstock_check_publication(place.target, publication)) == 2
    os.unlink(archive_with(place, b"go.sh"))
    said = sorted(hooks.penstock_check_publication(place.target, publication))
    assert ["is missing" in line for line in said].count(True) == 1
    _changed(place.layout.publication(publication.external))
    (line,) = hooks.penstock_check_publication(place.target, publication)
    assert "is not what was published" in line
