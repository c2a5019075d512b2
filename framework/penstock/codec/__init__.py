"""The one codec: documents to attrs classes and back, canonical form, schemas, and records as plain data.

Everything is loaded on first use: a listing needs `to_data` and should not wait for YAML.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.codec.canonical_form import canonical, canonical_json, to_json
    from penstock.codec.canonical_reader import from_canonical
    from penstock.codec.data import fields_of, json_default, read_time, time_text, to_data
    from penstock.codec.documents import (
        checked,
        load_document,
        load_pipeline,
        parse_pipeline,
        pipeline_in,
        pipeline_of,
    )
    from penstock.codec.emit import to_yaml
    from penstock.codec.json_reading import read_json
    from penstock.codec.reading import Document, read_yaml
    from penstock.codec.schemas import KINDS, answer_schema, schema, schema_of
    from penstock.codec.structuring import structure

_HOMES = {
    "canonical_form": ("canonical", "canonical_json", "to_json"),
    "data": ("fields_of", "json_default", "read_time", "time_text", "to_data"),
    "documents": ("checked", "load_document", "load_pipeline", "parse_pipeline", "pipeline_in", "pipeline_of"),
    "emit": ("to_yaml",),
    "json_reading": ("read_json",),
    "canonical_reader": ("from_canonical",),
    "reading": ("Document", "read_yaml"),
    "schemas": ("KINDS", "answer_schema", "schema", "schema_of"),
    "structuring": ("structure",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "KINDS",
    "Document",
    "answer_schema",
    "canonical",
    "canonical_json",
    "checked",
    "fields_of",
    "from_canonical",
    "json_default",
    "load_document",
    "load_pipeline",
    "parse_pipeline",
    "pipeline_in",
    "pipeline_of",
    "read_json",
    "read_time",
    "read_yaml",
    "schema",
    "schema_of",
    "structure",
    "time_text",
    "to_data",
    "to_json",
    "to_yaml",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value
