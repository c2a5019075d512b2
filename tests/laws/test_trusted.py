"""Law 13: what somebody else could have written decides nothing that happens as this user."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from laws.marks import python_only

from penstock.errors import PenstockError
from penstock.testing.helpers.setup import unique
from penstock.testing.laws import require, same
from penstock.workspace import Workspace

pytestmark = python_only

_CONFIG = "target: here\ntargets:\n  here: {backend: memory, place: here}\n"


def test_what_everybody_can_write_decides_nothing(harness):
    """Is nothing used that everybody can write, or replace, until somebody says that it is trusted?"""
    places: dict[str, Callable[[Path], Path]] = {
        "the configuration": lambda folder: folder / "penstock.yaml",
        "the state folder": lambda folder: folder / ".penstock",
        "the registry": lambda folder: folder / ".penstock" / "registry.db",
        "the project's folder": lambda folder: folder,
    }
    for what, place in places.items():
        folder = harness.subject.config.home.parent / unique("trusted")
        folder.mkdir()
        (folder / "penstock.yaml").write_text(_CONFIG)
        with Workspace.open(folder) as ws:
            ws.tokens.create("cron", scope="read")
        mode = place(folder).stat().st_mode
        place(folder).chmod(mode | 0o002)
        _refused(f"{what} that everybody can write", lambda folder=folder: Workspace.open(folder))
        place(folder).chmod(mode)
        with Workspace.open(folder) as ws:
            same(13, len(ws.tokens.list()), 1, f"what is there once nobody else can write {what}")


def test_no_configuration_is_found_where_everybody_can_lay_one(harness):
    """Does the search for a configuration end below a folder in which everybody can lay one?"""
    above = harness.subject.config.home.parent / unique("above")
    own = above / "own" / "work"
    own.mkdir(parents=True)
    (above / "penstock.yaml").write_text(_CONFIG)
    same(13, _target(own), "here", "the target of who works below a configuration of their own")
    for mode in (0o777, 0o1777):
        above.chmod(mode)
        same(13, _target(own), "local", f"the target where everybody can lay a configuration ({mode:o})")
    above.chmod(0o755)


def _target(folder: Path) -> str:
    """The default target of who stands in a folder, or the code of the refusal."""
    try:
        with Workspace.open(folder) as ws:
            return ws.config.target.value
    except PenstockError as error:
        return error.code


def _refused(what: str, call: Callable[[], Workspace]) -> None:
    try:
        call().close()
    except PenstockError as error:
        require(13, error.code == "not_trusted", f"{what} is refused with `{error.code}`: {error}")
    else:
        require(13, False, f"{what} is used")
