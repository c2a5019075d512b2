"""Runs as pipeline jobs: the job's name is the run's id, so ARM finds the job where a repeat would make another."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from penstock.contract.run import Absent, RunOutputs, RunRef, RunReport, RunRequest, Submission
from penstock.contract.target import Publication, Target
from penstock.errors import NotFound, PenstockError, TargetRefused, TargetUnavailable
from penstock.launcher.reports import MOST
from penstock.spec.values import MAX_TEXT
from penstock_azureml import datastores, history, reading
from penstock_azureml.client import Azure, connect
from penstock_azureml.command import REPORT, VALUES
from penstock_azureml.kept import kept
from penstock_azureml.names import port_names
from penstock_azureml.options import AzuremlOptions
from penstock_azureml.publishing import INPUTS
from penstock_azureml.troubles import Answer, meaning
from penstock_azureml.wire import carried

_EXPERIMENT = re.compile(r"[^A-Za-z0-9_.-]+")
_IDENTITIES = {"managed": "Managed", "user": "UserIdentity"}
_TOKEN = "x-azureml-token"
"""The token, for Azure ML, by which Azure reads data as whoever submits (azure-ai-ml: `JobOperations`)."""
_THERE = (400, 409)
"""How Azure refuses a PUT of a job that is there already and cannot be changed so (400: azure-docs issue 122250)."""

_KEPT = 512
_made: dict[str, reading.Finished] = {}
"""What came of nodes that have ended, by their runs: it does not change any more."""


def submit(target: Target, run: RunRequest) -> Submission:
    """Create the job of a run, or find it: one request, and one more for long values; and more where the job is there
    already, or something is not as its publication notes.

    Raises TargetRefused, TargetUnavailable.
    """
    azure = connect(target.options)
    ports = port_names({**run.parameters.texts, **run.parameters.artifacts, **run.parameters.bundled})
    values, long = carried({ports[name]: text for name, text in run.parameters.texts.items()})
    inputs: dict[str, Any] = {name: {"jobInputType": "literal", "value": text} for name, text in values.items()}
    for name, uri in run.parameters.artifacts.items():
        inputs[ports[name]] = {"jobInputType": _type(azure, run, ports[name], uri), "uri": uri}
    if long:
        path = f"penstock/values/{hashlib.sha256(long).hexdigest()}"
        inputs[VALUES] = {
            "jobInputType": "uri_file",
            "uri": datastores.write(azure, path, long, run.publication.details),
        }
    path = _path(run.id)
    body = {"properties": _properties(target.options, run, inputs)}
    headers = {_TOKEN: azure.tokens.token(azure.learning)} if target.options.identity == "user" else None
    answer = azure.arm("PUT", path, "the job cannot be created", body, allow=_THERE, headers=headers)
    if answer.status in _THERE:
        answer = _there(azure, path, answer)
    job = answer.json()
    if job.get("name") != run.id:
        raise answer.strange()
    runs = str((job.get("properties") or {}).get("componentId") or body["properties"]["componentId"])
    if not runs.lower().removeprefix("azureml:") == body["properties"]["componentId"].lower():
        raise TargetRefused(f"a job with the id of this run is there already, and it runs another component: `{runs}`")
    console = f"https://ml.azure.com/runs/{run.id}?wsid={target.options.path}"
    return Submission(external=f"{target.options.path}/{path}", details={"console": console})


def look(target: Target, run: RunRef) -> RunReport | Absent:
    """What Azure says of a run."""
    azure = connect(target.options)
    found = history.of_run(azure, run.id, "", "the run cannot be read")
    if found.status == 404:  # what history does not have yet may be there all the same
        return Absent() if azure.find(_path(run.id), "the job cannot be read") is None else RunReport(state="queued")
    component = component_of(azure, run.publication)
    nodes = _nodes(azure, component, run.id)
    finished = {node: _finished(azure, component, node, child) for node, child in nodes.items() if _over(child)}
    return reading.run_report(component, found.json(), nodes, finished)


def outputs(target: Target, run: RunRef) -> RunOutputs:
    """The pipeline's outputs. Raises NotFound."""
    azure = connect(target.options)
    _need(azure, run.id)
    component = component_of(azure, run.publication)
    nodes = _nodes(azure, component, run.id)
    done = {node: child for node, child in nodes.items() if reading.step_state(child) == "succeeded"}
    finished = {node: _finished(azure, component, node, child) for node, child in done.items()}
    return RunOutputs(outputs=reading.run_outputs(component, finished))


def cancel(target: Target, run: str) -> bool:
    """Ask a job to end; false when it has ended. Raises NotFound."""
    azure = connect(target.options)
    if reading.state_of(_need(azure, run)) not in ("queued", "running"):
        return False
    azure.arm("POST", f"{_path(run)}/cancel", "the job cannot be canceled")
    return True


def child_of(azure: Azure, run: RunRef, node: str) -> tuple[Mapping[str, Any], Mapping[str, Any] | None]:
    """A run, and that of one of its nodes if that has begun. Raises NotFound, also where there is no such node."""
    found = _need(azure, run.id)
    component = component_of(azure, run.publication)
    if node not in component["componentSpec"]["jobs"]:
        raise NotFound(f"the run `{run.id}` has no such step on this target", code="step_not_found")
    return found, _nodes(azure, component, run.id).get(node)


def component_of(azure: Azure, publication: Publication) -> Mapping[str, Any]:
    """The pipeline's component that a publication is. Raises TargetRefused where it is gone."""
    _, name, version = publication.external.split(":")

    def ask() -> Mapping[str, Any]:
        found = azure.find(f"components/{name}/versions/{version}", "the pipeline cannot be read")
        if found is None:
            message = f"the pipeline `{name}:{version}` is not there any more; publish it again"
            raise TargetRefused(message, code="publication_damaged")
        found.part("properties", "componentSpec", "jobs")
        properties: Mapping[str, Any] = found.part("properties")
        return properties

    return kept.get((azure.key, publication.external), ask)


def _there(azure: Azure, path: str, refused: Answer) -> Answer:
    """The job that is there already; where there is none, Azure's answer to making it is raised."""
    why = meaning("the job cannot be created", refused, azure.options)
    try:
        found = azure.find(path, "whether it is there already cannot be read")
    except PenstockError as error:
        raise TargetUnavailable(f"{why}; {error}", code=error.code, retry_after=error.retry_after) from None
    if found is None:
        raise why
    return found


def _properties(options: AzuremlOptions, run: RunRequest, inputs: Mapping[str, Any]) -> dict[str, Any]:
    _, name, version = run.publication.external.split(":")
    found: dict[str, Any] = {
        "jobType": "Pipeline",
        "componentId": f"{options.path}/components/{name}/versions/{version}",
        "displayName": (run.endpoint or run.pipeline)[:255],
        "description": run.description[:1000],
        "experimentName": _EXPERIMENT.sub("-", run.experiment)[:200].strip("-.") or "Default",
        "isArchived": False,
        "inputs": dict(inputs),
        "outputs": {},
        "jobs": {},
        "settings": {
            "default_compute": f"{options.path}/computes/{options.compute}" if options.compute else "serverless",
            "default_datastore": f"{options.path}/datastores/{options.datastore}",
            "continue_on_step_failure": True,
            "force_rerun": True,
        },
        "tags": tags(options, run),
        "properties": {},
    }
    if options.identity is not None:
        found["identity"] = {"identityType": _IDENTITIES[options.identity]}
    return found


def tags(options: AzuremlOptions, run: RunRequest) -> dict[str, str]:
    """What a job carries of us, in at most 256 characters each (ARM): run, digest, pipeline, endpoint."""
    ours = {
        "penstock_run": run.id,
        "penstock_pipeline": run.pipeline,
        "penstock_digest": run.publication.details.get("digest", ""),
        "penstock_experiment": run.experiment,
    }
    if run.endpoint is not None:
        ours |= {"penstock_endpoint": run.endpoint, "penstock_version": run.version or ""}
    return {key: text[:256] for key, text in {**options.labels, **ours}.items() if text}


def _type(azure: Azure, run: RunRequest, port: str, uri: str) -> str:
    """What an input is: URIs of directories end in a slash (see `locations`), and ids of assets do not say."""
    if "://" in uri:
        return "uri_folder" if uri.endswith("/") else "uri_file"
    noted = dict(one.split("=") for one in run.publication.details.get(INPUTS, "").split())
    if port in noted:
        return noted[port]
    return str(component_of(azure, run.publication)["componentSpec"]["inputs"][port]["type"])


def _path(run: str) -> str:
    return f"jobs/{quote(run, safe='')}"


def _need(azure: Azure, run: str) -> Mapping[str, Any]:
    for _ in range(2):  # one `no` is no proof
        found = history.of_run(azure, run, "", "the run cannot be read")
        if found.status != 404:
            return found.json()
    raise NotFound(f"this target does not know the run `{run}`", code="run_not_found")


def _nodes(azure: Azure, component: Mapping[str, Any], run: str) -> dict[str, Mapping[str, Any]]:
    """The runs of a run's nodes, all pages of them."""
    page = history.of_run(azure, run, "/children", "the steps cannot be read").json()
    children = list(page.get("value") or [])
    while page.get("nextLink"):
        page = azure.call("GET", page["nextLink"], "the steps cannot be read").json()
        children += page.get("value") or []
    return reading.by_node(component, children)


def _over(child: Mapping[str, Any]) -> bool:
    return reading.step_state(child) in ("succeeded", "failed", "canceled")


def _finished(azure: Azure, component: Mapping[str, Any], node: str, child: Mapping[str, Any]) -> reading.Finished:
    """What came of a node: its report, and where it succeeded its outputs."""
    run = str(child["runId"])
    if run in _made:
        return _made[run]
    assets = {
        port: str(about.get("assetId") if isinstance(about, dict) else about)
        for port, about in (child.get("outputs") or {}).items()
    }
    uris = history.resolved(azure, sorted(assets.values()))
    declared = component["componentSpec"]["jobs"][node]["outputs"]
    lies = {
        port: uris.get(assets.get(port, ""))
        or f"azureml://datastores/{azure.options.datastore}/paths/azureml/{run}/{port}"
        for port in declared
    }
    found: dict[str, str] = {}
    succeeded = reading.step_state(child) == "succeeded"
    if succeeded:
        for port in declared:
            if port.startswith("out_"):
                found[port] = lies[port]
            elif port.startswith("value_") and (data := datastores.read(azure, lies[port], MAX_TEXT + 1)) is not None:
                found[port] = data.decode("utf-8", "replace")
    report = datastores.read(azure, lies[REPORT], MOST)
    finished = reading.finished_of(report, found)
    if report is not None and (not succeeded or len(found) + 1 == len(declared)):  # what is not there yet may come
        while len(_made) >= _KEPT:
            _made.pop(next(iter(_made)), None)
        _made[run] = finished
    return finished
