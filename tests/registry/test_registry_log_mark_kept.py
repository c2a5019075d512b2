"""A log stays its file's own whatever a caller writes into it, and whatever a disk kept of a checkpoint."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.registry.crashes import TORN, WAYS, beside, checkpoint, count, crash, crashed, refused
from tests.registry.restored import publish

from penstock.registry import Registry

FORGED = f"penstock log {'a' * 32} {'b' * 32} {'c' * 24}"


@pytest.mark.sampled(4)
@pytest.mark.parametrize("size", [0, 3000, 3200, 3300, 3400, 3500, 9000])
@pytest.mark.parametrize("first", [True, False])
def test_what_reads_like_a_mark_is_none(path, kit, size, first):
    """In a row that has a page to itself, whatever stands around it there."""
    text = f"{FORGED} {'x' * size}" if first else f"{'x' * size} {FORGED}"
    with Registry.open(path) as registry:
        kit.publish(registry, "a", endpoint="digits")
        for _ in range(5):
            kit.submit(registry)
    with Registry.open(path) as registry:
        kit.submit(registry, parameters={"p": text})
        assert count(path) == 1  # as another process sees it
        kit.submit(registry, parameters={"p": f"\x6a\x01\x03\x81\x5b{text}"})
        crash(path)
    assert count(crashed(path)) == 1


@pytest.mark.thorough
@settings(max_examples=25)
@given(st.sampled_from([1, 30]), st.sampled_from([1, 12]), st.sampled_from([0, 0, 3]), TORN)
def test_any_part_of_a_checkpoint_that_a_disk_kept_goes_with_its_log(earlier, logged, more, torn):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "registry.db"
        with Registry.open(path) as registry:
            for number in range(earlier):
                publish(registry, f"a{number}")
        with Registry.open(path) as registry:
            for number in range(logged):
                publish(registry, f"b{number}")
            before = path.read_bytes()
            checkpoint(path)
            for number in range(more):
                publish(registry, f"c{number}")
            if more:  # the log began anew, for the file was synced
                before = path.read_bytes()
                checkpoint(path)
            after, log = path.read_bytes(), beside(path, "-wal").read_bytes()
        path.write_bytes(torn.of(before, after))
        beside(path, "-shm").unlink(missing_ok=True)
        beside(path, "-wal").write_bytes(log)
        assert count(path) == earlier + logged + more


@pytest.mark.sampled(1)
@pytest.mark.parametrize("way", WAYS)
def test_asking_whether_it_can_be_written_leaves_a_mark(path, tmp_path, way):
    """As a check of a server's health does: what it writes may be the first that there is in a log."""
    with Registry.open(path) as registry:
        for number in range(100):
            publish(registry, f"a{number}")
    WAYS[way](path, tmp_path / "copy.db")
    with Registry.open(path) as registry:
        registry.check_writable()
        publish(registry, "b")
        crash(path)
    log = beside(path, "-wal.kept").read_bytes()
    shutil.copyfile(beside(path, ".kept"), tmp_path / "own.db")
    if way == "vacuum":
        refused(crashed(path, tmp_path / "copy.db"))
        beside(path, "-wal").unlink()
    else:
        crashed(path)
    shutil.copyfile(tmp_path / "own.db", path)
    beside(path, "-wal").write_bytes(log)
    assert count(path) == 101
