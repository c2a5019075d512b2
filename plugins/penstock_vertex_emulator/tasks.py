"""One task of a job: its inputs, what it runs (a container, an importer, a dag of its own), retries, the cache."""

from __future__ import annotations

import hashlib
import json
import time
from typing import TYPE_CHECKING, Any

from penstock_vertex_emulator import containers, placeholders
from penstock_vertex_emulator.details import CANCELLED, FAILED, SKIPPED, SUCCEEDED, Scope
from penstock_vertex_emulator.errors import ApiError
from penstock_vertex_emulator.messages import data_of, now, vertex
from penstock_vertex_emulator.spec import check_value

if TYPE_CHECKING:
    from penstock_vertex_emulator.running import Running

_STATES = {3: "SUCCEEDED", 6: "CANCELLED", 7: "FAILED", 8: "SKIPPED", 9: "NOT_TRIGGERED"}


def run_task(running: Running, scope: Scope, name: str, detail: Any) -> int:
    """Run a task to its end; the state that it ends in. Raises ApiError, and Stopped when the emulator ends."""
    task = scope.component.dag.tasks[name]
    component = running.spec.component(task)
    parameters = _parameters(running, scope, task, component)
    artifacts = {key: _artifacts(running, scope, source) for key, source in task.inputs.artifacts.items()}
    running.details.note(detail, "input", {key: value for key, value in parameters.items() if value is not None})
    with running.changed:
        detail.inputs.clear()
        for key, found in artifacts.items():
            detail.inputs[key].artifacts.extend(found)
    if component.HasField("dag"):
        inner = Scope(f"{scope.path}{name}.", detail.task_id, component, parameters, artifacts)
        state = running.run_dag(inner)
        if state == SUCCEEDED:
            with running.changed:
                running.details.hand_on(inner, detail)
        return state
    executor = running.spec.executors[component.executor_label]
    if executor.HasField("importer"):
        return _import(running, executor.importer, component, parameters, detail)
    key = _cache_key(running, component, executor, parameters, artifacts)
    if task.caching_options.enable_cache and _from_cache(running, key, detail):
        return SKIPPED
    state = _with_retries(running, task, component, executor.container, parameters, artifacts, detail)
    if state == SUCCEEDED:
        kept = vertex().PipelineTaskDetail(outputs=detail.outputs)
        kept.execution.metadata.update(
            {key: value for key, value in data_of(detail.execution.metadata).items() if key.startswith("output:")}
        )
        running.places.store.run("insert or replace into cache values (?, ?)", key, kept.SerializeToString())
    return state


def _parameters(running: Running, scope: Scope, task: Any, component: Any) -> dict[str, Any]:
    """The values of a task's inputs, its constants last: they may hold placeholders for the other inputs."""
    values: dict[str, Any] = {}
    sources = task.inputs.parameters
    for name in sorted(sources, key=lambda name: bool(sources[name].HasField("runtime_value"))):
        source = sources[name]
        which = source.WhichOneof("kind")
        if which == "task_output_parameter":
            wanted = source.task_output_parameter
            values[name] = running.details.made(scope, wanted.producer_task).get(wanted.output_parameter_key)
        elif which == "component_input_parameter":
            values[name] = scope.parameters.get(source.component_input_parameter)
        elif which == "task_final_status":
            values[name] = _final_status(running, scope, source.task_final_status.producer_task)
        else:
            constant = data_of(source.runtime_value.constant)
            if isinstance(constant, str):
                constant = placeholders.fill(constant, lambda inner: _of_inputs(values, inner))
            values[name] = constant
    return {
        name: _declared(name, values.get(name), definition)
        for name, definition in component.input_definitions.parameters.items()
    }


def _declared(name: str, value: Any, definition: Any) -> Any:
    """The value that an input has by its definition. Raises ApiError."""
    if value is None and definition.HasField("default_value"):
        value = data_of(definition.default_value)
    if value is None and not definition.is_optional:
        raise ApiError("FAILED_PRECONDITION", f"the input parameter {name!r} has no value")
    if value is not None:
        check_value(value, definition.parameter_type, f"input parameter {name!r}")
    return value


def _of_inputs(values: dict[str, Any], inner: str) -> str:
    """What a placeholder in a constant stands for: an input of the same task, as kfp writes f-strings."""
    name = placeholders.input_parameter(inner)
    return placeholders.as_text(values[name]) if name in values else "{{$" + inner + "}}"


def _final_status(running: Running, scope: Scope, task: str) -> dict[str, Any]:
    one = running.details.of(f"{scope.path}{task}")
    return {
        "state": _STATES[one.state],
        "pipelineJobResourceName": running.job.name,
        "pipelineTaskName": task,
        **({"error": data_of(one.error)} if one.HasField("error") else {}),
    }


def _artifacts(running: Running, scope: Scope, source: Any) -> list[Any]:
    if source.HasField("component_input_artifact"):
        return scope.artifacts.get(source.component_input_artifact, [])
    wanted = source.task_output_artifact
    return running.details.artifacts(scope, wanted.producer_task, wanted.output_artifact_key)


def _with_retries(
    running: Running,
    task: Any,
    component: Any,
    container: Any,
    parameters: dict[str, Any],
    artifacts: dict[str, list[Any]],
    detail: Any,
) -> int:
    """Attempts as `retryPolicy` has them: a pause that grows by its factor between them."""
    policy = task.retry_policy
    pause = policy.backoff_duration.ToNanoseconds() / 1e9
    most = policy.backoff_max_duration.ToNanoseconds() / 1e9 or 3600.0
    before = len(detail.executor_detail.container_detail.failed_main_jobs)  # an emulator before this one saw them fail
    pause *= (policy.backoff_factor or 2.0) ** before
    for attempt in range(before, policy.max_retry_count + 1):
        with running.changed:
            detail.ClearField("error")
            detail.executor_detail.container_detail.main_job = (
                f"{running.details.location}/customJobs/{detail.task_id + attempt}"
            )
            running.save()  # where its log is
        state = containers.run(running, component, container, parameters, artifacts, detail)
        if state != FAILED or attempt == policy.max_retry_count:
            return state
        with running.changed:
            failed = detail.executor_detail.container_detail
            failed.failed_main_jobs.append(failed.main_job)
            detail.pipeline_task_status.add(update_time=now(), state=2, error=detail.error)
            running.save()
            deadline = time.monotonic() + min(pause, most)
            while not running.canceling and (left := deadline - time.monotonic()) > 0:
                containers.raise_if_stopping(running)
                running.changed.wait(left)
            if running.canceling:
                return CANCELLED
        pause *= policy.backoff_factor or 2.0
    return state


def _import(running: Running, importer: Any, component: Any, parameters: dict[str, Any], detail: Any) -> int:
    source = importer.artifact_uri
    if source.WhichOneof("value") == "runtime_parameter":
        uri = placeholders.as_text(parameters.get(source.runtime_parameter))
    else:
        uri = placeholders.as_text(data_of(source.constant))
    for key, declared in component.output_definitions.artifacts.items():
        made = containers.artifact(running, detail, key, declared.artifact_type.schema_title, uri)
        made.metadata.update(data_of(importer.metadata))
        with running.changed:
            detail.outputs[key].artifacts.add().CopyFrom(made)
    return SUCCEEDED


def _cache_key(
    running: Running, component: Any, executor: Any, parameters: dict[str, Any], artifacts: dict[str, list[Any]]
) -> str:
    """What makes two executions the same: pipeline, interface, container, and what goes in."""
    facts = {
        "where": running.details.location,
        "pipeline": running.spec.message.pipeline_info.name,
        "component": data_of(component),
        "executor": data_of(executor),
        "parameters": parameters,
        "artifacts": {key: [one.uri for one in found] for key, found in artifacts.items()},
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _from_cache(running: Running, key: str, detail: Any) -> bool:
    row = running.places.store.row("select detail from cache where key = ?", key)
    if not row:
        return False
    with running.changed:
        detail.MergeFromString(row[0])
    return True
