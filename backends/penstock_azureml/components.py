"""Hiding components and showing them again: archived ones are not listed, and whoever names one still runs it.

So says https://learn.microsoft.com/azure/machine-learning/how-to-manage-component: an archived component can still be
referenced. Other pipelines, and other workspaces of penstock, may have made the same one, so nothing is ever deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from penstock.contract.target import EndpointVersion, Publication, Target
from penstock_azureml.client import Azure, connect


def path_of(external: str) -> str:
    """Where the component of a publication lies, below the workspace."""
    _, name, version = external.split(":")
    return f"components/{name}/versions/{version}"


def mirror_gates(azure: Azure, versions: Iterable[EndpointVersion]) -> None:
    """Archive what is behind closed published pipelines alone, and restore the rest.

    Raises TargetUnavailable, TargetRefused.
    """
    is_open: dict[str, bool] = {}
    for one in versions:
        is_open[one.external] = is_open.get(one.external, False) or one.published_enabled
    hidden = {path for name in {external.split(":")[1] for external in is_open} for path in _archived(azure, name)}
    for external, shown in is_open.items():
        if shown == (path_of(external) in hidden):
            set_archived(azure, path_of(external), not shown)


def retire(target: Target, publication: Publication) -> bool:
    """Archive the pipeline's component: publishing it again restores it. Raises TargetUnavailable, TargetRefused."""
    set_archived(connect(target.options), path_of(publication.external), True)
    return True


def set_archived(azure: Azure, path: str, archived: bool) -> bool:
    """Archive a component version or restore it; whether there was something to change.

    Azure has no call for it: the whole component is read and written again, as its own client does.
    """
    found = azure.arm("GET", path, f"`{path}` cannot be read", allow=(404,))
    if found.status == 404 or is_archived(about := found.json()) == archived:
        return False
    kept = {key: value for key, value in about["properties"].items() if key != "provisioningState"}
    what = f"`{path}` cannot be {'archived' if archived else 'restored'}"
    azure.arm("PUT", path, what, {"properties": {**kept, "isArchived": archived}})
    return True


def is_archived(component: Mapping[str, Any]) -> bool:
    """Whether a component version is hidden."""
    return bool(component["properties"].get("isArchived"))


def _archived(azure: Azure, name: str) -> Iterable[str]:
    path, what = f"components/{name}/versions", f"the versions of the component `{name}` cannot be listed"
    for one in azure.pages(path, what, {"listViewType": "ArchivedOnly"}, allow=(404,)):
        yield f"{path}/{one['name']}"
