"""The plugin: what is configured for the door, and the routes that it contributes to the server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from attrs import field, frozen

from penstock.contract.hooks import hookimpl

if TYPE_CHECKING:
    from penstock.contract.http import HttpRoute
    from penstock.workspace import Workspace


@frozen(kw_only=True)
class AzuremlV1:
    """The Azure ML v1 wire.

    `datastores` maps the name of a datastore to the folder or URI that its relative paths lie beneath, `datasets` the
    id of a data set, or its `name` or `name:version`, to a path or URI. `enums` is how states are written, `strings`
    as today's schema says or `integers` as clients of 2019 read.
    """

    datastores: Mapping[str, str] = field(factory=dict)
    datasets: Mapping[str, str] = field(factory=dict)
    enums: Literal["strings", "integers"] = "strings"

    @hookimpl
    def penstock_register_routes(self, workspace: Workspace) -> Sequence[HttpRoute]:
        """Every route of the wire."""
        from penstock_azureml_v1.routes import routes

        return routes(self)
