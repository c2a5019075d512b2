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
from penstock_azureml.names import is_pipeline
from penstock_azureml.options import AzuremlOptions

_ACTIONS = (
    *(f"{kind}/versions/write" for kind in ("codes", "components", "environments")),
    *("jobs/write", "jobs/cancel/action", "datastores/listSecrets/action"),
    *(f"batchEndpoints/{one}" for one in ("write", "delete", "deployments/write", "deployments/delete")),
)
_NEEDED = tuple(f"Microsoft.MachineLearningServices/workspaces/{one}" for one in _ACTIONS)
"""What publishing, submitting and mirroring endpoints need, by the names in Azure's reference of permissions of this
resource provider; the role AzureML Data Scientist has all of it.
"""
_PROBE, _CONTENT = "penstock/check", b"penstock\n"
"""The file that is written to the datastore, and read again."""


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
        try:
            found.lines.append(_published(azure))
        except PenstockError as error:
            found.lines.append(str(error))
            found.ok = False
    return Health(ok=found.ok, lines=tuple(found.lines))


def _published(azure: Azure) -> str:
    """How many pipelines are published here, whoever published them, each once however many versions it has."""
    listed = azure.pages("components", "the components cannot be listed")
    number = sum(is_pipeline(str(one.get("name", ""))) for one in listed if isinstance(one, dict))
    return f"published: {number} {'pipeline' if number == 1 else 'pipelines'}"


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
    state = (found.json().get("properties") or {}).get("provisioningState")
    return [] if state == "Succeeded" else [f"compute: `{name}` is not ready: {state}"]


def _datastore(azure: Azure) -> Iterable[str]:
    uri = datastores.write(azure, _PROBE, _CONTENT)
    read = datastores.read(azure, uri, len(_CONTENT))
    return () if read == _CONTENT else [f"datastore: `{uri}` was written, and is not what is read there"]


def _permissions(azure: Azure) -> Iterable[str]:
    """Those of the actions that we need which no role of the caller's gives, as far as ARM says."""
    path, what = "providers/Microsoft.Authorization/permissions", "the permissions cannot be read"
    try:
        held = list(azure.pages(path, what, {"api-version": "2022-04-01"}, allow=(404,)))
    except PenstockError as error:
        if error.code != "permission_denied":
            raise
        held = []  # not everybody may ask
    missing = [action for action in _NEEDED if held and not any(_gives(one, action) for one in held)]
    if not missing:
        return []
    return [f"permissions: the credentials lack {', '.join(missing)}; ask for the role AzureML Data Scientist"]


def _gives(held: dict[str, Any], action: str) -> bool:
    def matches(patterns: Iterable[str]) -> bool:
        return any(fnmatchcase(action.lower(), pattern.lower()) for pattern in patterns)

    return matches(held.get("actions") or ()) and not matches(held.get("notActions") or ())
