"""Law 13: what somebody else could have written decides nothing that happens as this user, and is changed by nobody."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from laws.doors.standing import Standing
from laws.marks import as_two_users, not_by_the_wire, with_files

from penstock.testing.harness import Harness
from penstock.testing.helpers.setup import unique
from penstock.testing.laws import same
from penstock.workspace import Workspace

pytestmark = not_by_the_wire

_USER = 65534
_CONFIG = "target: here\ntargets:\n  here: {backend: memory, place: here}\n"
_PLACES: Mapping[str, Callable[[Path], Path]] = {
    "the configuration": lambda folder: folder / "penstock.yaml",
    "the state folder": lambda folder: folder / ".penstock",
    "the registry": lambda folder: folder / ".penstock" / "registry.db",
}


def test_what_everybody_can_write_decides_nothing(harness):
    """Is nothing used that everybody can write, or replace, until nobody else can any more?"""
    for what, place in {**_PLACES, "the project's folder": lambda folder: folder}.items():
        one = _workspace(harness)
        path = place(one.folder)
        mode = path.stat().st_mode
        path.chmod(mode | 0o002)
        _refused(one, f"{what} that everybody can write")
        path.chmod(mode)
        same(13, one.looks(), "", f"what becomes of a look once nobody else can write {what}")


@as_two_users
def test_what_is_another_users_decides_nothing(harness):
    """Is nothing used that is another user's, be it a link that leads to what is one's own?"""
    for what, place in _PLACES.items():
        one = _workspace(harness)
        path = place(one.folder)
        with _given(path):
            _refused(one, f"{what} of another user")
        same(13, one.looks(), "", f"what becomes of a look once {what} is one's own")
        own = path.rename(one.folder.parent / unique("own"))
        path.symlink_to(own)
        same(13, one.looks(), "", f"what becomes of a look when {what} is a link of one's own")
        with _given(path):
            _refused(one, f"{what} that is a link of another user")


@as_two_users
def test_each_link_on_the_way_is_held_to_the_same(harness):
    """Is nothing used that is reached by another user's link on the way, or by one that everybody can replace?"""
    for what, place in _PLACES.items():
        one = _workspace(harness)
        path, between = place(one.folder), one.folder.with_name(unique("between"))
        own = path.rename(one.folder.with_name(unique("own")))
        between.mkdir()
        (between / "link").symlink_to(own)
        path.symlink_to(between / "link")
        same(13, one.looks(), "", f"what becomes of a look when {what} is reached by links of one's own")
        with _given(between / "link"):
            _refused(one, f"{what} that another user's link leads to")
        between.chmod(0o777)
        _refused(one, f"{what} that a link leads to which everybody can replace")
        between.chmod(0o755)
        same(13, one.looks(), "", f"what becomes of a look once nobody else can replace a link to {what}")


@as_two_users
def test_nothing_is_made_where_others_could_have_laid_it(harness):
    """Does whoever works in a folder of another user, or that everybody can write, make nothing there by any change?"""
    with TemporaryDirectory() as place:  # no configuration lies above
        one, folder = Standing(harness, Path(place)), Path(place)
        folder.chmod(0o777)
        same(13, one.changes(), "not_trusted", "what becomes of a change in a new workspace where everybody can write")
        folder.chmod(0o755)
        with _given(folder):
            what = "what becomes of a change in a new workspace in a folder of another user"
            same(13, one.changes(), "not_trusted", what)
        same(13, list(folder.iterdir()), [], "what lies in a folder after changes that were refused there")
        same(13, one.changes(), "", "what becomes of a change once the folder is one's own")


def test_what_is_trusted_is_what_was_named(harness):
    """Does PENSTOCK_TRUST trust what it names and what lies below, and nothing beside?"""
    for what, place in _PLACES.items():
        one = _workspace(harness)
        path = place(one.folder)
        path.chmod(path.stat().st_mode | 0o002)
        beside = one.folder.with_name(one.folder.name[:-1])
        for named in (beside, one.folder / "code", one.folder.name, f"{one.folder}ly"):
            _refused(one.trusting(named), f"{what} that everybody can write, where `{named}` is trusted,")
        for named in (one.folder, one.folder.parent):
            found = one.trusting("/nowhere", named).looks()
            same(13, found, "", f"what becomes of a look at {what} where `{named}` is trusted")


@with_files
def test_no_configuration_is_found_where_everybody_can_lay_one(harness):
    """Does the search for a configuration end below a folder in which everybody can lay one?"""
    above, one = _below(harness)
    same(13, one.target(), "here", "the target of who works below a configuration of their own")
    for mode in (0o777, 0o1777):
        above.chmod(mode)
        same(13, one.target(), "local", f"the target where everybody can lay a configuration ({mode:o})")
    above.chmod(0o755)


@with_files
@as_two_users
def test_no_configuration_is_found_above_where_the_owner_changes(harness):
    """Does the search for a configuration end where the folder above is another user's?"""
    above, one = _below(harness)
    (above.parent / "penstock.yaml").write_text(_CONFIG)
    same(13, one.target(), "here", "the target of who works below a configuration of their own")
    with _given(above):
        same(13, one.target(), "local", "the target below a folder of another user with a configuration")
    (above.parent / "penstock.yaml").unlink()


@as_two_users
def test_only_its_owner_changes_a_workspace(harness):
    """Does whoever trusts another user's workspace read there, root too, and change and begin nothing?"""
    one = _workspace(harness)
    with _given(one.folder, *one.folder.rglob("*")):
        _refused(one, "a workspace of another user")
        guest = one.trusting(one.folder)
        looks = "registry_not_owned" if harness.door == "http" else ""  # to serve is to follow its runs
        same(13, guest.looks(), looks, "what becomes of a look at a workspace of another user that is trusted")
        same(13, guest.changes(), "registry_not_owned", "what becomes of a change there")
        owners = {path.lstat().st_uid for path in (one.folder, *one.folder.rglob("*"))}
        same(13, owners, {_USER}, "whose everything is in a workspace of another user, after looks and changes")
    same(13, one.looks(), "", "what becomes of a look once it is one's own")


def _workspace(harness: Harness) -> Standing:
    """Whoever stands in a new workspace of their own, in which a token was made."""
    folder = harness.subject.config.home.parent / unique("trusted")
    folder.mkdir()
    (folder / "penstock.yaml").write_text(_CONFIG)
    with Workspace.open(folder) as ws:
        ws.tokens.create("cron", scope="read")
    return Standing(harness, folder)


def _below(harness: Harness) -> tuple[Path, Standing]:
    """A folder with a configuration, and who stands in a folder of their own two below."""
    above = harness.subject.config.home.parent / unique("over") / "above"
    work = above / "own" / "work"
    work.mkdir(parents=True)
    (above / "penstock.yaml").write_text(_CONFIG)
    return above, Standing(harness, work)


@contextmanager
def _given(*paths: Path) -> Iterator[None]:
    """Let something belong to another user for a while."""
    for path in paths:
        os.chown(path, _USER, _USER, follow_symlinks=False)
    try:
        yield
    finally:
        for path in paths:
            os.chown(path, os.geteuid(), os.getegid(), follow_symlinks=False)


def _refused(one: Standing, what: str) -> None:
    for asked in (one.looks, one.changes):
        same(13, asked(), "not_trusted", f"what becomes of who {asked.__name__} at {what}")
