"""A PipelineSpec in the form the engine reads, and everything that can be wrong with one before it runs.

The proto types catch wrong fields and types; what hides in names (components, executors, producers, placeholders) and
what lies in a circle is looked for here, because the SDK sends all of it. Which code Google answers is a guess.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from penstock_vertex_emulator import placeholders
from penstock_vertex_emulator.errors import invalid, unsupported
from penstock_vertex_emulator.messages import data_of, ir, parse_data

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,127}")
_ENV = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SAFE = 2**53 - 1


class Spec:
    """A checked PipelineSpec. Raises ApiError for one that Vertex AI could not run, or that the emulator cannot."""

    def __init__(self, document: Any) -> None:
        self.message = parse_data(document, ir().PipelineSpec(), "pipelineSpec")
        config = parse_data(
            data_of(self.message.deployment_spec), ir().PipelineDeploymentConfig(), "pipelineSpec.deploymentSpec"
        )
        self.components = self.message.components
        self.executors = config.executors
        self.root = self.message.root
        name = self.message.pipeline_info.name
        if not _NAME.fullmatch(name):
            raise invalid(f"pipelineSpec.pipelineInfo.name: {name!r} does not match {_NAME.pattern}")
        if self.message.schema_version != "2.1.0":
            raise unsupported(f"pipelineSpec.schemaVersion {self.message.schema_version!r}, not 2.1.0")
        if self.root.WhichOneof("implementation") != "dag":
            raise invalid("pipelineSpec.root.dag: missing")
        self._check_component(self.root, "root", ())

    def component(self, task: Any) -> Any:
        """The component of a task."""
        return self.components[task.component_ref.name]

    def _check_component(self, component: Any, where: str, inside: tuple[str, ...]) -> None:
        for made in (*component.output_definitions.parameters, *component.output_definitions.artifacts):
            _check_part(made, f"{where}.outputDefinitions[{made}]")
        kind = component.WhichOneof("implementation")
        if kind is None:
            raise invalid(f"{where}: neither dag nor executorLabel")
        if kind == "executor_label":
            self._check_executor(component, where)
            return
        tasks = dict(sorted(component.dag.tasks.items()))  # a map has no order, and the first fault is told
        for name, task in tasks.items():
            reference = task.component_ref.name
            here = f"{where}.dag.tasks[{name}]"
            _check_part(name, here)
            if reference not in self.components:
                raise invalid(f"{here}.componentRef: there is no component {reference!r}")
            if reference in inside:
                raise invalid(f"{here}.componentRef: component {reference!r} holds itself")
        for name, task in tasks.items():
            here = f"{where}.dag.tasks[{name}]"
            for producer in task.dependent_tasks:
                if producer not in tasks:
                    raise invalid(f"{here}.dependentTasks: there is no task {producer!r}")
            self._check_inputs(component, task, here)
            if task.WhichOneof("iterator") is not None:
                raise unsupported(f"{here}: an iterator")
            if task.trigger_policy.condition:
                raise unsupported(f"{here}.triggerPolicy.condition")
            reference = task.component_ref.name
            self._check_component(self.components[reference], f"components[{reference}]", (*inside, reference))
        _refuse_circles(tasks, where)
        self._check_outputs(component, where)

    def _check_inputs(self, parent: Any, task: Any, where: str) -> None:
        definitions = self.component(task).input_definitions
        tasks = parent.dag.tasks
        helpers = _helpers(task)
        for kind in ("parameters", "artifacts"):
            given, declared = getattr(task.inputs, kind), getattr(definitions, kind)
            for name in given:
                if name not in declared and name not in helpers:
                    raise invalid(f"{where}.inputs.{kind}[{name}]: its component has no such input")
            for name, definition in declared.items():
                optional = definition.is_optional or (kind == "parameters" and definition.HasField("default_value"))
                if name not in given and not optional:
                    raise invalid(f"{where}.inputs.{kind}[{name}]: missing")
        for name, source in task.inputs.parameters.items():
            here = f"{where}.inputs.parameters[{name}]"
            wanted = definitions.parameters[name].parameter_type if name in definitions.parameters else None
            if source.parameter_expression_selector:
                raise unsupported(f"{here}.parameterExpressionSelector")
            which = source.WhichOneof("kind")
            if which == "task_output_parameter":
                found = source.task_output_parameter
                made = self._output(tasks, found.producer_task, "parameters", found.output_parameter_key, here)
                _same_type(made.parameter_type, wanted, here)
            elif which == "component_input_parameter":
                if source.component_input_parameter not in parent.input_definitions.parameters:
                    raise invalid(f"{here}: its dag has no input {source.component_input_parameter!r}")
                held = parent.input_definitions.parameters[source.component_input_parameter].parameter_type
                _same_type(held, wanted, here)
            elif which == "runtime_value":
                if source.runtime_value.WhichOneof("value") != "constant":
                    raise unsupported(f"{here}.runtimeValue without a constant")
                if wanted is not None:
                    check_value(data_of(source.runtime_value.constant), wanted, here)
            elif which == "task_final_status":
                if source.task_final_status.producer_task not in tasks:
                    raise invalid(f"{here}: there is no task {source.task_final_status.producer_task!r}")
            else:
                raise invalid(f"{here}: no value")
        for name, source in task.inputs.artifacts.items():
            here = f"{where}.inputs.artifacts[{name}]"
            which = source.WhichOneof("kind")
            if which == "task_output_artifact":
                found = source.task_output_artifact
                self._output(tasks, found.producer_task, "artifacts", found.output_artifact_key, here)
            elif which == "component_input_artifact":
                if source.component_input_artifact not in parent.input_definitions.artifacts:
                    raise invalid(f"{here}: its dag has no input {source.component_input_artifact!r}")
            else:
                raise invalid(f"{here}: no artifact")

    def _check_outputs(self, component: Any, where: str) -> None:
        outputs = component.dag.outputs
        for kind in ("parameters", "artifacts"):
            declared = getattr(component.output_definitions, kind)
            for name in getattr(outputs, kind):
                if name not in declared:
                    raise invalid(f"{where}.dag.outputs.{kind}[{name}]: the component has no such output")
        for name, output in outputs.artifacts.items():
            for one in output.artifact_selectors:
                here = f"{where}.dag.outputs.artifacts[{name}]"
                self._output(component.dag.tasks, one.producer_subtask, "artifacts", one.output_artifact_key, here)
        for name, output in outputs.parameters.items():
            here = f"{where}.dag.outputs.parameters[{name}]"
            for one in selectors(output):
                self._output(component.dag.tasks, one.producer_subtask, "parameters", one.output_parameter_key, here)

    def _output(self, tasks: Any, task: str, kind: str, key: str, where: str) -> Any:
        if task not in tasks:
            raise invalid(f"{where}: there is no task {task!r}")
        declared = getattr(self.component(tasks[task]).output_definitions, kind)
        if key not in declared:
            raise invalid(f"{where}: task {task!r} has no output {key!r}")
        return declared[key]

    def _check_executor(self, component: Any, where: str) -> None:
        label = component.executor_label
        if label not in self.executors:
            raise invalid(f"{where}.executorLabel: there is no executor {label!r}")
        executor = self.executors[label]
        kind = executor.WhichOneof("spec")
        if kind == "importer":
            return
        if kind != "container":
            raise unsupported(f"executors[{label}]: an executor of kind {kind}")
        container = executor.container
        if not container.image:
            raise invalid(f"executors[{label}].container.image: missing")
        if not container.command:
            raise unsupported(
                f"executors[{label}].container without a command: what the image starts is not known here"
            )
        names = {
            (side, kind): set(getattr(getattr(component, f"{side[:-1]}_definitions"), kind))
            for side in ("inputs", "outputs")
            for kind in ("parameters", "artifacts")
        }
        for position, word in enumerate((*container.command, *container.args)):
            placeholders.check(word, names, f"executors[{label}].container, word {position}")
        for variable in container.env:
            if not _ENV.fullmatch(variable.name):
                raise invalid(f"executors[{label}].container.env: {variable.name!r} is no name of a variable")
            placeholders.check(variable.value, names, f"executors[{label}].container.env[{variable.name}]")


def selectors(output: Any) -> list[Any]:
    """Where an output parameter of a dag may come from."""
    if output.WhichOneof("kind") == "value_from_parameter":
        return [output.value_from_parameter]
    return list(output.value_from_oneof.parameter_selectors)


def producers(task: Any) -> Iterator[str]:
    """The tasks that must have ended before this one: said, or needed for its inputs."""
    yield from task.dependent_tasks
    for source in task.inputs.parameters.values():
        if source.HasField("task_output_parameter"):
            yield source.task_output_parameter.producer_task
        elif source.HasField("task_final_status"):
            yield source.task_final_status.producer_task
    for source in task.inputs.artifacts.values():
        if source.HasField("task_output_artifact"):
            yield source.task_output_artifact.producer_task


def bind(root: Any, given: Any, where: str = "runtimeConfig.parameterValues") -> dict[str, Any]:
    """The values of the pipeline's parameters: given, by default, or empty. Raises ApiError."""
    declared = root.input_definitions.parameters
    for name in given:
        if name not in declared:
            raise invalid(f"{where}: the pipeline has no parameter {name!r}")
    found: dict[str, Any] = {}
    for name, definition in declared.items():
        if name in given:
            found[name] = data_of(given[name])
        elif definition.HasField("default_value"):
            found[name] = data_of(definition.default_value)
        elif definition.is_optional:
            found[name] = None
            continue
        else:
            raise invalid(f"{where}: the parameter {name!r} is missing")
        check_value(found[name], definition.parameter_type, f"{where}[{name}]")
    return found


def check_value(value: Any, kind: int, where: str) -> None:
    """Refuse a value that is not of the parameter's type. Raises ApiError."""
    name = ir().ParameterType.ParameterTypeEnum.Name(kind)
    number = isinstance(value, float | int) and not isinstance(value, bool)
    fits = {
        "STRING": isinstance(value, str),
        "BOOLEAN": isinstance(value, bool),
        "LIST": isinstance(value, list),
        "STRUCT": isinstance(value, dict),
        "NUMBER_DOUBLE": number,
        "NUMBER_INTEGER": number and float(value).is_integer() and abs(value) <= _SAFE,
    }
    if not fits.get(name, False):
        raise invalid(f"{where}: {placeholders.as_text(value)!r:.100} is not of type {name}")


def _helpers(task: Any) -> set[str]:
    """Inputs that only constants of the same task name by a placeholder: kfp declares them in no component."""
    constants = (
        source.runtime_value.constant.string_value
        for source in task.inputs.parameters.values()
        if source.HasField("runtime_value")
    )
    return {
        placeholders.input_parameter(found[1])
        for constant in constants
        for found in placeholders.PLACEHOLDER.finditer(constant)
    }


def _check_part(name: str, where: str) -> None:
    """Refuse a name that cannot be a part of the path that files of a task lie at."""
    if not name or name.startswith(".") or "/" in name or len(name.encode()) > 200 or not name.isprintable():
        raise invalid(f"{where}: {name!r} cannot be a part of a path")


def _same_type(made: int, wanted: int | None, where: str) -> None:
    if wanted is not None and made != wanted:
        names = ir().ParameterType.ParameterTypeEnum.Name
        raise invalid(f"{where}: the value is of type {names(made)}, the input of type {names(wanted)}")


def _refuse_circles(tasks: Any, where: str) -> None:
    left = {name: set(producers(task)) for name, task in tasks.items()}
    while left:
        free = [name for name, needed in left.items() if not needed & left.keys()]
        if not free:
            raise invalid(f"{where}.dag.tasks: {', '.join(sorted(left))} wait for each other")
        for name in free:
            del left[name]
