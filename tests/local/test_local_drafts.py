"""What killed publishes and hand-overs leave half written under a root goes with the next of them."""

import os
import signal
import stat

import pytest

from penstock.spec import Step
from penstock_local import store


@pytest.fixture
def elsewhere(places, small_disk):
    """A target with its root on another file system, where archives cannot be linked."""
    place = places(root=small_disk(size="8m").folder / "root", idle=0.5)
    (place.spec / "src").mkdir()
    (place.spec / "src" / "data.bin").write_bytes(os.urandom(1 << 20))
    return place


def publish(place):
    return place.publish({"one": Step(command=["ls"], code="src")})


def killed(act) -> None:
    """Do something in a process that kills itself there."""
    pid = os.fork()
    if pid == 0:
        try:
            act()
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def half_a_copy(read, written) -> None:
    written.write(read.read(1 << 19))
    written.flush()
    os.kill(os.getpid(), signal.SIGKILL)


def left(place) -> list[str]:
    return [path.name for path in place.layout.root.rglob(".*") if path.is_file() and path != place.layout.mark]


def test_the_archive_of_a_killed_publish(elsewhere, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(store.shutil, "copyfileobj", half_a_copy)
        for _ in range(2):
            killed(lambda: publish(elsewhere))
    assert len(left(elsewhere)) == 1
    assert elsewhere.wait(elsewhere.start(publish(elsewhere))).state == "succeeded"
    assert left(elsewhere) == []


def test_the_second_name_of_an_archive(place, monkeypatch):
    (place.spec / "src").mkdir()
    (place.spec / "src" / "a.txt").write_text("x")
    link = os.link

    def linked(source, destination):
        link(source, destination)
        os.kill(os.getpid(), signal.SIGKILL)

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", linked)
        killed(lambda: publish(place))
    assert len(left(place)) == 2
    publish(place)
    assert left(place) == []
    archive = next(place.layout.archives.glob("*.tar"))
    assert os.path.samefile(archive, next((place.folder / "archives").glob("*.tar")))
    publish(place)  # both are one file by now
    assert left(place) == []


def test_a_document_of_a_killed_publish(place, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: stat.S_ISREG(os.fstat(file).st_mode) and os.kill(os.getpid(), 9))
        killed(lambda: place.publish({"one": "true"}))
    assert left(place)
    assert place.wait(place.submit({"one": "true"})).state == "succeeded"
    assert left(place) == []
