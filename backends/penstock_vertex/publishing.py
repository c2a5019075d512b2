"""Putting what is compiled, and the code and data that travel with it, into the staging bucket, content-addressed."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from penstock.contract.target import Compiled, Publication, Target
from penstock.snapshot import Snapshot
from penstock_vertex.archives import write_portable
from penstock_vertex.client import connect
from penstock_vertex.staging import code_object, compiled_object


def publish(target: Target, snapshot: Snapshot, compiled: Compiled) -> Publication:
    """Upload what is not there yet; nothing is ever overwritten, so what a broken publish leaves behind does no harm.

    The document comes last: whoever finds it finds everything that it names. Raises TargetUnavailable, TargetRefused.
    """
    vertex = connect(target.options)
    for archive in snapshot.archives.values():
        path = code_object(archive.digest)
        if not vertex.has(path):
            with tempfile.NamedTemporaryFile(suffix=".tar") as file:
                write_portable(archive, file)
                file.flush()
                vertex.put_file(path, Path(file.name))
    path = compiled_object(hashlib.sha256(compiled.data).hexdigest())
    if not vertex.has(path):
        vertex.put(path, compiled.data)
    return Publication(external=vertex.uri(path), details={"digest": snapshot.digest})
