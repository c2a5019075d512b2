"""Many threads and one file: readers that do not wait, writers that take turns, and connections that are closed."""

import os
import threading
import time

import pytest

from penstock.errors import NotFound, RegistryError
from penstock.registry import Registry, default_version, endpoints, gates, pipelines


@pytest.fixture
def filled(path, kit):
    """A closed registry with something in it."""
    with Registry.open(path) as registry:
        kit.publish(registry, "a", endpoint="digits")
    return path


def test_threads_that_publish_at_once_count_on_without_a_gap(registry, kit):
    def work(digest):
        kit.publish(registry, digest, endpoint="digits")

    threads = [threading.Thread(target=work, args=(str(number),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [version.version for version in registry.endpoints.get("digits").versions] == [str(n) for n in range(8)]


def test_readers_do_not_wait_for_who_decides(registry, kit):
    kit.publish(registry, "a", endpoint="digits")
    seen, meet = [], threading.Barrier(17)

    def read():
        meet.wait(10)
        with registry._database.read() as tx:
            meet.wait(10)  # all of them are in a transaction of their own, at once
            seen.append(tx.one("SELECT count(*) AS n FROM published")["n"])
        seen.append(len(registry.endpoints.get("digits").versions))

    readers = [threading.Thread(target=read) for _ in range(16)]
    with registry.write() as tx:
        pipelines.publish(tx, kit.order("b", endpoint="digits"), kit.caller)
        for reader in readers:
            reader.start()
        meet.wait(10)
        meet.wait(10)
        for reader in readers:
            reader.join(10)
        assert seen == [1] * 32, "they see what is committed, while another decides"
    assert len(registry.endpoints.get("digits").versions) == 2


def test_writers_of_one_process_take_turns(registry, kit, monkeypatch):
    kit.publish(registry, "a", endpoint="digits")
    # SQLite's own lock would refuse at once.
    monkeypatch.setattr("penstock.registry.copying.BUSY_SECONDS", 0.0)
    kit.sql(registry, "PRAGMA busy_timeout = 0")
    inside, most, done = [], [], []

    def write(number):
        with registry.write() as tx:
            inside.append(number)
            most.append(len(inside))
            before = tx.one("SELECT revision FROM endpoints")["revision"]
            time.sleep(0.002)
            tx.run("UPDATE endpoints SET revision = ?", before + 1)
            inside.remove(number)
        done.append(number)

    first = registry.endpoints.get("digits").revision
    writers = [threading.Thread(target=write, args=(number,)) for number in range(16)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(30)
    assert sorted(done) == list(range(16))
    assert max(most) == 1
    assert registry.endpoints.get("digits").revision == first + 16


def test_a_writer_whose_turn_does_not_come_is_told_so(registry, kit, monkeypatch):
    monkeypatch.setattr("penstock.registry.decisions.BUSY_SECONDS", 0.05)
    codes = []
    with registry.write():
        other = threading.Thread(target=lambda: codes.append(kit.code(kit.publish, registry, "a")))
        other.start()
        other.join(10)
    assert codes == ["registry_busy"]
    assert kit.code(kit.publish, registry, "a") is None


def test_several_changes_of_one_decision_hold_together_or_not_at_all(registry, kit):
    kit.publish(registry, "a", endpoint="digits")
    before = (registry.endpoints.get("digits"), kit.history(registry, runs=True), registry.counts())
    with pytest.raises(NotFound), registry.write() as tx:
        endpoints.rename(tx, "digits", "numbers", kit.caller)
        gates.set_gate(tx, "endpoint", "numbers", open=False, caller=kit.caller)
        default_version.set_default(tx, "numbers", "7", kit.caller)
    assert (registry.endpoints.get("digits"), kit.history(registry, runs=True), registry.counts()) == before
    with registry.write() as tx:
        endpoints.rename(tx, "digits", "numbers", kit.caller)
        gates.set_gate(tx, "endpoint", "numbers", open=False, caller=kit.caller)
    changed = registry.endpoints.get("numbers")
    assert (changed.id, changed.enabled) == (before[0].id, False)
    times = {row.at for row in kit.history(registry, limit=2).items}
    assert len(times) == 1, "one decision has one time"


def test_closing_leaves_no_connection_open_not_even_one_in_use(filled):
    def handles():
        links = (os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd"))
        return [link for link in links if str(filled) in link]

    registry = Registry.open(filled)
    with registry._database.read(), registry._database.read():
        assert handles()
        registry.close()
        assert handles()
    assert handles() == []


def test_a_closed_registry_and_one_of_another_process_say_so(filled, kit, monkeypatch):
    registry = Registry.open(filled)
    with monkeypatch.context() as patched:
        patched.setattr(os, "getpid", lambda: -1)
        with pytest.raises(RegistryError, match="opened before a fork"):
            registry.counts()
    registry.close()
    registry.close()
    with pytest.raises(RegistryError, match="is closed"):
        registry.counts()
