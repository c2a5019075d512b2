"""Putting what is compiled, and the code and data that travel with it, into the staging bucket, content-addressed."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from penstock.contract.target import Compiled, Publication, Target
from penstock.launcher.archives import write_portable
from penstock.snapshot import Snapshot
from penstock_vertex.client import connect
from penstock_vertex.names import header_text
from penstock_vertex.options import VertexOptions
from penstock_vertex.repository import registry_of, tag_of, template_of
from penstock_vertex.staging import code_object, compiled_object


def publish(target: Target, snapshot: Snapshot, compiled: Compiled) -> Publication:
    """Upload what is not there yet; nothing is ever overwritten, so what a broken publish leaves behind does no harm.

    The document comes after all that it names, and what a repository has after the document. Objects say whose they
    are in their metadata: the first that put them there, as others may have the same content. Raises
    TargetUnavailable, TargetRefused.
    """
    options: VertexOptions = target.options
    vertex = connect(options)
    said = {"penstock-digest": snapshot.digest, "penstock-pipeline": header_text(snapshot.pipeline.name)}
    for archive in snapshot.archives.values():
        path = code_object(archive.digest)
        with tempfile.NamedTemporaryFile(prefix=".", suffix=".tar") as file:
            write_portable(archive, file)
            file.flush()
            if not vertex.has(path, Path(file.name)):
                vertex.put(path, Path(file.name), said)
    path = compiled_object(hashlib.sha256(compiled.data).hexdigest())
    vertex.put(path, compiled.data, said)
    details = {"digest": snapshot.digest}
    if options.repository is not None:
        package, content = template_of(compiled.data)
        registry = registry_of(options, options.repository)
        details["template"] = registry.put(package, content, tag_of(snapshot.digest))
    return Publication(external=vertex.uri(path), details=details)
