"""Who besides its owner can write a file: the group of its mode, and whom a POSIX ACL names."""

from __future__ import annotations

import os
import struct
from pathlib import Path

NAME = "system.posix_acl_access"
"""The extended attribute that holds the ACL of a file."""
_VERSION = 2
_USER, _GROUP_OF_FILE, _GROUP, _MASK = 0x02, 0x04, 0x08, 0x10
_WRITE = 2
_MOST_NAMED = 3


def acl_of(file: Path | int) -> bytes | None:
    """Who may what beyond the mode, whose bits for the group are then the most that any of them may."""
    try:
        return os.getxattr(file, NAME)
    except OSError:  # there is none, or no such thing on this file system
        return None


def writers_of(file: Path | int, found: os.stat_result) -> str:
    """Who can write a file whose mode lets the group write, in words; empty when that is its owner's group alone.

    `found` is what the system knows of it. This user and root are not named.
    """
    acl = acl_of(file)
    entries = [] if acl is None else _entries(acl)
    if not entries:
        return "" if _is_own(found.st_gid, found.st_uid) else group_name(found.st_gid)
    most = next((rights for tag, rights, _ in entries if tag == _MASK), _WRITE)
    named = []
    for tag, rights, number in entries:
        if not rights & most & _WRITE:
            continue
        if tag == _USER and number not in (0, found.st_uid, os.geteuid()):
            named.append(name_of(number))
        elif tag in (_GROUP, _GROUP_OF_FILE):
            group = found.st_gid if tag == _GROUP_OF_FILE else number
            if not _is_own(group, found.st_uid):
                named.append(group_name(group))
    if len(named) > _MOST_NAMED:
        named[_MOST_NAMED:] = [f"{len(named) - _MOST_NAMED} more"]
    return f"by its ACL {' and '.join(named)}" if named else ""


def name_of(uid: int) -> str:
    """A user as people know one."""
    import pwd

    try:
        return f"`{pwd.getpwuid(uid).pw_name}` (uid {uid})"
    except KeyError:
        return f"uid {uid}"


def group_name(gid: int) -> str:
    """A group as people know one."""
    import grp

    try:
        return f"the group `{grp.getgrgid(gid).gr_name}`"
    except KeyError:
        return f"the group gid {gid}"


def _is_own(gid: int, owner: int) -> bool:
    """Whether a group is just its owner's own, as many systems have it, with a umask that lets the group write."""
    import grp
    import pwd

    try:
        name, group = pwd.getpwuid(owner).pw_name, grp.getgrgid(gid)
    except KeyError:
        return False
    return group.gr_name == name and not set(group.gr_mem) - {name}


def _entries(acl: bytes) -> list[tuple[int, int, int]]:
    """The tag, the rights and the user or group of each entry; none of what cannot be read."""
    try:
        if struct.unpack_from("<I", acl)[0] != _VERSION:
            return []
        return list(struct.iter_unpack("<HHI", acl[4:]))
    except struct.error:
        return []
