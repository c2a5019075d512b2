"""One request of the wire, as its routes see it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TypeVar
from urllib.parse import quote

from attrs import define

from penstock.contract.http import HttpRequest
from penstock.errors import UsageError
from penstock.records import Page
from penstock.workspace import Workspace
from penstock_azureml_v1.entities import Entities
from penstock_azureml_v1.hooks import AzuremlV1

T = TypeVar("T")


@define(slots=False)
class Call:
    """A request and the door that it came through."""

    request: HttpRequest
    door: AzuremlV1

    @property
    def workspace(self) -> Workspace:
        """The workspace, for who calls."""
        return self.request.workspace

    @cached_property
    def entities(self) -> Entities:
        """Writes entities with URLs of the workspace that the caller addressed."""
        path = {name: quote(value, safe="") for name, value in self.request.path.items()}
        at = (
            f"subscriptions/{path.get('s', '')}/resourceGroups/{path.get('g', '')}"
            f"/providers/Microsoft.MachineLearningServices/workspaces/{path.get('w', '')}"
        )
        return Entities(self.door.enums, f"{self.request.base_url}/pipelines/v1.0/{at}")

    @cached_property
    def query(self) -> dict[str, tuple[str, ...]]:
        """The query; callers write the names of its parameters with a capital or without."""
        found: dict[str, tuple[str, ...]] = {}
        for name, values in self.request.query.items():
            found[name.lower()] = (*found.get(name.lower(), ()), *values)
        return found

    def asked(self, name: str) -> str | None:
        """One parameter of the query, by its name in lower case. Raises UsageError for two that differ."""
        values = set(self.query.get(name, ()))
        if len(values) > 1:
            raise UsageError(f"the query says `{name}` twice, differently")
        return values.pop() if values else None

    @property
    def active_only(self) -> bool:
        """Whether a listing leaves out what is closed, as it does unless told."""
        return (self.asked("activeonly") or "true").lower() != "false"

    def every(self, list_page: Callable[..., Page[T]]) -> Iterator[T]:
        """What a verb lists, all its pages: the wire has none."""
        before: str | None = None
        while True:
            page = list_page(all=not self.active_only, limit=1000, before=before)
            yield from page.items
            if page.next is None:
                return
            before = page.next
