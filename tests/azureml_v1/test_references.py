"""A path says what its id means, at both doors: an endpoint is no published pipeline, nor the other way round."""

from __future__ import annotations

import sqlite3
import uuid
from contextlib import closing

import pytest

SUBMIT = "/PipelineRuns/PipelineEndpointSubmit"


@pytest.fixture(scope="module")
def known(call):
    """An endpoint and a published pipeline by everything that names them, and a run of each."""
    pipeline = call("GET", "/Pipelines").json[0]
    endpoint = call("POST", "/PipelineEndpoints/Create", {"Name": "named", "PipelineId": pipeline["Id"]}).json
    return {
        "endpoint": (endpoint["Id"], endpoint["Name"]),
        "published": (pipeline["Id"], f"{pipeline['Name']}:{pipeline['Version']}"),
        "run": (call("POST", f"{SUBMIT}/Id/{endpoint['Id']}", {}).json["Id"],),
        "nothing": (str(uuid.uuid4()), "./x.yaml", "x.yaml"),
    }


MEANT = [
    ("POST", "/PipelineRuns/PipelineSubmit/{}", "published"),
    ("POST", "/Experiments/PipelineSubmit/{}", "published"),
    ("POST", f"{SUBMIT}/Id/{{}}", "endpoint"),
    ("POST", f"{SUBMIT}/Id/{{}}/0", "endpoint"),
    ("POST", f"{SUBMIT}/Name?name={{}}", "endpoint"),
    ("GET", "/Pipelines/{}", "published"),
    ("PUT", "/Pipelines/{}/status", "published"),
    ("GET", "/PipelineRuns/Pipeline/{}", "published"),
    ("GET", "/PipelineEndpoints/Id/{}", "endpoint"),
    ("GET", "/PipelineEndpoints/Name?name={}", "endpoint"),
    ("GET", "/PipelineEndpoints/{}/pipelines", "endpoint"),
    ("PUT", "/PipelineEndpoints/{}", "endpoint"),
    ("GET", "/PipelineRuns/{}", "run"),
    ("POST", "/PipelineRuns/{}/Cancel", "run"),
    ("POST", "/v1/pipelines/{}/runs", "published"),
    ("POST", "/v1/pipelines/{}/enable", "published"),
    ("POST", "/v1/pipelines/{}/disable", "published"),
    ("DELETE", "/v1/pipelines/{}", "published"),
    ("GET", "/v1/pipelines/{}", "published"),
    ("POST", "/v1/endpoints/{}/runs", "endpoint"),
    ("GET", "/v1/endpoints/{}/runs", "endpoint"),
    ("GET", "/v1/endpoints/{}", "endpoint"),
    ("PATCH", "/v1/endpoints/{}", "endpoint"),
    ("DELETE", "/v1/endpoints/{}", "endpoint"),
    ("POST", "/v1/endpoints/{}/enable", "endpoint"),
    ("POST", "/v1/endpoints/{}/disable", "endpoint"),
    ("POST", "/v1/endpoints/{}/rollback", "endpoint"),
    ("PUT", "/v1/endpoints/{}/access", "endpoint"),
    ("DELETE", "/v1/endpoints/{}/deduplication", "endpoint"),
    ("GET", "/v1/endpoints/{}/history", "endpoint"),
    ("GET", "/v1/endpoints/{}/at?time=2126-11-26T00:00:00Z", "endpoint"),
    ("GET", "/v1/endpoints/{}/openapi.json", "endpoint"),
    ("GET", "/v1/endpoints/{}/versions/0", "endpoint"),
    ("GET", "/v1/runs/{}", "run"),
    ("POST", "/v1/runs/{}/cancel", "run"),
    ("POST", "/v1/runs/{}/rerun", "run"),
    ("GET", "/v1/runs/{}/outputs", "run"),
]
NOT_FOUND = {"published": "pipeline_not_found", "endpoint": "endpoint_not_found", "run": "run_not_found"}
BODIES = {"/status": "Active", "/access": {"access": "private"}}


@pytest.mark.sampled(5)
@pytest.mark.sampled(12)
@pytest.mark.parametrize(("method", "path", "meant"), MEANT)
def test_an_id_means_one_kind_of_thing(served, call, key, known, method, path, meant) -> None:
    body = None if method in ("GET", "DELETE") else next((BODIES[one] for one in BODIES if path.endswith(one)), {})
    ask = served.call if path.startswith("/v1") else call
    token = {"token": key} if path.startswith("/v1") else {}
    for kind, refs in known.items():
        for ref in refs:
            if kind == meant and method in ("DELETE", "PUT") and "access" not in path and "status" not in path:
                continue  # what it means is there, and stays for the others
            reply = ask(method, path.format(ref.replace("/", "%2F")), body, **token)
            code = reply.json.get("code") or reply.json.get("Error", {}).get("Code") if reply.status >= 400 else ""
            if kind == meant:
                assert not code.endswith("_not_found"), (ref, reply.body)
                if method == "POST" and path.endswith("disable"):
                    ask(method, path.format(ref).replace("disable", "enable"), body, **token)
            else:
                assert (reply.status, code) in ((404, NOT_FOUND[meant]), (404, "route_not_found")), (ref, reply.body)


def test_a_key_finds_its_run_when_what_it_was_used_on_is_no_more(served, call, key, known) -> None:
    source = known["published"][0]
    made = served.call("POST", "/v1/pipelines", {"from": source, "name": "gone"}, token=key).json["published"]["id"]
    sent = {"headers": {"Idempotency-Key": "k"}}
    run = call("POST", f"/PipelineRuns/PipelineSubmit/{made}", {}, **sent).json["Id"]
    served.call("POST", f"/v1/runs/{run}/cancel", {}, token=key)
    served.call("GET", f"/v1/runs/{run}?wait=60", token=key)
    assert served.call("DELETE", f"/v1/pipelines/{made}", token=key).status == 200
    assert call("POST", f"/PipelineRuns/PipelineSubmit/{made}", {}, **sent).json["Id"] == run
    again = served.call("POST", f"/v1/pipelines/{made}/runs", {}, token=key, **sent)
    assert (again.status, again.json["id"]) == (200, run)


def test_every_run_of_a_published_pipeline_is_listed(served, call, key, folder, known) -> None:
    """However many newer ones of its name there are; the wire has no pages."""
    source = known["published"][0]
    made = served.call("POST", "/v1/pipelines", {"from": source, "label": "many"}, token=key).json["published"]["id"]
    runs = [call("POST", f"/PipelineRuns/PipelineSubmit/{made}", {}).json["Id"] for _ in range(2)]
    with closing(sqlite3.connect(folder / ".penstock/registry.db", timeout=30)) as registry:
        columns = [
            row[1] for row in registry.execute("PRAGMA table_info(runs)") if row[1] not in ("seq", "id", "published")
        ]
        other = "SELECT seq FROM published WHERE id = ?"
        copied = f"""INSERT INTO runs (id, published, {", ".join(columns)})
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
            SELECT ? || i, ({other}), {", ".join(columns)} FROM runs, n WHERE id = ?"""
        registry.execute(copied, (1500, "other", source, runs[0]))
        registry.commit()
    assert [one["Id"] for one in call("GET", f"/PipelineRuns/Pipeline/{made}").json] == runs[::-1]
    of_the_other = [one["Id"] for one in call("GET", f"/PipelineRuns/Pipeline/{source}").json]
    assert [one for one in of_the_other if one.startswith("other")] == [
        f"other{number}" for number in range(1500, 0, -1)
    ]
    assert not set(runs) & set(of_the_other)
