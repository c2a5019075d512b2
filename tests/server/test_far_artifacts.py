"""Artifacts that lie at a far target, over HTTP: fetched, sent and gone, whatever becomes of the fetching."""

from __future__ import annotations

import errno
import io
import os
import select
import socket
import struct
import tarfile
import textwrap
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from penstock.contract.artifacts import Destination
from penstock.errors import PenstockError, TargetRefused, TargetUnavailable
from penstock.server import spool
from penstock.server.spool import Spool
from penstock.server.threads import Fetchers
from penstock.workspace import Artifact, Workspace

# The local target, which says that what it made lies elsewhere, and has a mood that a file says.
FAR = """
import time
from pathlib import Path

from penstock.contract.run import RunOutputs
from penstock.errors import TargetUnavailable
from penstock_local.hooks import *
from penstock_local import hooks as local
from penstock import hookimpl

MOOD = Path(__file__).with_name("mood")


@hookimpl
def penstock_get_outputs(target, run):
    outputs = local.penstock_get_outputs(target, run).outputs
    return RunOutputs(outputs={name: f"far://{text}" for name, text in outputs.items()})


@hookimpl
def penstock_fetch_artifact(target, run, name, destination):
    mood = MOOD.read_text()
    if mood == "huge":
        destination.file("", 2**60, [b"x"])
    if mood == "away":
        def pieces():
            yield b"abc"
            raise TargetUnavailable("it went away in the middle")
        destination.file("" if name == "table" else "a", 6, pieces())
    if mood == "endless" and name == "folder":
        def drops():
            while MOOD.read_text() == "endless":
                time.sleep(0.05)
                yield b"x"
        destination.file("a", 2**20, drops())
    if mood == "slow":
        while MOOD.read_text() == "slow":
            time.sleep(0.05)
    return local.penstock_fetch_artifact(target, run, name, destination)
"""
MUTE = FAR + "\n\ndel penstock_fetch_artifact\n"
SPEC = """\
apiVersion: penstock/v1
kind: Pipeline
name: made
steps:
  make:
    command: [sh, -c, 'printf abcdefghij > "$1"; mkdir -p "$2/sub/empty"; echo run > "$2/sub/run";
      chmod 755 "$2/sub/run"; ln -s sub/run "$2/link"', sh, "${{ outputs.table }}", "${{ outputs.folder }}"]
    outputs: {table: file, folder: directory}
outputs:
  table: "${{ steps.make.outputs.table }}"
  folder: "${{ steps.make.outputs.folder }}"
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """Where the backends `far` and `mute` are installed."""
    site = tmp_path_factory.mktemp("site")
    for name, source in (("far", FAR), ("mute", MUTE)):
        info = site / f"penstock_{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: penstock-{name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[penstock.backends]\n{name} = penstock_{name}\n")
        (site / f"penstock_{name}.py").write_text(textwrap.dedent(source))
    (site / "mood").write_text("")
    return site


@pytest.fixture
def mood(site):
    """Says how `far` feels."""
    yield lambda word: (site / "mood").write_text(word)
    (site / "mood").write_text("")


@pytest.fixture(scope="module")
def place(tmp_path_factory, site, engines_end) -> Path:
    """A project with an endpoint on each of the two."""
    place = tmp_path_factory.mktemp("far")
    (place / "made.yaml").write_text(SPEC)
    (place / "penstock.yaml").write_text(
        "target: far\ntargets:\n  far: {backend: far, idle: 2s}\n  mute: {backend: mute, idle: 2s}\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(site)
        with Workspace.open(place, env={}, actor="ada") as workspace:
            for name in ("far", "mute"):
                workspace.publish(place / "made.yaml", endpoint=name, target=name)
    yield place
    engines_end(place)


@pytest.fixture(scope="module")
def server(place, site, serving):
    served = serving.Served(place, env={"PYTHONPATH": str(site)})
    yield served
    served.stop()


@pytest.fixture(scope="module")
def token(place, serving) -> str:
    return serving.token(place, "submit", "submit")


@pytest.fixture(scope="module")
def runs(server, token) -> dict[str, str]:
    """A run that has succeeded, of each target."""
    made = {
        name: server.call("POST", f"/v1/endpoints/{name}/runs", {}, token=token).json["id"] for name in ("far", "mute")
    }
    for run in made.values():
        ended = server.call("GET", f"/v1/runs/{run}?wait=60", token=token).json
        assert ended["state"] == "succeeded" and ended["outputs"]["table"].startswith("far:///"), ended
    return made


@pytest.fixture
def get(server, token, runs):
    def call(path, method="GET", **headers):
        path = f"/v1/runs/{runs['far']}/outputs{path}"
        return server.call(method, path, token=token, headers={k.replace("_", "-"): v for k, v in headers.items()})

    return call


def left(place: Path, server) -> list[str]:
    """What the server has open of the state folder that has no name, once it has let go of what it answered with."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = []
        for one in Path(f"/proc/{server.process.pid}/fd").iterdir():
            with suppress(FileNotFoundError):
                found.append(os.readlink(one))
        found = [one for one in found if str(place) in one and "deleted" in one]
        if not found:
            break
    return found + [one.name for one in (place / ".penstock").iterdir() if one.name.startswith("tmp")]


def test_a_file_of_a_far_target_comes_as_one_of_this_machine_does(get, server, runs, place) -> None:
    assert get("").json["artifacts"] == {
        name: f"{server.url}/v1/runs/{runs['far']}/outputs/{name}" for name in ("table", "folder")
    }
    whole = get("/table")
    assert (whole.status, whole.body) == (200, b"abcdefghij")
    assert whole.headers["content-length"] == "10"
    assert whole.headers["content-disposition"] == 'attachment; filename="table"'
    part = get("/table", Range="bytes=2-4")
    assert (part.status, part.body, part.headers["content-range"]) == (206, b"cde", "bytes 2-4/10")
    none = get("/table", Range="bytes=10-")
    assert (none.status, none.headers["content-range"]) == (416, "bytes */10")
    head = get("/table", "HEAD")
    assert (head.status, head.headers["content-length"], head.body) == (200, "10", b"")
    assert left(place, server) == []


def test_a_folder_comes_as_an_archive(get, server, place, tmp_path) -> None:
    reply = get("/folder")
    assert (reply.status, reply.headers["content-type"]) == (200, "application/x-tar")
    with tarfile.open(fileobj=io.BytesIO(reply.body)) as archive:
        names = set(archive.getnames())
        archive.extractall(tmp_path, filter="data")
    assert names == {"folder", "folder/sub", "folder/sub/empty", "folder/sub/run", "folder/link"}
    assert (tmp_path / "folder/link").read_text() == "run\n"
    assert os.access(tmp_path / "folder/sub/run", os.X_OK)
    head = get("/folder", "HEAD")
    assert (head.status, head.headers["content-type"], head.body) == (200, "application/x-tar", b"")
    assert left(place, server) == []


@pytest.mark.parametrize(
    ("feels", "status", "code"), [("away", 503, "target_unavailable"), ("huge", 507, "artifact_too_large")]
)
@pytest.mark.parametrize("name", ["table", "folder"])
def test_what_breaks_off_is_an_error_and_leaves_nothing(get, mood, server, place, feels, status, code, name) -> None:
    mood(feels)
    reply = get(f"/{name}")
    expected = (502, "artifact_unsafe") if (feels, name) == ("huge", "folder") else (status, code)
    assert (reply.status, reply.json["code"]) == expected
    mood("")
    assert get(f"/{name}").status == 200
    assert left(place, server) == []


def test_a_target_that_downloads_none_says_where_it_lies(server, token, runs) -> None:
    told = server.call("GET", f"/v1/runs/{runs['mute']}/outputs", token=token).json
    assert (set(told["outputs"]), told["artifacts"]) == ({"table", "folder"}, {})
    reply = server.call("GET", f"/v1/runs/{runs['mute']}/outputs/table", token=token)
    assert (reply.status, reply.json["code"]) == (422, "artifact_elsewhere")
    assert told["outputs"]["table"] in reply.json["detail"]


def test_those_who_fetch_hold_up_nobody_else(get, mood, server, token, place, runs) -> None:
    mood("slow")
    head = f"GET /v1/runs/{runs['far']}/outputs/table HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
    waiting = []
    try:
        for _ in range(21):
            waiting.append(socket.create_connection((server.host, server.port), timeout=60))
            waiting[-1].sendall(head.encode())
        (refused,), _, _ = select.select(waiting, [], [], 60)  # one more than there is room for in the line
        assert refused.recv(12) == b"HTTP/1.1 429"
        assert server.call("GET", f"/v1/runs/{runs['far']}", token=token).status == 200
        mood("")
        assert [one.recv(12) for one in waiting if one is not refused] == [b"HTTP/1.1 200"] * 20
    finally:
        mood("")
        for connection in waiting:
            connection.close()
    assert get("/table").status == 200


def test_nothing_is_fetched_on_for_who_has_gone(get, mood, server, token, place, runs) -> None:
    mood("endless")
    head = f"GET /v1/runs/{runs['far']}/outputs/folder HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
    for _ in range(8):  # all threads, and as many that wait for one
        with socket.create_connection((server.host, server.port), timeout=60) as connection:
            connection.sendall(head.encode())
            time.sleep(0.1)
            # Who only ends its own side may still read; with TLS there is no half of a connection.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    reply = get("/table")
    assert (reply.status, reply.body) == (200, b"abcdefghij")
    mood("")
    assert left(place, server) == []


@pytest.fixture
def spooled(tmp_path):
    def make(type="directory", stopping=False, only_head=False):
        artifact = Artifact(name="made", type=type, path=None)
        return Spool(artifact, tmp_path, lambda: not stopping, only_head=only_head)

    return make


def test_a_spool_has_no_name_and_keeps_things_apart(spooled, tmp_path) -> None:
    one: Destination = spooled()
    one.file("b/c", 3, [b"ab", b"c"])
    one.link("b/d", "c")
    one.folder("")
    one.folder("e/f")
    assert list(tmp_path.iterdir()) == []
    with tarfile.open(fileobj=io.BytesIO(b"".join(one.pieces()))) as archive:
        assert [(each.name, each.mode) for each in archive] == [
            ("made", 0o755), ("made/b", 0o755), ("made/b/c", 0o644), ("made/b/d", 0o777), ("made/e", 0o755),
            ("made/e/f", 0o755),
        ]  # fmt: skip
        assert archive.extractfile("made/b/d").read() == b"abc"
    for wrong in (
        lambda: one.file("b", 0, []),
        lambda: one.file("b/c", 0, []),
        lambda: one.file("b/d/e", 0, []),
        lambda: one.folder("b/c"),
        lambda: one.link("b/c", "d"),
        lambda: one.link("", "d"),
        lambda: one.file("../b", 0, []),
        lambda: one.file("", 0, []),
        lambda: spooled("file").folder(""),
    ):
        with pytest.raises(TargetRefused) as caught:
            wrong()
        assert caught.value.code == "artifact_unsafe"


def test_a_spool_stops_where_the_server_or_the_disk_ends(spooled, tmp_path, monkeypatch) -> None:
    with pytest.raises(TargetUnavailable, match="the server ends"):
        spooled("file", stopping=True).file("", 1, [b"a"])
    with pytest.raises(TargetUnavailable, match="only 1 came"):
        spooled("file").file("", 2, [b"a"])
    monkeypatch.setattr(spool, "_free", lambda folder: spool._SPARED + 1)
    spooled("file").file("", 1, [b"a"])
    with pytest.raises(PenstockError) as caught:
        spooled("file").file("", 2, [b"ab"])
    assert (caught.value.code, caught.value.http_status) == ("artifact_too_large", 507)
    with pytest.raises(PenstockError) as caught:
        Spool(Artifact(name="made", type="file", path=None), tmp_path / "none", lambda: True, only_head=False)
    assert caught.value.code == "system_error"
    full = spooled("file")

    class Full:
        write = staticmethod(lambda data: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device")))
        close = staticmethod(lambda: None)

    full._file.close()
    full._file = Full
    with pytest.raises(PenstockError, match="No space left") as caught:
        full.file("", 1, [b"a"])
    assert caught.value.code == "artifact_too_large"


def test_a_head_asks_for_no_piece(spooled) -> None:
    def pieces():
        raise AssertionError("nobody wants it")
        yield b""

    one = spooled("file", only_head=True)
    one.file("", 7, pieces())
    assert one.opened().length == 7


def test_a_place_in_the_line_is_given_back(monkeypatch) -> None:
    import asyncio

    async def story() -> None:
        fetchers, go = Fetchers(1, 1), threading.Event()
        first, second = asyncio.ensure_future(fetchers.do(go.wait)), asyncio.ensure_future(fetchers.do(lambda: 2))
        await asyncio.sleep(0)
        with pytest.raises(PenstockError) as caught:
            await fetchers.do(lambda: 3)
        assert caught.value.code == "too_many_requests"
        go.set()
        assert (await first, await second) == (True, 2)
        assert await fetchers.do(lambda: 3) == 3

    asyncio.run(story())
