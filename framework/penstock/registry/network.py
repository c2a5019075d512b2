"""Network file systems, on which a registry cannot lie: the locks that SQLite needs do not hold there."""

from __future__ import annotations

import os
import re
from pathlib import Path

from penstock.errors import RegistryError

_MOUNTS = Path("/proc/self/mountinfo")

_NETWORK = frozenset({
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs",
    "nfs", "nfs4", "ocfs2", "orangefs", "panfs", "pvfs2", "smb3", "smbfs", "weka", "wekafs",
})  # fmt: skip
_NETWORK_FUSE = frozenset({
    "afs", "blobfuse", "blobfuse2", "ceph", "cephfs", "davfs", "davfs2", "dbxfs", "gcsfuse", "glusterfs",
    "goofys", "juicefs", "mount-s3", "nfs", "rclone", "s3fs", "s3ql", "sftp", "smbnetfs", "sshfs",
})  # fmt: skip


def refuse_network(path: Path, mountinfo: str | None = None) -> None:
    """Refuse a path on a network file system, where file locks do not hold.

    `mountinfo` is the text of `/proc/self/mountinfo`, read when not given; without it nothing is known and nothing
    refused. Raises RegistryError `registry_network_fs`.
    """
    if mountinfo is None:
        try:
            mountinfo = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            return
    kind = _file_system(path, mountinfo)
    name, _, rest = kind.partition(".")
    if name in _NETWORK or (name == "fuse" and rest in _NETWORK_FUSE):
        raise RegistryError(
            f"{path}: the registry cannot lie on a network file system ({kind}), because its locks do not hold there; "
            "put it on a local disk of the machine that runs penstock",
            code="registry_network_fs",
        )


def _file_system(path: Path, mountinfo: str) -> str:
    """The type of the file system that a path lies on, after a mount table; empty when none fits."""
    real = os.path.realpath(path)
    best, found = -1, ""
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        fields, kind = left.split(" "), right.split(" ")[0]
        if len(fields) < 6:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[4]).rstrip("/")
        # Of several mounts on one point the last one is seen.
        if (real == point or real.startswith(point + "/")) and len(point) >= best:
            best, found = len(point), kind
    return found
