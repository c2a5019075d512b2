"""One attempt of a container executor: a process of this machine, its image noted and not used."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock_vertex_emulator import placeholders
from penstock_vertex_emulator.details import CANCELLED, FAILED, SUCCEEDED
from penstock_vertex_emulator.errors import ApiError
from penstock_vertex_emulator.messages import data_of, now, status_of, vertex
from penstock_vertex_emulator.spec import check_value

if TYPE_CHECKING:
    from penstock_vertex_emulator.running import Running


def run(
    running: Running,
    component: Any,
    container: Any,
    parameters: dict[str, Any],
    artifacts: dict[str, list[Any]],
    detail: Any,
) -> int:
    """Run a container's command once; SUCCEEDED, FAILED (with the detail's error) or CANCELLED. Raises Stopped."""
    outputs = _outputs(running, component, detail)
    given = _executor_input(running, parameters, artifacts, outputs, component, detail)
    present = {name for name, value in parameters.items() if value is not None} | {k for k, v in artifacts.items() if v}
    single = _single(running, given, detail)

    def filled(text: str) -> str:
        return placeholders.fill(text, lambda inner: placeholders.value_of(inner, given, single))

    environment: dict[str, str] = {}
    for variable in container.env:
        environment[variable.name] = placeholders.expand(filled(variable.value), environment)
    command = [
        placeholders.expand(word, environment)
        for part in (container.command, container.args)
        for word in (filled(one) for one in placeholders.conditional(part, present))
    ]
    code, problem = _execute(running, container.image, command, environment, detail)
    with running.changed:
        if running.canceling:
            return CANCELLED
        raise_if_stopping(running)
    try:
        if problem or code:
            words = problem or f"The replica workerpool0-0 exited with a non-zero status of {code}."
            raise ApiError("FAILED_PRECONDITION", words)
        _collect(running, component, given, outputs, detail)
    except ApiError as error:
        with running.changed:
            detail.error.CopyFrom(status_of(error))
        return FAILED
    return SUCCEEDED


def raise_if_stopping(running: Running) -> None:
    """Leave a task as it is when the emulator ends. Raises Stopped."""
    from penstock_vertex_emulator.running import Stopped

    if running.stopping:
        raise Stopped


def _execute(
    running: Running, image: str, command: list[str], environment: dict[str, str], detail: Any
) -> tuple[int, str]:
    """The exit code, or what kept the command from starting."""
    places = running.places
    if image.partition("/")[0].endswith(".invalid"):
        return 0, f'Failed to pull image "{image}": its registry does not exist.'
    places.work.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=places.work))
    project, job = running.job.name.split("/")[1], detail.executor_detail.container_detail.main_job.rpartition("/")[2]
    agent, log = places.agents.follow(project, job), places.agents.file(project, job)
    try:
        everything = {**_own_environment(running, folder), **environment}
        with running.changed:
            if running.canceling or running.stopping:
                return 0, ""
            try:
                step = places.processes.start(command, everything, folder, log)
            except (OSError, ValueError) as error:
                with log.open("a", errors="backslashreplace") as file:
                    file.write(f"{command[0]}: {error}\n")
                return 127, f"The command {command[0]!r} could not be started: {error}."
            running.steps.add(step)
        agent.start()
        try:
            return step.wait(), ""
        finally:
            with running.changed:
                running.steps.discard(step)
                running.changed.notify_all()
    finally:
        agent.end()  # before anybody sees that the attempt has ended
        shutil.rmtree(folder, ignore_errors=True)


def _own_environment(running: Running, folder: Path) -> dict[str, str]:
    """What every step finds: nothing of the emulator's own environment but a path on which its interpreter is first."""
    own = str(Path(sys.executable).parent)
    return {
        "PATH": os.pathsep.join((own, "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")),
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "LANG": "C.UTF-8",
        "PENSTOCK_GCS": str(running.places.storage.folder),
        "CLOUD_ML_PROJECT_ID": running.job.name.split("/")[1],
    }


def _outputs(running: Running, component: Any, detail: Any) -> dict[str, Any]:
    """Fresh places for what the attempt makes: artifacts, and the uri of its folder."""
    root = running.job.runtime_config.gcs_output_directory.rstrip("/")
    project = running.job.name.split("/")[1]
    base = f"{root}/{project}/{running.id}/{detail.task_unique_name}_{detail.task_id}"
    places = running.places.storage
    folder = Path(places.local(base))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    made = {
        key: artifact(running, detail, key, declared.artifact_type.schema_title, f"{base}/{key}")
        for key, declared in component.output_definitions.artifacts.items()
    }
    # Values come back through files that no bucket shows.
    files = places.staging.parent / "values" / hashlib.sha256(base.encode()).hexdigest()[:32]
    shutil.rmtree(files, ignore_errors=True)
    files.mkdir(parents=True)
    return {"base": base, "artifacts": made, "files": files}


def artifact(running: Running, detail: Any, key: str, schema: str, uri: str) -> Any:
    """The metadata of an artifact that a task makes."""
    number = int.from_bytes(hashlib.sha256(f"{detail.execution.name}/{key}".encode()).digest()[:7])
    return vertex().Artifact(
        name=f"{running.details.location}/metadataStores/default/artifacts/{number}",
        display_name=key,
        uri=uri,
        schema_title=schema or "system.Artifact",
        schema_version="0.0.1",
        state=2,  # LIVE
        create_time=now(),
        update_time=now(),
    )


def _executor_input(
    running: Running,
    parameters: dict[str, Any],
    artifacts: dict[str, list[Any]],
    outputs: dict[str, Any],
    component: Any,
    detail: Any,
) -> dict[str, Any]:
    """What the container is told, as KFP's `ExecutorInput` in JSON, with `path` beside each `uri`."""

    def told(one: Any) -> dict[str, Any]:
        return {
            "name": one.name,
            "uri": one.uri,
            "path": running.places.storage.local(one.uri),
            "type": {"schemaTitle": one.schema_title, "schemaVersion": one.schema_version},
            "metadata": placeholders.whole(data_of(one.metadata)),
        }

    return {
        "inputs": {
            "parameterValues": placeholders.whole({key: one for key, one in parameters.items() if one is not None}),
            "artifacts": {key: {"artifacts": [told(one) for one in found]} for key, found in artifacts.items()},
        },
        "outputs": {
            "parameters": {
                key: {"outputFile": str(outputs["files"] / key)} for key in component.output_definitions.parameters
            },
            "artifacts": {key: {"artifacts": [told(one)]} for key, one in outputs["artifacts"].items()},
            "outputFile": str(outputs["files"] / ".executor_output.json"),
        },
    }


def _single(running: Running, given: dict[str, Any], detail: Any) -> dict[str, str]:
    whole = _as_executor_input(given)
    text = json.dumps(whole, ensure_ascii=False)
    escaped = json.dumps(text, ensure_ascii=False)[1:-1]
    job = running.job
    moment = job.create_time.ToJsonString()
    return {
        "": text,
        ".json_escape[0]": text,
        ".json_escape[1]": escaped,
        ".pipeline_job_name": running.id,
        ".pipeline_job_resource_name": job.name,
        ".pipeline_job_uuid": str(int.from_bytes(hashlib.sha256(job.name.encode()).digest()[:7])),
        ".pipeline_task_name": detail.task_name,
        ".pipeline_task_uuid": str(detail.task_id),
        ".pipeline_task_resource_name": detail.execution.name,
        ".pipeline_root": job.runtime_config.gcs_output_directory,
        ".pipeline_job_create_time_utc": moment,
        ".pipeline_job_schedule_time_utc": moment,
        ".pipeline_google_cloud_location": job.name.split("/")[3],
        ".pipeline_service_account": job.service_account,
        ".outputs.output_file": given["outputs"]["outputFile"],
        ".outputs.output_metadata_uri": given["outputs"]["outputFile"],
    }


def _as_executor_input(given: dict[str, Any]) -> dict[str, Any]:
    """Without `path`, which the message does not have: a program of kfp maps `gs://` to `/gcs/` by itself."""
    copied = json.loads(json.dumps(given))
    for side in ("inputs", "outputs"):
        for found in copied[side]["artifacts"].values():
            for one in found["artifacts"]:
                del one["path"]
    return dict(copied)


def _collect(running: Running, component: Any, given: dict[str, Any], outputs: dict[str, Any], detail: Any) -> None:
    """Read what a successful attempt made. Raises ApiError."""
    said = _said(given)
    values: dict[str, Any] = {}
    for name, declared in component.output_definitions.parameters.items():
        if name in said.get("parameterValues", {}):
            values[name] = said["parameterValues"][name]
        else:
            file = Path(given["outputs"]["parameters"][name]["outputFile"])
            if not file.is_file():
                raise ApiError("FAILED_PRECONDITION", f"The output parameter {name!r} was not written.")
            values[name] = _typed(file, declared.parameter_type, name)
        check_value(values[name], declared.parameter_type, f"output parameter {name!r}")
    running.details.note(detail, "output", values)
    with running.changed:
        detail.outputs.clear()
        for name, made in outputs["artifacts"].items():
            for change in said.get("artifacts", {}).get(name, {}).get("artifacts", [])[:1]:
                made.uri = change.get("uri", made.uri)
                made.metadata.update(change.get("metadata", {}))
            detail.outputs[name].artifacts.add().CopyFrom(made)
    shutil.rmtree(outputs["files"], ignore_errors=True)


def _said(given: dict[str, Any]) -> dict[str, Any]:
    file = Path(given["outputs"]["outputFile"])
    if not file.is_file():
        return {}
    try:
        found = json.loads(file.read_bytes())
    except ValueError as error:
        raise ApiError("FAILED_PRECONDITION", f"The executor's output file is no JSON: {error}.") from None
    return found if isinstance(found, dict) else {}


def _typed(file: Path, kind: int, name: str) -> Any:
    """A written value by its type: text as it is, everything else as JSON."""
    from penstock_vertex_emulator.messages import ir

    try:
        text = file.read_bytes().decode()
        if ir().ParameterType.ParameterTypeEnum.Name(kind) == "STRING":
            return text
        value = json.loads(text)
    except ValueError as error:
        raise ApiError("FAILED_PRECONDITION", f"The output parameter {name!r} cannot be read: {error}.") from None
    if isinstance(value, float) and not math.isfinite(value):
        raise ApiError("FAILED_PRECONDITION", f"The output parameter {name!r} is {text}, which is no number in JSON.")
    return value
