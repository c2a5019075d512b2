"""Whether what lies in a workspace under a name of ours is what the name says: others may write there, too.

Azure answers with more keys than were registered, texts for numbers and booleans, and ids with other letters. So only
what it gives back of what was registered is compared; a file of code by what storage says of it, where it may be asked.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import IO, Any

from penstock.errors import PenstockError, TargetRefused, TargetUnavailable
from penstock_azureml import datastores
from penstock_azureml.client import Azure
from penstock_azureml.troubles import Answer, meaning

_COLLECTIONS = ("inputs", "outputs", "jobs")
"""What may have no more, and no fewer, entries than were registered."""
_OWN_WORDS = ("type", "job_input_type", "job_output_type")
"""What is a word of Azure's, which it may write as `uri_file` or `UriFile`."""
_FREE = ("name", "version", "display_name", "description", "isArchived", "isAnonymous", "tags")
"""What may change: it is in the path, or only for people."""


def check_resource(path: str, registered: Mapping[str, Any], found: Any) -> None:
    """Compare a resource's properties with what is registered under its name. Raises TargetRefused."""
    told = found.get("properties") if isinstance(found, dict) else None
    where = _difference(registered, told, "properties")
    if where:
        raise damaged(path, f"its `{where}` is another")


def check_file(azure: Azure, path: str, url: str, data: IO[bytes]) -> None:
    """Compare a file of a code asset with its content. Raises TargetRefused, TargetUnavailable.

    Who may not read the workspace's storage cannot compare, and takes the file for what it is called.
    """
    found = datastores.about(azure, url)
    if found.status == 404:
        raise damaged(path, f"`{url}` is not there any more")
    if found.status in (401, 403, 409):
        return
    digest = hashlib.md5(usedforsecurity=False)  # what storage computes
    data.seek(0)
    while piece := data.read(1 << 20):
        digest.update(piece)
    wanted = str(data.tell()), base64.b64encode(digest.digest()).decode()
    size = found.headers.get("content-range", "").rpartition("/")[2]
    if (size, found.headers.get("x-ms-blob-content-md5", wanted[1])) != wanted:
        raise damaged(path, f"`{url}` was changed")


def damaged(path: str, why: str) -> TargetRefused:
    """What is said of a resource that is not what its name says."""
    return TargetRefused(
        f"`{path}` in the workspace is not what penstock registers under its name: {why}; remove it, and publish again",
        code="publication_damaged",
    )


def already_there(azure: Azure, path: str, what: str, refused: Answer) -> Answer:
    """What lies where a PUT was refused, as somebody else's may have come first.

    Raises what the refusal means where nothing lies there, and TargetUnavailable, with both, where that is not known.
    """
    why = meaning(what, refused, azure.options)
    try:
        found = azure.find(path, "whether it is there already cannot be read")
    except TargetUnavailable as error:
        raise TargetUnavailable(f"{why}; {error}", code=error.code, retry_after=error.retry_after) from None
    except PenstockError:
        raise why from None
    if found is None:
        raise why
    return found


def _difference(mine: Any, theirs: Any, where: str) -> str | None:
    """The first place where theirs is not what mine is, or nothing."""
    if not isinstance(mine, Mapping):
        return None if _same(mine, theirs, where.rpartition(".")[2]) else where
    if not isinstance(theirs, Mapping):
        return where
    for key, value in mine.items():
        at = f"{where}.{key}"
        if key in _COLLECTIONS and set(value) != set(theirs.get(key) or {}):
            return at
        if key in theirs and key not in _FREE and (found := _difference(value, theirs[key] or type(value)(), at)):
            return found
    return None


def _same(mine: Any, theirs: Any, key: str) -> bool:
    if isinstance(mine, bool) or key in _OWN_WORDS:
        return str(mine).replace("_", "").lower() == str(theirs).replace("_", "").lower()
    return str(mine) == str(theirs) or _id(mine) == _id(theirs) is not None


def _id(value: Any) -> str | None:
    """The id of something in ARM, whose letters have no case; None for other texts."""
    text = str(value).removeprefix("azureml:").lower()
    return text if text.startswith("/subscriptions/") else None
