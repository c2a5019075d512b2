"""Hypothesis strategies for valid pipelines and values, with all the text that likes to break things.

keys(), names(), hostile_text()        text of a spec, of names, and text that gets mangled on its way
parameters(), declarations()           parameters of every type with every limit
values_for(p), values_outside(p)       values that a parameter takes, and those it refuses, each with the code
values_of(ps), wrong_values(ps)        the same for all the parameters of a trigger
pipelines()                            valid documents: everything a spec can say
runnable_pipelines(python)             pipelines of the probe, of which `penstock.testing.probes.expected` knows
                                       everything that they must give
"""

from penstock.testing.strategies.documents import pipelines
from penstock.testing.strategies.parameters import declarations, parameters, values_of, wrong_values
from penstock.testing.strategies.runnable import runnable_pipelines
from penstock.testing.strategies.text import hostile_text, keys, names
from penstock.testing.strategies.values import json_values, values_for, values_outside

__all__ = [
    "declarations",
    "hostile_text",
    "json_values",
    "keys",
    "names",
    "parameters",
    "pipelines",
    "runnable_pipelines",
    "values_for",
    "values_of",
    "values_outside",
    "wrong_values",
]
