"""How a target is, in plain words: what can be asked without starting anything."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from attrs import define, field

from penstock.contract.target import Health, Target
from penstock.errors import PenstockError
from penstock_vertex.client import Vertex, connect
from penstock_vertex.options import VertexOptions
from penstock_vertex.repository import registry_of


@define
class _Findings:
    """What was found, a line each, and whether all of it is well."""

    lines: list[str] = field(factory=list)
    ok: bool = True

    def ask(self, question: Callable[[], Iterable[str]], well: str) -> None:
        """Add what a question finds wrong, or what to say when that is nothing."""
        try:
            wrong = list(question())
        except PenstockError as error:
            wrong = [str(error)]
        self.lines += wrong or [well]
        self.ok = self.ok and not wrong


def check(target: Target) -> Health:
    """Credentials, the project's jobs, the bucket and the repository and what may be done with them; one line each."""
    options: VertexOptions = target.options
    try:
        vertex = connect(options)
    except PenstockError as error:
        return Health(ok=False, lines=(str(error),))
    found = _Findings([f"credentials: {options.credentials}"])
    found.ask(lambda: _jobs(vertex), f"jobs: can be read in {options.project}, {options.location}")
    found.ask(lambda: _staging(vertex), f"staging: {options.staging}")
    if options.repository is not None:
        url = options.repository
        found.ask(lambda: registry_of(options, url).check(), f"repository: {url}")
    if found.ok:
        try:
            found.lines.append(_published(vertex))
        except PenstockError as error:
            found.lines.append(str(error))
            found.ok = False
    return Health(ok=found.ok, lines=tuple(found.lines))


def _jobs(vertex: Vertex) -> Iterable[str]:
    vertex.find_job("penstock-check")
    return ()


def _staging(vertex: Vertex) -> Iterable[str]:
    missing = vertex.permissions()
    return [f"staging: {vertex.options.staging} lacks {', '.join(missing)}"] if missing else []


def _published(vertex: Vertex) -> str:
    """How many compiled pipelines lie there, each once however many versions, labels and workspaces have it."""
    number = len(vertex.files("compiled/"))
    line = f"published: {number} compiled {'pipeline' if number == 1 else 'pipelines'} in staging"
    if vertex.options.repository is not None:
        line += f", {registry_of(vertex.options, vertex.options.repository).count()}"
    return line
