"""Google's message types, read strictly: what they do not know is refused, also inside Struct."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from penstock_vertex_emulator.errors import ApiError, invalid


def parse(text: bytes | str, message: Any, where: str = "body") -> Any:
    """Read JSON into a message, strictly. Raises ApiError."""
    from google.protobuf import json_format

    try:
        return json_format.Parse(text, message, ignore_unknown_fields=False)
    except (json_format.ParseError, UnicodeDecodeError, RecursionError) as error:
        raise invalid(f"{where}: {_first(error)}") from None


def parse_data(data: Any, message: Any, where: str) -> Any:
    """Read data, such as a Struct held, into a message, strictly. Raises ApiError."""
    from google.protobuf import json_format

    try:
        return json_format.ParseDict(data, message, ignore_unknown_fields=False)
    except (json_format.ParseError, RecursionError, TypeError, ValueError) as error:
        raise invalid(f"{where}: {_first(error)}") from None


def data_of(message: Any) -> Any:
    """A message as data in proto3 JSON."""
    from google.protobuf import json_format

    return json_format.MessageToDict(message)


def text_of(message: Any, *, numbers: bool) -> str:
    """A message as JSON; enums as numbers where the caller asked for that."""
    from google.protobuf import json_format

    return str(json_format.MessageToJson(message, use_integers_for_enums=numbers, indent=None))


def refuse_unknown(message: Any, where: str = "request") -> None:
    """Refuse what a binary message holds and its type does not know. Raises ApiError."""
    from google.protobuf import unknown_fields

    extra = unknown_fields.UnknownFieldSet(message)
    if len(extra):
        raise invalid(f"{where}: unknown field number {extra[0].field_number}")
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for one in _each(field, value):
            refuse_unknown(one, f"{where}.{field.json_name}")


def _each(field: Any, value: Any) -> Iterable[Any]:
    if field.message_type.GetOptions().map_entry:
        return value.values() if field.message_type.fields_by_name["value"].message_type is not None else ()
    return value if field.is_repeated else (value,)


@cache
def vertex() -> Any:
    """Vertex AI's messages (v1), as the plain protobuf classes that the SDK wraps: an attribute for each name."""
    from google.cloud.aiplatform_v1 import types

    return _Plain(types)


class _Plain:
    def __init__(self, module: Any) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._module, name).pb()
        setattr(self, name, found)
        return found


def ir() -> Any:
    """The module of KFP's IR."""
    from kfp.pipeline_spec import pipeline_spec_pb2

    return pipeline_spec_pb2


def now() -> Any:
    """The time, as a Timestamp."""
    from google.protobuf.timestamp_pb2 import Timestamp

    moment = Timestamp()
    moment.GetCurrentTime()
    return moment


def status_of(error: ApiError) -> Any:
    """An error as a `google.rpc.Status`."""
    from google.rpc.status_pb2 import Status

    return Status(code=error.number, message=error.message)


def _first(error: Exception) -> str:
    return str(error).replace("\n", " ")
