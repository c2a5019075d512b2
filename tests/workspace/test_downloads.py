"""Artifacts of a run into a folder: as they were, whole or not at all, over nothing, and never outside of it."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import example, given
from hypothesis import strategies as st

from penstock.callers import Caller
from penstock.contract.artifacts import Destination
from penstock.contract.hooks import hookimpl
from penstock.errors import (
    BackendBroken,
    Conflict,
    NotFound,
    PenstockError,
    TargetRefused,
    TargetUnavailable,
    TargetUnsupported,
    UsageError,
)
from penstock.workspace import Workspace
from penstock.workspace.downloads import _Folder

SPEC = """\
apiVersion: penstock/v1
kind: Pipeline
name: made
parameters:
  go: {type: string, default: ""}
steps:
  make:
    command: [sh, -c, 'printf abcdefghij > "$1"; cd "$2"; mkdir -p sub/empty; echo run > sub/run; chmod 755 sub/run;
      : > nothing; ln -s sub within; ln -s ../nothing sub/up; ln -s /etc out; ln -s ../.. above; mkfifo pipe;
      printf 3 > "$3"; until [ -z "$4" ] || [ -e "$4" ]; do sleep 0.05; done',
      sh, "${{ outputs.table }}", "${{ outputs.folder }}", "${{ outputs.count }}", "${{ parameters.go }}"]
    outputs: {table: file, folder: directory, count: integer}
outputs:
  table: "${{ steps.make.outputs.table }}"
  folder: "${{ steps.make.outputs.folder }}"
  count: "${{ steps.make.outputs.count }}"
"""
BARE = """\
apiVersion: penstock/v1
kind: Pipeline
name: bare
steps:
  say: {command: [sh, -c, 'printf 3 > "$1"', sh, "${{ outputs.count }}"], outputs: {count: integer}}
outputs: {count: "${{ steps.say.outputs.count }}"}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory, engines_end):
    """A project with the endpoints `made` and `bare`."""
    folder = tmp_path_factory.mktemp("downloads")
    (folder / "made.yaml").write_text(SPEC.replace('cd "$2"', 'mkdir "$2"; cd "$2"'))
    (folder / "bare.yaml").write_text(BARE)
    (folder / "penstock.yaml").write_text("targets:\n  laptop: {backend: local, idle: 2s}\n")
    with Workspace.open(folder, env={}, actor="ada") as workspace:
        for name in ("made", "bare"):
            workspace.publish(folder / f"{name}.yaml", endpoint=name)
    yield folder
    engines_end(folder)


@pytest.fixture(scope="module")
def made(project):
    """The id of a run that has succeeded."""
    with Workspace.open(project, env={}, actor="ada") as workspace:
        return workspace.submit("made").wait().id


@pytest.fixture
def workspace(project):
    with Workspace.open(project, env={}, actor="ada") as opened:
        yield opened


@pytest.fixture
def fetching(monkeypatch, workspace):
    """Lets a function be what the backend does to fetch an artifact; None: it cannot."""

    def plant(function):
        monkeypatch.delattr("penstock_local.hooks.penstock_fetch_artifact")
        if function is not None:

            def penstock_fetch_artifact(target, run, name, destination):
                return function(destination)

            monkeypatch.setattr(
                "penstock_local.hooks.penstock_fetch_artifact", hookimpl(penstock_fetch_artifact), raising=False
            )

    return plant


def test_artifacts_come_as_they_were(workspace, made, tmp_path):
    seen = []
    done = workspace.runs.download(made, tmp_path / "a/b", watch=lambda name, size: seen.append((name, size)))
    table, folder = tmp_path / "a/b/table", tmp_path / "a/b/folder"
    assert {(one.name, one.type, one.path, one.files, one.bytes, one.left_out) for one in done} == {
        ("table", "file", table, 1, 10, 0),
        ("folder", "directory", folder, 2, 4, 2),
    }
    assert table.read_bytes() == b"abcdefghij"
    assert sorted(seen) == [("folder", 4), ("table", 10)]
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    assert found == {"nothing", "sub", "sub/empty", "sub/run", "sub/up", "within"}
    assert (os.readlink(folder / "within"), os.readlink(folder / "sub/up")) == ("sub", "../nothing")
    assert os.access(folder / "sub/run", os.X_OK) and not os.access(table, os.X_OK)
    modes = {stat.S_IMODE(path.lstat().st_mode) for path in (folder, folder / "sub", tmp_path / "a/b")}
    assert modes == {stat.S_IMODE((tmp_path / "a").stat().st_mode)}
    assert sorted(one.name for one in (tmp_path / "a/b").iterdir()) == ["folder", "table"]


def test_a_run_and_a_relative_folder_will_do(workspace, made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    from penstock.workspace import Run

    run = Run(workspace, workspace.runs.get(made))
    (one,) = run.download("here", names=["table", "table"])
    assert one.path.read_bytes() == b"abcdefghij"
    assert one.path.resolve() == tmp_path / "here/table" or one.path.is_absolute()


def test_nothing_is_written_over(workspace, made, tmp_path):
    (tmp_path / "folder").write_text("mine")
    with pytest.raises(Conflict, match="folder` is there already") as caught:
        workspace.runs.download(made, tmp_path)
    assert caught.value.code == "file_exists"
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("folder", "mine")]
    (tmp_path / "table").symlink_to("nowhere")
    with pytest.raises(Conflict):
        workspace.runs.download(made, tmp_path, names=["table"])
    assert os.readlink(tmp_path / "table") == "nowhere"


@pytest.mark.parametrize("name", ["table", "folder"])
def test_what_comes_up_meanwhile_is_not_written_over(workspace, made, tmp_path, fetching, name):
    def fetch(destination):
        if name == "table":
            destination.file("", 1, [b"x"])
        else:
            destination.file("a", 1, [b"x"])
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine").touch()
        return True

    fetching(fetch)
    with pytest.raises(Conflict) as caught:
        workspace.runs.download(made, tmp_path, names=[name])
    assert caught.value.code == "file_exists"
    assert [one.relative_to(tmp_path).as_posix() for one in tmp_path.rglob("*")] == [name, f"{name}/mine"]


def test_a_file_appears_where_there_are_no_links(workspace, made, tmp_path, monkeypatch):
    def refuse(path, to):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    workspace.runs.download(made, tmp_path / "to", names=["table"])
    assert (tmp_path / "to/table").read_bytes() == b"abcdefghij"


@pytest.mark.parametrize(
    ("names", "error", "code"),
    [
        (["nonesuch"], NotFound, "output_not_found"),
        (["tabel"], NotFound, "output_not_found"),
        (["../table"], NotFound, "output_not_found"),
        (["/etc/passwd"], NotFound, "output_not_found"),
        (["table", "count"], UsageError, "output_is_value"),
        ("table", UsageError, "usage_error"),
    ],
)
def test_only_artifacts_have_content(workspace, made, tmp_path, names, error, code):
    with pytest.raises(error) as caught:
        workspace.runs.download(made, tmp_path / "to", names=names)
    assert caught.value.code == code
    assert list(tmp_path.iterdir()) == []


def test_a_run_without_artifacts_leaves_nothing(workspace, tmp_path):
    run = workspace.submit("bare").wait()
    assert run.download(tmp_path / "to") == ()
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_goes_on_has_none_yet(workspace, tmp_path):
    run = workspace.submit("made", parameters={"go": str(tmp_path / "go")})
    with pytest.raises(Conflict) as caught:
        run.download(tmp_path / "to")
    assert caught.value.code == "run_not_finished"
    (tmp_path / "go").touch()
    run.wait()
    assert len(run.download(tmp_path / "to")) == 2


def test_a_caller_from_another_machine_names_no_folder_here(workspace, made, tmp_path):
    far = workspace.as_(Caller(actor="far", door="rest", folder=None))
    with pytest.raises(UsageError) as caught:
        far.runs.download(made, tmp_path / "to")
    assert caught.value.code == "file_not_allowed"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["file", "file/below", "locked/to", "a\0b"])
def test_a_folder_that_cannot_be_written_is_said(workspace, made, tmp_path, monkeypatch, place):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "locked").mkdir()
    if place == "locked/to":  # root may write anywhere
        monkeypatch.setattr("tempfile.mkdtemp", lambda **given: (_ for _ in ()).throw(PermissionError(13, "Denied")))
    with pytest.raises(UsageError) as caught:
        workspace.runs.download(made, tmp_path / place)
    assert caught.value.code == "file_unwritable"
    assert (tmp_path / "file").read_text() == "mine"
    assert list((tmp_path / "locked").iterdir()) == []


def broken_off(destination):
    destination.file("a", 3, [b"abc"])
    raise TargetUnavailable("the place is away")


def too_short(destination):
    destination.file("a", 5, [b"abc"])


def too_long(destination):
    destination.file("a", 2, iter([b"a", b"bc", b"d"]))


def led_out(destination):
    destination.file("../a", 1, [b"a"])


def through_a_link(destination):
    destination.link("a", "b")
    destination.file("a/b", 1, [b"a"])


def twice(destination):
    destination.file("a", 1, [b"a"])
    destination.file("a", 1, [b"b"])


def below_a_file(destination):
    destination.file("a", 1, [b"a"])
    destination.folder("a/b")


def as_a_file(destination):
    destination.file("", 1, [b"a"])


def wrongly(destination):
    destination.file("a", 1, [b"a"])
    raise ConnectionError("the SDK's own words\nin lines")


def nothing(destination):
    return True


@pytest.mark.parametrize(
    ("fetch", "error", "code"),
    [
        (broken_off, TargetUnavailable, "target_unavailable"),
        (too_short, TargetUnavailable, "target_unavailable"),
        (too_long, TargetUnavailable, "target_unavailable"),
        (led_out, TargetRefused, "artifact_unsafe"),
        (through_a_link, TargetRefused, "artifact_unsafe"),
        (twice, TargetRefused, "artifact_unsafe"),
        (below_a_file, TargetRefused, "artifact_unsafe"),
        (as_a_file, TargetRefused, "artifact_unsafe"),
        (wrongly, BackendBroken, "backend_broken"),
        (nothing, BackendBroken, "backend_broken"),
    ],
)
def test_nothing_stays_of_what_broke_off(workspace, made, tmp_path, fetching, fetch, error, code):
    fetching(lambda destination: fetch(destination) or True)
    for place in (tmp_path / "deep/to", tmp_path):
        with pytest.raises(error) as caught:
            workspace.runs.download(made, place, names=["folder"])
        assert caught.value.code == code and "\n" not in str(caught.value)
        assert list(tmp_path.iterdir()) == []


def test_who_interrupts_leaves_nothing(workspace, made, tmp_path):
    def watch(name, size):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        workspace.runs.download(made, tmp_path / "to", watch=watch)
    assert list(tmp_path.iterdir()) == []


def test_without_the_hook_what_is_here_is_copied_and_else_it_is_said(workspace, made, tmp_path, fetching, monkeypatch):
    fetching(None)
    workspace.runs.download(made, tmp_path / "to")
    assert (tmp_path / "to/table").read_bytes() == b"abcdefghij"
    look = type(workspace.runs)._ended
    far = {"table": "gs://bucket/table", "count": 3}
    monkeypatch.setattr(type(workspace.runs), "_ended", lambda self, ref: evolve(look(self, ref), outputs=far))
    assert workspace.runs.artifacts(made) == ()
    assert workspace.runs.download(made, tmp_path / "far") == ()
    with pytest.raises(TargetUnsupported, match="gs://bucket/table") as caught:
        workspace.runs.download(made, tmp_path / "far", names=["table"])
    assert caught.value.code == "artifact_elsewhere"


def test_the_place_says_where_it_lies_and_not_the_registry(workspace, made, tmp_path, monkeypatch):
    look = type(workspace.runs)._ended
    other = {"table": str(tmp_path / "secret")}
    (tmp_path / "secret").write_text("secret")
    monkeypatch.setattr(type(workspace.runs), "_ended", lambda self, ref: evolve(look(self, ref), outputs=other))
    workspace.runs.download(made, tmp_path / "to")
    assert (tmp_path / "to/table").read_bytes() == b"abcdefghij"


def test_the_local_target_gives_out_what_a_run_made_and_nothing_else(workspace, made, tmp_path, monkeypatch):
    ref, placement = workspace.services.registry.runs.ref(made)
    target = workspace.services.targets.open_frozen(placement)
    destination = _Folder("count", "file", tmp_path / "count", None)
    for name in ("count", "nonesuch"):  # a value is no artifact, whoever asks
        with pytest.raises(NotFound) as caught:
            target.fetch_artifact(ref, name, destination)
        assert caught.value.code == "output_not_found"
    with pytest.raises(NotFound) as caught:
        target.fetch_artifact(evolve(ref, id="nobody"), "table", destination)
    assert caught.value.code == "run_not_found"
    for said in (str(tmp_path), f"{target.target.home}/local/laptop/runs/{made}/../other/x", "relative"):
        monkeypatch.setattr("penstock_local.reports.json.loads", lambda text, said=said: {"table": said})
        with pytest.raises(NotFound):
            target.fetch_artifact(ref, "table", destination)
    assert list(tmp_path.iterdir()) == []


WORDS = st.sampled_from(["..", ".", "a", "b", "to", "", "c", "a\0b"])
ASKED = st.tuples(
    st.sampled_from(["file", "folder", "link"]),
    st.lists(WORDS, max_size=4).map("/".join),
    st.lists(WORDS, min_size=1, max_size=5).map("/".join),
)


@given(st.lists(ASKED, max_size=8))
@example([("link", "a", "."), ("link", "a/b", "../to")])
@example([("link", "a", "b"), ("file", "a/c", "b"), ("folder", "b", "b")])
def test_whatever_is_asked_for_nothing_is_written_outside(tmp_path_factory, asked):
    place = tmp_path_factory.mktemp("asked")
    (place / "mine").write_text("mine")
    destination: Destination = _Folder("made", "directory", place / "in/made", None)
    (place / "in").mkdir()
    for kind, path, to in asked:
        try:
            if kind == "file":
                destination.file(path, 1, [b"x"])
            elif kind == "folder":
                destination.folder(path)
            else:
                destination.link(path, to)
        except PenstockError as error:
            assert error.code == "artifact_unsafe"
    try:
        destination.make_links()
    except PenstockError as error:
        assert error.code == "artifact_unsafe"
    assert sorted(one.name for one in place.iterdir()) == ["in", "mine"]
    assert [one.name for one in (place / "in").iterdir()] in ([], ["made"])
    inside = os.path.realpath(place / "in")
    for path in (place / "in").rglob("*"):
        try:
            path.stat()
        except OSError as error:
            if error.errno == errno.ELOOP:  # it leads nowhere, and `realpath` says any place
                continue
        assert Path(os.path.realpath(path)).is_relative_to(inside)
