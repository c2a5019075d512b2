"""Data of steps: copied in from blobs before a command runs, and out to blobs after it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path, PurePosixPath

from penstock_azureml_emulator.arm import within
from penstock_azureml_emulator.documents import Documents
from penstock_azureml_emulator.errors import invalid
from penstock_azureml_emulator.storage import Storage

_NAMED = re.compile(r"azureml:([A-Za-z0-9][\w.-]*):([\w.-]+)")


def resolve(documents: Documents, uri: str) -> str:
    """The URI of data that may be named by an asset: `azureml:name:version` or an id. Raises ArmError."""
    named = _NAMED.fullmatch(uri)
    path = f"data/{named[1]}/versions/{named[2]}" if named else within(uri)
    if not path:
        return uri
    found = documents.get(path) if path.split("/")[0] in ("data", "models") else None
    if found is None:
        raise invalid(f"the data asset {uri} does not exist")
    properties = found["properties"]
    return str(properties.get("dataUri") or properties.get("modelUri"))


def bring_in(storage: Storage, uri: str, file: bool, target: Path) -> None:
    """Copy what lies at a URI to a path: a file, or a folder and all below it. Raises ArmError if it is not there."""
    container, path = _placed(storage, uri)
    target.parent.mkdir(parents=True, exist_ok=True)
    if file:
        blob = storage.blobs.get(container, path)
        if blob is None:
            raise invalid(f"ScriptExecution.StreamAccess.NotFound: the input {uri} was not found")
        shutil.copyfile(blob.file, target)
        return
    target.mkdir()
    prefix = f"{path.rstrip('/')}/" if path else ""
    for blob in storage.blobs.beginning(container, prefix):
        _copy(blob.file, target, blob.name[len(prefix) :])


def bring_code(documents: Documents, storage: Storage, identifier: str, target: Path) -> None:
    """Copy a code asset into a folder. Raises ArmError if it is not there."""
    found = documents.get(within(identifier))
    if found is None:
        raise invalid(f"the code {identifier} does not exist")
    container, path = _placed(storage, found["properties"]["codeUri"])
    prefix = f"{path.rstrip('/')}/" if path else ""
    for blob in storage.blobs.beginning(container, prefix):
        _copy(blob.file, target, blob.name[len(prefix) :])


def bring_out(storage: Storage, made: Path, uri: str) -> None:
    """Write what a command made to where a URI says; what was there before and has another name stays.

    What a command did not write is not there, and nobody says so.
    """
    container, path = _placed(storage, uri)
    storage.blobs.ensure(container)
    if made.is_file():
        storage.blobs.put_file(container, path, made)
        return
    prefix = f"{path.rstrip('/')}/" if path else ""
    for file in sorted(made.rglob("*")) if made.is_dir() else ():
        if file.is_file():
            storage.blobs.put_file(container, f"{prefix}{file.relative_to(made).as_posix()}", file)


def _copy(source: Path, folder: Path, name: str) -> None:
    """Copy a blob below a folder, unless its name leads out of it."""
    parts = PurePosixPath(name).parts
    if not parts or name.endswith("/") or any(part in ("..", "/") for part in parts):
        return
    target = folder.joinpath(*parts)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    except (OSError, ValueError) as error:  # a blob below another, a name that no file can have
        raise invalid(f"the blob {name!r} cannot be a file here: {error}") from None


def _placed(storage: Storage, uri: str) -> tuple[str, str]:
    place = storage.place(uri)
    if place is None:
        raise invalid(f"{uri}: the emulator has what lies in its own storage, and fetches nothing from elsewhere")
    return place
