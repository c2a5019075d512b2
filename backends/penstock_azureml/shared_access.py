"""Shared access signatures (SAS): the query of a URL that lets one into a container until it ends.

Source: learn.microsoft.com, Create a service SAS; `se` is when it ends.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

from penstock_azureml.credentials import needed

EARLY = 300.0
"""Seconds before its end when one is not used any more: an upload that has begun must come to its end."""
_DAY = timedelta(days=1)


def good_until(query: str) -> float:
    """Until when a SAS is used, in seconds since 1970; one that does not say when it ends is used until it is refused.

    The end may be kept by a policy of the container (`si`) instead.
    """
    said = parse_qs(query).get("se", [""])[-1]
    try:
        ends = datetime.fromisoformat(said)
    except ValueError:
        return math.inf
    return (ends if ends.tzinfo else ends.replace(tzinfo=UTC)).timestamp() - EARLY


def signed(account: str, container: str, key: str) -> str:
    """A SAS for a container and a day, made of an account's key. Raises ConfigInvalid without azure-storage-blob."""
    try:
        from azure.storage.blob import ContainerSasPermissions, generate_container_sas
    except ModuleNotFoundError:
        raise needed("azure-storage-blob") from None
    may = ContainerSasPermissions(read=True, write=True, create=True, list=True)
    ends = datetime.now(UTC) + _DAY
    return str(generate_container_sas(account, container, account_key=key, permission=may, expiry=ends))
