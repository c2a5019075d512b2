"""`server.max_unfinished_runs`: an endpoint that has so many unfinished runs gets no other, whoever races."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from penstock.config import load_config, server_options
from penstock.errors import ConfigInvalid, TooManyRequests
from penstock.workspace import Workspace

LIMIT = {"PENSTOCK_SERVER_MAX_UNFINISHED_RUNS": "3"}


@pytest.fixture
def fresh(folder, serving):
    """A new endpoint, and two servers on one registry that take three unfinished runs of each."""
    with Workspace.open(folder, env={}, actor="ada") as workspace:
        workspace.endpoints.create("limited", "greet:1")
        servers = [serving.Served(folder, "--no-dispatch", env=LIMIT) for _ in range(2)]
        yield servers
        for one in servers:
            one.stop()
        workspace.endpoints.rename("limited", f"limited-{time.monotonic_ns()}")  # its runs may still be unfinished


@pytest.mark.thorough
def test_however_many_race_no_more_are_accepted(fresh, tokens):
    def trigger(number: int):
        server = fresh[number % 2]
        return server.call("POST", "/v1/endpoints/limited/runs", {}, token=tokens["submit"])

    with ThreadPoolExecutor(12) as callers:
        told = list(callers.map(trigger, range(24)))
    assert sorted(one.status for one in told) == [201] * 3 + [429] * 21
    refused = next(one for one in told if one.status == 429)
    assert refused.json["code"] == "unfinished_limit" and int(refused.headers["retry-after"]) > 0

    accepted = next(one for one in told if one.status == 201).json["id"]
    assert fresh[0].call("POST", f"/v1/runs/{accepted}/rerun", token=tokens["submit"]).status == 429
    other = fresh[0].call("POST", "/v1/endpoints/hello/runs", {}, token=tokens["submit"])
    assert other.status == 201, "another endpoint has a count of its own"
    canceled = fresh[0].call("POST", f"/v1/runs/{accepted}/cancel", token=tokens["submit"])
    assert canceled.json["ended"]
    assert [trigger(number).status for number in range(2)] == [201, 429], "what has ended makes room for one"


@pytest.mark.thorough
def test_a_repeat_under_its_key_is_no_new_run_and_a_wrong_call_is_told_first(fresh, tokens):
    server, path = fresh[0], "/v1/endpoints/limited/runs"
    key = {"Idempotency-Key": "one"}
    first = server.call("POST", path, {}, token=tokens["submit"], headers=key)
    for _ in range(2):
        assert server.call("POST", path, {}, token=tokens["submit"]).status == 201
    again = server.call("POST", path, {}, token=tokens["submit"], headers=key)
    assert (again.status, again.json["id"]) == (200, first.json["id"])
    wrong = server.call("POST", path, {"parameters": {"times": 9}}, token=tokens["submit"])
    assert (wrong.status, wrong.json["code"]) == (422, "parameter_invalid")


def test_without_the_option_there_is_no_limit_and_the_error_says_what_it_is(folder):
    assert server_options(load_config(folder, env={}), {}).max_unfinished_runs is None
    with pytest.raises(ConfigInvalid, match="max_unfinished_runs: at least 1"):
        server_options(load_config(folder, env={"PENSTOCK_SERVER_MAX_UNFINISHED_RUNS": "0"}), {})
    with Workspace.open(folder, env={}, actor="ada") as workspace:
        services = workspace.services
        services.max_unfinished_runs = 1
        workspace.endpoints.create("little", "greet:1")
        services.outbox.wake = lambda: None
        workspace.runs.submit("little")
        with pytest.raises(TooManyRequests, match="endpoint `little` has 1 unfinished run,") as refused:
            workspace.runs.submit("little")
        assert refused.value.code == "unfinished_limit"
