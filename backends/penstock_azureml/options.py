"""What a target of this backend can be told in `penstock.yaml`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from attrs import Attribute, field, frozen, validators

from penstock.opening import open_named
from penstock.spec.quantity import seconds_of
from penstock_azureml import names

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
"""Hosts that are this machine."""
PUBLIC = "https://management.azure.com"
"""Azure Resource Manager of the public cloud."""

IMAGE = r"[A-Za-z0-9][A-Za-z0-9._/:@-]*"
"""What an image is called: its name is part of a document that Azure reads for placeholders."""

LONGEST_WAIT = 86_400.0
"""Seconds that one call may be waited for: timers of sockets overflow after some weeks."""

_IDENTITY = {"identity": True}
_FROZEN = {"frozen": True}
_GUID = r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"

_Check = Callable[[Any, "Attribute[Any]", Any], None]


def _matching(pattern: str, example: str) -> _Check:
    """A text that looks like the example, or none."""

    def check(_: Any, attribute: Attribute[Any], value: str | None) -> None:
        if value is not None and not re.fullmatch(pattern, value, re.A):
            raise ValueError(f"`{value[:80]}` is no {attribute.name.replace('_', ' ')}: write it like `{example}`")

    return check


def _address(_: Any, attribute: Attribute[Any], value: str | None) -> None:
    if value is None:
        return
    try:
        parts = urlsplit(value)
        there = parts.scheme == "https" and parts.hostname and "@" not in parts.netloc and parts.port != 0
    except ValueError:  # brackets that are no address, or a port that is no number
        there = None
    if not there or value != f"https://{parts.netloc}":
        raise ValueError(f"`{value[:80]}` is no address: write it like `https://127.0.0.1:8500`")


def _without_slash(value: Any) -> Any:
    return value.rstrip("/") if isinstance(value, str) else value


def _tags(_: Any, attribute: Attribute[Any], value: Mapping[str, str]) -> None:
    for key, text in value.items():
        wrong = names.tag_problem(key, text)
        if wrong:
            raise ValueError(wrong)
        if key.lower().startswith("penstock"):
            raise ValueError(f"the tag `{key}`: tags that begin with `penstock` are penstock's own")
    if len(value) > names.MOST_TAGS:
        raise ValueError(f"{len(value)} tags are more than the {names.MOST_TAGS} that can be added")


@frozen(kw_only=True)
class AzuremlOptions:
    """Options of an `azureml` target.

    `subscription`: the id of the subscription.
    `resource_group`: the resource group that the workspace is in.
    `workspace`: the workspace, by its name.
    `compute`: the compute that steps run on, by its name; without it, serverless compute.
    `instance_type`: the size of a machine, such as `Standard_DS3_v2`, for serverless compute and Kubernetes.
    `image`: the container image of steps that name none.
    `conda`: a conda file; Azure builds an environment of it on top of the image, for every step.
    `identity`: as whom steps run: `managed` (the compute's identity), `user` (whoever submits), or Azure's own choice.
    `datastore`: the blob datastore where the outputs of steps and long values lie.
    `labels`: tags of every job, besides penstock's own.
    `credentials`: `default` (what azure-identity finds), `service_principal` (its secret in AZURE_CLIENT_SECRET),
    `managed_identity`, `cli` (of `az`), or `anonymous`, at addresses of this machine only.
    `tenant`: the tenant to sign in to.
    `client_id`: the service principal, or the user-assigned managed identity.
    `authority`: another address to sign in at, such as `https://login.chinacloudapi.cn`.
    `resource_manager`: another address of Azure Resource Manager, such as an emulator's `https://127.0.0.1:8500`.
    `ca`: a file with the certificates that such an address is trusted by.
    `poll_timeout`: seconds (or text like `30s`) for connecting, and for each pause in an answer; and for a token. A
    call whose answer is lost is sent up to twice more.
    `strict`: refuse at publish what would otherwise be a warning.

    `subscription`, `resource_group` and `workspace` are the target's identity. `image`, `conda` and `instance_type` are
    kept by a publication as they were; every other option takes effect at once.
    """

    subscription: str = field(metadata=_IDENTITY, validator=_matching(_GUID, "5e6f2a1c-0000-4000-8000-000000000001"))
    resource_group: str = field(metadata=_IDENTITY, validator=_matching(r"[\w.()-]{0,89}[\w()-]", "ml-production"))
    workspace: str = field(metadata=_IDENTITY, validator=_matching(r"[A-Za-z0-9][A-Za-z0-9_-]{1,32}", "ml-prod"))
    compute: str | None = field(default=None, validator=_matching(r"[A-Za-z][A-Za-z0-9-]{1,31}", "cpu-cluster"))
    instance_type: str | None = field(
        default=None, metadata=_FROZEN, validator=_matching(r"[A-Za-z0-9_.-]{1,64}", "Standard_DS3_v2")
    )
    image: str = field(default="python:3.12-slim", metadata=_FROZEN, validator=_matching(IMAGE, "python:3.12-slim"))
    conda: Path | None = field(default=None, metadata=_FROZEN)
    identity: Literal["managed", "user"] | None = None
    datastore: str = field(
        default="workspaceblobstore", validator=_matching(r"[A-Za-z0-9_]{1,255}", "workspaceblobstore")
    )
    labels: Mapping[str, str] = field(factory=dict, validator=_tags)
    credentials: Literal["default", "service_principal", "managed_identity", "cli", "anonymous"] = "default"
    tenant: str | None = field(default=None, validator=_matching(r"[A-Za-z0-9.-]{1,253}", "acme.onmicrosoft.com"))
    client_id: str | None = field(default=None, validator=_matching(_GUID, "5e6f2a1c-0000-4000-8000-000000000001"))
    authority: str | None = field(default=None, converter=_without_slash, validator=_address)
    resource_manager: str = field(default=PUBLIC, converter=_without_slash, validator=_address)
    ca: Path | None = None
    poll_timeout: float = field(
        default=30.0, converter=seconds_of, validator=[validators.gt(0), validators.le(LONGEST_WAIT)]
    )
    strict: bool = False

    def __attrs_post_init__(self) -> None:
        """See that nobody sends anonymous calls to Azure, or a secret of nobody's, by mistake. Raises ValueError."""
        if self.credentials == "anonymous" and (urlsplit(self.resource_manager).hostname or "") not in LOOPBACK:
            raise ValueError("`credentials: anonymous` is for an emulator: `resource_manager` is not on this machine")
        if self.credentials == "service_principal" and not (self.tenant and self.client_id):
            raise ValueError("`credentials: service_principal` needs `tenant` and `client_id`")

    @property
    def path(self) -> str:
        """The workspace's id, as ARM writes it."""
        return (
            f"/subscriptions/{self.subscription}/resourceGroups/{self.resource_group}"
            f"/providers/Microsoft.MachineLearningServices/workspaces/{self.workspace}"
        )


def conda_text(file: Path) -> str:
    """What a conda file says. Raises OSError, UnicodeDecodeError."""
    with os.fdopen(open_named(file), encoding="utf-8") as opened:
        return opened.read()
