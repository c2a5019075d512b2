"""One node of a job: its inputs, where its outputs go, and its command as a process of this machine."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock_azureml_emulator import data
from penstock_azureml_emulator.arm import GROUP, SUBSCRIPTION, WORKSPACE, WORKSPACE_ID
from penstock_azureml_emulator.errors import invalid
from penstock_azureml_emulator.graph import literal, output_binding, timeout
from penstock_azureml_emulator.reuse import key_of
from penstock_azureml_emulator.spec import DATA, EXPRESSION, FILES, check_value, render

if TYPE_CHECKING:
    from penstock_azureml_emulator.running import Running, Scope

_SHELL = ("/bin/bash", "-c")
_OWN = ("${{name}}", "${{output_name}}")


def run_node(running: Running, scope: Scope, name: str, child: dict[str, Any]) -> str:
    """Run a node to its end; Completed, Failed (of a pipeline) or Canceled. Raises ArmError (it failed), Stopped."""
    from penstock_azureml_emulator.running import Scope

    node = scope.spec["jobs"][name]
    inputs = _inputs(running, scope, node)
    places = _places(running, scope, name, node, child["run"])
    with running.changed:
        child["inputs"] = inputs
        running.save()
    if node["spec"]["type"] == "pipeline":
        inner = Scope(f"{child['path']}/", child["run"], node["spec"], inputs, places)
        with running.changed:
            child["status"] = "Running"
            running.save()
        state = running.run_graph(inner)
        with running.changed:
            child["outputs"] = running.made(inner)
        return state
    given = {key: uri for key, uri in places.items() if child["run"] not in uri}
    key = key_of(node, inputs, given, running.settings)
    found = running.places.reuse.find(key) if key else None
    if found is not None:
        with running.changed:
            child["reused"], child["outputs"] = found
        return "Completed"
    state = _run_command(running, node, child, inputs, places)
    if key and state == "Completed":
        running.places.reuse.keep(key, child["run"], child["outputs"])
    return state


def _run_command(
    running: Running, node: dict[str, Any], child: dict[str, Any], inputs: dict[str, Any], places: dict[str, str]
) -> str:
    """Run a command node to its end; Completed or Canceled. Raises ArmError, Stopped."""
    from penstock_azureml_emulator.running import Stopped

    work = running.places.work
    work.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=work))
    try:
        code, timed_out = _execute(running, node, child, inputs, folder)
        with running.changed:
            if running.stopping:
                raise Stopped
        for key, definition in (node["spec"].get("outputs") or {}).items():
            data.bring_out(running.places.storage, folder / "outputs" / key, places[key])
            with running.changed:
                child["outputs"][key] = {"uri": places[key], "type": definition["type"]}
        with running.changed:
            if running.canceling:
                return "Canceled"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if timed_out:
        raise invalid(f"Job execution time exceeded the limit of {node['limits']['timeout']} and was canceled.")
    if code:
        raise invalid(
            f"Execution failed. User process '{_SHELL[0]}' exited with status code {code}. Please check log file"
            f" 'user_logs/std_log.txt' for error details.{_tail(running.places.log(child['run']))}"
        )
    return "Completed"


def _execute(
    running: Running, node: dict[str, Any], child: dict[str, Any], inputs: dict[str, Any], folder: Path
) -> tuple[int, bool]:
    """The exit code of the command, and whether it took too long. Raises ArmError for data that is not there."""
    from penstock_azureml_emulator.running import Stopped

    spec, places = node["spec"], running.places
    wd = folder / "wd"
    wd.mkdir()
    log = places.log(child["run"])
    log.parent.mkdir(parents=True, exist_ok=True)
    log.touch()
    places.storage.blobs.show("azureml", f"ExperimentRun/dcid.{child['run']}/user_logs/std_log.txt", log)
    if spec.get("code"):
        data.bring_code(places.documents, places.storage, str(spec["code"]), wd)
    given, made = {}, {}
    for key, value in inputs.items():
        if isinstance(value, dict):
            path = folder / "inputs" / f"INPUT_{key}"
            data.bring_in(places.storage, value["uri"], spec["inputs"][key]["type"] in FILES, path)
            given[key] = str(path)
        else:
            given[key] = value
    for key, definition in (spec.get("outputs") or {}).items():
        path = folder / "outputs" / key
        (path.parent if definition["type"] in FILES else path).mkdir(parents=True, exist_ok=True)
        made[key] = str(path)
    (folder / "tmp").mkdir()
    command = [*_SHELL, render(spec["command"], given, made)]
    environment = {**_environment(running, child, folder), **_paths(given, made, inputs), **_variables(spec, node)}
    seconds = timeout(node)
    late = threading.Event()
    with running.changed:
        if running.stopping:
            raise Stopped
        if running.canceling or running.giving_up:
            return 1, False
        try:
            step = places.processes.start(command, environment, wd, log)
        except (OSError, ValueError) as error:
            raise invalid(f"Execution failed. The command could not be started: {error}.") from None
        running.steps.add(step)
        child["status"] = "Running"
        running.save()

    def end() -> None:
        late.set()
        step.end()

    timer = threading.Timer(seconds, end) if seconds else None
    if timer is not None:
        timer.daemon = True
        timer.start()
    try:
        return step.wait(), late.is_set()
    finally:
        if timer is not None:
            timer.cancel()
        with running.changed:
            running.steps.discard(step)
            running.changed.notify_all()


def _inputs(running: Running, scope: Scope, node: dict[str, Any]) -> dict[str, Any]:
    """The values of a node's inputs by the definitions of its component. Raises ArmError."""
    found: dict[str, Any] = {}
    for key, definition in (node["spec"].get("inputs") or {}).items():
        source = (node.get("inputs") or {}).get(key)
        value = _value(running, scope, literal(source), definition) if source is not None else None
        if value is None and definition.get("default") is not None:
            value = str(definition["default"])
        if value is None:
            continue
        if definition["type"] not in DATA:
            value = check_value(value, definition, f"the input {key}")
        found[key] = value
    return found


def _value(running: Running, scope: Scope, value: Any, definition: dict[str, Any]) -> Any:
    whole = EXPRESSION.fullmatch(value) if isinstance(value, str) else None
    if whole is not None:
        return _bound(running, scope, whole[1])
    if definition["type"] in DATA:
        return {"uri": data.resolve(running.places.documents, str(value)), "type": definition["type"]}
    if isinstance(value, str):
        return EXPRESSION.sub(lambda match: str(_bound(running, scope, match[1])), value)
    return None if value is None else str(value)


def _bound(running: Running, scope: Scope, expression: str) -> Any:
    """What an expression stands for, which the graph's check has found to be there."""
    parts = expression.split(".")
    if parts[1] == "inputs":
        return scope.inputs.get(parts[2])
    with running.changed:
        return running.live["children"][f"{scope.path}{parts[2]}"]["outputs"].get(parts[4])


def _places(running: Running, scope: Scope, name: str, node: dict[str, Any], run: str) -> dict[str, str]:
    """Where each output goes: where the node or the pipeline says, else below the run in the default datastore."""
    found = {}
    for key, definition in (node["spec"].get("outputs") or {}).items():
        source = (node.get("outputs") or {}).get(key)
        bound = output_binding(source) if source is not None else ""
        said = scope.places.get(bound) if bound else None
        if said is None and isinstance(source, dict):
            said = source.get("uri")
        if said:
            found[key] = str(said).replace(_OWN[0], run).replace(_OWN[1], key)
        elif node["spec"]["type"] == "command":
            store = str(running.settings.get("default_datastore") or "workspaceblobstore").rpartition("/")[2]
            end = "" if definition["type"] in FILES else "/"
            found[key] = f"azureml://datastores/{store}/paths/azureml/{run}/{key}{end}"
    return found


def _environment(running: Running, child: dict[str, Any], folder: Path) -> dict[str, str]:
    """What every step finds: nothing of the emulator's own environment but a path on which its interpreter is first.

    The names are those that azureml-core and mlflow's plugin for Azure ML read in a job.
    """
    own = str(Path(sys.executable).parent)
    experiment, url = running.job["experiment"], running.places.url()
    return {
        "PATH": os.pathsep.join((own, "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")),
        "HOME": str(folder / "tmp"),
        "TMPDIR": str(folder / "tmp"),
        "LANG": "C.UTF-8",
        "AZUREML_RUN_ID": child["run"],
        "AZUREML_ROOT_RUN_ID": running.name,
        "AZUREML_ARM_SUBSCRIPTION": SUBSCRIPTION,
        "AZUREML_ARM_RESOURCEGROUP": GROUP,
        "AZUREML_ARM_WORKSPACE_NAME": WORKSPACE,
        "AZUREML_ARM_PROJECT_NAME": experiment,
        "AZUREML_WORKSPACE_ID": WORKSPACE_ID,
        "AZUREML_SERVICE_ENDPOINT": url,
        "AZUREML_DISCOVERY_SERVICE_ENDPOINT": f"{url}/discovery",
        "MLFLOW_EXPERIMENT_NAME": experiment,
        "MLFLOW_RUN_ID": child["run"],
    }


def _paths(given: dict[str, str], made: dict[str, str], inputs: dict[str, Any]) -> dict[str, str]:
    """`AZURE_ML_INPUT_x` and `AZURE_ML_OUTPUT_x`: the paths of data."""
    data_only = {key: path for key, path in given.items() if isinstance(inputs[key], dict)}
    found = {f"AZURE_ML_INPUT_{key}": path for key, path in data_only.items()}
    return {**found, **{f"AZURE_ML_OUTPUT_{key}": path for key, path in made.items()}}


def _variables(spec: dict[str, Any], node: dict[str, Any]) -> dict[str, str]:
    """The component's variables, and over them the node's: as they are, nothing in them is replaced."""
    told = {**(spec.get("environment_variables") or {}), **(node.get("environment_variables") or {})}
    return {str(key): str(value) for key, value in told.items()}


def _tail(log: Path) -> str:
    """The last lines of a log, as Azure puts them into the error of a step."""
    if not log.is_file():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 1000))
        text = re.sub(r"\s+\Z", "", file.read(1000).decode("utf-8", "replace"))
    return f" Error: {text}" if text else ""
