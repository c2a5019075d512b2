"""A pipeline on Azure ML as users meet it: the commands, what they print, and an endpoint that moves."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from penstock.codec import load_pipeline
from penstock.contract.run import ENDED, RunRef
from penstock.errors import ParameterInvalid, TargetRefused
from penstock.snapshot import take
from penstock.workspace import Workspace
from penstock_azureml import datastores
from penstock_azureml.client import connect
from penstock_azureml.jobs import console
from penstock_azureml.options import PUBLIC

PENSTOCK = Path(sys.executable).with_name("penstock")
SPEC = """\
apiVersion: penstock/v1
kind: Pipeline
name: greet
parameters:
  name: {type: string, default: world}
  "1": {type: integer, default: 1, minimum: 1}
  Name: {type: string, default: of another case}
steps:
  say-it:
    command: [sh, -c, 'printf "hello %s x%s %s" "$1" "$2" "$4" > "$3"; echo "wrote $1"', sh, "${{ parameters.name }}",
      "${{ parameters.1 }}", "${{ outputs.text }}", "${{ parameters.Name }}"]
    outputs: {text: string}
outputs:
  text: "${{ steps.say-it.outputs.text }}"
"""
TABLE = """\
apiVersion: penstock/v1
kind: Pipeline
name: table
parameters:
  table: {type: file}
steps:
  count:
    inputs: {table: "${{ parameters.table }}"}
    command: [sh, -c, 'wc -l < "$1" > "$2"; cp "$1" "$3"', sh, "${{ inputs.table }}", "${{ outputs.rows }}",
      "${{ outputs.copy }}"]
    outputs: {rows: integer, copy: file}
outputs: {rows: "${{ steps.count.outputs.rows }}", copy: "${{ steps.count.outputs.copy }}"}
"""

FOLDER = """\
apiVersion: penstock/v1
kind: Pipeline
name: folder
parameters:
  folder: {type: directory}
steps:
  list:
    inputs: {folder: "${{ parameters.folder }}"}
    command: [sh, -c, 'cd "$1" && printf %s "$(find . -type f | sort | cut -c3- | paste -sd" ")" > "$2"', sh,
      "${{ inputs.folder }}", "${{ outputs.found }}"]
    outputs: {found: string}
outputs: {found: "${{ steps.list.outputs.found }}"}
"""


def configure(folder: Path, options: dict[str, Any], **more: Any) -> None:
    (folder / "penstock.yaml").write_text(json.dumps({"target": "prod", "targets": {"prod": options, **more}}))


@pytest.fixture
def project(tmp_path: Path, target: dict[str, Any]) -> Path:
    """A folder whose default target is the emulator."""
    configure(tmp_path, target)
    (tmp_path / "greet.yaml").write_text(SPEC)
    (tmp_path / "table.yaml").write_text(TABLE)
    (tmp_path / "folder.yaml").write_text(FOLDER)
    return tmp_path


@pytest.fixture
def workspace(project: Path) -> Iterator[Workspace]:
    with Workspace.open(project, env={}, actor="ada") as opened:
        yield opened


def test_a_run_comes_to_its_outputs_and_its_log(workspace: Workspace, project: Path) -> None:
    workspace.publish(project / "greet.yaml", endpoint="greet")
    text = "$(X) ${{inputs.y}} 'ä'; `id`\n"
    run = workspace.submit("greet", parameters={"name": text, "1": 2}).wait()
    assert run.outputs == {"text": f"hello {text} x2 of another case"}
    record = workspace.runs.get(run.id)
    step = record.steps[0]
    assert (step.name, step.state, step.exit_code, step.attempt) == ("say-it", "succeeded", 0, 1)
    log = b"".join(part.data for part in workspace.runs.logs(run.id, step="say-it"))
    assert log == f"wrote {text}\n".encode()
    options = workspace.services.targets.open("prod").target.options
    assert record.details == {}, "an emulator has no page to look at"
    there = console(evolve(options, resource_manager=PUBLIC, credentials="cli"), run.id)
    assert there == {"console": f"https://ml.azure.com/runs/{run.id}?wsid={options.path}"}


def test_what_one_run_made_is_the_input_of_another(workspace: Workspace, project: Path) -> None:
    """A datastore's URI, and an asset: what datasets and paths of v1 were."""
    workspace.publish(project / "table.yaml", endpoint="table")
    azure = connect(workspace.services.targets.open("prod").target.options)
    uri = datastores.write(azure, "tests/table.csv", b"a\nb\nc\n")
    first = workspace.submit("table", parameters={"table": uri}).wait()
    assert first.outputs["rows"] == 3
    assert workspace.submit("table", parameters={"table": first.outputs["copy"]}).wait().outputs["rows"] == 3
    azure.arm(
        "PUT",
        "data/tests/versions/3",
        "no asset",
        {"properties": {"dataType": "uri_file", "dataUri": uri, "isAnonymous": False}},
    )
    assert workspace.submit("table", parameters={"table": "azureml:tests:3"}).wait().outputs["rows"] == 3
    for wrong, says in (("/etc/hostname", "azureml://"), ("gs://a/b", "not gs://")):
        with pytest.raises(ParameterInvalid, match=says):
            workspace.submit("table", parameters={"table": wrong})


def test_a_directory_from_outside_is_a_folder(workspace: Workspace, project: Path) -> None:
    """Also one that the target of a default names, and with a slash or without."""
    workspace.publish(project / "folder.yaml", endpoint="folder")
    azure = connect(workspace.services.targets.open("prod").target.options)
    place = uuid.uuid4().hex
    for name in ("a.csv", "deep/b.csv"):
        uri = datastores.write(azure, f"tests/{place}/{name}", name.encode())
    folder = uri.removesuffix("/deep/b.csv")
    body = {"dataType": "uri_folder", "dataUri": f"{folder}/", "isAnonymous": False}
    azure.arm("PUT", f"data/{place}/versions/1", "no asset", {"properties": body})
    for given in (folder, f"{folder}/", f"azureml:{place}:1"):
        run = workspace.submit("folder", parameters={"folder": given}).wait()
        assert run.outputs == {"found": "a.csv deep/b.csv"}
        job = azure.arm("GET", f"jobs/{run.id}", "no job").json()["properties"]
        assert job["inputs"]["folder"]["jobInputType"] == "uri_folder"


def test_the_demo_scores_the_same_on_azure_ml_as_here(tmp_path: Path, target: dict[str, Any]) -> None:
    pytest.importorskip("sklearn")
    configure(tmp_path, target)
    scores = {}
    for name, options in (("there", ["--target", "prod"]), ("here", [])):
        command = [PENSTOCK, "demo", "--json", "--folder", tmp_path / name, *options]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        scores[name] = [(run["version"], run["outputs"]["accuracy"]) for run in said["runs"]]
        assert {run["target"] for run in said["runs"]} == {"prod" if options else "laptop"}
    assert scores["there"] == scores["here"] and len(scores["here"]) == 5


def test_an_endpoint_moves_to_this_machine_and_back_while_a_caller_keeps_triggering_it(
    tmp_path: Path, target: dict[str, Any], engines_end: Any, serving: Any
) -> None:
    """Whoever triggers it by its URL changes nothing, notices nothing, and is told where each run ran."""
    configure(tmp_path, target, laptop={"backend": "local", "idle": "2s"})
    server, told, over = None, list[Any](), threading.Event()

    def keeps_triggering() -> None:
        while not over.is_set():
            body = {"parameters": {"name": str(len(told))}}
            told.append(server.call("POST", "/v1/endpoints/greet/runs", body))
            over.wait(0.3)

    try:
        with Workspace.open(tmp_path, env={}, actor="ada") as workspace:
            for number, place in enumerate(("prod", "laptop", "prod")):
                (tmp_path / "greet.yaml").write_text(f"{SPEC}description: the {number + 1}th\n")
                workspace.publish(tmp_path / "greet.yaml", endpoint="greet", target=place)
                if server is None:
                    server = serving.Served(tmp_path, "--no-auth")
                    caller = ThreadPoolExecutor(1).submit(keeps_triggering)
                workspace.endpoint("greet").set_default(str(number))
                seen = len(told)
                while len(told) < seen + 4:
                    assert not caller.done(), caller.result()
                    time.sleep(0.05)
            over.set()
            caller.result(60)
        assert [made.status for made in told] == [201] * len(told)
        where = []
        for number, made in enumerate(told):
            run = server.call("GET", f"/v1/runs/{made.json['id']}?wait=60").json
            assert (run["state"], run["outputs"]["text"]) == ("succeeded", f"hello {number} x1 of another case")
            where.append((run["version"], run["target"]))
        assert list(dict.fromkeys(where)) == [("0", "prod"), ("1", "laptop"), ("2", "prod")]
        assert where == sorted(where), "what came after a move ran where the pointer was"
    finally:
        over.set()
        if server is not None:
            server.stop()
        engines_end(tmp_path)


def test_publishing_again_registers_nothing(workspace: Workspace, project: Path, faults: Any) -> None:
    first = workspace.publish(project / "greet.yaml")
    faults("nothing.at.all")
    before = faults()["calls"]
    assert workspace.publish(project / "greet.yaml").id == first.id
    after = faults()["calls"]
    assert [name for name in after if "put" in name.lower() and after[name] != before.get(name)] == []


def test_a_submit_is_one_request_and_two_with_a_long_value(workspace: Workspace, project: Path, faults: Any) -> None:
    workspace.publish(project / "greet.yaml", endpoint="greet")
    workspace.submit("greet").wait()  # places are known from here on
    for name, expected in (("ada", {"jobs.put": 1}), ("é" * 9_000, {"jobs.put": 1, "blobs.put": 1})):
        before = faults()["calls"]
        opened = workspace.services.targets.open("prod")
        assert opened is not None
        run = workspace.submit("greet", parameters={"name": name})
        after = faults()["calls"]
        counted = {call: after[call] - before.get(call, 0) for call in after if "put" in call.lower()}
        assert sum(count for count in counted.values()) == sum(expected.values()), counted
        assert counted["jobs.put"] == 1
        assert run.wait().outputs["text"].startswith(f"hello {name} x1")


def test_who_cannot_be_reached_is_unavailable(project: Path, target: dict[str, Any]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"https://127.0.0.1:{free.getsockname()[1]}"
    configure(project, {**target, "resource_manager": nobody, "poll_timeout": "2s"})
    with Workspace.open(project, env={}, actor="ada") as workspace:
        health = workspace.services.targets.open("prod").check()
        assert not health.ok and any("cannot be reached" in line for line in health.lines), health.lines


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"workspace": "nowhere"}, "workspaces/nowhere"),
        ({"subscription": "5e6f2a1c-0000-4000-8000-00000000000f"}, "could not be found"),
        ({"compute": "nowhere"}, "there is no compute `nowhere`"),
        ({"datastore": "nowhere"}, "datastore `nowhere` cannot be read"),
    ],
)
def test_what_is_not_there_is_said_by_the_check(project, target, wrong, says) -> None:
    configure(project, {**target, **wrong})
    with Workspace.open(project, env={}, actor="ada") as workspace:
        health = workspace.services.targets.open("prod").check()
        assert not health.ok and says in "\n".join(health.lines)
        if "compute" not in wrong and "datastore" not in wrong:
            with pytest.raises(TargetRefused, match=says):
                workspace.publish(project / "greet.yaml")
            assert workspace.pipelines.list().items == ()


def test_a_compute_that_is_not_there_ends_the_run_in_words(project: Path, target: dict[str, Any]) -> None:
    configure(project, {**target, "compute": "nowhere"})
    with Workspace.open(project, env={}, actor="ada") as workspace:
        workspace.publish(project / "greet.yaml", endpoint="greet")
        record = workspace.runs.get(workspace.submit("greet").id)
        assert (record.state, record.error.code) == ("failed", "dispatch_failed")
        assert "the compute" in record.error.message and "does not exist" in record.error.message


def test_what_a_native_caller_gives_is_a_text_too(workspace: Workspace, project: Path) -> None:
    """Nobody encodes it, and Azure pastes it into a shell's command."""
    target = workspace.services.targets.open("prod")
    taken = take(load_pipeline(project / "greet.yaml"), project, project / "store")
    publication = target.publish(taken, target.compile(taken))
    azure = connect(target.target.options)
    _, name, version = publication.external.split(":")
    body = {
        "properties": {
            "jobType": "Pipeline",
            "componentId": f"{azure.options.path}/components/{name}/versions/{version}",
            "inputs": {"x_name": {"jobInputType": "literal", "value": "'; touch harm #$(x)\nwords"}},
            "settings": {"default_compute": f"{azure.options.path}/computes/cpu"},
        }
    }
    run = RunRef(id=f"native-{uuid.uuid4()}", publication=publication)
    azure.arm("PUT", f"jobs/{run.id}", "no job", body)
    while (report := target.get_run(run)).state not in ENDED:
        time.sleep(0.05)
    assert report.error is None
    assert target.get_outputs(run).outputs == {"text": "hello '; touch harm #$(x)\nwords x1 of another case"}


def test_a_job_says_whose_it_is_and_how_it_runs(project: Path, target: dict[str, Any]) -> None:
    options = {name: value for name, value in target.items() if name != "compute"}
    (project / "conda.yaml").write_text("dependencies: [python=3.12]\n")
    more = {"identity": "user", "labels": {"team": "ml"}, "instance_type": "Standard_DS3_v2", "conda": "conda.yaml"}
    configure(project, {**options, **more})
    with Workspace.open(project, env={}, actor="ada") as workspace:
        workspace.publish(project / "greet.yaml", endpoint="greet")
        run = workspace.submit("greet", experiment="näch tens/2")
        assert run.wait().outputs == {"text": "hello world x1 of another case"}
        azure = connect(workspace.services.targets.open("prod").target.options)
        job = azure.arm("GET", f"jobs/{run.id}", "no job").json()["properties"]
        digest = workspace.runs.get(run.id).digest
    assert job["tags"] == {
        "team": "ml",
        "penstock_run": run.id,
        "penstock_pipeline": "greet",
        "penstock_digest": digest,
        "penstock_experiment": "näch tens/2",
        "penstock_endpoint": "greet",
        "penstock_version": "0",
    }
    assert (job["experimentName"], job["identity"]) == ("n-ch-tens-2", {"identityType": "UserIdentity"})
    assert job["settings"]["default_compute"] == "serverless"
