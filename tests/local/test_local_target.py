"""The target itself: problems at publish, plans, publications, locations, endpoints, health, trouble with the disk."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from penstock.contract.target import EndpointState, EndpointVersion, Location, Problem, Publication
from penstock.errors import PenstockError, TargetRefused, TargetUnavailable
from penstock.spec import Defaults, Parameter, Pipeline, Resources, Step
from penstock_local import hooks
from penstock_local.options import LocalOptions


def problems(place, **pipeline):
    made = Pipeline(**{"name": "test", "steps": {"one": Step(command="true")}, **pipeline})
    found = hooks.penstock_validate_pipeline(place.target, made)
    return {(problem.severity, problem.code, problem.path) for problem in found}


def test_options_are_read_as_people_write_them():
    options = LocalOptions(grace="500ms", idle="1m", pass_env=["A"], data_roots=["/data"])
    assert (options.grace, options.idle, options.pass_env, options.data_roots) == (0.5, 60.0, ("A",), (Path("/data"),))
    with pytest.raises(ValueError, match="slots"):
        LocalOptions(slots=0)
    with pytest.raises(ValueError, match="duration"):
        LocalOptions(grace="soon")


@pytest.mark.parametrize(("strict", "severity"), [(False, "warning"), (True, "error")])
def test_what_this_machine_does_differently_is_said_at_publish(places, monkeypatch, strict, severity):
    monkeypatch.setattr("penstock_local.memory.can_limit", lambda: False)
    place = places(strict=strict)
    step = Step(command="true", image="b", resources=Resources(cpu=4096, memory="1024Ti", gpu=1))
    assert problems(place, steps={"one": step}, defaults=Defaults(image="a", resources=Resources(cpu=4096))) == {
        (severity, "image_ignored", ("defaults", "image")),
        (severity, "resources_clipped", ("defaults", "resources", "cpu")),
        (severity, "image_ignored", ("steps", "one", "image")),
        (severity, "resources_clipped", ("steps", "one", "resources", "cpu")),
        (severity, "memory_ignored", ("steps", "one", "resources", "memory")),
        (severity, "gpu_ignored", ("steps", "one", "resources", "gpu")),
    }
    small = Defaults(resources=Resources(cpu=0.5, memory="1Mi"))
    assert problems(place, defaults=small) == {(severity, "memory_ignored", ("defaults", "resources", "memory"))}
    monkeypatch.setattr("penstock_local.memory.can_limit", lambda: True)
    assert problems(place, defaults=small) == set()
    clipped = {path for _, code, path in problems(place, steps={"one": step}) if code == "resources_clipped"}
    assert ("steps", "one", "resources", "memory") in clipped


def test_elsewhere_than_on_linux_it_is_refused_at_publish(place, monkeypatch):
    monkeypatch.setattr("sys.platform", "darwin")
    assert problems(place) == {("error", "platform_unsupported", ())}


def test_a_default_elsewhere_is_refused_at_publish(place):
    parameters = {
        "far": Parameter("file", default="gs://bucket/x"),
        "near": Parameter("file", default="file:///etc/passwd"),
        "text": Parameter("string", default="gs://bucket/x"),
    }
    assert problems(place, parameters=parameters) == {
        ("error", "location_unsupported", ("parameters", "far", "default"))
    }


def test_a_plan_is_deterministic(place):
    steps = {name: Step(command="true", env={"B": "1", "A": "2"}) for name in ("b", "a")}
    taken = place.snapshot(place.pipeline(steps))
    again = place.snapshot(place.pipeline(dict(reversed(steps.items()))))
    first = hooks.penstock_compile_pipeline(place.target, taken)
    second = hooks.penstock_compile_pipeline(place.target, again)
    assert json.loads(first.data)["steps"] == json.loads(second.data)["steps"]
    assert hooks.penstock_compile_pipeline(place.target, taken) == first
    assert first.media_type == "application/vnd.penstock.local+json"


def test_a_publication_is_made_once_and_named_by_its_digest(place):
    first, second = place.publish({"one": "true"}), place.publish({"one": "true"})
    assert first == second
    taken = place.snapshot(place.pipeline({"one": "true"}))
    assert first.external.startswith(taken.digest.rpartition(":")[2])
    assert place.publish({"one": "false"}).external != first.external
    assert len(list(place.layout.publications.iterdir())) == 2


def code(place, name, text) -> Step:
    (place.spec / name).mkdir(exist_ok=True)
    (place.spec / name / "a.txt").write_text(text)
    return Step(command="cat a.txt", code=f"./{name}")


def archives(place) -> int:
    return len(list(place.layout.archives.iterdir()))


def test_a_retired_publication_takes_along_what_nobody_else_needs(place):
    shared, own = code(place, "shared", "x"), code(place, "own", "y")
    first = place.publish({"one": shared, "two": own})
    second = place.publish({"one": shared})
    assert archives(place) == 2
    assert hooks.penstock_retire_pipeline(place.target, first)
    assert archives(place) == 1
    assert hooks.penstock_retire_pipeline(place.target, first)
    run = place.start(second)
    assert place.wait(run).state == "succeeded"
    assert place.log(run, "one") == b"x"
    with pytest.raises(TargetRefused, match="publish it again"):
        place.start(first)
    assert hooks.penstock_retire_pipeline(place.target, second)
    assert archives(place) == 0
    assert place.get(run).state == "succeeded"


def test_a_publication_that_runs_need_is_not_retired(place):
    publication = place.publish({"one": "sleep 300"})
    run = place.start(publication)
    with pytest.raises(TargetUnavailable, match="1 unfinished runs still need"):
        hooks.penstock_retire_pipeline(place.target, publication)
    place.cancel(run)
    place.wait(run)
    assert hooks.penstock_retire_pipeline(place.target, publication)


def test_a_run_whose_publication_was_taken_away_ends_failed(place):
    blocker = place.submit({"one": "sleep 0.1"})
    place.wait(blocker)
    os.kill(place.engine(), 9)
    publication = place.publish({"one": "true"})
    from penstock_local import wake

    started, wake.wake = wake.wake, lambda layout: None
    try:
        run = place.start(publication)
    finally:
        wake.wake = started
    place.layout.publication(publication.external).unlink()
    report = place.wait(run)
    assert (report.state, report.error.code) == ("failed", "dispatch_failed")
    assert "publish it again" in report.error.message
    assert place.states(run) == {"one": "skipped"}


def resolved(place, text, base=None, kind="file"):
    found = hooks.penstock_resolve_location(place.target, Location(parameter="x", type=kind, text=text, base=base))
    return found.code if isinstance(found, Problem) else found


def test_a_caller_on_this_machine_may_name_any_path(place, tmp_path):
    (tmp_path / "a b.csv").write_text("x")
    assert resolved(place, "a b.csv", tmp_path) == str(tmp_path / "a b.csv")
    assert resolved(place, "./a b.csv", tmp_path) == str(tmp_path / "a b.csv")
    assert resolved(place, str(tmp_path / "a b.csv"), Path("/")) == str(tmp_path / "a b.csv")
    assert resolved(place, f"file://{tmp_path}/a%20b.csv", Path("/")) == str(tmp_path / "a b.csv")
    assert resolved(place, f"file://localhost{tmp_path}/a%20b.csv", Path("/")) == str(tmp_path / "a b.csv")
    assert resolved(place, ".", tmp_path, "directory") == str(tmp_path)


@pytest.mark.parametrize(
    ("text", "kind", "code"),
    [
        ("gs://bucket/x", "file", "location_unsupported"),
        ("HTTPS://host/x", "file", "location_unsupported"),
        ("absent.csv", "file", "file_not_found"),
        ("file://otherhost/etc/passwd", "file", "file_not_found"),
        ("a\0b", "file", "file_not_found"),
        ("x" * 5000, "file", "file_not_found"),
        (".", "file", "not_a_file"),
        ("/etc/passwd", "directory", "not_a_folder"),
        ("/dev/null", "file", "not_a_file"),
    ],
)
def test_a_location_that_cannot_be_read_is_refused(place, tmp_path, text, kind, code):
    assert resolved(place, text, tmp_path, kind) == code


def test_callers_from_elsewhere_see_only_what_lies_below_the_data_roots(places, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "in.csv").write_text("x")
    (tmp_path / "out.csv").write_text("x")
    (data / "link").symlink_to(tmp_path / "out.csv")
    (data / "inner").symlink_to(data / "in.csv")
    place = places(data_roots=[data])
    assert resolved(place, str(data / "in.csv")) == str(data / "in.csv")
    assert resolved(place, str(data / "inner")) == str(data / "in.csv")
    assert resolved(place, f"file://{data}/in.csv") == str(data / "in.csv")
    for text in ("in.csv", str(data / ".." / "out.csv"), str(data / "link"), "/etc/passwd", "/no/such", f"{data}2/x"):
        assert resolved(place, text) == "location_refused"
    assert resolved(place, str(data / "absent")) == "file_not_found"
    closed = places("other")
    assert resolved(closed, str(data / "in.csv")) == "location_refused"
    for one, roots in ((place, f"`{data}`"), (closed, "none yet")):
        asked = Location(parameter="table", type="file", text="/etc/passwd")
        said = hooks.penstock_resolve_location(one.target, asked).message
        assert said.endswith(f"`targets.{one.target.name}.data_roots` of penstock.yaml: {roots}")


def endpoint(revision, *, deleted=False, default="0") -> EndpointState:
    version = EndpointVersion(version="0", external="e", digest="d", label="1", enabled=True, published_enabled=True)
    return EndpointState(
        id="endpoint-1",
        name="digits",
        description="",
        enabled=True,
        default=default,
        versions=(version,),
        revision=revision,
        deleted=deleted,
    )


def test_the_newest_state_of_an_endpoint_is_kept(place):
    path = place.layout.endpoints / "endpoint-1.json"
    for revision, default, expected in [(1, "0", "0"), (3, None, None), (2, "0", None), (3, None, None)]:
        assert hooks.penstock_sync_endpoint(place.target, endpoint(revision, default=default)) is True
        assert json.loads(path.read_text())["default"] == expected
    path.unlink()
    path.mkdir()
    assert hooks.penstock_sync_endpoint(place.target, endpoint(4)) is True
    assert json.loads(path.read_text())["revision"] == 4
    assert hooks.penstock_sync_endpoint(place.target, endpoint(4, deleted=True)) is True
    assert not path.exists()
    assert hooks.penstock_sync_endpoint(place.target, endpoint(4, deleted=True)) is True


def test_health_is_said_in_words(place):
    place.publish({"one": "true"})
    health = hooks.penstock_check_target(place.target)
    text = "\n".join(health.lines)
    assert health.ok
    for part in (str(place.layout.root), "free disk space", "not running", "slots: 4", "0 queued", "publications: 1"):
        assert part in text
    run = place.submit({"one": "sleep 300"})
    place.until(lambda: place.get(run).state == "running", "the run does not start")
    assert "engine: running" in hooks.penstock_check_target(place.target).lines
    assert "runs: 0 queued, 1 running" in hooks.penstock_check_target(place.target).lines


@pytest.mark.parametrize("damage", [b"this is not a database at all, not even nearly" * 100, None])
def test_a_damaged_queue_is_a_clear_line(place, damage):
    run = place.submit({"one": "true"})
    place.wait(run)
    os.kill(place.engine(), 9)
    place.until(lambda: not place.engines(), "the engine does not die")
    for side in ("queue.db-wal", "queue.db-shm"):
        (place.layout.root / side).unlink(missing_ok=True)
    whole = place.layout.queue.read_bytes()
    place.layout.queue.write_bytes(damage or whole[:4096] + os.urandom(max(0, len(whole) - 4096)))
    for call in (
        lambda: place.get(run),
        lambda: place.start(run.publication, run="another"),
        lambda: place.outputs(run),
        lambda: place.log(run, "one"),
    ):
        with pytest.raises(TargetUnavailable, match=f"{place.layout.queue}` is damaged.*move it away") as caught:
            call()
        assert caught.value.code == "queue_corrupt"
    health = hooks.penstock_check_target(place.target)
    assert not health.ok or damage is None


def test_a_queue_of_a_newer_version_is_left_alone(place):
    import sqlite3

    place.wait(place.submit({"one": "true"}))
    database = sqlite3.connect(place.layout.queue)
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(TargetUnavailable, match="newer penstock") as caught:
        place.submit({"one": "true"})
    assert caught.value.code == "queue_newer"


def test_a_root_that_cannot_be_made_is_a_clear_line(places, tmp_path):
    (tmp_path / "blocked").write_text("a file")
    place = places(root=tmp_path / "blocked" / "root")
    for call in (
        lambda: place.publish({"one": "true"}),
        lambda: place.start(Publication(external="x")),
        lambda: hooks.penstock_sync_endpoint(place.target, endpoint(1)),
    ):
        with pytest.raises(TargetUnavailable, match=f"cannot use `{tmp_path}/blocked") as caught:
            call()
        assert "give the target a `root` that can be written" in str(caught.value)
        assert caught.value.code == "target_unavailable"
    assert not hooks.penstock_check_target(place.target).ok


@pytest.fixture
def locked(tmp_path):
    """A folder that cannot be written; its owner may be root, whom permissions do not stop."""
    folder = tmp_path / "locked"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "ro", "penstock-test", folder], check=False, capture_output=True
    )
    if made.returncode:
        if os.geteuid() == 0:
            pytest.skip("a folder that root cannot write needs the right to mount")
        folder.chmod(0o500)
    yield folder
    if made.returncode:
        folder.chmod(0o700)
    else:
        subprocess.run(["umount", "-l", folder], check=True)


def test_an_unwritable_root_is_a_clear_line(places, locked):
    place = places(root=locked / "root")
    with pytest.raises(TargetUnavailable, match=r"cannot use .*root.*(Read-only|denied).*`root` that can be written"):
        place.publish({"one": "true"})
    assert not hooks.penstock_check_target(place.target).ok


def test_a_full_disk_is_a_clear_line_and_the_run_goes_on_later(places, small_disk):
    disk = small_disk()
    place = places(root=disk.folder / "root", idle=0.1)
    publication = place.publish({"one": "true"})
    place.wait(place.start(publication))
    place.until(lambda: not place.engines(), "the engine does not end")
    disk.fill()
    with pytest.raises(PenstockError, match=r"(No space left|disk is full).*free some space") as caught:
        for number in range(200):
            place.start(publication, run=f"run-{number}")
    assert isinstance(caught.value, TargetUnavailable)
    with pytest.raises(TargetUnavailable, match=r"(No space left|disk is full).*free some space"):
        place.publish({"one": "false", "two": Step(command="true", description="x" * 100)})
    disk.clear()
    assert place.wait(place.start(publication, run="run-0")).state == "succeeded"
    assert place.wait(place.start(publication, run="run-199")).state == "succeeded"
