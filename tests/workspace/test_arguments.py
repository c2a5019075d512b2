"""What Python hands to a verb is taken for what it is, or refused by its name, and never met by Python's own errors."""

from __future__ import annotations

import enum
import inspect
from collections import ChainMap, UserDict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import PurePosixPath

import pytest

import penstock
from penstock.errors import NotFound, PenstockError, UsageError
from penstock.workspace import Admin, Endpoints, Pipelines, Runs, Targets, Tokens, Workspace
from penstock.workspace.arguments import KINDS, OPTIONAL

try:
    import numpy
except ImportError:  # with the lowest versions
    NUMPYS = []
else:
    NUMPYS = [numpy.array([1, 2]), numpy.datetime64("2026-01-01")]
GROUPS = {
    "pipelines": Pipelines,
    "endpoints": Endpoints,
    "runs": Runs,
    "targets": Targets,
    "admin": Admin,
    "tokens": Tokens,
}
ARGUMENTS = [
    (group, name, one)
    for group, cls in GROUPS.items()
    for name, method in inspect.getmembers(cls, inspect.isfunction)
    if not name.startswith("_")
    for one in inspect.signature(method).parameters.values()
    if one.name != "self"
]


class Text(str, enum.Enum):  # noqa: UP042  # str() of one is not its text
    VERSION = "0"
    NIGHTLY = "nightly"


class Unspeakable:
    def __repr__(self):
        raise ValueError("not even this")


STRANGE = [
    [("a", "b")], {"a"}, b"a", Decimal("1.5"), 1j, datetime.max, timedelta.max, PurePosixPath("a\0b"), object(), ...,
    10**5000, float("nan"), (one for one in "a"), *NUMPYS, Unspeakable(),
    {("a",): 1}, {"a": {"b": 1}}, "\ud800",
]  # fmt: skip


@pytest.mark.parametrize("strange", STRANGE, ids=lambda one: type(one).__name__)
def test_whatever_an_argument_is_the_answer_is_an_error_of_ours_that_can_be_printed(workspace, project, strange):
    workspace.publish(project / "greet.yaml", endpoint="hello")
    run = workspace.submit("hello").wait()
    for group, name, argument in ARGUMENTS:
        if (group, name) == ("admin", "restore"):
            continue
        verb = getattr(getattr(workspace, group), name)
        required = {one.name for one in inspect.signature(verb).parameters.values() if one.default is one.empty}
        said = {one: run.id if one == "ref" and group == "runs" else "nothing-of-that-name" for one in required}
        said |= {"when": datetime.now(UTC)} if "when" in required else {}
        said |= {"timeout": 1} if name == "wait" else {"dry_run": True} if name == "clean" else {}
        try:
            verb(**{**said, argument.name: strange})
        except PenstockError as error:
            assert str(error).encode() and error.code


def test_what_every_argument_of_a_verb_takes_is_known():
    assert {str(one.annotation).removesuffix(OPTIONAL) for _, _, one in ARGUMENTS} <= KINDS.keys()


def test_pairs_are_no_mapping_and_the_error_says_which_argument_they_are(workspace, project):
    published = workspace.publish(project / "greet.yaml", endpoint="hello")
    endpoint, run = workspace.endpoint("hello"), workspace.submit("hello")
    pairs = [("a", "b")]
    for triggered in (workspace.submit, endpoint.submit, published.submit):
        ref = ("hello",) if triggered == workspace.submit else ()
        for name in ("tags", "parameters"):
            with pytest.raises(UsageError, match=rf"^`{name}` is a mapping .*, got list; write `dict\(...\)`$") as no:
                triggered(*ref, **{name: pairs})
            assert no.value.code == "usage_error"
    for call in (
        lambda: workspace.publish(project / "greet.yaml", tags=pairs),
        lambda: workspace.create_endpoint("other", published, tags=pairs),
        lambda: workspace.create_endpoint("other", pairs),
        lambda: endpoint.add_version(pairs),
        lambda: endpoint.rename(None),
        lambda: endpoint.disable(pairs),
        lambda: endpoint.at("yesterday"),
        lambda: run.rerun(parameters=pairs),
        lambda: run.wait(timeout="1s"),
        lambda: run.download("there", names="text"),
        lambda: Workspace.open(project, flags=pairs),
        lambda: Workspace.open(5),
    ):
        with pytest.raises(UsageError) as no:
            call()
        assert no.value.code == "usage_error"
    assert [one.id for one in workspace.runs.list().items] == [run.id]
    with pytest.raises(UsageError, match="the name of a tag is text, got integer `1`"):
        workspace.publish(project / "greet.yaml", tags={1: "a"})


def test_words_for_true_and_false_are_no_such_things(workspace, project):
    workspace.publish(project / "greet.yaml", endpoint="hello")
    with pytest.raises(UsageError, match=r"^`default` is true or false, got string `no`$"):
        workspace.publish(project / "greet.yaml", endpoint="hello", default="no")
    with pytest.raises(UsageError, match=r"^`version` is a version"):
        workspace.submit("hello", version=True)


def test_numpy_paths_mappings_and_text_enums_are_taken_for_what_they_are(workspace, project):
    numpy = pytest.importorskip("numpy")
    workspace.publish(numpy.str_("./greet.yaml"), folder=PurePosixPath(project), endpoint=numpy.str_("hello"))
    endpoint = workspace.endpoint(numpy.str_("hello"))
    run = endpoint.submit(
        version=numpy.int64(0),
        parameters=ChainMap({}, UserDict(name=numpy.str_("Ada"))),
        tags={Text.NIGHTLY: Text.VERSION},
        experiment=Text.NIGHTLY,
    ).wait(timeout=numpy.float32(60))
    assert (run.version, run.record.experiment, run.record.tags) == ("0", "nightly", {"nightly": "0"})
    assert run.parameters["name"] == "Ada"
    assert workspace.runs.list(limit=numpy.int32(1)).items[0].id == run.id
    assert endpoint.set_default(Text.VERSION).default == "0"
    assert workspace.submit(PurePosixPath("greet.yaml")).record.pipeline == "greet"
    with pytest.raises(NotFound, match="no version 7"):
        endpoint.submit(version=numpy.int8(7))


def test_a_name_that_is_no_text_is_in_an_error_that_can_be_printed(workspace):
    with pytest.raises(PenstockError) as no:
        workspace.publish("greet.yaml", target="\udcff")
    assert str(no.value).encode() and "\\udcff" in str(no.value)


def test_what_is_no_pipeline_is_no_pipeline():
    for call in (penstock.to_yaml, penstock.load_pipeline):
        with pytest.raises(PenstockError, match=r"^expected .*, got integer `5`$") as no:
            call(5)
        assert no.value.code == "type_mismatch"
