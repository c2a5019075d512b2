"""Runs as pipeline jobs: the job's name is the run's id, so ARM finds the job where a repeat would make another."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from penstock.contract.run import Absent, RunOutputs, RunRef, RunReport, RunRequest, Submission
from penstock.contract.target import Publication, Target
from penstock.errors import NotFound, PenstockError, TargetRefused, TargetUnavailable
from penstock.launcher.reports import MOST
from penstock.spec.values import MAX_TEXT
from penstock_azureml import datastores, history, reading
from penstock_azureml.addresses import is_emulator
from penstock_azureml.client import Azure, connect
from penstock_azureml.command import REPORT, VALUES
from penstock_azureml.components import path_of
from penstock_azureml.content import already_there, damaged
from penstock_azureml.kept import kept
from penstock_azureml.locations import input_type
from penstock_azureml.names import port_names
from penstock_azureml.options import AzuremlOptions
from penstock_azureml.publishing import INPUTS
from penstock_azureml.wire import carried

_EXPERIMENT = re.compile(r"[^A-Za-z0-9_.-]+")
"""What Azure refuses in the name of an experiment. That, and that it takes 200 characters of it and 1000 of a
description, is a guess.
"""
_IDENTITIES = {"managed": "Managed", "user": "UserIdentity"}
_TOKEN = "x-azureml-token"
"""The token, for Azure ML, by which Azure reads data as whoever submits (azure-ai-ml: `JobOperations`)."""
_THERE = (400, 409)
"""How Azure refuses a PUT of a job that is there already and cannot be changed so (400: azure-docs issue 122250)."""


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
        path = f"penstock/values/{run.id}/{hashlib.sha256(long).hexdigest()}"  # new, but to who repeats it
        inputs[VALUES] = {
            "jobInputType": "uri_file",
            "uri": datastores.keep(azure, path, long, run.publication.details),
        }
    path = _path(run.id)
    body = {"properties": _properties(target.options, run, inputs)}
    headers = {_TOKEN: azure.tokens.token(azure.learning)} if target.options.identity == "user" else None
    answer = azure.arm("PUT", path, "the job cannot be created", body, allow=_THERE, headers=headers)
    if answer.status in _THERE:
        answer = already_there(azure, path, "the job cannot be created", answer)
    job = answer.json()
    if job.get("name") != run.id:
        raise answer.strange()
    runs = str((job.get("properties") or {}).get("componentId") or body["properties"]["componentId"])
    if not runs.lower().removeprefix("azureml:") == body["properties"]["componentId"].lower():
        raise TargetRefused(f"a job with the id of this run is there already, and it runs another component: `{runs}`")
    return Submission(external=f"{target.options.path}/{path}", details=console(target.options, run.id))


def console(options: AzuremlOptions, run: str) -> dict[str, str]:
    """Where a person looks at a run; an emulator has no such page."""
    return {} if is_emulator(options) else {"console": f"https://ml.azure.com/runs/{run}?wsid={options.path}"}


def look(target: Target, run: RunRef) -> RunReport | Absent:
    """What Azure says of a run."""
    azure = connect(target.options)
    found = history.of_run(azure, run.id, "", "the run cannot be read")
    if found.status == 404:  # what history does not have yet may be there all the same
        return Absent() if azure.find(_path(run.id), "the job cannot be read") is None else RunReport(state="queued")
    component = component_of(azure, run.publication)
    nodes, now = _nodes(azure, component, run.id), datetime.now(UTC)
    finished = {node: _finished(azure, component, node, child, now) for node, child in nodes.items() if _over(child)}
    return reading.run_report(component, found.json(), nodes, finished, now)


def outputs(target: Target, run: RunRef) -> RunOutputs:
    """The pipeline's outputs. Raises NotFound."""
    azure = connect(target.options)
    _need(azure, run.id)
    component = component_of(azure, run.publication)
    nodes, now = _nodes(azure, component, run.id), datetime.now(UTC)
    done = {node: child for node, child in nodes.items() if reading.step_state(child) == "succeeded"}
    finished = {node: _finished(azure, component, node, child, now) for node, child in done.items()}
    return RunOutputs(outputs=reading.run_outputs(component, finished))


def cancel(target: Target, run: str) -> bool:
    """Ask a job to end; false when it has ended. Raises NotFound."""
    azure = connect(target.options)
    found = _seen(azure, run)
    if found is None:  # what history does not have yet may be there all the same
        if azure.find(_path(run), "the job cannot be read") is None:
            raise _unknown(run)
    elif reading.state_of(found) not in ("queued", "running"):
        return False
    azure.arm("POST", f"{_path(run)}/cancel", "the job cannot be canceled")
    return True


def child_of(azure: Azure, run: RunRef, node: str) -> tuple[Mapping[str, Any], Mapping[str, Any] | None]:
    """A run, and that of one of its nodes if that has begun. Raises NotFound, also where there is no such node."""
    found = _need(azure, run.id)
    component = component_of(azure, run.publication)
    if node not in reading.nodes_of(component):
        raise NotFound(f"the run `{run.id}` has no such step on this target", code="step_not_found")
    return found, _nodes(azure, component, run.id).get(node)


def component_of(azure: Azure, publication: Publication) -> Mapping[str, Any]:
    """The pipeline's component that a publication is. Raises TargetRefused where it is gone."""
    _, name, version = publication.external.split(":")

    def ask() -> Mapping[str, Any]:
        path = path_of(publication.external)
        found = azure.find(path, "the pipeline cannot be read")
        if found is None:
            message = f"the pipeline `{name}:{version}` is not there any more; publish it again"
            raise TargetRefused(message, code="publication_damaged")
        properties: Mapping[str, Any] = found.part("properties")
        if not isinstance(properties, dict) or not reading.nodes_of(properties):
            raise damaged(path, "it has no steps")
        return properties

    return kept.get((azure.key, publication.external), ask)


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
    """What an input is: by its URI, where that does not say as the publication notes it, or as the component has it."""
    known = input_type(uri)
    if known is not None:
        return known
    noted = dict(one.split("=") for one in run.publication.details.get(INPUTS, "").split())
    if port in noted:
        return noted[port]
    told = component_of(azure, run.publication)["componentSpec"].get("inputs")
    about = told.get(port) if isinstance(told, dict) else None
    if not isinstance(about, dict) or not about.get("type"):
        raise damaged(path_of(run.publication.external), f"it has no input `{port}`")
    return str(about["type"])


def _path(run: str) -> str:
    return f"jobs/{quote(run, safe='')}"


def _need(azure: Azure, run: str) -> Mapping[str, Any]:
    found = _seen(azure, run)
    if found is None:
        raise _unknown(run)
    return found


def _seen(azure: Azure, run: str) -> Mapping[str, Any] | None:
    """What run history says of a run, or None: one `no` is no proof, so it is asked twice."""
    for _ in range(2):
        found = history.of_run(azure, run, "", "the run cannot be read")
        if found.status != 404:
            told: Mapping[str, Any] = found.json()
            return told
    return None


def _unknown(run: str) -> NotFound:
    return NotFound(f"this target does not know the run `{run}`", code="run_not_found")


def _nodes(azure: Azure, component: Mapping[str, Any], run: str) -> dict[str, Mapping[str, Any]]:
    """The runs of a run's nodes, all pages of them. Raises TargetUnavailable for what is no list of them.

    An empty list of a run that has ended would be written down for good.
    """
    what = "the steps cannot be read"
    page = history.of_run(azure, run, "/children", what)
    if page.status == 404:
        raise TargetUnavailable(f"{what}: run history has the run and no list of them yet; it is asked again")
    children: list[reading.Run] = [
        child for child in azure.all_of(page) if isinstance(child, dict) and child.get("runId")
    ]
    return reading.by_node(component, children)


def _over(child: Mapping[str, Any]) -> bool:
    return reading.step_state(child) in ("succeeded", "failed", "canceled")


def _finished(
    azure: Azure, component: Mapping[str, Any], node: str, child: Mapping[str, Any], now: datetime
) -> reading.Finished:
    """What came of a node that has ended, which is asked for until all of it is there, and does not change any more."""
    key = (azure.key, "node", str(child["runId"]))
    finished, _ = kept.get(
        key, lambda: _read(azure, component, node, child, now), lambda found: math.inf if found[1] else 0.0
    )
    return finished


def _read(
    azure: Azure, component: Mapping[str, Any], node: str, child: Mapping[str, Any], now: datetime
) -> tuple[reading.Finished, bool]:
    """The report of a node, and where it succeeded its outputs; and whether all of that was there.

    What cannot be read, or is not there, is waited for for a while after the node's end (raises TargetUnavailable,
    TargetRefused), but for a report that may not be read: then what run history says is told.
    """
    wait, succeeded = reading.lately(child, now), reading.step_state(child) == "succeeded"
    lies, found, unread = _lies(azure, component, node, child), {}, None
    for port in lies if succeeded else ():
        try:
            if port.startswith("out_"):
                found[port] = lies[port]
            elif port.startswith("value_"):
                found[port] = _text(azure, lies[port])
        except PenstockError as error:
            if wait:
                raise
            unread = (error.code, str(error))
    report = None
    try:
        report = datastores.read(azure, lies[REPORT], MOST)
    except PenstockError as error:
        if wait and error.code != "permission_denied":
            raise
    return reading.finished_of(report, found, unread), report is not None and unread is None


def _lies(azure: Azure, component: Mapping[str, Any], node: str, child: Mapping[str, Any]) -> Mapping[str, str]:
    """The URIs of a node's outputs: what their assets mean, and where there are none, where Azure puts them."""
    told = child.get("outputs")
    assets = {
        port: str(about.get("assetId") if isinstance(about, dict) else about)
        for port, about in (told if isinstance(told, dict) else {}).items()
    }
    uris = history.resolved(azure, sorted(assets.values()))
    base = f"azureml://datastores/{azure.options.datastore}/paths/azureml/{child['runId']}"
    declared = reading.nodes_of(component)[node].get("outputs")
    ports = (*(declared if isinstance(declared, dict) else {}), REPORT)
    return {port: uris.get(assets.get(port, "")) or f"{base}/{port}" for port in ports}


def _text(azure: Azure, uri: str) -> str:
    """The text of a value: no more than shows that it is too long for one."""
    data = datastores.read(azure, uri, MAX_TEXT + 1)
    if data is None:
        raise TargetUnavailable(f"`{uri}`, which the launcher wrote, is not there")
    return data.decode("utf-8", "replace")
