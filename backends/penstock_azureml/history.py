"""Run history and the other services of a workspace, at the addresses that the workspace itself says.

Their calls are those of azure-ai-ml (`_restclient/runhistory`, `_restclient/dataset_dataplane`).
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from penstock_azureml.client import Azure
from penstock_azureml.kept import kept
from penstock_azureml.troubles import Answer


def workspace(azure: Azure) -> Any:
    """What the workspace says of itself."""

    def ask() -> Any:
        found = azure.arm("GET", "", "the workspace cannot be read")
        found.part("location")
        found.part("properties", "discoveryUrl")
        return found.json()

    return kept.get((azure.key, "workspace"), ask)


def service(azure: Azure, name: str) -> str:
    """The address of one of the workspace's services (`history`, `api`)."""

    def ask() -> str:
        url = str(workspace(azure)["properties"]["discoveryUrl"])
        found = azure.call("GET", url, "the services cannot be found", audience=None).part(name)
        return str(found).rstrip("/")

    return kept.get((azure.key, "service", name), ask)


def of_run(azure: Azure, run: str, part: str, what: str) -> Answer:
    """Ask run history of a run: `part` is empty, `/details` or `/children`. 404 is an answer."""
    url = f"{service(azure, 'history')}/history/v1.0{azure.options.path}/runs/{quote(run, safe='')}{part}"
    found = azure.call("GET", url, what, allow=(404,))
    if found.status != 404 and part != "/children":
        found.part("status")
    return found


def resolved(azure: Azure, assets: list[str]) -> dict[str, str]:
    """The URIs that ids of data mean; those that mean nothing are left out."""
    if not assets:
        return {}
    url = f"{service(azure, 'api')}/data/v1.0{azure.options.path}/dataversion/batchGetResolvedUris"
    answer = azure.call("POST", url, "the outputs cannot be found", {"values": assets})
    found = answer.part("values")
    if not isinstance(found, dict):
        raise answer.strange()
    return {asset: str(about["uri"]) for asset, about in found.items() if isinstance(about, dict) and about.get("uri")}
