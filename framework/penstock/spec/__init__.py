"""The pipeline spec as attrs classes: what YAML, Python and every backend mean by a pipeline.

The classes only hold and normalise. What a key means beyond its type stands beside it (`keys`), what a class must
keep to in `checks`; `problems` puts both to a whole pipeline, `graph` says how steps hang together. Values are in
`values` and `binding`, what stands for one that is not there in `optional`, commands and placeholders in `command`. A
class here and the YAML document have the same keys, in camelCase there where Python has snake_case.
"""

from penstock.spec.keys import document_key
from penstock.spec.parameters import Output, Parameter
from penstock.spec.pipeline import API_VERSION, Pipeline
from penstock.spec.steps import Defaults, Resources, Retry, Step
from penstock.spec.values import ARTIFACT_TYPES, TYPES, Type, Value

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
