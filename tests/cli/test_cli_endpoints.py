"""What the command line shows of endpoints: whether a trigger passes, and what it has to give."""

from __future__ import annotations

import json
import shlex

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
    if refused == "version_disabled":  # no version is left to be listed, and still it says why
        row = cli("endpoint", "list").ok().out.splitlines()[1]
        assert "0 (+1 closed)" in row and f"  {state}  " in row
    shown = cli("endpoint", "show", "greet").ok().out
    assert (f"triggers without a version: the {state}" in shown) is (refused != "endpoint_disabled")
    assert refused in cli("submit", "greet", "--json").refused(7).out


TYPED = """\
apiVersion: penstock/v1
kind: Pipeline
name: typed
parameters:
  times: {type: integer, description: How often}
  kind: {type: string, default: tree}
  rates: {type: list, default: [1, 2]}
  password: {type: string, sensitive: true}
  table: {type: file, default: ./greet.yaml}
steps:
  run:
    inputs: {table: "${{ parameters.table }}"}
    env: {PASSWORD: "${{ parameters.password }}"}
    command: ["true", "${{ parameters.times }}", "${{ parameters.kind }}", "${{ parameters.rates }}",
      "${{ inputs.table }}"]
"""


def test_an_endpoint_and_a_published_pipeline_say_their_parameters(project, cli):
    (project / "typed.yaml").write_text(TYPED)
    cli("publish", "typed.yaml", "--endpoint", "typed").ok()
    for words in (("endpoint", "show", "typed"), ("pipeline", "show", "typed:1")):
        shown = cli(*words, "--json").ok().json["parameters"]
        assert {one["name"]: (one["type"], one["required"], one["default"], one["sensitive"]) for one in shown} == {
            "times": ("integer", True, None, False),
            "kind": ("string", False, "tree", False),
            "rates": ("list", False, [1, 2], False),
            "password": ("string", True, None, True),
            "table": ("file", False, "./greet.yaml", False),
        }
        lines = [line.split() for line in cli(*words).ok().out.splitlines()]
        assert ["PARAMETER", "TYPE", "DEFAULT", "DESCRIPTION"] in lines
        assert ["times", "integer", "(required)", "How", "often"] in lines
        assert ["password", "string,", "sensitive", "(required)"] in lines
        assert ["rates", "list", "[1,", "2]"] in lines
    shown = cli("endpoint", "show", "typed").ok().out
    curl = shlex.split(shown.splitlines()[-1])
    needed = {"parameters": {"times": "<integer>", "password": "<string>"}}
    assert json.loads(curl[curl.index("-d") + 1]) == needed
    urls = cli("endpoint", "show", "typed", "--json").ok().json["urls"]
    assert urls["openapi"] == "http://127.0.0.1:8642/v1/endpoints/typed/openapi.json"
    assert urls["openapi"] in shown


def test_what_takes_no_parameters_shows_no_table(project, cli):
    (project / "plain.yaml").write_text(
        "apiVersion: penstock/v1\nkind: Pipeline\nname: plain\nsteps: {run: {command: 'true'}}\n"
    )
    cli("publish", "plain.yaml", "--endpoint", "plain").ok()
    shown = cli("endpoint", "show", "plain").ok().out
    assert "PARAMETER" not in shown
    assert "-d '{}'" in shown
