"""Every key that a document may have is explained, in its schema and in docs/reference.md, which is written from that.

`python tests/test_reference.py` writes the page.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock import codec
from penstock.config import workspace_schema
from penstock.spec.values import TYPES
from penstock_azureml.options import AzuremlOptions
from penstock_local.options import LocalOptions
from penstock_vertex.options import VertexOptions

PAGE = Path(__file__).parents[1] / "docs" / "reference.md"
RULE = "<!-- written by tests/test_reference.py from here on -->\n"
SCHEMAS = {
    "Pipeline": codec.schema("Pipeline"),
    "penstock.yaml": workspace_schema(),
    "A target of the backend `local`": codec.schema_of(LocalOptions),
    "A target of the backend `vertex`": codec.schema_of(VertexOptions),
    "A target of the backend `azureml`": codec.schema_of(AzuremlOptions),
}
HEADER = {"apiVersion", "kind"}


def objects(title: str, schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a schema by what they are called."""
    yield title, schema
    for key, value in schema["properties"].items():
        if value.get("properties"):
            yield f"`{key}`", value
    for name, value in schema.get("$defs", {}).items():
        yield name, value


ALL = [(title, one) for name, schema in SCHEMAS.items() for title, one in objects(name, schema)]


@pytest.mark.parametrize(("title", "one"), ALL, ids=[title for title, _ in ALL])
def test_every_key_is_explained_in_whole_sentences_by_its_written_name(title: str, one: dict[str, Any]) -> None:
    for key, value in one["properties"].items():
        if key not in HEADER:
            told = value["description"]
            assert "properties" in value or f"`{key}`" in told, key
            assert told[-1] == "." and told[0] in "`ABCDEFGHIJKLMNOPQRSTUVWXYZ", told
    keys = {each for _, other in ALL for each in other["properties"]}
    snake = {re.sub("[A-Z]", lambda found: f"_{found[0].lower()}", each) for each in keys} - keys
    assert not snake & set(re.findall(r"`(\w+)`", json.dumps(one)))


def test_the_page_says_what_the_classes_say_and_explains_every_type() -> None:
    assert PAGE.read_text() == page(), "`python tests/test_reference.py` writes docs/reference.md anew"
    head, _, _ = PAGE.read_text().partition(RULE)
    assert set(TYPES) <= set(re.findall(r"^\| `(\w+)` \|", head, re.M))


def page() -> str:
    """The page of the documentation: what is written by hand, and a table for each object."""
    head, rule, _ = PAGE.read_text().partition(RULE)
    return head + rule + "".join(_table(title, one) for title, one in ALL)


def _table(title: str, one: dict[str, Any]) -> str:
    level = "##" if title in SCHEMAS else "###"
    about = "" if title in SCHEMAS else f"{one['description'].partition('. ')[0].rstrip('.')}.\n\n"
    rows = [_row(key, value, key in one.get("required", ())) for key, value in one["properties"].items()]
    return f"\n{level} {title}\n\n{about}| key | takes | what it is |\n|---|---|---|\n{''.join(rows)}"


def _row(key: str, value: dict[str, Any], required: bool) -> str:
    told = value.get("description", "") if "properties" not in value else "See below."
    if key in HEADER:
        told = f"Always `{value['const']}`."
    default = f"; `{json.dumps(value['default'])}`" if "default" in value else ""
    takes = f"{_takes(value)}{default}{'; required' if required else ''}".replace("|", "\\|")
    return f"| `{key}` | {takes} | {told} |\n"


def _takes(value: dict[str, Any]) -> str:
    """What a schema takes, in words."""
    if "const" in value:
        return "text"
    if "enum" in value:
        return ", ".join(f"`{each}`" for each in value["enum"])
    if "$ref" in value:
        return str(value["$ref"].rpartition("/")[2])
    if "anyOf" in value:
        return " or ".join(dict.fromkeys(_takes(each) for each in value["anyOf"] if each != {"type": "null"}))
    kinds = value.get("type", "anything")
    words = {"string": "text", "array": "list", "object": "mapping", "boolean": "true or false"}
    text = " or ".join(words.get(one, one) for one in ([kinds] if isinstance(kinds, str) else kinds) if one != "null")
    items = value.get("items") or value.get("additionalProperties")
    return f"{text} of {_takes(items)}" if isinstance(items, dict) and items else text


if __name__ == "__main__":
    PAGE.write_text(page())
