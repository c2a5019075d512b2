"""Folders of a root that became links: what lies behind one is neither read, nor written, nor removed."""

from __future__ import annotations

import os
import stat
import struct
from pathlib import Path

import pytest
from tests import searching

from penstock.errors import TargetUnavailable
from penstock.spec import Parameter, Retry, Step
from penstock_local import environments, hooks, store, times
from penstock_local.layout import Layout
from penstock_local.logs import open_to_append
from penstock_local.preparation import Preparation

KEPT = "publications", "owners", "archives", "endpoints", "runs"


def swap(folder: Path, target: Path) -> None:
    """Put a link in the place of a folder, which lies beside it from then on."""
    if folder.exists():
        folder.rename(folder.with_name(f"{folder.name}.old"))
    target.mkdir(parents=True, exist_ok=True)
    folder.symlink_to(target)


def put_back(folder: Path) -> None:
    """Give a folder its place again."""
    folder.unlink()
    folder.with_name(f"{folder.name}.old").rename(folder)


def precious(folder: Path) -> Path:
    """A file that is to stay, in a folder that is made."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "precious").write_text("precious")
    return folder / "precious"


def files(folder: Path) -> set[str]:
    return {os.fspath(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", KEPT)
@pytest.mark.parametrize("there", [True, False], ids=["a folder", "nothing"])
def test_a_folder_of_a_root_that_is_a_link_is_one_error_and_nothing_gets_behind_it(place, tmp_path, name, there):
    published = place.publish({"one": "true"})
    behind = tmp_path / "else"
    swap(place.layout.root / name, behind)
    if not there:
        behind.rmdir()
    (place.spec / "more").touch()
    for act in (
        lambda: place.publish({"two": "true"}),
        lambda: place.start(published),
        lambda: hooks.penstock_retire_pipeline(place.target, published),
    ):
        with pytest.raises(TargetUnavailable, match=f"cannot use `.*/{name}`: it is a link; move away what") as caught:
            act()
        assert caught.value.code == "target_unavailable" and "\n" not in str(caught.value)
    health = hooks.penstock_check_target(place.target)
    assert not health.ok and f"{name}`: it is a link" in health.lines[-1]
    assert behind.exists() == there and files(behind) == set()
    put_back(place.layout.root / name)
    assert place.wait(place.start(published)).state == "succeeded"


def test_nobody_is_noted_as_an_owner_behind_a_link(place, tmp_path):
    published = place.publish({"one": "true"})
    owners = place.layout.owners_of(published.external)
    kept = precious(tmp_path / "else")
    draft = kept.with_name(".0123456789ab.partial")  # as a publish that was killed leaves one
    draft.touch()
    swap(owners, tmp_path / "else")
    for act in (
        lambda: place.publish({"one": "true"}),
        lambda: hooks.penstock_retire_pipeline(place.target, published),
    ):
        with pytest.raises(TargetUnavailable, match=f"cannot use `{owners}`: it is a link"):
            act()
    assert files(tmp_path / "else") == {kept.name, draft.name}
    put_back(owners)
    assert place.publish({"one": "true"}) == published


def test_neither_logs_nor_what_a_run_left_are_looked_for_behind_a_link(place, tmp_path):
    run = place.submit({"one": "echo mine"}, run="run")
    assert place.wait(run).state == "succeeded"
    kept = precious(tmp_path / "else/run/outputs")
    precious(tmp_path / "else/run/logs").rename(tmp_path / "else/run/logs/one.log")
    swap(place.layout.runs, tmp_path / "else")
    for act in (
        lambda: place.log(run, "one"),
        lambda: hooks.penstock_clear_run(place.target, run),
    ):
        with pytest.raises(TargetUnavailable, match="runs`: it is a link; move away what"):
            act()
    log = place.layout.log_of("run", "one")
    with pytest.raises(OSError, match="a folder on its way is a link"):
        open_to_append(log)
    (tmp_path / "else/run/logs/one.at").write_bytes(struct.pack("<QQ", 8, 1000))
    assert times.read(log, 0, 8) is None
    with pytest.raises(OSError, match="a folder on its way is a link"):
        times.Marks(log, 0).add(1, 1.0)
    assert kept.read_text() == "precious" and len(files(tmp_path / "else")) == 6
    put_back(place.layout.runs)
    assert place.log(run, "one") == b"mine\n"
    assert hooks.penstock_clear_run(place.target, run) > 0
    assert not place.layout.run("run").exists()


def test_the_root_itself_may_be_reached_by_links(places, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk")
    here = places(root=tmp_path / "link/root")
    run = here.submit({"one": Step(command=["sh", "-c", "echo 1 >$0", "${{ outputs.n }}"], outputs={"n": "integer"})})
    assert here.wait(run).state == "succeeded"
    assert here.log(run, "one") == b""
    assert hooks.penstock_clear_run(here.target, run) > 0


def test_of_a_run_whose_folder_is_a_link_that_alone_is_cleared_away(place, tmp_path):
    run = place.submit({"one": "true"}, run="run")
    assert place.wait(run).state == "succeeded"
    kept = precious(tmp_path / "else")
    kept.write_bytes(b"x" * 100_000)
    swap(place.layout.run("run"), tmp_path / "else")
    assert hooks.penstock_clear_run(place.target, run) < 5000  # what lies behind it is not even counted
    assert not os.path.lexists(place.layout.run("run")) and kept.exists()


@pytest.mark.parametrize("outputs", [{}, {"n": "integer"}], ids=["plain", "with an output"])
def test_an_engine_survives_a_step_that_swaps_the_folder_of_runs(place, tmp_path, outputs):
    runs, behind = place.layout.runs, tmp_path / "else"
    for kind in ("tmp", "outputs", "work", "logs"):
        precious(behind / "run" / kind / "two.1")
        precious(behind / "run" / kind / "one.2")
    if outputs:
        (behind / "run/outputs/one.1").mkdir()
        (behind / "run/outputs/one.1/n").write_text("7")
    before = files(behind)
    (place.spec / "src").mkdir()
    (place.spec / "src/main").write_text("mine")
    script = f"test ! -e {tmp_path}/once || exit 0; touch {tmp_path}/once; mv {runs} {runs}.old; ln -s {behind} {runs}"
    one = Step(command=["sh", "-c", script], outputs=outputs, retry=Retry(attempts=2, delay="0s"))
    two = Step(command=["cat", "main"], code="src", after=["one"])
    run = place.submit({"one": one, "two": two}, run="run")
    assert place.wait(run).state == "failed"
    assert place.states(run) == {"one": "failed" if outputs else "succeeded", "two": "skipped" if outputs else "failed"}
    assert "is a link" in str(place.get(run).error) or "was replaced" in str(place.get(run).error)
    assert files(behind) == before
    put_back(runs)
    assert place.wait(place.submit({"one": "true"})).state == "succeeded"


def test_secret_values_are_forgotten_without_what_lies_behind_a_link(place, tmp_path):
    place.layout.make()
    environments.keep(place.layout, "run", {}, {"key": "secret"})
    kept = [precious(tmp_path / "else" / kind) for kind in ("work", "tmp", "inputs")]
    swap(place.layout.run("run"), tmp_path / "else")
    environments.forget(place.layout, "run")
    assert all(path.exists() for path in kept)
    assert not environments.has_any(place.layout, "run")
    theirs = precious(tmp_path / "others").rename(tmp_path / "others/run")
    swap(place.layout.environments, tmp_path / "others")
    environments.forget(place.layout, "run")
    assert theirs.exists() and not place.layout.environments.is_symlink()


def test_what_is_unpacked_gives_way_where_it_is_a_link_and_nothing_behind_it_goes(place, tmp_path):
    (place.spec / "src").mkdir()
    (place.spec / "src/main").write_text("mine")
    published = place.publish({"one": Step(command=["cat", "main"], code="src")})
    run = place.start(published)
    assert place.wait(run).state == "succeeded"
    kept = precious(tmp_path / "else/theirs")
    swap(place.layout.unpacked, tmp_path / "else")
    assert hooks.penstock_retire_pipeline(place.target, published)
    assert kept.exists() and files(tmp_path / "else") == {"theirs", "theirs/precious"}


def test_no_step_gets_what_is_unpacked_behind_a_link(place, tmp_path):
    (place.spec / "src").mkdir()
    (place.spec / "src/main").write_text("mine")
    published = place.publish({"one": Step(command=["cat", "main"], code="src")})
    assert place.wait(place.start(published)).state == "succeeded"
    place.layout.unpacked.rename(tmp_path / "else")
    place.layout.unpacked.symlink_to(tmp_path / "else")
    assert place.wait(place.start(published)).state == "succeeded"
    assert not place.layout.unpacked.is_symlink() and len(os.listdir(place.layout.unpacked)) == 1


def test_archives_behind_a_link_are_neither_checked_nor_unpacked(place, tmp_path):
    (place.spec / "src").mkdir()
    (place.spec / "src/main").write_text("mine")
    zero = Step(command=["sh", "-c", f"until [ -e {tmp_path}/go ]; do sleep 0.02; done"])
    published = place.publish({"zero": zero, "one": Step(command=["cat", "main"], code="src", after=["zero"])})
    assert store.damage(place.target, published) == []
    run = place.start(published)
    place.until(lambda: place.get(run).state == "running", "it does not start")
    place.layout.archives.rename(tmp_path / "else")
    place.layout.archives.symlink_to(tmp_path / "else")
    assert "archives`: it is a link" in store.damage(place.target, published)[0]
    (tmp_path / "go").touch()
    assert place.wait(run).state == "failed"
    assert "could not be prepared" in place.get(run).error.message and "it is a link" in place.get(run).error.message


def test_what_an_earlier_engine_left_is_not_put_aside_behind_a_link(place, tmp_path):
    place.layout.make()
    kept = precious(tmp_path / "else/run/tmp/one.1")
    swap(place.layout.runs, tmp_path / "else")
    place.layout.temporaries.mkdir()
    (place.layout.temporaries / "1.0.1").symlink_to("../runs/run/tmp/one.1")
    preparation = Preparation(place.layout, lambda: None, lambda step, result: None)
    preparation.clean_up(())
    place.until(lambda: preparation.collect() or not preparation.busy, "it is not removed")
    assert kept.exists() and os.listdir(place.layout.temporaries) == []
    (place.layout.temporaries / "old.1").symlink_to(tmp_path / "else")
    preparation.clean_up(())
    place.until(lambda: preparation.collect() or not preparation.busy, "it is not removed")
    assert kept.exists() and os.listdir(place.layout.temporaries) == []


def test_what_a_run_copied_is_not_removed_behind_a_link(place, tmp_path):
    place.layout.make()
    kept = precious(tmp_path / "else/run/inputs")
    swap(place.layout.runs, tmp_path / "else")
    preparation = Preparation(place.layout, lambda: None, lambda step, result: None)
    preparation.forget("run")
    place.until(lambda: preparation.collect() or not preparation.busy, "it is not removed")
    assert kept.exists()


ALL = (0x01, 7, 0xFFFFFFFF), (0x04, 7, 0xFFFFFFFF), (0x20, 7, 0xFFFFFFFF)
"""`u::rwx,g::rwx,o::rwx` in the form of linux/posix_acl_xattr.h."""


@pytest.mark.parametrize("acl", [True, False], ids=["default ACL", "umask"])
def test_every_folder_of_a_root_is_its_owners_alone(place, acl):
    place.layout.root.mkdir(mode=0o700, parents=True)
    if acl:
        value = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in ALL)
        try:
            os.setxattr(place.layout.root, "system.posix_acl_default", value)
        except OSError:
            pytest.skip("this file system has no ACL")
    (place.spec / "src").mkdir()
    (place.spec / "src/main").write_text("mine")
    (place.spec / "data").mkdir()
    (place.spec / "data/file").write_text("mine")
    step = Step(command=["sh", "-c", "echo 1 >$0; cat main", "${{ outputs.n }}"], code="src", outputs={"n": "integer"})
    read = Step(command=["ls", "${{ inputs.data }}"], inputs={"data": "${{ parameters.data }}"})
    data = {"data": Parameter(type="directory", default="data")}
    run = place.submit({"one": step, "two": read}, run="run", bundled={"data": "data"}, parameters=data)
    assert place.wait(run).state == "succeeded"
    root = place.layout.root
    opened = {
        os.fspath(path.relative_to(root))
        for path, mode in searching.modes(root)
        if stat.S_ISDIR(mode) and mode & 0o077 and place.layout.unpacked not in path.parents
    }
    assert opened == set()


def test_a_log_makes_its_folders_for_the_owner_alone(tmp_path):
    log = Layout(tmp_path).log_of("run", "one")
    os.close(open_to_append(log))
    assert {stat.S_IMODE(path.stat().st_mode) for path in log.parents[:3]} == {0o700}
