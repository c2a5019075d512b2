"""Every call by name: its messages, its function, and how HTTP carries it. Both transports are made from this table."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from penstock_vertex_emulator.errors import invalid
from penstock_vertex_emulator.messages import parse, parse_data, vertex
from penstock_vertex_emulator.pipelines import Operations, Pipelines

_SERVICE = "google.cloud.aiplatform.v1.PipelineService"
_OPERATIONS = "google.longrunning.Operations"
_LOCATION = "projects/*/locations/*"


@dataclass(frozen=True)
class Method:
    """A call: `paths` are templates after its `prefixes` (a pattern).

    `body` is the field that the body is, `*` for all of the request.
    """

    service: str
    name: str
    request: Any
    call: Callable[[Any], Any]
    verb: str
    paths: tuple[str, ...]
    body: str = ""
    prefixes: str = "/v1/"

    @property
    def full(self) -> str:
        """The name by which faults are asked for."""
        return f"{self.service.rpartition('.')[2]}.{self.name}"

    def subject(self, request: Any) -> str:
        """What a call is about: the name of what is there or is to be made."""
        fields = ("name", "parent", "pipeline_job_id")
        return " ".join(str(getattr(request, field)) for field in fields if hasattr(request, field))


def methods(pipelines: Pipelines, operations: Operations) -> tuple[Method, ...]:
    """The table. Source of verbs and paths: the HTTP options in google-cloud-aiplatform's REST transport."""
    from google.longrunning import operations_pb2 as lro

    types = vertex()
    jobs, one = f"{{parent={_LOCATION}}}/pipelineJobs", f"{{name={_LOCATION}/pipelineJobs/*}}"
    of_job = f"{_LOCATION}/pipelineJobs/*/operations"
    named = (f"{{name={_LOCATION}/operations/*}}", f"{{name={of_job}/*}}")
    below = (f"{{name={_LOCATION}}}/operations", f"{{name={_LOCATION}/pipelineJobs/*}}/operations")

    def of_pipelines(name: str, call: Callable[[Any], Any], verb: str, path: str, body: str = "") -> Method:
        return Method(_SERVICE, name, getattr(types, f"{name}Request"), call, verb, (path,), body)

    def of_operations(name: str, call: Callable[[Any], Any], verb: str, paths: tuple[str, ...]) -> Method:
        # Google's own REST client asks below /ui/ first.
        return Method(_OPERATIONS, name, getattr(lro, f"{name}Request"), call, verb, paths, prefixes="/(?:v1|ui)/")

    return (
        of_pipelines("CreatePipelineJob", pipelines.create, "POST", jobs, "pipeline_job"),
        of_pipelines("GetPipelineJob", pipelines.get, "GET", one),
        of_pipelines("ListPipelineJobs", pipelines.list, "GET", jobs),
        of_pipelines("DeletePipelineJob", pipelines.delete, "DELETE", one),
        of_pipelines("BatchDeletePipelineJobs", pipelines.batch_delete, "POST", f"{jobs}:batchDelete", "*"),
        of_pipelines("CancelPipelineJob", pipelines.cancel, "POST", f"{one}:cancel", "*"),
        of_pipelines("BatchCancelPipelineJobs", pipelines.batch_cancel, "POST", f"{jobs}:batchCancel", "*"),
        of_operations("GetOperation", operations.get, "GET", named),
        of_operations("ListOperations", operations.list, "GET", below),
        of_operations("DeleteOperation", operations.delete, "DELETE", named),
        of_operations("CancelOperation", operations.cancel, "POST", tuple(f"{one}:cancel" for one in named)),
        of_operations("WaitOperation", operations.get, "POST", tuple(f"{one}:wait" for one in named)),
    )


class Route:
    """One path of a method, as a pattern."""

    def __init__(self, method: Method, path: str) -> None:
        self.method = method
        template = re.fullmatch(r"\{(\w+)=([^}]*)\}(.*)", path)
        assert template is not None, path
        self.field = template[1]
        # A part of a name excludes ":", or `x:cancel` would be the name of a job.
        resource = re.escape(template[2]).replace(r"\*", "[^/:]+")
        self._pattern = re.compile(f"{method.prefixes}({resource}){re.escape(template[3])}")

    def request(self, path: str, query: Mapping[str, list[str]], body: bytes) -> Any | None:
        """The request that a path, a query and a body make; nothing for another path. Raises ApiError."""
        match = self._pattern.fullmatch(path)
        if match is None:
            return None
        method = self.method
        request = method.request()
        if method.body == "*":
            if body:
                parse(body, request)
        elif method.body:
            parse(body or b"{}", getattr(request, method.body))
            getattr(request, method.body).SetInParent()
        elif body.strip() not in (b"", b"{}"):
            raise invalid(f"{method.name} takes no body")
        given = {name: values for name, values in query.items() if name not in _SYSTEM}
        parse_data(_data(given, request), request, "query")
        setattr(request, self.field, unquote(match[1]))
        return request


_SYSTEM = frozenset(
    {"$alt", "alt", "key", "prettyPrint", "fields", "quotaUser", "access_token", "$.xgafv", "$prettyPrint"}
)
"""Query parameters that every method has."""


def _data(query: Mapping[str, list[str]], request: Any) -> dict[str, Any]:
    """Query parameters as proto3 JSON: text, which is what JSON may hold for numbers too."""
    found: dict[str, Any] = {}
    by_name = {name: field for field in request.DESCRIPTOR.fields for name in (field.name, field.json_name)}
    for name, values in query.items():
        field = by_name.get(name)
        if field is None:
            raise invalid(f"query: unknown parameter {name!r}")
        if field.type == field.TYPE_BOOL:
            found[name] = {"true": True, "false": False}.get(values[-1].lower(), values[-1])
        else:
            found[name] = list(values) if field.is_repeated else values[-1]
    return found
