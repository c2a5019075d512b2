"""Triggers and runs on the wire, and the run history."""

from __future__ import annotations

from typing import Literal

from penstock.contract.http import HttpAnswer
from penstock.errors import NotFound, UsageError
from penstock.records import RunRecord
from penstock_azureml_v1 import entities
from penstock_azureml_v1.answers import answer, answer_list, empty
from penstock_azureml_v1.call import Call
from penstock_azureml_v1.submissions import parameters_of, read_body, tags_of, text_of


def submit_pipeline(call: Call) -> HttpAnswer:
    """Trigger a published pipeline by id."""
    return _submit(call, call.request.path["id"], None, "published")


def submit_endpoint(call: Call) -> HttpAnswer:
    """Trigger an endpoint by id; the version may stand in the path, in the query, or in both alike."""
    in_path, in_query = call.request.path.get("version"), call.asked("pipelineversion")
    if in_path and in_query and in_path != in_query:
        raise UsageError(f"the path says version {in_path} and the query {in_query}: say one")
    return _submit(call, call.request.path["id"], in_path or in_query, "endpoint")


def submit_endpoint_by_name(call: Call) -> HttpAnswer:
    """Trigger an endpoint by name."""
    name = call.asked("name")
    if not name:
        raise UsageError("the query needs `name`", code="missing_key")
    return _submit(call, name, call.asked("pipelineversion"), "endpoint")


def get(call: Call) -> HttpAnswer:
    """One run."""
    return answer(call.entities.run(_run(call)))


def list_of_pipeline(call: Call) -> HttpAnswer:
    """Every run of a published pipeline, newest first."""
    published = call.workspace.pipelines.get(call.request.path["id"])
    runs = call.every(lambda all, **page: call.workspace.runs.list(published=published.id, **page))
    return answer_list(call.entities.run(run) for run in runs)


def cancel(call: Call) -> HttpAnswer:
    """Ask a run to end."""
    call.workspace.runs.cancel(call.request.path["id"])
    return empty()


def history(call: Call) -> HttpAnswer:
    """One run as the run history has it."""
    return answer(entities.history(_run(call)))


def history_details(call: Call) -> HttpAnswer:
    """The same with what details add."""
    return answer({**entities.history(_run(call)), "inputDatasets": [], "outputDatasets": [], "logFiles": {}})


def history_query(call: Call) -> HttpAnswer:
    """The runs of a body `{"value": [{"runId"}]}`; those that are not there are left out."""
    given = read_body(call.request.body).get("value") or []
    if not isinstance(given, list):
        raise UsageError("`value` is a list of {runId}", code="type_mismatch")
    found = []
    for each in given[:1000]:
        try:
            found.append(entities.history(call.workspace.runs.get(str(dict(each).get("runId")))))
        except NotFound:
            continue
        except (TypeError, ValueError):
            raise UsageError("`value` is a list of {runId}", code="type_mismatch") from None
    return answer({"value": found})


def _submit(call: Call, ref: str, version: str | None, only: Literal["endpoint", "published"]) -> HttpAnswer:
    data = read_body(call.request.body)
    tags = tags_of(data)
    parent = call.asked("parentrunid")
    if parent:
        tags = {"parentRunId": parent, **tags}
    done = call.workspace.runs.submit(
        ref,
        version=version,
        parameters=parameters_of(data, call.door),
        experiment=text_of(data, "ExperimentName") or None,
        description=text_of(data, "Description") or text_of(data, "DisplayName") or "",
        tags=tags,
        idempotency_key=call.request.headers.get("idempotency-key"),
        deduplicate=True,
        only=only,
    )
    return answer(call.entities.run(done.run))


def _run(call: Call) -> RunRecord:
    return call.workspace.runs.get(call.request.path["id"])
