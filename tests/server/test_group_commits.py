"""Triggers that are accepted on the server's loop say what those say that a thread accepts."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import threading
import uuid

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.callers import Caller
from penstock.errors import TooManyRequests
from penstock.registry import GroupCommit, Registry
from penstock.server.group_commits import GroupCommits
from penstock.workspace import Workspace

CALLER = Caller(actor="ada", door="http", request_id="request-1")

BODIES = st.fixed_dictionaries(
    {},
    optional={
        "parameters": st.dictionaries(
            st.sampled_from(["name", "times", "nmae"]),
            st.one_of(st.integers(-1, 7), st.sampled_from(["x", "y" * 21, "3", ""]), st.none()),
            max_size=2,
        ),
        "version": st.sampled_from(["0", "1", 0, "latest"]),
        "experiment": st.sampled_from(["trials", ""]),
        "tags": st.just({"team": "vision"}),
        "extra": st.just(1),
    },
)
PATHS = st.sampled_from(["endpoints/hello/runs", "endpoints/hello@0/runs", "endpoints/hullo/runs"])


@pytest.fixture(scope="module")
def in_threads(folder, tmp_path_factory, serving):
    """A server with a plugin that wraps verbs, which sees a decision once it is durable: there threads accept."""
    place = tmp_path_factory.mktemp("threads")
    audited = "plugins: [audit]\n"
    (place / "penstock.yaml").write_text(audited + (folder / "penstock.yaml").read_text())
    for name in ("greet.yaml", "table.csv"):
        (place / name).write_bytes((folder / name).read_bytes())
    with Workspace.open(place, env={}, actor="ada") as workspace:
        for endpoint in ("hello", "hidden"):
            workspace.publish(place / "greet.yaml", endpoint=endpoint)
    server = serving.Served(place, "--no-dispatch")
    yield server, serving.token(place, "all", "submit")
    server.stop()


def said(reply):
    """What an answer says but for what names this one run."""
    own = {"id", "created", "request_id", "by", "published", "endpoint_id", "waiting"}
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", reply.body.decode())
    return reply.status, {key: value for key, value in json.loads(text).items() if key not in own}


@given(path=PATHS, body=BODIES, key=st.none() | st.sampled_from(["a", "b"]))
@settings(max_examples=52, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_both_ways_say_the_same(served, tokens, in_threads, path, body, key):
    headers = {"Idempotency-Key": key} if key else {}
    other, token = in_threads
    here = served.call("POST", f"/v1/{path}", body, token=tokens["submit"], headers=headers)
    there = other.call("POST", f"/v1/{path}", body, token=token, headers=headers)
    assert said(here) == said(there)


def test_a_key_that_comes_many_times_at_once_has_one_run(served, tokens):
    served.call("POST", "/v1/endpoints/hello/runs", {}, token=tokens["submit"])
    found, start = [], threading.Barrier(16)

    def call():
        start.wait(10)
        reply = served.call(
            "POST", "/v1/endpoints/hello/runs", {}, token=tokens["submit"], headers={"Idempotency-Key": "at once"}
        )
        found.append((reply.status, reply.json["id"]))

    threads = [threading.Thread(target=call) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(status for status, _ in found) == [200] * 15 + [201]
    assert len({run for _, run in found}) == 1


def test_what_was_accepted_before_is_not_taken_for_what_holds(served, tokens, folder):
    """Gates, default and name are those of the acceptance, though the trigger was prepared for what was before."""

    def trigger(name="moving"):
        reply = served.call("POST", f"/v1/endpoints/{name}/runs", {}, token=tokens["submit"])
        return reply.json.get("code") or (reply.json["endpoint"], reply.json["version"])

    with Workspace.open(folder, env={}, actor="ada") as workspace:  # another process for all the server knows
        for endpoint in ("moving", "other"):
            workspace.publish(folder / "greet.yaml", endpoint=endpoint)
        assert trigger() == ("moving", "0")
        workspace.endpoints.disable("moving")
        assert trigger() == "endpoint_disabled"
        workspace.endpoints.enable("moving")
        assert trigger() == ("moving", "0")
        spec = folder / "longer.yaml"
        spec.write_text((folder / "greet.yaml").read_text().replace("maxLength: 20", "maxLength: 21"))
        workspace.publish(spec, endpoint="moving", default=True)
        assert trigger() == ("moving", "1")
        workspace.endpoints.rename("moving", "moved")
        workspace.endpoints.rename("other", "moving")
        assert trigger() == ("moving", "0"), "the other endpoint, which has the name now"
        workspace.endpoints.rename("moving", "other")
        assert trigger() == "endpoint_not_found"
        workspace.endpoints.rename("moved", "moving")
        assert trigger() == ("moving", "1")
        workspace.endpoints.disable("moving@1")
        assert trigger() == "version_disabled"
        workspace.endpoints.enable("moving@1")
        assert trigger() == ("moving", "1")


class Gone(Exception):
    """What a caller is refused with."""


@pytest.fixture
def registry(tmp_path):
    with Registry.open(tmp_path / "registry.db") as opened:
        yield opened


def written(registry):
    """Something to decide."""
    return lambda: registry.tokens.create(f"ada-{uuid.uuid4()}", "read", None, None, CALLER) and None


def accepting(registry, **options):
    async def elsewhere(work):
        return await asyncio.to_thread(work)

    return GroupCommits(registry, elsewhere, **options)


def test_those_that_are_refused_hold_up_nobody(registry):
    """However many come without a pause, what was decided before them is committed."""

    async def flood(doing):
        def refused():
            raise Gone

        async def keep_on(number):
            while not decided.done():
                with contextlib.suppress(Gone):
                    await doing.do(refused, client=number)

        decided = asyncio.ensure_future(doing.do(written(registry), client="ada"))
        await asyncio.sleep(0)
        await asyncio.wait_for(asyncio.gather(decided, *(keep_on(number) for number in range(8))), 20)

    asyncio.run(flood(accepting(registry)))


def test_what_writes_nothing_says_nothing_of_the_disk(registry, monkeypatch):
    """The loop waits for a disk that was quick, and not because nobody asked it for anything."""

    async def ask(doing):
        for number in range(40):
            await doing.do(lambda: None, client=number)
            await doing.do(lambda: registry._decisions.make(lambda tx: tx.need("SELECT 1")), client=number)
        await doing.do(written(registry), client="ada")

    threads, commit = [], GroupCommit.commit

    def committed(self):
        threads.append(threading.current_thread().name)
        return commit(self)

    monkeypatch.setattr("penstock.server.group_commits._QUICK", 60.0)
    monkeypatch.setattr(GroupCommit, "commit", committed)
    asyncio.run(ask(accepting(registry)))
    assert threads[-1] == "penstock-commit"


def test_a_bug_in_one_decision_is_the_outcome_of_that_one_alone(registry):
    """What it had written is taken back with all that share its commit, which are made again."""

    def broken():
        def work(tx):
            tx.run("INSERT INTO outbox (kind, subject, target, due) VALUES ('sync', 1, 'x', 1)")
            raise Gone

        registry._decisions.make(work)

    async def ask():
        doing = accepting(registry)
        works = [written(registry), broken, written(registry)]
        asked = [doing.do(work, client=number) for number, work in enumerate(works)]
        found.extend(await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 20))

    found = []
    asyncio.run(ask())
    assert found[0] is None and isinstance(found[1], Gone) and found[2] is None
    assert len(registry.tokens.list()) == 2
    assert not registry.outbox.due_targets()


def test_without_a_thread_to_commit_by_nothing_is_decided_and_everybody_hears_of_it(registry, monkeypatch):
    async def ask():
        doing, start = accepting(registry), threading.Thread.start

        def never(self):
            raise RuntimeError("can't start new thread")

        for begin in (never, start):
            monkeypatch.setattr(threading.Thread, "start", begin)
            asked = [doing.do(written(registry), client=number) for number in range(2)]
            found.append(await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 20))
            held.append(len(registry.tokens.list()))

    found, held = [], []
    asyncio.run(ask())
    assert [type(each) for each in found[0]] == [TooManyRequests] * 2
    assert found[1] == [None, None]
    assert held == [0, 2]


def test_whoever_is_told_and_takes_its_time_holds_up_one_answer(registry):
    """A plugin may ask something of a machine that does not answer."""

    async def ask():
        doing, asked = accepting(registry, told=True), []
        for number in range(3):
            asked.append(asyncio.ensure_future(doing.do(hanging if number == 1 else written(registry), client=number)))
            await asyncio.sleep(0.2)
        seen.extend(each.done() for each in asked)
        seen.append(len(registry.tokens.list()))
        goes_on.set()
        await asyncio.wait_for(asyncio.gather(*asked), 20)

    def hanging():
        written(registry)()
        registry.after_commit(lambda: goes_on.wait(30))

    seen, goes_on = [], threading.Event()
    asyncio.run(ask())
    assert seen == [True, False, True, 3]
