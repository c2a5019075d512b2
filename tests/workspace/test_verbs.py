"""Verbs as they are called: real parameters, nothing swallowed, and no caller that one could pass."""

from __future__ import annotations

import inspect
import pydoc
from pathlib import Path

import pytest

from penstock.callers import Caller
from penstock.errors import PolicyRefused
from penstock.workspace import Admin, Endpoints, Pipelines, Runs, Targets, Workspace
from penstock.workspace.verbs import folder_of

GROUPS = {"pipelines": Pipelines, "endpoints": Endpoints, "runs": Runs, "targets": Targets, "admin": Admin}
VERBS = [
    (group, name)
    for group, cls in GROUPS.items()
    for name, method in vars(cls).items()
    if not name.startswith("_") and callable(method)
]


@pytest.mark.parametrize(("group", "name"), VERBS)
def test_a_verb_shows_what_can_be_passed_and_takes_nothing_else(workspace, group, name):
    verb = getattr(getattr(workspace, group), name)
    parameters = inspect.signature(verb).parameters
    assert "caller" not in parameters and "self" not in parameters
    assert {one.kind for one in parameters.values()} <= {
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.KEYWORD_ONLY,
    }
    shown = pydoc.plain(pydoc.render_doc(getattr(GROUPS[group], name)))
    assert all(one in shown for one in parameters) and "caller:" not in shown
    required = {
        one.name: "x"
        for one in parameters.values()
        if one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD
    }
    with pytest.raises(TypeError, match="no_such_argument"):
        verb(**required, no_such_argument=1)
    with pytest.raises(TypeError):
        verb(**required, caller=Caller(actor="eve", door="rest"))


@pytest.mark.parametrize("name", ["publish", "create_endpoint", "submit", "endpoint", "published", "run"])
def test_a_handle_takes_no_misspelt_keyword_either(workspace, name):
    with pytest.raises(TypeError, match="no_such_argument"):
        getattr(workspace, name)("x", no_such_argument=1)


@pytest.mark.parametrize(("group", "name"), VERBS)
def test_every_verb_passes_the_plugins_before_anything_happens(workspace, project, group, name):
    from penstock.contract.hooks import hookimpl

    seen = []

    class Policy:
        @hookimpl(wrapper=True)
        def penstock_execute_verb(self, request):
            seen.append(request)
            raise PolicyRefused("not today")
            yield

    parameters = inspect.signature(getattr(getattr(workspace, group), name)).parameters
    required = {one.name: "subject" for one in parameters.values() if one.default is one.empty}
    with Workspace(workspace.config, actor="ada", verified=True, door="test", plugins=[("policy", Policy())]) as strict:
        for _ in range(2):
            with pytest.raises(PolicyRefused):
                getattr(getattr(strict, group), name)(**required)
    first, second = seen
    assert (first.actor, first.verified, first.door) == ("ada", True, "test")
    assert first.request_id and first.request_id != second.request_id
    assert dict(first.arguments) == required
    assert first.subject == ("subject" if required else "")
    assert not (project / ".penstock").exists()


def test_the_folder_of_a_caller_is_what_its_paths_are_relative_to(project, monkeypatch):
    monkeypatch.chdir(project.parent)
    caller = Caller(actor="ada", door="python", folder=project)
    assert folder_of(caller, "it") == project
    with Workspace.open(project, actor="ada") as opened:
        elsewhere = opened.as_(caller)
        done = elsewhere.pipelines.publish("greet.yaml", endpoint="hello")
        assert elsewhere.pipelines.validate("./greet.yaml").digest == done.published.digest
        assert elsewhere.submit("greet.yaml").record.digest == done.published.digest
        backup = elsewhere.admin.backup(Path("copy.db"))
        assert (project / "copy.db").is_file(), "as every other path that the caller names"
        assert not (project.parent / "copy.db").exists()
        assert str(backup).endswith("copy.db")
