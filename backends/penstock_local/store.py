"""Publications on this machine: compiled documents, and the archives they need, by content."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attrs import asdict

from penstock import locks
from penstock.contract.target import Compiled, EndpointState, Publication, Target
from penstock.drafts import LINK, draft
from penstock.errors import RegistryError, TargetRefused, TargetUnavailable
from penstock.opening import SWAPPED, TOO_LARGE, open_file, read_file
from penstock.snapshot import Archive, Snapshot
from penstock.snapshot.members import check_archive
from penstock_local import database, ownership, queue, removal
from penstock_local.layout import DRAFTS, Layout, sync_folder, unusable, write_file
from penstock_local.plan import check
from penstock_local.troubles import is_machines
from penstock_local.unpacked import keep_only

_LARGEST = 1 << 30
"""Bytes of a plan, and of any document that is read whole: far more than one has."""
_MARK, _SHORT = 32, 8
"""Digits of the document's own digest in a publication's name: as many as nobody meets by trying, and once fewer."""

_PATIENCE = 10.0
"""Seconds to wait for a retirement in the same root, which takes much less."""
_RETIRE_PATIENCE = 0.5
"""Seconds that a retirement waits for whoever publishes; it is tried again."""
_SYNC_PATIENCE = 1.0
"""Seconds to wait for somebody else who writes the state of an endpoint, which takes milliseconds."""


def publish(target: Target, snapshot: Snapshot, compiled: Compiled) -> Publication:
    """Put a compiled snapshot and its archives under the root, and note whose they are. Idempotent.

    What lies there under these names and was changed is what it should be again. Raises TargetUnavailable.
    """
    layout = Layout.of(target)
    ownership.make(layout)
    external = _external_of(layout, compiled)
    try:
        with _publishing(layout, _PATIENCE, exclusive=False):
            _own(layout, external, target)
            for archive in snapshot.archives.values():
                _put(archive.location, layout.archive(archive.digest))
            if _content(layout.publication(external)) != compiled.data:
                _make_way(layout.publication(external))
                write_file(layout.publication(external), compiled.data)
    except OSError as error:
        raise unusable(layout.root, error) from None
    return Publication(external=external)


def retire(target: Target, publication: Publication) -> bool:
    """Forget a publication unless another target published it too, and the archives that nothing else needs.

    Idempotent. Raises TargetUnavailable while unfinished runs still need it.
    """
    layout = Layout.of(target)
    ownership.refuse_guest(layout)
    layout.refuse_links()
    owners = layout.owners_of(publication.external)
    if not layout.publications.exists():
        return True
    try:
        with _publishing(layout, _RETIRE_PATIENCE, exclusive=True):
            layout.see_owners(publication.external)
            mine = owners / _owner(target)
            if any(path != mine for path in owners.glob("[!.]*")):
                mine.unlink(missing_ok=True)
                return True
            with database.deciding(layout) as connection:
                waiting = queue.unfinished_of(connection, publication.external)
                if waiting:
                    raise TargetUnavailable(f"{waiting} unfinished runs still need the publication", retry_after=30.0)
                layout.publication(publication.external).unlink(missing_ok=True)
            removal.remove_below(owners, layout.root)
            _remove_unneeded(layout)
    except OSError as error:
        raise unusable(layout.root, error) from None
    return True


def _remove_unneeded(layout: Layout) -> None:
    """Remove what no plan names. As long as one cannot be read, nobody knows what it needs, and all stays."""
    try:
        plans = [read_plan(layout, path.stem) for path in layout.publications.glob("[!.]*.json")]
    except (TargetRefused, TargetUnavailable):
        return
    needed = {layout.archive(item["digest"]) for plan in plans for item in plan["archives"].values()}
    for path in layout.archives.glob("*.tar"):
        if path not in needed:
            removal.remove_below(path, layout.root)
    keep_only(layout, {path.stem for path in needed})


def read_plan(layout: Layout, external: str) -> dict[str, Any]:
    """The compiled document of a publication, which is what its name says.

    Raises TargetRefused when it is not there, not readable, or `publication_damaged`, and TargetUnavailable for trouble
    of the machine.
    """
    path = layout.publication(external)
    try:
        data = read_file(path, _LARGEST, below=layout.root)
        if not hashlib.sha256(data).hexdigest().startswith(_mark_of(external)):
            raise ValueError("it is not what was published")
        plan: dict[str, Any] = json.loads(data)
        check(plan)
    except FileNotFoundError:
        raise TargetRefused(f"the publication `{external}` is not under `{layout.root}`; publish it again") from None
    except OSError as error:
        if is_machines(error):
            raise unusable(path, error) from None
        said = f"the publication `{path}` cannot be read ({error.strerror or error}); publish it again"
        raise TargetRefused(
            said, code="publication_damaged" if error.errno in (*SWAPPED, TOO_LARGE) else None
        ) from None
    except (ValueError, TypeError, RecursionError) as error:
        raise TargetRefused(
            f"the publication `{path}` is damaged ({error}); publish it again", code="publication_damaged"
        ) from None
    return plan


def damage(target: Target, publication: Publication) -> list[str]:
    """What of a publication is not what was published, each in a line; nothing when all is. Every archive is read.

    Raises TargetUnavailable for trouble of the machine, which says nothing about the publication.
    """
    layout = Layout.of(target)
    try:
        plan = read_plan(layout, publication.external)
    except TargetRefused as error:
        return [str(error)]
    found = []
    for path, planned in plan["archives"].items():
        try:
            layout.see_archives()
            check_archive(Archive(path=path, location=layout.archive(planned["digest"]), **planned))
        except (RegistryError, OSError) as error:
            line = str(unusable(layout.archives, error) if isinstance(error, OSError) else error)
            if is_machines(error):
                raise TargetUnavailable(line, retry_after=10.0) from None
            found.append(line if isinstance(error, OSError) else f"{line}; publish it again")
    return found


def write_endpoint(layout: Layout, endpoint: EndpointState) -> None:
    """Keep the desired state of an endpoint, unless what is kept is newer. Raises TargetUnavailable."""
    ownership.make(layout)
    path = layout.endpoints / f"{endpoint.id}.json"
    try:
        # Of its own: a gate that closes waits for nobody who publishes.
        with _locked(layout.syncing, _SYNC_PATIENCE, exclusive=True, code="lock_held"):
            if _revision(path) > endpoint.revision:
                return
            _make_way(path)
            if endpoint.deleted:
                path.unlink(missing_ok=True)
            else:
                write_file(path, json.dumps(asdict(endpoint), indent=2, sort_keys=True).encode())
    except OSError as error:
        raise unusable(layout.root, error) from None


def _revision(path: Path) -> int:
    try:
        return int(json.loads(_content(path) or b"")["revision"])
    except (ValueError, KeyError, TypeError):
        return -1


def _own(layout: Layout, external: str, target: Target) -> None:
    """Note that a target published something; before it is there, so that it never is without an owner."""
    owners = layout.owners_of(external)
    layout.see_owners(external)
    if not owners.exists():
        earlier = layout.publication(external).exists()
        try:
            owners.mkdir(0o700)
        except FileExistsError:  # somebody else publishes the same
            earlier = False
        sync_folder(layout.owners)
        if earlier:  # from a time without owners: somebody's, nobody knows whose, so it stays
            write_file(owners / "unknown", b"")
    mark = owners / _owner(target)
    if not mark.exists():
        write_file(mark, os.fsencode(f"{target.home} {target.name}\n"))


def _owner(target: Target) -> str:
    return hashlib.sha256(os.fsencode(f"{target.home.resolve()}\0{target.name}")).hexdigest()[:32]


def _content(path: Path) -> bytes | None:
    """What lies at a path; None when nothing does, or no file."""
    try:
        return read_file(path, _LARGEST)
    except OSError:
        return None


def _external_of(layout: Layout, compiled: Compiled) -> str:
    """The publication's name here: the snapshot's digest, and that of what it was compiled to.

    One that was published when the second was shorter keeps its name.
    """
    digest = json.loads(compiled.data)["digest"].rpartition(":")[2]
    mark = hashlib.sha256(compiled.data).hexdigest()
    earlier = f"{digest}-{mark[:_SHORT]}"
    return earlier if os.path.lexists(layout.publication(earlier)) else f"{digest}-{mark[:_MARK]}"


def _mark_of(external: str) -> str:
    """The digest of the document in a publication's name. Raises ValueError where there is none."""
    mark = external.rpartition("-")[2]
    if len(mark) not in (_SHORT, _MARK):
        raise ValueError("its name is none of ours")
    return mark


def _put(source: Path, destination: Path) -> None:
    """Give an archive that is known to be right its place, whatever lies there: it may have been changed."""
    with draft(destination.parent, *DRAFTS) as place:
        whole = place.with_name(place.name + LINK)
        try:
            os.link(source, whole)
        except OSError:  # another file system, or one without links
            whole = place
            with source.open("rb") as read, place.open("r+b") as written:
                shutil.copyfileobj(read, written)
                written.flush()
                os.fsync(written.fileno())
        _make_way(destination)
        whole.replace(destination)  # two names of one file already: then it does nothing
    sync_folder(destination.parent)


def _make_way(place: Path) -> None:
    """Take away a folder that lies in a file's place; anything else gives way by itself."""
    if place.is_dir() and not place.is_symlink():
        removal.remove(os.fspath(place))


@contextlib.contextmanager
def _publishing(layout: Layout, seconds: float, *, exclusive: bool) -> Iterator[None]:
    """Publish beside others who do, or retire alone. Raises TargetUnavailable when it is not to be had in time.

    Retiring looks at what every publication needs; a publish in between would lose its archives.
    """
    with _locked(
        layout.publishing, seconds, exclusive=exclusive, code="publishing_elsewhere" if exclusive else "lock_held"
    ):
        yield


@contextlib.contextmanager
def _locked(path: Path, seconds: float, *, exclusive: bool, code: str) -> Iterator[None]:
    handle = open_file(path, os.O_RDWR | os.O_CREAT)
    try:
        if not locks.take(handle, exclusive=exclusive, seconds=seconds):
            by = locks.holder(path) or "somebody else"
            raise TargetUnavailable(f"`{path}` has been locked for {seconds:g} s: {by} is at work there", code=code)
        yield
    finally:
        os.close(handle)
