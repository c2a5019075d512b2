"""Runs as pipeline jobs: the job's id is made from the run's, so a repeat finds the job instead of making another."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from penstock.contract.run import Absent, RunOutputs, RunRef, RunReport, RunReports, RunRequest, Submission
from penstock.contract.target import Target
from penstock.errors import NotFound, TargetRefused
from penstock.launcher.reports import MOST, AttemptReport, attempt_number, read_report
from penstock.launcher.wire import encode_value
from penstock_vertex import reading
from penstock_vertex.client import Vertex, connect
from penstock_vertex.options import VertexOptions
from penstock_vertex.sizes import MOST_ARGUMENTS, longest_arguments
from penstock_vertex.staging import compiled_object, reports_folder, value_object
from penstock_vertex.wire import LONGEST, REFERENCE

_KEPT = 16
_specs: dict[str, Mapping[str, Any]] = {}
"""The last compiled pipelines that were submitted, by their URI, which names their content."""

_LABEL = re.compile(r"[^a-z0-9_-]+")
_POLICIES = {"slow": "PIPELINE_FAILURE_POLICY_FAIL_SLOW", "fast": "PIPELINE_FAILURE_POLICY_FAIL_FAST"}


def job_id(run: str) -> str:
    """The id of a run's job: `^[a-z][-a-z0-9]{0,127}$` is what Google takes."""
    return f"penstock-{run}"


def submit(target: Target, run: RunRequest) -> Submission:
    """Create the job of a run, or find it. Raises TargetRefused, TargetUnavailable."""
    options: VertexOptions = target.options
    vertex = connect(options)
    spec = _spec(vertex, run.publication.external)
    texts = {**run.parameters.texts, **run.parameters.artifacts}
    values = {name: _carried(vertex, text) for name, text in texts.items()}
    step, size = longest_arguments(spec, values)
    if size > MOST_ARGUMENTS:
        raise TargetRefused(
            f"with these values the arguments of step `{step}` have {size:,} characters, as they travel; "
            f"at most {MOST_ARGUMENTS:,}",
            code="size_refused",
        )
    _put_long(vertex, texts, values)
    job: dict[str, Any] = {
        "display_name": (run.endpoint or run.pipeline)[:128],
        "pipeline_spec": spec,
        "labels": labels(options, run),
        "runtime_config": {
            "gcs_output_directory": vertex.uri("runs"),
            "parameter_values": values,
            "failure_policy": _POLICIES[options.failure_policy],
        },
        **_where(options),
        **_template(options, run),
    }
    name = vertex.create_job(job_id(run.id), job)
    console = f"https://console.cloud.google.com/vertex-ai/pipelines/locations/{options.location}/runs/{job_id(run.id)}"
    return Submission(external=name, details={"console": f"{console}?project={options.project}"})


def look(target: Target, runs: Sequence[RunRef]) -> RunReports:
    """What Google says of some runs, each asked for by itself: a listing has no details of tasks."""
    vertex = connect(target.options)
    return {run.id: _report(vertex, vertex.find_job(job_id(run.id))) for run in runs}


def outputs(target: Target, run: RunRef) -> RunOutputs:
    """The pipeline's outputs. Raises NotFound."""
    return RunOutputs(outputs=reading.run_outputs(need_job(connect(target.options), run.id)))


def cancel(target: Target, run: str) -> bool:
    """Ask a job to end; false when it has ended. Raises NotFound."""
    vertex = connect(target.options)
    state = reading.state_of(need_job(vertex, run))
    if state not in ("queued", "running"):
        return False
    vertex.cancel_job(job_id(run))
    return True


def labels(options: VertexOptions, run: RunRequest) -> dict[str, str]:
    """What a job carries of us: the run, the digest, the pipeline; keys and values as Google takes them."""
    details = run.publication.details
    ours = {"penstock-run": run.id, "penstock-pipeline": run.pipeline, "penstock-digest": details.get("digest", "")}
    if run.endpoint is not None:
        ours |= {"penstock-endpoint": run.endpoint, "penstock-version": run.version or ""}
    return {**options.labels, **{key: _label(text) for key, text in ours.items()}}


def _label(text: str) -> str:
    return _LABEL.sub("-", text.lower().removeprefix("sha256:"))[:63]


def _where(options: VertexOptions) -> dict[str, Any]:
    """How and as whom a job runs."""
    found: dict[str, Any] = {}
    if options.service_account is not None:
        found["service_account"] = options.service_account
    if options.network is not None:
        found["network"] = options.network
    if options.reserved_ip_ranges:
        found["reserved_ip_ranges"] = list(options.reserved_ip_ranges)
    if options.encryption_key is not None:
        found["encryption_spec"] = {"kms_key_name": options.encryption_key}
    return found


def _carried(vertex: Vertex, text: str) -> str:
    """A text as a parameter carries it: a long one as the name of an object, which `_put_long` writes."""
    value = encode_value(text)
    if len(value) <= LONGEST:
        return value
    return REFERENCE + vertex.uri(value_object(hashlib.sha256(text.encode()).hexdigest())).removeprefix("gs://")


def _put_long(vertex: Vertex, texts: Mapping[str, str], values: Mapping[str, str]) -> None:
    """Write the texts that are carried by the name of an object."""
    for name, text in texts.items():
        if values[name].startswith(REFERENCE):
            data = text.encode()
            vertex.put(value_object(hashlib.sha256(data).hexdigest()), data, {})


def _spec(vertex: Vertex, uri: str) -> Mapping[str, Any]:
    """The compiled pipeline at a URI, which names its content: a step may write to the bucket, too."""
    found = _specs.get(uri)
    if found is None:
        document = vertex.get_uri(uri)
        wrong = None
        if document is None:
            wrong = "is not there any more"
        elif vertex.uri(compiled_object(hashlib.sha256(document).hexdigest())) != uri:
            wrong = "was changed by somebody: remove it"
        if document is None or wrong is not None:
            raise TargetRefused(f"the compiled pipeline `{uri}` {wrong}; publish it again", code="publication_damaged")
        found = json.loads(document)["spec"]
        while len(_specs) >= _KEPT:
            _specs.pop(next(iter(_specs)), None)
        _specs[uri] = found
    return found


def _template(options: VertexOptions, run: RunRequest) -> dict[str, Any]:
    """The version in the repository that the spec is the same as: never a tag, which Google fails to run (its issue
    python-aiplatform#2181), and only of the repository that the target has now.

    Google downloads it only where a job has no spec (`PipelineJob.template_uri`), and its own SDK sends both: it is
    where the console says that a job comes from.
    """
    uri = run.publication.details.get("template", "")
    ours = options.repository is not None and uri.startswith(f"{options.repository}/")
    return {"template_uri": uri} if ours else {}


def need_job(vertex: Vertex, run: str) -> Mapping[str, Any]:
    """The job of a run. Raises NotFound."""
    found = vertex.find_job(job_id(run))
    if found is None:
        raise NotFound(f"this target does not know the run `{run}`", code="run_not_found")
    return found


def _report(vertex: Vertex, job: Mapping[str, Any] | None) -> RunReport | Absent:
    if job is None:
        return Absent()
    folder = reports_folder(job["name"].rpartition("/")[2], "")
    attempts: dict[str, int] = {}
    for path in vertex.files(folder):
        task, _, name = path.removeprefix(folder).partition("/")
        number = attempt_number(name)
        if number is not None:
            attempts[task] = max(attempts.get(task, 0), number)
    last: dict[str, AttemptReport] = {}
    for task in reading.failed_tasks(job):
        data = vertex.get(f"{folder}{task}/{attempts[task]}", most=MOST) if task in attempts else None
        if data is not None:
            last[task] = read_report(data)
    return reading.run_report(job, attempts, last)
