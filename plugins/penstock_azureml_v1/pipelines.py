"""Published pipelines on the wire."""

from __future__ import annotations

from penstock.codec import read_json
from penstock.contract.http import HttpAnswer
from penstock.errors import UsageError
from penstock_azureml_v1.answers import answer, empty
from penstock_azureml_v1.call import Call
from penstock_azureml_v1.entities import is_enabled


def create(call: Call) -> HttpAnswer:
    """Graphs of modules are not taken: what they run lies in Azure ML, and nowhere else."""
    raise UsageError(
        "a graph of Azure ML modules cannot be published here: write the pipeline as a spec and publish it with "
        "`penstock publish pipeline.yaml --endpoint NAME`",
        code="publish_elsewhere",
    )


def list_all(call: Call) -> HttpAnswer:
    """Every published pipeline, as a bare list."""
    return answer([call.entities.pipeline(one) for one in call.every(call.workspace.pipelines.list)])


def get(call: Call) -> HttpAnswer:
    """One published pipeline."""
    return answer(call.entities.pipeline(call.workspace.pipelines.get(call.request.path["id"])))


def set_status(call: Call) -> HttpAnswer:
    """Open or close the gate of a published pipeline: the body is `"Active"` or `"Disabled"`."""
    wanted = is_enabled(read_json(call.request.body))
    ref = call.request.path["id"]
    if wanted is None:
        raise UsageError('the body is "Active" or "Disabled"', code="value_invalid")
    if wanted:
        call.workspace.pipelines.enable(ref)
    else:
        call.workspace.pipelines.disable(ref, reason="set by an Azure ML v1 caller")
    return empty()
