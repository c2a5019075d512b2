"""Each link on the way to what is used is held to what holds for a file: whose it is, and who can replace it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock import trust
from penstock.config import load_config
from penstock.errors import ConfigInvalid
from penstock.workspace import Workspace

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user: needs root")
MODES = {"own": 0o755, "sticky": 0o1777, "open": 0o777}
NAMES = {"penstock.yaml": "the configuration", ".penstock": "the state folder"}


@pytest.fixture(params=NAMES)
def kind(request) -> str:
    """What is reached by links."""
    return request.param


def lay(place: Path, kind: str) -> None:
    """Lay a configuration or a state folder of our own."""
    if kind == "penstock.yaml":
        place.write_text("target: chosen\ntargets: {chosen: {backend: local}}\n")
    else:
        place.mkdir(mode=0o700)


def folders(base: Path) -> dict[str, Path]:
    """A folder of each mode."""
    for name, mode in MODES.items():
        (base / name).mkdir(parents=True)
        (base / name).chmod(mode)
    return {name: base / name for name in MODES}


def use(folder: Path, kind: str) -> None:
    """Use what lies in a folder, as every verb does."""
    if kind == "penstock.yaml":
        assert load_config(folder).target.value == "chosen"
        return
    with Workspace.open(folder, actor="ada") as opened:
        opened.tokens.list()


def refused(folder: Path, kind: str) -> str:
    with pytest.raises(ConfigInvalid) as refusal:
        use(folder, kind)
    assert (refusal.value.code, refusal.value.exit_code) == ("not_trusted", 4)
    said = str(refusal.value)
    assert "\n" not in said and said.startswith(f"{NAMES[kind]} `{folder / kind}` leads to `")
    return said


@as_root
def test_a_link_of_another_user_on_the_way_decides_nothing(tmp_path, monkeypatch, kind):
    at = folders(tmp_path)
    lay(at["own"] / "one", kind)
    theirs = at["sticky"] / "two"
    theirs.symlink_to(at["own"] / "one")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / kind).symlink_to(Path("..") / "own" / ".." / "sticky" / "two")
    use(tmp_path / "here", kind)
    os.chown(theirs, NOBODY, NOBODY, follow_symlinks=False)
    said = refused(tmp_path / "here", kind)
    assert f"leads to `{theirs}`, which belongs to" in said and "(uid 65534), not to you" in said
    assert "PENSTOCK_TRUST=" in said
    with monkeypatch.context() as patch:
        patch.setenv("PENSTOCK_TRUST", str(at["own"]))
        use(tmp_path / "here", kind)
    for end in (tmp_path / "nothing", theirs):  # to nothing, and in a circle: it could lead elsewhere in a moment
        theirs.unlink()
        theirs.symlink_to(end)
        os.chown(theirs, NOBODY, NOBODY, follow_symlinks=False)
        distrust = trust.distrust(tmp_path / "here" / kind, NAMES[kind])
        assert distrust is not None and f"`{theirs}`, which belongs to" in distrust


@pytest.mark.parametrize("end", ["own", "open"])
def test_a_link_into_a_folder_that_everybody_can_write_is_refused_like_a_file_there(tmp_path, monkeypatch, kind, end):
    at = folders(tmp_path)
    lay(at[end] / "one", kind)
    place = at["open"] / "one"
    if end == "own":
        place.symlink_to(Path("..") / "own" / "one")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / kind).symlink_to(Path("..") / "open" / "one")
    said = refused(tmp_path / "here", kind)
    assert f"leads to `{place}`, which lies in `{at['open']}`, which everybody can write" in said
    assert f"`chmod o-w {at['open']}`" in said
    monkeypatch.setenv("PENSTOCK_TRUST", str(at[end]))
    use(tmp_path / "here", kind)
    monkeypatch.delenv("PENSTOCK_TRUST")
    at["open"].chmod(0o1777)
    use(tmp_path / "here", kind)


def test_a_link_to_nothing_in_a_folder_that_everybody_can_write_is_refused(tmp_path):
    at = folders(tmp_path)
    (at["own"] / ".penstock").symlink_to(at["open"] / "later")
    assert "which everybody can write" in refused(at["own"], ".penstock")
    assert list(at["open"].iterdir()) == []


def test_folders_that_are_links_are_followed_as_before(tmp_path, kind):
    """As Kubernetes mounts a ConfigMap, and as a home lies elsewhere."""
    (tmp_path / "real" / "..2026_x").mkdir(parents=True)
    lay(tmp_path / "real" / "..2026_x" / kind, kind)
    (tmp_path / "real" / "..data").symlink_to("..2026_x")
    (tmp_path / "real" / kind).symlink_to(f"..data/{kind}")
    (tmp_path / "home").symlink_to("real")
    use(tmp_path / "home", kind)


def test_an_open_file_that_is_given_as_a_path_is_read(tmp_path):
    """`/dev/fd/3` is a link of the kernel's, whose text need be the name of nothing any more."""
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with (tmp_path / "open" / "one").open("w+") as file:
        (tmp_path / "open" / "one").unlink()
        assert trust.distrust(Path(f"/dev/fd/{file.fileno()}"), "the configuration", file.fileno()) is None


@as_root
def test_who_takes_a_link_away_once_it_was_opened_is_not_believed(tmp_path, monkeypatch):
    at = folders(tmp_path)
    lay(at["own"] / "one", "penstock.yaml")
    (at["own"] / "two").symlink_to(at["sticky"] / "gone")
    with (at["own"] / "one").open() as file:
        for place in (at["sticky"] / "gone", at["own"] / "two"):
            with pytest.raises(FileNotFoundError):
                trust.distrust(place, "the configuration", file.fileno())
            assert trust.distrust(place, "the configuration") is None


def test_no_file_costs_more_looks_than_before_and_a_circle_ends(tmp_path, monkeypatch):
    lay(tmp_path / "penstock.yaml", "penstock.yaml")
    looks: list[str] = []
    for name in ("stat", "lstat", "fstat", "readlink"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, real=real, name=name, **k: (looks.append(name), real(*a, **k))[1])
    with (tmp_path / "penstock.yaml").open() as file:
        looks.clear()
        assert trust.distrust(tmp_path / "penstock.yaml", "the configuration", file.fileno()) is None
        assert sorted(looks) == ["fstat", "lstat", "stat"]
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    with pytest.raises(OSError, match="symbolic links"):
        trust.distrust(tmp_path / "one", "the configuration")


@as_root
@given(st.lists(st.tuples(st.sampled_from(list(MODES)), st.booleans(), st.booleans()), min_size=1, max_size=6))
def test_a_chain_is_believed_when_each_of_it_is_ours_and_nobody_can_replace_it(tmp_path_factory, chain):
    """Each of a chain, the last of them a file: the folder that it lies in, whether it is ours, whether it is named
    from there.
    """
    base = tmp_path_factory.mktemp("chain")
    at = folders(base)
    for number, (folder, ours, relative) in enumerate(chain):
        place = at[folder] / str(number)
        if number == len(chain) - 1:
            lay(place, "penstock.yaml")
        else:
            to = at[chain[number + 1][0]] / str(number + 1)
            place.symlink_to(Path("..") / to.relative_to(base) if relative else to)
        if not ours:
            os.chown(place, NOBODY, NOBODY, follow_symlinks=False)
    distrust = trust.distrust(at[chain[0][0]] / "0", "the configuration")
    wrong = [number for number, (folder, ours, _) in enumerate(chain) if folder == "open" or not ours]
    assert (distrust is not None) == bool(wrong), distrust
    first = [number for number in wrong if number > 0]
    if first and 0 not in wrong:
        assert f"leads to `{at[chain[first[0]][0]] / str(first[0])}`, which " in str(distrust)


@as_root
def test_archives_may_lie_behind_a_link_of_ours_and_of_nobody_else(project, tmp_path, monkeypatch):
    with Workspace.open(project, actor="ada") as opened:
        opened.publish("greet.yaml", endpoint="hello")
    archives = project / ".penstock/archives"
    archives.rename(tmp_path / "larger")
    archives.symlink_to(tmp_path / "larger")
    with Workspace.open(project, actor="ada") as opened:
        opened.publish("greet.yaml", endpoint="hello")
    os.chown(archives, NOBODY, NOBODY, follow_symlinks=False)
    with pytest.raises(ConfigInvalid) as refusal, Workspace.open(project, actor="ada") as opened:
        opened.publish("greet.yaml")
    said = str(refusal.value)
    assert refusal.value.code == "not_trusted" and said.startswith(f"the folder of archives `{archives}` belongs to")
    monkeypatch.setenv("PENSTOCK_TRUST", str(tmp_path / "larger"))
    with Workspace.open(project, actor="ada") as opened:
        opened.publish("greet.yaml")
