"""Doors that make something else of values."""

from __future__ import annotations

from planting.requests import TRIGGERS, bodies


def values_are_typed_by_their_looks():
    """Text that reads like a number is a number."""
    bodies("POST", TRIGGERS, lambda data: {**data, "parameters": _each(data.get("parameters", {}), _typed)})


def text_is_trimmed():
    """Space around text is taken away."""
    bodies(
        "POST",
        TRIGGERS,
        lambda data: {**data, "ParameterAssignments": _each(data.get("ParameterAssignments", {}), _trimmed)},
    )


def numbers_are_floats():
    """Every whole number goes by way of a float."""
    bodies("POST", TRIGGERS, lambda data: {**data, "parameters": _each(data.get("parameters", {}), _float)})


def _each(values, change):
    return {name: change(value) for name, value in values.items()}


def _typed(value):
    return float(value) if isinstance(value, str) and value.replace("e", "").isdigit() else value


def _trimmed(value):
    return value.strip() if isinstance(value, str) else value


def _float(value):
    return int(float(value)) if type(value) is int else value


CASES = {
    values_are_typed_by_their_looks: ("http", "values_reach_the_step"),
    text_is_trimmed: ("azureml_v1", "text_stays_text"),
    numbers_are_floats: ("http", "values_reach_the_step"),
}
