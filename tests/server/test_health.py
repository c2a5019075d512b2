"""What health says of a registry that cannot be written, and what asking costs."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest


@pytest.fixture
def away(folder, tmp_path) -> Iterator[Path]:
    """A project of its own, with the registry of the others."""
    shutil.copy(folder / "penstock.yaml", tmp_path)
    (tmp_path / ".penstock").mkdir(mode=0o700)
    shutil.copytree(folder / ".penstock/archives", tmp_path / ".penstock/archives")
    with (
        closing(sqlite3.connect(folder / ".penstock/registry.db")) as source,
        closing(sqlite3.connect(tmp_path / ".penstock/registry.db")) as copy,
    ):
        source.backup(copy)
        copy.execute("PRAGMA journal_mode = WAL")
    yield tmp_path


@pytest.fixture
def server(away, serving) -> Iterator:
    one = serving.Served(away, "--no-dispatch", "--no-auth")
    yield one
    one.stop()


@pytest.mark.thorough
def test_nothing_is_taken_into_a_registry_that_was_replaced(server, away) -> None:
    """What is written to a file without a name is lost, so it is refused, and health says so."""
    assert server.call("POST", "/v1/endpoints/hello/runs", {}).status == 201
    registry = away / ".penstock/registry.db"
    for change in ("replaced", "gone"):
        if change == "replaced":
            shutil.copy(registry, away / "backup.db")
            os.replace(away / "backup.db", registry)
        else:
            registry.unlink()
        refused = server.call("POST", "/v1/endpoints/hello/runs", {})
        assert (refused.status, refused.json["code"]) == (503, "registry_replaced")
        assert str(away) not in refused.json["detail"]
        time.sleep(1.1)
        health = server.call("GET", "/readyz")
        assert (health.status, health.json["checks"]["registry"]) == (503, "registry_replaced")


@pytest.mark.thorough
def test_who_asks_for_health_of_a_locked_registry_holds_up_nobody(server, away) -> None:
    words = []

    def ask() -> None:
        words.append(server.call("GET", "/readyz").json["checks"]["registry"])

    with closing(sqlite3.connect(away / ".penstock/registry.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        asking = [threading.Thread(target=ask, daemon=True) for _ in range(40)]
        for thread in asking:
            thread.start()
        began = time.monotonic()
        assert server.call("GET", "/v1/endpoints/hello").status == 200
        assert time.monotonic() - began < 5
        while (late := server.call("GET", "/readyz")).status == 200:
            assert time.monotonic() - began < 10
        assert late.json["checks"]["registry"] == "registry_busy"
        other.execute("ROLLBACK")
    for thread in asking:
        thread.join(20)
    assert len(words) == 40
    deadline = time.monotonic() + 10
    while server.call("GET", "/readyz").status != 200:
        assert time.monotonic() < deadline


@pytest.mark.thorough
def test_a_locked_registry_holds_up_only_those_that_write(away, serving) -> None:
    """More triggers than there are threads wait for the lock, and all others are answered meanwhile."""
    guarded = serving.Served(away, "--no-dispatch")
    token = serving.token(away, "anybody", "submit")
    states: list[int] = []

    def trigger() -> None:
        states.append(guarded.call("POST", "/v1/endpoints/hello/runs", {}, token=token).status)

    waiting = [threading.Thread(target=trigger, daemon=True) for _ in range(50)]
    try:
        with closing(sqlite3.connect(away / ".penstock/registry.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            for thread in waiting:
                thread.start()
            time.sleep(0.5)
            began = time.monotonic()
            for _ in range(40):
                assert guarded.call("GET", "/v1/endpoints/hello", token=token).status == 200
            assert guarded.call("POST", "/v1/endpoints/hello/runs", {}).status == 401
            assert guarded.call("GET", "/healthz").status == 200
            assert guarded.call("GET", "/readyz").json["checks"]["registry"] == "registry_busy"
            assert time.monotonic() - began < 15  # a wait for the lock takes 30
            assert states == []
            other.execute("ROLLBACK")
        for thread in waiting:
            thread.join(30)
        assert states == [201] * 50
    finally:
        guarded.stop()


@pytest.fixture
def small(away) -> Iterator[Path]:
    """The same on a disk of 3 MB."""
    disk = away / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m,mode=700", "penstock-test", disk]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("this user may not mount a small disk")
    try:
        shutil.move(away / ".penstock", disk / ".penstock")
        shutil.copy(away / "penstock.yaml", disk)
        yield disk
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_health_says_that_the_disk_is_full(small, serving, tmp_path) -> None:
    """A lock can be taken there, but nothing written."""
    server = serving.Served(small, "--no-dispatch", "--no-auth", env={"TMPDIR": str(tmp_path)})
    try:
        assert server.call("POST", "/v1/endpoints/hello/runs", {}).status == 201
        with suppress(OSError), (small / "filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(bytes(4096))
        deadline = time.monotonic() + 30
        while (refused := server.call("POST", "/v1/endpoints/hello/runs", {})).status == 201:
            assert time.monotonic() < deadline
        assert (refused.status, refused.json["code"]) == (503, "registry_disk_full")
        assert str(small) not in refused.json["detail"]
        time.sleep(1.1)
        health = server.call("GET", "/readyz")
        assert (health.status, health.json["checks"]["registry"]) == (503, "registry_disk_full")
        (small / "filler").unlink()
        time.sleep(1.1)
        assert server.call("GET", "/readyz").status == 200
        assert server.call("POST", "/v1/endpoints/hello/runs", {}).status == 201
    finally:
        server.stop()
