"""What the command line shows of endpoints: whether a trigger passes, and what it has to give."""

from __future__ import annotations

import pytest


@pytest.fixture
def greet(project, cli):
    """The endpoint `greet` with one version."""
    cli("publish", "greet.yaml", "--endpoint", "greet").ok()
    return "greet"


@pytest.mark.parametrize(
    ("closing", "refused", "state"),
    [
        (("endpoint", "disable", "greet@0"), "version_disabled", "default is disabled"),
        (("pipeline", "disable", "greet:1"), "pipeline_disabled", "pipeline of the default is disabled"),
        (("endpoint", "disable", "greet"), "endpoint_disabled", "disabled"),
    ],
)
def test_an_endpoint_that_refuses_every_trigger_says_so(greet, cli, closing, refused, state):
    assert cli("endpoint", "list", "--json").ok().json["items"][0]["refused"] is None
    cli(*closing).ok()
    every = cli("endpoint", "list", "--all", "--json").ok().json["items"][0]
    assert every["refused"] == refused
    assert f"  {state}  " in cli("endpoint", "list", "--all").ok().out.splitlines()[1]
    shown = cli("endpoint", "show", "greet").ok().out
    assert (f"triggers without a version: the {state}" in shown) is (refused != "endpoint_disabled")
    assert refused in cli("submit", "greet", "--json").refused(7).out
