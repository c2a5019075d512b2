"""`plugins/penstock_metrics`: what real servers show at `/metrics` after real requests."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from penstock.config import load_config
from penstock.errors import ConfigInvalid
from penstock.workspace import Workspace
from penstock_metrics.hooks import Metrics

SPEC = """\
apiVersion: penstock/v1
kind: Pipeline
name: greet
parameters:
  times: {type: integer, default: 1, minimum: 1, maximum: 5}
steps:
  write: {command: [sh, -c, 'sleep 0.2; exit "$0"', "${{ parameters.times }}"]}
"""
CONFIG = "targets:\n  laptop: {backend: local, idle: 2s, slots: 4}\nplugins:\n  metrics: {open: OPEN}\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory, engines_end) -> Iterator[Path]:
    """A project with the endpoints `hello` and `away`, measured."""
    place = tmp_path_factory.mktemp("measured")
    (place / "greet.yaml").write_text(SPEC.replace('exit "$0"', "exit $(($0 - 1))"))
    (place / "penstock.yaml").write_text(CONFIG.replace("OPEN", "false"))
    with Workspace.open(place, env={}, actor="ada") as workspace:
        workspace.publish(place / "greet.yaml", endpoint="hello")
    yield place
    engines_end(place)


@pytest.fixture
def served(folder, serving) -> Iterator:
    """A fresh server, so that what it counted is what the test did."""
    server = serving.Served(folder)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def tokens(folder, serving) -> dict[str, str]:
    made = {scope: serving.token(folder, scope, scope) for scope in ("read", "submit", "admin")}
    return {**made, "one": serving.token(folder, "one", "read", ["hello"])}


def numbers(server, token: str | None) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample that a scrape gives, by name and labels."""
    answer = server.call("GET", "/metrics", token=token)
    assert answer.status == 200, answer.body
    families = text_string_to_metric_families(answer.body.decode())
    return {(one.name, tuple(sorted(one.labels.items()))): one.value for each in families for one in each.samples}


def sample(found: dict, name: str, **labels: str) -> float:
    return found.get((name, tuple(sorted(labels.items()))), 0.0)


def awaited(look: Callable[[], dict], is_there: Callable[[dict], bool]) -> dict:
    deadline = time.monotonic() + 60
    while True:
        found = look()
        if is_there(found) or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


def test_triggers_refusals_and_latency_are_counted_at_every_door(served, tokens):
    path, token = "/v1/endpoints/hello/runs", tokens["submit"]
    key = {"Idempotency-Key": f"once-{served.port}"}
    for _ in range(3):
        served.call("POST", path, {}, token=token, headers=key)
    assert served.call("POST", path, {"parameters": {"times": 9}}, token=token).status == 422
    assert served.call("POST", path, {}).status == 401
    v1 = "/pipelines/v1.0/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"
    assert (
        served.call("POST", f"{v1}/PipelineRuns/PipelineEndpointSubmit/Name?name=hello", {}, token=token).status == 200
    )
    for made_up in ("/made/up", "/else/where"):
        assert served.call("GET", made_up).status == 404
        assert served.call("BREW", made_up).status in (404, 405)
    found = numbers(served, tokens["read"])
    counted = {outcome: sample(found, "penstock_triggers_total", door="rest", outcome=outcome) for outcome in OUTCOMES}
    assert counted == {"accepted": 1, "replayed": 2, "refused": 1}
    assert sample(found, "penstock_triggers_total", door="azureml_v1", outcome="accepted") == 1
    assert sample(found, "penstock_refusals_total", door="rest", code="parameter_invalid") == 1
    assert sample(found, "penstock_refusals_total", door="rest", code="not_authenticated") == 1
    assert sample(found, "penstock_refusals_total", door="", code="route_not_found") >= 2
    where = {"door": "rest", "method": "POST", "route": "/v1/endpoints/{name}/runs"}
    assert sample(found, "penstock_request_latency_seconds_count", **where) == 5
    assert sample(found, "penstock_request_latency_seconds_sum", **where) > 0
    words = {value for _, labels in found for _, value in labels}
    assert not words & {"/made/up", "/else/where", "BREW"}, "nobody makes time series up"


OUTCOMES = ("accepted", "replayed", "refused")


def test_hand_over_lag_and_run_durations_are_those_of_the_runs(served, tokens):
    for times in (1, 2):
        made = served.call("POST", "/v1/endpoints/hello/runs", {"parameters": {"times": times}}, token=tokens["submit"])
        assert served.call("GET", f"/v1/runs/{made.json['id']}?wait=60", token=tokens["submit"]).json["ended"]

    def ended(found: dict) -> float:
        states = ("succeeded", "failed")
        return sum(sample(found, "penstock_run_duration_seconds_count", target="laptop", state=one) for one in states)

    def over(found: dict) -> bool:  # runs of other tests included
        return ended(found) >= 2 and sample(found, "penstock_queue_depth", kind="hand_over") == 0

    found = awaited(lambda: numbers(served, tokens["read"]), over)
    assert sample(found, "penstock_run_duration_seconds_count", target="laptop", state="succeeded") >= 1
    assert sample(found, "penstock_run_duration_seconds_count", target="laptop", state="failed") == 1
    assert sample(found, "penstock_run_duration_seconds_sum", target="laptop", state="failed") >= 0.2
    assert sample(found, "penstock_hand_over_lag_seconds_count", target="laptop") >= 2
    assert sample(found, "penstock_queue_depth", kind="hand_over") == 0
    assert sample(found, "penstock_runs", state="failed") >= 1


def test_the_queue_is_the_registrys_whoever_filled_it(folder, serving, tokens):
    server = serving.Served(folder, "--no-dispatch")
    try:
        with Workspace.open(
            folder, env={}, actor="ada"
        ) as workspace:  # it hands over what a server that ended has left

            def look() -> dict:
                workspace.runs.list()
                return numbers(server, tokens["read"])

            awaited(look, lambda found: sample(found, "penstock_queue_depth", kind="hand_over") == 0)
        runs = [
            server.call("POST", "/v1/endpoints/hello/runs", {}, token=tokens["submit"]).json["id"] for _ in range(3)
        ]
        assert sample(numbers(server, tokens["read"]), "penstock_queue_depth", kind="hand_over") == 3
        with Workspace.open(folder, env={}, actor="ada") as workspace:  # another process for all the server knows
            for run in runs:
                workspace.runs.cancel(run)
        assert sample(numbers(server, tokens["read"]), "penstock_queue_depth", kind="hand_over") == 0
    finally:
        server.stop()


def test_who_may_not_read_everything_sees_no_numbers(served, tokens):
    assert served.call("GET", "/metrics").status == 401
    assert served.call("GET", "/metrics", token="penstock_0_0").headers["www-authenticate"].startswith("Bearer")
    limited = served.call("GET", "/metrics", token=tokens["one"])
    assert (limited.status, limited.body.split(b":")[0]) == (403, b"scope_missing")
    form = f"grant_type=client_credentials&client_id=one&client_secret={tokens['one']}".encode()
    short = served.call("POST", "/t/oauth2/v2.0/token", body=form).json["access_token"]
    assert served.call("GET", "/metrics", token=short).status == 403
    assert served.call("GET", "/metrics", token=tokens["admin"]).status == 200


def test_it_may_be_open_and_speaks_openmetrics_to_who_asks(folder, serving):
    (folder / "open.yaml").write_text(CONFIG.replace("OPEN", "true"))
    server = serving.Served(
        folder, "--no-dispatch", "--no-azureml-v1", env={"PENSTOCK_CONFIG": str(folder / "open.yaml")}
    )
    try:
        assert numbers(server, None)
        asked = {"Accept": "application/openmetrics-text; version=1.0.0"}
        answer = server.call("GET", "/metrics", headers=asked)
        assert answer.headers["content-type"].startswith("application/openmetrics-text")
        assert answer.body.endswith(b"# EOF\n")
    finally:
        server.stop()


def test_without_a_server_nothing_is_measured_nor_imported(folder):
    script = (
        "import sys; from penstock.workspace import Workspace\n"
        "with Workspace.open('.') as workspace: workspace.endpoints.get('hello')\n"
        "print('penstock_metrics.hooks' in sys.modules, 'prometheus_client' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == ["True", "False"]


def test_without_the_client_library_the_server_says_what_to_install(folder, monkeypatch):
    monkeypatch.setattr("penstock_metrics.hooks.find_spec", lambda name: None)
    with (
        Workspace.open(folder, env={}) as workspace,
        pytest.raises(ConfigInvalid, match=r"penstock\[metrics\]") as error,
    ):
        Metrics().penstock_register_routes(workspace)
    assert error.value.code == "extra_missing"


def test_its_only_option_is_checked(folder):
    (folder / "wrong.yaml").write_text(CONFIG.replace("open: OPEN", "opne: true"))
    with pytest.raises(ConfigInvalid, match="open"):
        Workspace(load_config(folder, file=folder / "wrong.yaml", env={}), actor="ada")


EAR = """\
import json, pathlib, attrs
from penstock import hookimpl

@attrs.define
class Ear:
    home: pathlib.Path

    @hookimpl
    def penstock_request_answered(self, event):
        with (self.home / "heard.jsonl").open("a") as file:
            file.write(json.dumps(attrs.asdict(event)) + "\\n")
        raise RuntimeError("too loud")
"""


def test_a_plugin_hears_of_every_answer_and_may_fail_at_it(folder, serving, distribution, tokens):
    site = distribution("penstock-ear", {"penstock.plugins": {"ear": "penstock_ear:Ear"}}, penstock_ear=EAR)
    server = serving.Served(folder, "--no-dispatch", env={"PENSTOCK_PLUGINS": "ear", "PYTHONPATH": str(site)})
    try:
        asked = {"X-Request-ID": "mine"}
        assert server.call("GET", "/v1/endpoints/hello", token=tokens["read"], headers=asked).status == 200
        assert server.call("GET", "/v1/endpoints/hello").status == 401
        assert server.call("GET", "/nowhere").status == 404
    finally:
        server.stop()
    heard = [json.loads(line) for line in (folder / ".penstock" / "heard.jsonl").read_text().splitlines()]
    where = ("GET", "/v1/endpoints/{name}", "rest")
    assert [(one["method"], one["route"], one["door"], one["status"], one["code"]) for one in heard] == [
        (*where, 200, ""),
        (*where, 401, "not_authenticated"),
        ("", "", "", 404, "route_not_found"),
    ]
    assert heard[0]["request_id"] == "mine" and heard[0]["seconds"] > 0
    assert "too loud" in server.log.read_text()
