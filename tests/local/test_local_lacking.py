"""What the machine lacks for a moment while an attempt is prepared or a publication is read says nothing of either."""

import errno
import json
import os

import pytest

from penstock.errors import TargetRefused, TargetUnavailable
from penstock.spec import Step
from penstock_local import removal, store
from penstock_local.layout import Layout

LACKED = [errno.EMFILE, errno.ENFILE, errno.ENOMEM]
lacked = pytest.mark.parametrize("number", LACKED, ids=[errno.errorcode[one] for one in LACKED])


def fail(number):
    def raising(*asked, **more):
        raise OSError(number, os.strerror(number))

    return raising


def test_what_an_attempt_left_makes_way_without_a_file_to_open(tmp_path, monkeypatch):
    folder = tmp_path / "a.1"
    folder.mkdir()
    monkeypatch.setattr(os, "open", fail(errno.EMFILE))
    removal.make_fresh(os.fspath(folder), tmp_path)
    assert os.listdir(folder) == []


@lacked
def test_what_cannot_make_way_for_lack_of_a_file_is_the_machines_trouble(tmp_path, monkeypatch, number):
    folder = tmp_path / "a.1"
    folder.mkdir()
    (folder / "file").touch()
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", fail(number))
        with pytest.raises(OSError, match=os.strerror(number)):
            removal.make_fresh(os.fspath(folder), tmp_path)
    removal.make_fresh(os.fspath(folder), tmp_path)
    assert os.listdir(folder) == []


def test_nothing_behind_a_link_makes_way(tmp_path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "precious").touch()
    (tmp_path / "a.1").symlink_to("theirs")
    removal.make_fresh(os.fspath(tmp_path / "a.1"), tmp_path)
    assert (tmp_path / "theirs" / "precious").exists() and not (tmp_path / "a.1").is_symlink()


@lacked
def test_a_publication_that_cannot_be_read_for_now_is_not_damaged(place, monkeypatch, number):
    (place.spec / "src").mkdir()
    (place.spec / "src/main").write_text("mine")
    published = place.publish({"one": Step(command="true", code="src")})
    other = place.publish({"two": "true"})
    with monkeypatch.context() as patch:
        patch.setattr(store, "read_file", fail(number))
        with pytest.raises(TargetUnavailable, match=os.strerror(number)):
            store.read_plan(place.layout, published.external)
        with pytest.raises(TargetUnavailable, match=os.strerror(number)):
            store.damage(place.target, published)
        assert store.retire(place.target, other)
    with monkeypatch.context() as patch:
        patch.setattr(store, "check_archive", fail(number))
        with pytest.raises(TargetUnavailable, match=os.strerror(number)):
            store.damage(place.target, published)
    assert store.damage(place.target, published) == []
    assert len(list(place.layout.archives.iterdir())) == 1  # none goes that a plan may need which nobody could read


def test_a_publication_that_nobody_may_read_is_refused(place, monkeypatch):
    published = place.publish({"one": "true"})
    monkeypatch.setattr(store, "read_file", fail(errno.EACCES))
    with pytest.raises(TargetRefused):
        store.read_plan(Layout(place.layout.root), published.external)
    assert json.loads(place.layout.publication(published.external).read_text())
