"""What other people's tools make of our documents: a typed client that works, and a search for lies in them."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.workspace import Workspace

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
TYPED = """\
apiVersion: penstock/v1
kind: Pipeline
name: typed
parameters:
  1: {type: integer, minimum: 1, maximum: 9}
  kind: {type: string, enum: [tree, forest], default: tree}
  names: {type: list, default: []}
steps:
  run: {command: ["true", "${{ parameters.1 }}", "${{ parameters.kind }}", "${{ parameters.names }}"]}
"""
CALL = """\
import sys

from client import AuthenticatedClient
from client.api.default import trigger
from client.models import SubmittedRun, TriggerBody, TriggerBodyParameters, TriggerBodyParametersKind

client = AuthenticatedClient(base_url=sys.argv[1], token=sys.argv[2])
parameters = TriggerBodyParameters(field_1=3, kind=TriggerBodyParametersKind.FOREST)
run = trigger.sync(client=client, body=TriggerBody(parameters=parameters), idempotency_key="once")
assert isinstance(run, SubmittedRun), run
print(run.id, run.state, run.parameters.to_dict())
"""


def needs(module: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(importlib.util.find_spec(module) is None, reason=f"needs {module}, of the group `dev`")


def run(*command: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    return subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True, env=env)


@pytest.mark.thorough
@needs("openapi_python_client")
def test_a_generated_client_calls_by_type(served, folder, tokens, tmp_path) -> None:
    (folder / "typed.yaml").write_text(TYPED)
    with Workspace.open(folder, env={}, actor="ada") as workspace:
        workspace.publish(folder / "typed.yaml", endpoint="typed")
    document = served.call("GET", "/v1/endpoints/typed/openapi.json", token=tokens["read"])
    (tmp_path / "typed.json").write_bytes(document.body)
    made = run(
        BIN / "openapi-python-client", "generate", "--path", "typed.json", "--meta", "none", "--output-path", "client",
        "--fail-on-warning", cwd=tmp_path,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr
    (tmp_path / "call.py").write_text(CALL)
    called = run(sys.executable, "call.py", served.url, tokens["submit"], cwd=tmp_path)
    assert called.returncode == 0, called.stderr
    assert called.stdout.split(maxsplit=2)[1:] == ["queued", "{'1': 3, 'kind': 'forest', 'names': []}\n"]
    (tmp_path / "wrong.py").write_text(
        CALL.replace("field_1=3, kind=TriggerBodyParametersKind.FOREST", 'field_1="3", kind="bush"')
    )
    (tmp_path / "missing.py").write_text(CALL.replace("field_1=3, ", ""))
    checked = run(
        sys.executable, "-m", "mypy", "--cache-dir", tmp_path / "cache", "call.py", "wrong.py", "missing.py",
        cwd=tmp_path,
    )  # fmt: skip
    told = checked.stdout.splitlines()
    assert not [line for line in told if line.startswith("call.py")], checked.stdout
    assert len([line for line in told if line.startswith("wrong.py") and "arg-type" in line]) == 2, checked.stdout
    assert [line for line in told if line.startswith("missing.py") and "field_1" in line], checked.stdout


@pytest.mark.thorough
@needs("openapi_spec_validator")
def test_the_documents_are_openapi(served, tokens) -> None:
    from openapi_spec_validator import validate

    for path in ("/openapi.json", "/v1/endpoints/hello/openapi.json"):
        validate(served.call("GET", path, token=tokens["read"]).json)


@needs("schemathesis")
@pytest.mark.parametrize(
    ("examples", "seed"),
    [pytest.param("10", ("--seed", "1"), marks=pytest.mark.thorough), pytest.param("60", (), marks=pytest.mark.slow)],
    ids=["quick", "long"],
)
def test_a_search_finds_no_lie_in_the_document(served, tokens, tmp_path, examples, seed) -> None:
    found = run(
        BIN / "schemathesis", "--config-file", HERE / "schemathesis.toml", "run", f"{served.url}/openapi.json",
        "--header", f"Authorization: Bearer {tokens['admin']}", "--max-examples", examples, *seed,
        "--phases", "coverage,fuzzing", "--continue-on-failure", "--no-color", cwd=tmp_path,
    )  # fmt: skip
    assert found.returncode == 0, found.stdout[-6000:]
