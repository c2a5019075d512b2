"""Which addresses are Azure's, and what token each may be shown: everybody else's are written into answers, too.

The names are those of azure-ai-ml (`_azure_environments._environments`). An emulator, which is whatever
`resource_manager` on this machine is, has everything at its own address.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from attrs import frozen

from penstock_azureml.options import LOOPBACK, PUBLIC, AzuremlOptions

STORAGE = "https://storage.azure.com"
"""What tokens for blobs are for, in every cloud (learn.microsoft.com: Authorize access to blobs with Entra)."""

_HOST = re.compile(r"[A-Za-z0-9.-]+(:[0-9]{1,5})?", re.A)
"""Where every reader of a URL sees the same host: no user, no backslash, no brackets."""


@frozen
class Cloud:
    """A cloud of Azure: the audiences of ARM's tokens and of Azure ML's, and how the hosts of its services and of its
    blobs end.
    """

    arm: str
    learning: str
    services: str
    blobs: tuple[str, ...]


_CLOUDS = {
    PUBLIC: Cloud(
        PUBLIC,
        "https://ml.azure.com",
        ".api.azureml.ms",
        # The second: accounts in a DNS zone (learn.microsoft.com: Storage account overview, Azure DNS zone endpoints).
        (".blob.core.windows.net", ".blob.storage.azure.net"),
    ),
    "https://management.chinacloudapi.cn": Cloud(
        "https://management.chinacloudapi.cn",
        "https://ml.azure.cn",
        ".api.ml.azure.cn",
        (".blob.core.chinacloudapi.cn",),
    ),
    "https://management.usgovcloudapi.net": Cloud(
        "https://management.usgovcloudapi.net",
        "https://ml.azure.us",
        ".api.ml.azure.us",
        (".blob.core.usgovcloudapi.net",),
    ),
}


def cloud_of(options: AzuremlOptions) -> Cloud:
    """The cloud of a target; an address that is no cloud's takes the tokens of the public one."""
    return _CLOUDS.get(options.resource_manager, _CLOUDS[PUBLIC])


def is_emulator(options: AzuremlOptions) -> bool:
    """Whether a target's Azure Resource Manager is on this machine."""
    return urlsplit(options.resource_manager).hostname in LOOPBACK


def is_secure(url: str) -> bool:
    """Whether a URL can be read in one way only, and leads over TLS."""
    return _read(url) is not None


def audience_of(options: AzuremlOptions, url: str) -> str | None:
    """What the token is for that an address may be shown, or None: it is no address of the target's ARM or services.

    The services of a workspace (run history, data) take tokens for Azure ML (azure-ai-ml:
    `_restclient/runhistory/_configuration.py`, `dataset_dataplane`).
    """
    found = _read(url)
    if found is None:
        return None
    cloud = cloud_of(options)
    if _is_own(options, found) and (found.path.lower().startswith("/subscriptions/") or not is_emulator(options)):
        return cloud.arm
    if _ends(found, (cloud.services,)) or (is_emulator(options) and _is_own(options, found)):
        return cloud.learning
    return None


def is_storage(options: AzuremlOptions, url: str) -> bool:
    """Whether an address is one of blobs of the target's cloud."""
    found = _read(url)
    return found is not None and (
        _ends(found, cloud_of(options).blobs) or (is_emulator(options) and _is_own(options, found))
    )


def _read(url: str) -> SplitResult | None:
    if not url.isprintable() or "\\" in url or " " in url:
        return None
    try:
        found = urlsplit(url)
        plain = found.scheme == "https" and _HOST.fullmatch(found.netloc) is not None
        return found if plain and (found.port or 443) <= 65535 else None
    except ValueError:
        return None


def _is_own(options: AzuremlOptions, found: SplitResult) -> bool:
    return found.netloc.lower() == urlsplit(options.resource_manager).netloc.lower()


def _ends(found: SplitResult, endings: tuple[str, ...]) -> bool:
    return found.port in (None, 443) and (found.hostname or "").endswith(endings)
