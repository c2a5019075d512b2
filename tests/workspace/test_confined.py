"""Law 13: a caller from another machine names no file of this one, whichever verb it calls and however it writes it."""

from __future__ import annotations

import contextlib
import inspect
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests import searching

import penstock
from penstock.callers import Caller
from penstock.codec import to_json
from penstock.errors import ParameterInvalid, PenstockError, UsageError
from penstock.spec.values import RawValue
from penstock.workspace import Admin, Endpoints, Pipelines, Runs, Targets, Workspace

SECRET = "the combination is 7-19-33"
SPEC = f"""\
apiVersion: penstock/v1
kind: Pipeline
name: secret
description: {SECRET}
steps: {{one: {{command: ["true"]}}}}
"""
READER = """\
apiVersion: penstock/v1
kind: Pipeline
name: reader
parameters:
  table: {type: file, default: ./own.txt}
  folder: {type: directory, default: ./own}
steps:
  read:
    inputs: {table: "${{ parameters.table }}", folder: "${{ parameters.folder }}"}
    command: [cp, "${{ inputs.table }}", "${{ outputs.copy }}"]
    outputs: {copy: string}
outputs: {copy: "${{ steps.read.outputs.copy }}"}
"""
GROUPS = {"pipelines": Pipelines, "endpoints": Endpoints, "runs": Runs, "targets": Targets, "admin": Admin}


class Watch:
    """Which files below some folders are opened or listed; an audit hook cannot be taken out again, so it is one."""

    folders: ClassVar[tuple[str, ...]] = ()
    on: ClassVar[bool] = False
    seen: ClassVar[list[str]] = []

    @classmethod
    def hook(cls, event: str, arguments: tuple) -> None:
        if cls.on and event in ("open", "os.listdir", "os.scandir") and isinstance(arguments[0], str | bytes):
            path = os.path.realpath(os.fsdecode(arguments[0]))
            cls.seen.extend(path for folder in cls.folders if path.startswith(folder))

    @classmethod
    @contextlib.contextmanager
    def watching(cls) -> Iterator[None]:
        """Nothing below the folders is opened in here."""
        cls.on = True
        try:
            yield
        finally:
            cls.on = False
        assert cls.seen == []


sys.addaudithook(Watch.hook)


@pytest.fixture
def server(project, monkeypatch):
    """A server's folder full of secrets, and an endpoint that its owner published there."""
    home = project.parent / "home"
    (home / "code").mkdir(parents=True)
    secrets = project / "secrets"
    (secrets / "code").mkdir(parents=True)
    for folder in (home, secrets):
        (folder / "secret.yaml").write_text(SPEC)
        (folder / "secret.txt").write_text(SECRET)
        (folder / "code" / "secret.py").write_text(SECRET)
    (project / "link.yaml").symlink_to(secrets / "secret.yaml")
    (project / "link.txt").symlink_to(secrets / "secret.txt")
    (project / "link").symlink_to(secrets)
    (project / "loop").symlink_to(project / "loop")
    (project / "secret").write_text(SPEC)
    monkeypatch.setenv("HOME", str(home))
    (project / "reader.yaml").write_text(READER)
    (project / "own").mkdir()
    (project / "own" / "file.txt").write_text("mine")
    (project / "own.txt").write_text("mine")
    with Workspace.open(project, actor="owner") as owner:
        owner.pipelines.publish("reader.yaml", endpoint="reader")
        owner.submit("reader").wait()
        Watch.folders = (str(secrets), str(home), str(project / "secret"))
        Watch.seen.clear()
        yield owner


@pytest.fixture
def stranger(server):
    """The same workspace for somebody on another machine."""
    return server.as_(Caller(actor="eve", verified=True, door="rest", request_id="r-1", folder=None))


def files(owner: Workspace) -> set[Path]:
    """Everything beside the state folder."""
    found: set[Path] = set()
    for where, folders, names in os.walk(owner.config.base.parent):
        folders[:] = [name for name in folders if name != ".penstock"]
        found |= {Path(where, name) for name in (*folders, *names)}
    return found


def kept(owner: Workspace) -> list[Path]:
    """Where a secret lies in the state folder: nowhere, it should be."""
    return searching.holders(owner.config.home, SECRET)


NAMES = [
    "secrets/secret.yaml", "secrets/secret.txt", "secrets/code", "secrets", "link.yaml", "link.txt", "link/secret.txt",
    "link", "loop", "secret", "secrets/gone.yaml", "reader.yaml", "own.txt", "penstock.yaml",
]  # fmt: skip


def spellings(project: Path) -> list[str]:
    """Every secret, in every way that a path is written."""
    here = str(project)
    found = []
    for name in NAMES:
        absolute = f"{here}/{name}"
        found += [
            name, f"./{name}", f"../project/{name}", f"../../{project.parent.name}/project/{name}", f"{name}/",
            f"./{name}/.", f"own/../{name}", absolute, f"/{absolute}", absolute.replace("/secrets", "//secrets"),
            f"{here}/own/../{name}", f"file://{absolute}", f"file://localhost{absolute}", f"FILE://{absolute}",
            f"file:{absolute}", f"file:{name}", f"file:///proc/self/cwd/{name}", f"/proc/self/cwd/{name}",
            f"file://{absolute.replace('e', '%65')}", f"file://{absolute}?a=b", f"{absolute}#://", f"x{absolute}://",
            name.upper(), f"{name}.yaml", f"{name}\0", f" {name}", f"$PWD/{name}",
        ]  # fmt: skip
    home = [
        "~/secret.yaml",
        "~/secret.txt",
        "~/code",
        "~root/secret.yaml",
        "$HOME/secret.yaml",
        "/etc/passwd",
        "/proc/self/environ",
    ]
    return found + home + [f"file://{one}" for one in home]


def texts(project: Path) -> st.SearchStrategy:
    """Spellings, and bits of paths put together at random."""
    bits = st.sampled_from([
        "/", ".", "..", "~", "./", "../", "file:", "file://", "secrets", "secret.yaml", "link", "%2f", "\0", " ", "://",
        str(project), "secret", ".yaml", ".yml", "@0", ":1", "reader", "\\",
    ])  # fmt: skip
    mixed = st.lists(bits, max_size=7).map("".join)
    return st.sampled_from(spellings(project)) | mixed


def shapes(project: Path) -> st.SearchStrategy:
    """A path as it may come: as text, or as a `Path`."""
    plain = texts(project)
    return plain | plain.map(Path)


VERBS = [
    (group, name)
    for group, cls in GROUPS.items()
    for name, method in vars(cls).items()
    if not name.startswith("_") and callable(method)
]
USABLE = {"name": "reader", "ref": "reader", "published": "reader:1", "source": "reader", "version": "0"}
"""What else a verb needs, so that it comes as far as it can."""


def places(workspace: Workspace, group: str, name: str) -> list[str]:
    """The parameters of a verb that take text or a path."""
    parameters = inspect.signature(getattr(getattr(workspace, group), name)).parameters
    return [
        one.name
        for one in parameters.values()
        if any(word in str(one.annotation) for word in ("str", "Path", "Any", "Pipeline"))
        and "Callable" not in str(one.annotation)
    ]


@pytest.mark.sampled(1)
@pytest.mark.parametrize(("group", "name"), VERBS)
def test_no_verb_reads_a_file_for_a_caller_from_elsewhere(server, stranger, group, name):
    verb = getattr(getattr(stranger, group), name)
    parameters = inspect.signature(verb).parameters
    where = places(stranger, group, name)
    if not where:
        return

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(where=st.sampled_from(where), shape=shapes(server.config.base))
    def ask(where, shape):
        given_: dict = {
            one.name: USABLE.get(one.name, "x")
            for one in parameters.values()
            if one.default is one.empty and one.name != where
        }
        mapping = {"parameters": {"table": shape}, "tags": {"a": str(shape)}}
        given_[where] = mapping.get(where, shape)
        if "when" in parameters:
            given_["when"] = datetime.now(UTC)
        try:
            with Watch.watching():
                answer = verb(**given_)
                said = str(list(answer) if inspect.isgenerator(answer) else answer)
        except PenstockError as error:
            said = to_json(error.to_dict()) + str(error)
        except (TypeError, ValueError, AttributeError) as error:
            said = str(error)  # a shape that is no text where text belongs
        assert SECRET not in said

    before = files(server)
    ask()
    assert files(server) == before
    assert kept(server) == []
    assert {run.by for run in server.runs.list(pipeline="secret").items} == set()


def is_a_file(text: str) -> bool:
    return text.startswith(("./", "../", "/")) or text.lower().endswith((".yaml", ".yml"))


def test_a_spec_file_is_refused_with_its_code_wherever_it_is_named(server, stranger):
    for shape in spellings(server.config.base):
        for each in (shape, Path(shape)):
            for verb in (stranger.pipelines.publish, stranger.pipelines.validate):
                with Watch.watching(), pytest.raises(UsageError) as refused:
                    verb(each)
                assert refused.value.code == "file_not_allowed", shape
            with Watch.watching(), pytest.raises(PenstockError) as refused:
                stranger.runs.submit(each)
            if is_a_file(shape) or isinstance(each, Path):
                assert refused.value.code == "file_not_allowed", shape
    for shape in ("copy.db", "/tmp/copy.db", "~/copy.db"):
        for verb in (stranger.admin.backup, stranger.admin.restore):
            with pytest.raises(UsageError) as refused:
                verb(Path(shape))
            assert refused.value.code == "file_not_allowed"
    with Watch.watching(), pytest.raises(UsageError) as refused:
        stranger.pipelines.publish(pipeline(), folder=Path("secrets"))
    assert refused.value.code == "file_not_allowed"
    assert kept(server) == []


def test_a_server_that_is_opened_for_others_names_no_file_either(server):
    with Workspace(server.config, actor="eve", verified=True, door="rest", folder=None) as opened:
        for call in (opened.publish, opened.submit, opened.pipelines.validate):
            with pytest.raises(UsageError) as refused:
                call("./secrets/secret.yaml")
            assert refused.value.code == "file_not_allowed"
        assert opened.submit("reader").wait().outputs == {"copy": "mine"}
    assert kept(server) == []


@pytest.mark.thorough
@pytest.mark.parametrize("parameter", ["table", "folder"])
def test_a_parameter_names_no_file_and_does_not_say_which_exist(server, stranger, parameter):
    said = {}
    for shape in spellings(server.config.base):
        for each in (shape, Path(shape), RawValue(shape)):
            with Watch.watching(), pytest.raises(ParameterInvalid) as refused:
                stranger.submit("reader", parameters={parameter: each})
            (detail,) = refused.value.details
            assert detail.path == (parameter,)
            said.setdefault(detail.code, []).append(shape)
            # Whether it is there or not, and a file or a folder or a loop, is no answer.
            if Path(shape.removeprefix("file://")).is_absolute() and "\0" not in shape and "?" not in shape:
                assert detail.code == "location_refused", (shape, str(detail))
    assert set(said) <= {"location_refused", "location_unsupported", "file_not_found", "parameter_text"}
    assert server.runs.list().items[0].by == "owner"
    assert kept(server) == []


def test_what_the_target_opened_can_be_named_and_nothing_beside_it(server, project):
    (project / "open").mkdir()
    (project / "open" / "table.txt").write_text("for everybody")
    (project / "open" / "out.txt").symlink_to(project / "secrets" / "secret.txt")
    (project / "open" / "up").symlink_to(project / "secrets")
    (project / "openly.txt").write_text("no")
    config = (
        (project / "penstock.yaml")
        .read_text()
        .replace("laptop: {backend: local,", "laptop: {backend: local, data_roots: [open],")
    )
    (project / "penstock.yaml").write_text(config)
    here = str(project)
    with Workspace.open(project, actor="owner") as owner:
        eve = owner.as_(Caller(actor="eve", door="rest", folder=None))
        for shape in (f"{here}/open/table.txt", f"file://{here}/open/table.txt", f"{here}/open/../open/table.txt"):
            run = eve.submit("reader", parameters={"table": shape}).wait()
            assert run.outputs == {"copy": "for everybody"}
        refused = [
            f"{here}/open/../secrets/secret.txt", f"{here}/open/out.txt", f"{here}/open/up/secret.txt",
            f"file://{here}/open/%2e%2e/secrets/secret.txt", f"{here}/openly.txt", "open/table.txt", "./open/table.txt",
            f"{here}/gone.txt", f"{here}/loop/x",
        ]  # fmt: skip
        for shape in refused:
            with Watch.watching(), pytest.raises(ParameterInvalid) as error:
                eve.submit("reader", parameters={"table": shape})
            assert [detail.code for detail in error.value.details] == ["location_refused"], shape
    assert kept(server) == []


def pipeline(**changes) -> penstock.Pipeline:
    arguments = {"name": "mine", "steps": {"one": penstock.Step(command=["true"])}}
    return penstock.Pipeline(**{**arguments, **changes})


def with_data(kind: str, default: str) -> penstock.Pipeline:
    step = penstock.Step(
        command=["cp", "-r", "${{ inputs.data }}", "${{ outputs.copy }}"],
        inputs={"data": "${{ parameters.data }}"},
        outputs={"copy": kind},
    )
    return pipeline(parameters={"data": penstock.Parameter(kind, default=default)}, steps={"one": step})


def with_code(code: str) -> penstock.Pipeline:
    return pipeline(steps={"one": penstock.Step(command=["true"], code=code)})


def with_default_code(code: str) -> penstock.Pipeline:
    return pipeline(defaults=penstock.Defaults(code=code))


BUILDERS = {
    "code": with_code,
    "default code": with_default_code,
    "file": lambda text: with_data("file", text),
    "directory": lambda text: with_data("directory", text),
}


@pytest.mark.thorough
@pytest.mark.sampled(1)
@pytest.mark.parametrize("kind", BUILDERS)
def test_a_pipeline_that_is_sent_brings_no_file_of_the_server(server, stranger, kind):
    before = server.pipelines.list(all=True).items
    codes = set()
    for shape in spellings(server.config.base):
        with contextlib.suppress(PenstockError):  # some of them are no pipeline at all
            sent = BUILDERS[kind](shape)
            with Watch.watching(), pytest.raises(PenstockError) as refused:
                stranger.pipelines.publish(sent)
            codes.add(refused.value.code)
            assert SECRET not in to_json(refused.value.to_dict())
            with contextlib.suppress(PenstockError), Watch.watching():
                # What is only looked at may name what could not be published; it reads nothing all the same.
                stranger.pipelines.validate(sent)
    assert "file_not_allowed" in codes
    assert server.pipelines.list(all=True).items == before
    assert kept(server) == []


def test_a_pipeline_that_is_sent_and_needs_nothing_of_the_server_runs(server, stranger):
    published = stranger.publish(pipeline(), endpoint="mine")
    assert stranger.pipelines.validate(pipeline()).digest == published.digest
    assert stranger.submit("mine").wait().state == "succeeded"
    assert published.record.by == "eve"


def test_what_a_local_run_read_is_not_what_a_caller_from_elsewhere_may_name(server, stranger):
    """A rerun repeats what was accepted; a run of one's own names it anew, and is refused."""
    own = str(server.config.base / "own.txt")
    run = server.submit("reader", parameters={"table": own}).wait()
    assert stranger.runs.rerun(run.id).run.parameters == run.parameters
    with pytest.raises(ParameterInvalid):
        stranger.submit("reader", parameters=run.parameters)
