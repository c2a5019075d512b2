"""Artifacts of a run into a destination: the objects at the URI that Google's details of the job name for an output.

Whoever writes a step may make its executor say another URI, and we would read that with credentials of our own. So
only what lies in the job's own folder of the staging bucket is fetched.
"""

from __future__ import annotations

from collections.abc import Iterator

from penstock.contract.artifacts import Destination
from penstock.contract.run import RunRef
from penstock.contract.target import Target
from penstock.errors import NotFound, TargetRefused
from penstock_vertex import reading
from penstock_vertex.client import Object, Vertex, connect
from penstock_vertex.jobs import job_id, need_job
from penstock_vertex.staging import RUNS

_PIECE = 8 * 2**20
"""Bytes of one piece."""


def fetch(target: Target, run: RunRef, name: str, destination: Destination) -> None:
    """Put an artifact into a destination. Raises NotFound, TargetRefused `artifact_unsafe`."""
    vertex = connect(target.options)
    uri = reading.run_outputs(need_job(vertex, run.id)).get(name)
    if uri is None:
        raise NotFound(f"the run `{run.id}` made no artifact `{name}` on this target", code="output_not_found")
    path = _path(vertex, run, name, uri)
    if destination.type == "file":
        found = next(vertex.objects(path), None)  # in their order the shortest is the first
        if found is None or found.path != path:
            raise _gone(name, f"`{uri}` is not in the bucket")
        destination.file("", found.size, _pieces(vertex, found, name))
        return
    destination.folder("")
    for found in vertex.objects(f"{path}/"):
        below = found.path.removeprefix(f"{path}/")
        if below.endswith("/") or not below:  # how a mounted bucket writes down a folder
            destination.folder(below.removesuffix("/"))
        else:
            destination.file(below, found.size, _pieces(vertex, found, name))


def _path(vertex: Vertex, run: RunRef, name: str, uri: str) -> str:
    """The path below staging that a URI means."""
    path = uri.removeprefix(vertex.uri("")).rstrip("/")
    beginning, *folders = path.split("/")
    if not uri.startswith(vertex.uri("")) or beginning != RUNS or job_id(run.id) not in folders:
        raise TargetRefused(
            f"the output `{name}` is said to lie at `{uri[:200]}`, which is not in its job's folder below "
            f"`{vertex.uri(RUNS)}`: look at it there",
            code="artifact_unsafe",
        )
    return path


def _pieces(vertex: Vertex, found: Object, name: str) -> Iterator[bytes]:
    for first in range(0, found.size, _PIECE):
        data = vertex.part(found, first, min(found.size, first + _PIECE))
        if data is None:
            raise _gone(name, f"`{vertex.uri(found.path)}` was changed or removed while it was read")
        yield data


def _gone(name: str, why: str) -> NotFound:
    return NotFound(f"the output `{name}` is not there any more: {why}", code="artifact_gone")
