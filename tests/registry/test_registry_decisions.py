"""Decisions that share a commit: as if each had been made alone, and none of them answered before it is durable."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.errors import PenstockError
from penstock.registry import Registry, WouldBlock, endpoints, gates
from penstock.registry.decisions import LARGEST_GROUP

NAMES = ("digits", "letters", "words")


def change(kit, step):
    """One decision; every one of them writes something before it may fail."""
    what, name, other = step

    def work(tx):
        endpoint = endpoints.need_endpoint(tx, name)
        tx.run("UPDATE endpoints SET description = description || ? WHERE seq = ?", other[0], endpoint["seq"])
        if what == "rename":
            endpoints.rename(tx, name, other, kit.caller)
        elif what == "access":
            endpoints.set_access(tx, name, other, kit.caller)
        else:
            gates.set_gate(tx, "endpoint", name, open=what == "open", caller=kit.caller, reason=other)
        if other == NAMES[2]:
            raise ZeroDivisionError

    return work


def outcome(call, *args):
    try:
        call(*args)
    except PenstockError as error:
        return error.code
    except ZeroDivisionError:
        return "bug"
    return "done"


def content(registry, kit):
    rows = kit.sql(registry, "SELECT name, description, access, gate_reason FROM endpoints ORDER BY seq")
    history = kit.sql(registry, 'SELECT action, subject, "from", "to", reason FROM history ORDER BY seq')
    times = [row["at"] for row in kit.sql(registry, "SELECT at FROM history ORDER BY seq")]
    assert times == sorted(times)
    return [tuple(row) for row in rows], [tuple(row) for row in history]


def started(folder: Path, kit) -> Registry:
    registry = Registry.open(folder / "registry.db")
    for digest, name in enumerate(NAMES[:2]):
        kit.publish(registry, str(digest), name=name, endpoint=name)
    return registry


def made_together(registry, works):
    """What decisions that share a commit come to; what one of them takes with it is made again, as the server does."""
    seen, again = [], []
    with registry.group_commit() as group:
        for work in works:
            with group.joined():
                try:
                    seen.append(outcome(registry._decisions.make, work))
                except WouldBlock:
                    seen.append("again")
        try:
            group.commit()
        except WouldBlock:
            again = [number for number, one in enumerate(seen) if one in ("done", "again")]
    for number in again:
        seen[number] = outcome(registry._decisions.make, works[number])
    return seen


@contextmanager
def all_waiting(registry, works):
    """Threads that wait for their turn in this order, which comes with the end of the block; what they came to."""
    found: dict[int, str] = {}
    threads = []
    with registry.write():
        for number, work in enumerate(works):

            def run(number=number, work=work):
                found[number] = outcome(registry._decisions.make, work)

            threads.append(threading.Thread(target=run))
            threads[-1].start()
            while len(registry._decisions._waiting) <= number:
                pass
        yield found
    for thread in threads:
        thread.join(30)


STEPS = st.tuples(
    st.sampled_from(["rename", "access", "close", "open"]),
    st.sampled_from(NAMES),
    st.sampled_from([*NAMES, "public", "private"]),
)


@pytest.mark.thorough
@given(steps=st.lists(STEPS, min_size=2, max_size=8))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_decisions_that_share_a_commit_are_as_if_each_had_been_made_alone(tmp_path_factory, kit, steps):
    """One after the other, by threads that wait together, and by one thread together."""
    works = [change(kit, step) for step in steps]
    alone, waiting, together = (started(tmp_path_factory.mktemp(name), kit) for name in "abc")
    with alone, waiting, together:
        expected = [outcome(alone._decisions.make, work) for work in works]

        with all_waiting(waiting, works) as found:
            pass
        assert [found[number] for number in range(len(works))] == expected
        assert content(waiting, kit) == content(alone, kit)

        assert made_together(together, works) == expected
        assert content(together, kit) == content(alone, kit)


def test_those_that_wait_share_one_commit(registry, kit, monkeypatch):
    kit.publish(registry, "a", endpoint="digits")
    begun, begin = [], registry._database.begin

    def counted(how):
        begun.append(how)
        return begin(how)

    works = [change(kit, ("close" if number % 2 else "open", "digits", "why")) for number in range(LARGEST_GROUP + 10)]
    monkeypatch.setattr(registry._database, "begin", counted)
    with all_waiting(registry, works) as found:
        begun.clear()
    assert set(found.values()) == {"done"} and len(found) == len(works)
    assert begun == ["BEGIN IMMEDIATE"] * 2, "the first, with as many as may go with it, and the rest"


def dangling(tx):
    """What only the commit finds out."""
    tx.run("PRAGMA defer_foreign_keys = ON")
    tx.insert("versions", endpoint=999, version=0, published=999, created=tx.now)


def test_when_the_commit_fails_nothing_of_it_holds_and_everybody_is_told(registry, kit):
    kit.publish(registry, "a", endpoint="digits")
    before = content(registry, kit)
    good = change(kit, ("close", "digits", "why"))
    with all_waiting(registry, [good, dangling, good]) as found:
        pass
    assert set(found.values()) == {"registry_error"} and len(found) == 3
    assert content(registry, kit) == before

    group, told = registry.group_commit(), []
    with group.joined():
        registry._decisions.make(good)
        registry.after_commit(lambda: told.append("good"))
        registry._decisions.make(dangling)
    assert outcome(group.commit) == "registry_error"
    assert content(registry, kit) == before
    assert told == [], "what is told is durable"
    registry._decisions.make(good)
    assert content(registry, kit) != before, "the next one has its turn"


def test_what_is_told_is_told_after_the_commit(registry, kit):
    kit.publish(registry, "a", endpoint="digits")
    group, seen = registry.group_commit(), []

    def look():
        seen.append(Registry.open(registry._database.path, read_only=True).endpoints.get("digits").enabled)

    with group.joined():
        assert registry.must_not_block
        registry._decisions.make(change(kit, ("close", "digits", "why")))
        registry.after_commit(look)
    assert seen == [] and not registry.must_not_block
    group.commit()
    assert seen == [False]


def test_what_is_never_committed_is_taken_back(registry, kit):
    kit.publish(registry, "a", endpoint="digits")
    before = content(registry, kit)
    close = change(kit, ("close", "digits", "why"))
    with pytest.raises(ZeroDivisionError), registry.group_commit() as group:
        with group.joined():
            registry._decisions.make(close)
        raise ZeroDivisionError
    assert content(registry, kit) == before
    registry._decisions.make(close)


def test_who_must_not_block_waits_for_nobody(registry, kit):
    kit.publish(registry, "a", endpoint="digits")
    close = change(kit, ("close", "digits", "why"))

    def refused():
        with registry.group_commit().joined(), pytest.raises(WouldBlock):
            registry._decisions.make(close)

    with registry.write():
        refused()  # a thread of this process decides
    other = sqlite3.connect(registry._database.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    refused()  # another process does
    other.execute("ROLLBACK")
    other.close()
    registry._decisions.make(close)
    assert not registry.endpoints.get("digits").enabled, "whoever could not decide keeps nobody from it"


def test_who_stops_waiting_decides_nothing(registry, kit):
    kit.publish(registry, "a", endpoint="digits")
    with registry.write():
        begun = len(registry._decisions._waiting)
        # The turn is ours, so the main thread would wait for itself; Ctrl-C ends that.
        timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            registry._decisions.make(change(kit, ("close", "digits", "why")))
        assert len(registry._decisions._waiting) == begun
    registry._decisions.make(change(kit, ("access", "digits", "public")))
    assert registry.endpoints.get("digits").enabled


def surrogate(tx):
    tx.run("UPDATE endpoints SET description = ?", "\ud800")


def damaged(tx):
    json.loads("{")


def misspelled(tx):
    tx.run("UPDATE nothing SET description = ''")


def taken_back(tx):
    """What a full disk may do: SQLite takes back all of the transaction, and not the statement alone."""
    tx.run("INSERT OR ROLLBACK INTO endpoints SELECT * FROM endpoints")


@pytest.mark.parametrize("work", [surrogate, damaged, misspelled, taken_back])
def test_what_goes_wrong_together_is_what_goes_wrong_alone(registry, kit, work):
    kit.publish(registry, "a", endpoint="digits")
    before = content(registry, kit)
    alone = outcome(registry._decisions.make, work)
    with registry.group_commit() as together, together.joined():
        assert outcome(registry._decisions.make, work) == alone
    assert content(registry, kit) == before


def test_nothing_is_decided_in_a_group_that_sqlite_took_back(registry, kit):
    """What came after it would be committed at once, though everybody is told that nothing was changed."""
    kit.publish(registry, "a", endpoint="digits")
    before = content(registry, kit)
    close = change(kit, ("close", "digits", "why"))
    together = registry.group_commit()
    with together.joined():
        assert outcome(registry._decisions.make, close) == "done"
        assert outcome(registry._decisions.make, taken_back) == "registry_error"
        assert outcome(registry._decisions.make, close) == "registry_error"
    assert outcome(together.commit) == "registry_error"
    assert content(registry, kit) == before
    registry._decisions.make(close)


def test_what_fails_after_it_has_written_leaves_nothing_behind_and_the_others_are_made_again(registry, kit):
    kit.publish(registry, "a", endpoint="digits")
    before, told = content(registry, kit), []
    close = change(kit, ("close", "digits", "why"))

    def broken(tx):
        close(tx)
        raise ZeroDivisionError

    with registry.group_commit() as together:
        with together.joined():
            assert outcome(registry._decisions.make, close) == "done"
            registry.after_commit(lambda: told.append("closed"))
            assert outcome(registry._decisions.make, broken) == "bug"
            with pytest.raises(WouldBlock):
                registry._decisions.make(close)
        with pytest.raises(WouldBlock):
            together.commit()
    assert content(registry, kit) == before and told == []
    registry._decisions.make(close)
    assert content(registry, kit) != before, "the next one has its turn"


def replaced(path):
    """Put a copy in its place, as who restores a backup does."""
    copy = path.with_name("copy.db")
    copy.write_bytes(path.read_bytes())
    os.replace(copy, path)


def test_what_is_committed_to_a_file_that_was_replaced_meanwhile_is_an_error(tmp_path, kit):
    path, told = tmp_path / "registry.db", []
    close = change(kit, ("close", "digits", "why"))
    with started(tmp_path, kit) as registry, registry.group_commit() as together:
        with together.joined():
            registry._decisions.make(close)
            registry.after_commit(lambda: told.append("closed"))
        replaced(path)
        assert outcome(together.commit) == "registry_replaced"
        assert told == []

    def overtaken(tx):
        close(tx)
        replaced(path)

    with Registry.open(path) as registry:
        assert outcome(registry._decisions.make, overtaken) == "registry_replaced"


def test_a_commit_says_whether_anything_had_to_be_written(registry, kit):
    kit.publish(registry, "a", endpoint="digits")
    works = {False: lambda tx: tx.need("SELECT 1"), True: change(kit, ("close", "digits", "why"))}
    for wrote, work in works.items():
        together = registry.group_commit()
        with together.joined():
            registry._decisions.make(work)
        assert together.commit() is wrote
    assert registry.group_commit().commit() is False
