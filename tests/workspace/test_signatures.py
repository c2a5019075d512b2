"""The public API says what it takes: to people by `help`, to type checkers, and at run time by a TypeError."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

from penstock.workspace import Admin, Endpoint, Endpoints, Pipelines, PublishedPipeline, Run, Runs, Targets, Workspace

CLASSES = (Workspace, Endpoint, PublishedPipeline, Run, Pipelines, Endpoints, Runs, Targets, Admin)
METHODS = [
    pytest.param(getattr(cls, name), id=f"{cls.__name__}.{name}")
    for cls in CLASSES
    for name in dir(cls)
    if not name.startswith("_") and inspect.isfunction(inspect.unwrap(getattr(cls, name)))
]

WRONG = """\
from penstock import Workspace

with Workspace.open() as workspace:
    workspace.publish("a.yaml", endpiont="digits")
    workspace.submit("digits", parameter={"depth": 1})
    workspace.create_endpoint("digits", "digits:1", tag={})
    workspace.endpoint("digits").submit(versoin=1)
    workspace.published("digits:1").submit(version=1)
    workspace.runs.submit("digits", caller="ada")
    workspace.endpoints.disable("digits", because="dirty")
    workspace.runs.list(experimnet="trees")
    workspace.run("123456").wait(time_out=3)
"""


@pytest.mark.parametrize("method", METHODS)
def test_every_parameter_is_named_and_none_is_the_caller(method) -> None:
    parameters = inspect.signature(method).parameters
    kinds = {parameter.kind for parameter in parameters.values()}
    assert not kinds & {inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}
    if "caller" in parameters:
        assert method.__name__ == "as_"
    assert inspect.getdoc(method)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("line", [line.strip() for line in WRONG.splitlines()[3:]])
def test_a_misspelt_keyword_is_a_type_error(workspace, line) -> None:
    workspace.publish("greet.yaml", name="digits", endpoint="digits")
    run = workspace.submit("digits")
    with pytest.raises(TypeError, match=r"unexpected keyword argument|multiple values for argument"):
        exec(line.replace("123456", run.id), {"workspace": workspace})


@pytest.mark.thorough
@pytest.mark.parametrize("checker", ["mypy", "basedpyright"])
def test_a_misspelt_keyword_is_a_finding_of_type_checkers(tmp_path, checker) -> None:
    pytest.importorskip(checker)
    (tmp_path / "wrong.py").write_text(WRONG)
    command = [sys.executable, "-m", checker, "wrong.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    found = [number for number, _ in enumerate(WRONG.splitlines(), 1) if f"wrong.py:{number}" in done.stdout]
    assert set(range(4, 13)) <= set(found), done.stdout
