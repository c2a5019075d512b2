"""The pipeline spec as attrs classes: what YAML, Python and every backend mean by a pipeline.

The classes only hold and normalise; how steps hang together is in `graph`, what is wrong with them in `problems`,
values in `values`, commands and placeholders in `command`. A class here and the YAML document have the same keys, in
camelCase there where Python has snake_case.
"""

from penstock.spec.parameters import ARTIFACT_TYPES, TYPES, Output, Parameter, Type, Value
from penstock.spec.pipeline import API_VERSION, Pipeline
from penstock.spec.shown import document_key
from penstock.spec.steps import Defaults, Resources, Retry, Step

__all__ = [
    "API_VERSION",
    "ARTIFACT_TYPES",
    "TYPES",
    "Defaults",
    "Output",
    "Parameter",
    "Pipeline",
    "Resources",
    "Retry",
    "Step",
    "Type",
    "Value",
    "document_key",
]
