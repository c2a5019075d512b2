"""Faults in taking a trigger: parameters and gates looked at too little, in the wrong order, or too late."""

from dataclasses import replace

from penstock.contract.target import Problem
from penstock.errors import ParameterInvalid, TargetRefused
from penstock.registry import Registry
from penstock.registry import acceptance as accepting
from penstock.targets.facade import TargetOperations
from penstock.workspace import parameters, triggers


def only_the_first_problem_is_told():
    """Of all that is wrong with the parameters of a trigger one thing is told."""
    _settle_as(lambda details: details[:1])


def problems_lose_their_paths():
    """What is wrong with parameters is told, but not of which."""
    _settle_as(lambda details: [replace(detail, path=()) for detail in details])


def ranges_are_not_checked():
    """A value out of range is accepted."""
    check = parameters.check
    parameters.check = lambda parameter, value: (
        detail for detail in check(parameter, value) if detail.code != "parameter_range"
    )


def booleans_pass_for_numbers():
    """`true` is taken for 1 where a number is wanted."""
    normalise = parameters.normalise

    def lenient(parameter, value):
        return normal(parameter, float(value) if parameter.type == "number" and isinstance(value, bool) else value)

    normal = parameters.check
    parameters.check = lenient
    parameters.normalise = lambda type_, value: normalise(type_, float(value) if type_ == "number" else value)
    render = parameters.render
    parameters.render = lambda type_, value: render(type_, float(value) if type_ == "number" else value)


def gates_are_looked_at_last():
    """The gate of an endpoint refuses only what has no wrong parameters."""
    resolve, refuse = Registry.resolve, accepting.refuse_endpoint

    def resolve_openly(self, order):
        accepting.refuse_endpoint = lambda endpoint: None
        try:
            return resolve(self, order)
        finally:
            accepting.refuse_endpoint = refuse

    Registry.resolve = resolve_openly


def parameters_come_before_keys():
    """A known idempotency key is looked at when gates and parameters have been."""
    resolve, replayed = Registry.resolve, accepting._replayed

    def resolve_anew(self, order):
        accepting._replayed = lambda tx, scope, key: None
        try:
            return resolve(self, order)
        finally:
            accepting._replayed = replayed

    Registry.resolve = resolve_anew


def unsupported_is_refused_at_run_time():
    """The target takes pipelines that ask for a gpu, and refuses their runs."""
    publish, submit = TargetOperations.publish, TargetOperations.submit
    beyond = set()

    def publish_all(self, target, snapshot, compiled):
        published = publish(self, target, snapshot, compiled)
        if any(step.resources and step.resources.gpu for step in snapshot.pipeline.steps.values()):
            beyond.add(published.external)
        return published

    def submit_some(self, target, run):
        if run.publication.external in beyond:
            raise TargetRefused("there is no gpu here")
        return submit(self, target, run)

    TargetOperations.publish, TargetOperations.submit = publish_all, submit_some


def what_is_unsupported_has_no_place():
    """The target names a place that the pipeline does not have."""
    problem = Problem(
        severity="warning", code="slow", message="this is slow here", path=("steps", "slow-one", "command")
    )
    validate = TargetOperations.validate
    TargetOperations.validate = lambda self, target, pipeline: (*validate(self, target, pipeline), problem)


def _settle_as(change):
    settle = triggers.settle

    def settle_and_tell(*arguments, **named):
        try:
            return settle(*arguments, **named)
        except ParameterInvalid as error:
            raise ParameterInvalid.of(change(error.details)) from None

    triggers.settle = settle_and_tell


FAULTS = {
    6: (
        only_the_first_problem_is_told,
        problems_lose_their_paths,
        ranges_are_not_checked,
        booleans_pass_for_numbers,
        gates_are_looked_at_last,
        parameters_come_before_keys,
        unsupported_is_refused_at_run_time,
        what_is_unsupported_has_no_place,
    ),
}
