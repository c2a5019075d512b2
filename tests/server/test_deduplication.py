"""The deduplication window over the wire: for callers that send no key and try again."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from penstock.workspace import Workspace

V1 = (
    "/pipelines/v1.0/subscriptions/s/resourceGroups/g"
    "/providers/Microsoft.MachineLearningServices/workspaces/w/PipelineRuns/PipelineEndpointSubmit/Name?name=again"
)
NEUTRAL = "/v1/endpoints/again/runs"


@pytest.fixture
def again(folder):
    """The endpoint `again` with a window of an hour."""
    with Workspace.open(folder, env={}, actor="ada") as workspace:
        workspace.endpoints.create("again", "greet:1")
        workspace.endpoints.deduplicate("again", 3600)
        yield
        workspace.endpoints.rename("again", f"again-{time.monotonic_ns()}")  # its runs may still be unfinished


def test_the_same_body_is_the_same_run_at_each_door(served, again, tokens):
    token = tokens["submit"]
    body = b'{"ParameterAssignments": {"times": "3", "name": "ada"}, "ExperimentName": "e"}'
    spaced = b'{ "ExperimentName":"e", "ParameterAssignments":{"name":"ada","times":"3"} }'
    first, same, other = (
        served.call("POST", V1, body=sent, token=token).json["Id"] for sent in (body, spaced, body.replace(b"3", b"4"))
    )
    assert first == same != other
    made = served.call("POST", NEUTRAL, {"parameters": {"times": 3}}, token=token)
    repeat = served.call("POST", NEUTRAL, {"parameters": {"times": 3}}, token=token)
    assert (made.status, repeat.status) == (201, 200)
    assert repeat.json["replayed"] and repeat.json["id"] == made.json["id"]
    assert made.json["idempotency_key"] is None
    pinned = served.call("POST", NEUTRAL, {"parameters": {"times": 3}, "version": "0"}, token=token)
    assert pinned.status == 201


def test_who_sends_a_key_is_not_asked_about_the_body(served, again, tokens):
    told = [
        served.call("POST", NEUTRAL, {}, token=tokens["submit"], headers={"Idempotency-Key": key}).json["id"]
        for key in ("a", "b", "a")
    ]
    assert told[0] == told[2] != told[1]
    assert served.call("POST", NEUTRAL, {}, token=tokens["submit"]).status == 201


def test_a_rerun_and_the_command_line_mean_a_new_run(served, again, tokens, folder, serving):
    first = served.call("POST", NEUTRAL, {}, token=tokens["submit"]).json["id"]
    reruns = [served.call("POST", f"/v1/runs/{first}/rerun", token=tokens["submit"]) for _ in range(2)]
    assert [one.status for one in reruns] == [201, 201]
    assert len({first, *(serving.penstock(folder, "submit", "again", "-q") for _ in range(2))}) == 3


def test_of_many_that_race_through_two_servers_one_is_accepted(folder, serving, served, again, tokens):
    other = serving.Served(folder, "--no-dispatch")
    try:

        def trigger(number: int) -> str:
            server = (served, other)[number % 2]
            body = {"ParameterAssignments": {"name": "race"}}
            return server.call("POST", V1, body, token=tokens["submit"]).json["Id"]

        with ThreadPoolExecutor(12) as callers:
            assert len(set(callers.map(trigger, range(24)))) == 1
    finally:
        other.stop()


@pytest.mark.thorough
def test_it_is_durable_and_just_after_the_window_comes_a_new_run(folder, serving, again, tokens):
    served = serving.Served(folder, "--no-dispatch")
    first = served.call("POST", V1, {}, token=tokens["submit"]).json["Id"]
    served.process.kill()
    served.stop()
    served = serving.Served(folder, "--no-dispatch")
    try:
        assert served.call("POST", V1, {}, token=tokens["submit"]).json["Id"] == first
        serving.penstock(folder, "endpoint", "deduplicate", "again", "--window", "1s")
        deadline, now = time.monotonic() + 30, first
        while now == first and time.monotonic() < deadline:
            now = served.call("POST", V1, {}, token=tokens["submit"]).json["Id"]
        assert now != first, "repeats do not make the window longer"
    finally:
        served.stop()


def test_it_is_set_shown_and_ended_over_http_too(served, again, tokens, folder, serving):
    path, token = "/v1/endpoints/again/deduplication", tokens["publish"]
    assert "within 1h" in serving.penstock(folder, "endpoint", "show", "again")
    done = served.call("PUT", path, {"deduplication_window": 90}, token=token)
    assert (done.status, done.json["deduplication_window"]) == (200, 90)
    stale = served.call("DELETE", path, token=token, headers={"If-Match": '"1"'})
    assert (stale.status, stale.json["code"]) == (412, "revision_changed")
    assert served.call("PUT", path, {"deduplication_window": 0}, token=token).json["code"] == "value_invalid"
    text = served.call("PUT", path, {"deduplication_window": "10m"}, token=token).json
    assert text["code"] == "type_mismatch" and "a whole number of seconds" in text["detail"]
    assert served.call("PUT", path, {"deduplication_window": 9}, token=tokens["submit"]).status == 403
    ended = served.call("DELETE", path, token=token, headers={"If-Match": done.headers["etag"]})
    assert (ended.status, ended.json["deduplication_window"]) == (200, None)
    told = [served.call("POST", NEUTRAL, {}, token=tokens["submit"]).json["id"] for _ in range(2)]
    assert told[0] != told[1]
    rows = json.loads(serving.penstock(folder, "endpoint", "history", "again", "--json"))["items"]
    changes = [(row["from"], row["to"]) for row in rows if row["action"] == "deduplication_changed"]
    assert changes == [("90s", "off"), ("1h", "90s"), ("off", "1h")]


def test_nothing_that_was_asked_for_is_kept_in_its_key(served, again, tokens, folder):
    asked = {"parameters": {"name": "sesame"}}
    assert served.call("POST", NEUTRAL, asked, token=tokens["submit"]).status == 201
    with closing(sqlite3.connect(folder / ".penstock" / "registry.db")) as registry:
        keys = [key for (key,) in registry.execute("SELECT key FROM runs WHERE scope LIKE 'body:%'")]
    assert keys and all(re.fullmatch(r"[0-9a-f]{64}:[0-9]{20}", key) for key in keys)
    (folder / ".penstock" / "sensitive.key").unlink()
    now = served.call("POST", NEUTRAL, asked, token=tokens["submit"])
    assert now.status == 201, "the hash is one of this workspace's key"
