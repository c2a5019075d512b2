"""Whom an ACL lets write what decides what runs as somebody else is said, though the group is its owner's own."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import struct
import subprocess
import sys

import pytest

from penstock import trust
from penstock.config import load_config
from penstock.workspace import Workspace

ACL = "system.posix_acl_access"
USER, GROUP, MASK = 0x02, 0x08, 0x10
STRANGER = 65534
NONE = 2**32 - 1
WARNED = "and so decide what runs as you"


def allow(place, *named, group=4, mask=6):
    """Give a file an ACL with what users and groups named may do in it, as `setfacl` does."""
    bits = 1 if place.is_dir() else 0
    entries = [(1, 6 | bits, NONE), (4, group | bits, NONE), (MASK, mask | bits, NONE), (32, 4 | bits, NONE)]
    entries += [(tag, rights | bits, who) for tag, rights, who in named]
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in sorted(entries))
    try:
        os.setxattr(place, ACL, acl)
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            pytest.skip("this file system has no ACLs")
        raise


def of_user(uid):
    try:
        return f"`{pwd.getpwuid(uid).pw_name}` (uid {uid})"
    except KeyError:
        return f"uid {uid}"


def of_group(gid):
    try:
        return f"the group `{grp.getgrgid(gid).gr_name}`"
    except KeyError:
        return f"the group gid {gid}"


@pytest.fixture
def said(project, caplog, monkeypatch):
    """What is warned of when a workspace with a state is looked at, its files and group its owner's own."""
    with Workspace.open(project, actor="ada") as opened:
        opened.publish("greet.yaml", endpoint="hello")
    own = pwd.getpwuid(os.geteuid())
    group = grp.getgrgid(own.pw_gid)
    if group.gr_name != own.pw_name or set(group.gr_mem) - {own.pw_name}:
        pytest.skip("this user has no group of its own")
    for path in (project, *project.rglob("*")):
        os.chown(path, -1, own.pw_gid, follow_symlinks=False)

    def look():
        monkeypatch.setattr(trust, "_warned", set())
        caplog.clear()
        with Workspace.open(project, actor="ada") as opened:
            opened.runs.list()
        return [line for line in caplog.messages if WARNED in line]

    assert look() == []
    return look


PLACES = {
    "the configuration": "penstock.yaml",
    "the folder of the configuration": ".",
    "the state folder": ".penstock",
    "the registry": ".penstock/registry.db",
}


@pytest.mark.parametrize("what", PLACES)
def test_whom_an_acl_lets_write_is_said_once_though_the_group_is_private(project, said, what):
    place = project / PLACES[what]
    allow(place, (USER, 6, STRANGER))
    (line,) = said()
    assert line == (
        f"warning: by its ACL {of_user(STRANGER)} can write {what} `{place}`, {WARNED}; "
        f"`chmod g-w {place}` unless that is meant"
    )
    place.chmod(place.stat().st_mode & ~0o020)  # what it says mends it: those bits are the mask
    assert said() == []


@pytest.mark.parametrize(
    ("named", "group", "mask", "who"),
    [
        pytest.param([(GROUP, 6, STRANGER)], 4, 6, [of_group(STRANGER)], id="a group"),
        pytest.param([(USER, 6, 4242), (GROUP, 6, 4243)], 4, 6, ["uid 4242", "the group gid 4243"], id="both"),
        pytest.param([(USER, 4, STRANGER)], 4, 6, [], id="one who reads"),
        pytest.param([(USER, 6, STRANGER)], 6, 4, [], id="the mask forbids"),
        pytest.param([(USER, 6, os.geteuid()), (USER, 6, 0)], 6, 6, [], id="this user and root"),
        pytest.param([(GROUP, 6, os.getegid())], 6, 6, [], id="their own group"),
        pytest.param([(USER, 6, 5000 + each) for each in range(9)], 4, 6, ["uid 5000", "6 more"], id="many"),
    ],
)
def test_only_who_can_write_by_an_acl_is_named(project, said, named, group, mask, who):
    allow(project / "penstock.yaml", *named, group=group, mask=mask)
    lines = said()
    assert len(lines) == bool(who)
    assert all(one in line for line in lines for one in who)
    assert not lines or (of_user(STRANGER) in lines[0]) == (of_user(STRANGER) in who)


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another group: needs root")
@pytest.mark.parametrize(("rights", "is_named"), [(4, False), (6, True)])
def test_the_group_is_named_only_where_the_acl_lets_it_write(project, said, rights, is_named):
    os.chown(project / "penstock.yaml", -1, STRANGER)
    allow(project / "penstock.yaml", (USER, 6, 4242), group=rights)
    (line,) = said()
    assert "uid 4242" in line
    assert (of_group(STRANGER) in line) == is_named


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another group: needs root")
@pytest.mark.parametrize(("mode", "lines"), [(0o775, 1), (0o755, 0), (0o1775, 0)])
def test_a_group_that_can_replace_what_lies_in_a_folder_is_said(project, said, mode, lines):
    os.chown(project, -1, STRANGER)
    project.chmod(mode)
    found = said()
    assert len(found) == lines
    assert all(f"{of_group(STRANGER)} can write the folder of the configuration `{project}`" in one for one in found)


def test_the_folder_in_which_a_link_s_end_lies_is_looked_at(project, said, tmp_path):
    (tmp_path / "real").mkdir()
    (project / "penstock.yaml").rename(tmp_path / "real" / "penstock.yaml")
    (project / "penstock.yaml").symlink_to(tmp_path / "real" / "penstock.yaml")
    assert said() == []
    allow(tmp_path / "real", (USER, 6, STRANGER))
    (line,) = said()
    assert f"{of_user(STRANGER)} can write the folder of the configuration `{tmp_path / 'real'}`" in line


def test_no_acl_is_read_where_the_group_cannot_write(project, said, monkeypatch):
    def no_call(*_, **__):
        raise AssertionError("an ACL was read")

    monkeypatch.setattr(os, "getxattr", no_call)
    assert said() == []


@pytest.mark.parametrize("acl", [b"", b"\x03\x00\x00\x00", b"\x02\x00\x00\x00\x01"])
def test_an_acl_that_nobody_can_read_is_taken_for_none(project, said, monkeypatch, acl):
    (project / "penstock.yaml").chmod(0o664)
    monkeypatch.setattr(os, "getxattr", lambda *_, **__: acl)
    load_config(project)
    assert said() == []


def test_the_command_line_says_it(project, said):
    allow(project / "penstock.yaml", (USER, 6, STRANGER))
    for words in (["status"], ["target", "list"]):
        done = subprocess.run(
            [sys.executable, "-m", "penstock", *words], cwd=project, capture_output=True, text=True, check=True
        )
        assert done.stderr.count(WARNED) == 1
