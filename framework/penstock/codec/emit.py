"""A pipeline as YAML that people read, and that reads back as the same pipeline."""

from __future__ import annotations

from typing import Any

import yaml

from penstock.codec.canonical_form import canonical
from penstock.codec.parsing import resolve
from penstock.spec import Pipeline

_TAGS = {str: "str", int: "int", float: "float", bool: "bool", type(None): "null"}


def to_yaml(pipeline: Pipeline) -> str:
    """The canonical form as YAML. Texts that YAML 1.2 would read as something else are quoted."""
    return str(
        yaml.dump(
            canonical(pipeline), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None
        )
    )


class _Dumper(yaml.SafeDumper):
    """Asks our own resolver what a plain word would be read as, instead of the tables of YAML 1.1."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        if kind is yaml.ScalarNode and implicit[0]:
            return _tag(value)
        return str(super().resolve(kind, value, implicit))  # type: ignore[no-untyped-call]  # so are the stubs

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _tag(text: str) -> str:
    try:
        name = _TAGS[type(resolve(text))]
    except ValueError:
        name = "int"
    return f"tag:yaml.org,2002:{name}"


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    lines = text.split("\n")
    style = None
    if not all(map(str.isprintable, lines)):
        style = '"'  # the emitter would take some of these characters for line breaks, as YAML 1.1 did
    elif len(lines) > 1 and lines[0] and all(line == line.strip() for line in lines):
        style = "|"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _number(dumper: yaml.SafeDumper, number: float) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:float", repr(number))


_Dumper.add_representer(str, _text)
_Dumper.add_representer(float, _number)
