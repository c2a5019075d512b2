"""How a target is, in plain words: what can be asked without starting anything."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Any

from attrs import define, field

from penstock.contract.target import Health, Target
from penstock.errors import PenstockError
from penstock_azureml import datastores, history
from penstock_azureml.client import Azure, connect
from penstock_azureml.options import AzuremlOptions

_KINDS = ("codes", "components", "environments")
_ACTIONS = ("jobs/write", "jobs/cancel/action", *(f"{kind}/versions/write" for kind in _KINDS))
_NEEDED = tuple(f"Microsoft.MachineLearningServices/workspaces/{one}" for one in _ACTIONS)
"""What publishing and submitting need (Azure's role AzureML Data Scientist has all of it)."""


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
    """Credentials, the workspace, its compute and datastore, and what may be done there; one line each."""
    options: AzuremlOptions = target.options
    try:
        azure = connect(options)
        azure.tokens.token(azure.audience)
    except PenstockError as error:
        return Health(ok=False, lines=(str(error),))
    found = _Findings([f"credentials: {options.credentials}"])
    found.ask(lambda: _workspace(azure), f"workspace: {options.workspace} in {options.resource_group}")
    if not found.ok:
        return Health(ok=False, lines=tuple(found.lines))
    compute = f"compute: {options.compute}" if options.compute else "compute: serverless"
    found.ask(lambda: _compute(azure), compute)
    found.ask(lambda: _datastore(azure), f"datastore: {options.datastore} can be read and written")
    found.ask(lambda: _permissions(azure), "permissions: nothing that is needed is known to be missing")
    if found.ok:
        found.ask(lambda: (), f"published: {len(published(azure))} pipelines")
    return Health(ok=found.ok, lines=tuple(found.lines))


def published(azure: Azure) -> list[str]:
    """The components of pipelines that were published here, by name, whoever published them."""
    found: list[str] = []
    for one in azure.pages("components", "the components cannot be listed"):
        told = one.get("properties", {}).get("tags") or {}
        if one["name"].startswith("penstock_") or "penstock_pipeline" in told:
            found.append(one["name"])
    return sorted(found)


def _workspace(azure: Azure) -> Iterable[str]:
    azure.arm("GET", "", "the workspace cannot be read")
    history.service(azure, "history")
    return ()


def _compute(azure: Azure) -> Iterable[str]:
    name = azure.options.compute
    if name is None:
        return []
    found = azure.arm("GET", f"computes/{name}", "the compute cannot be read", allow=(404,))
    if found.status == 404:
        return [f"compute: there is no compute `{name}` in the workspace"]
    state = found.json().get("properties", {}).get("provisioningState")
    return [] if state == "Succeeded" else [f"compute: `{name}` is not ready: {state}"]


def _datastore(azure: Azure) -> Iterable[str]:
    datastores.write(azure, "penstock/check", b"penstock\n")
    return ()


def _permissions(azure: Azure) -> Iterable[str]:
    """Those of the actions that we need which no role of the caller's gives, as far as ARM says."""
    path, what = "providers/Microsoft.Authorization/permissions", "the permissions cannot be read"
    found = azure.arm("GET", path, what, allow=(403, 404), query={"api-version": "2022-04-01"})
    if found.status != 200:
        return []
    held = found.json().get("value") or []
    missing = [action for action in _NEEDED if not any(_gives(one, action) for one in held)]
    return [f"permissions: the credentials lack {', '.join(missing)}"] if missing else []


def _gives(held: dict[str, Any], action: str) -> bool:
    def matches(patterns: Iterable[str]) -> bool:
        return any(fnmatchcase(action.lower(), pattern.lower()) for pattern in patterns)

    return matches(held.get("actions") or ()) and not matches(held.get("notActions") or ())
