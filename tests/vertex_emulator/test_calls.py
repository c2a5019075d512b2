"""The calls about jobs and operations, through Google's own client: repeats, listings, deletes, batches, faults."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from typing import Any

import pytest


@pytest.fixture(scope="module")
def jobs(emulator, emulated) -> dict[str, Any]:
    """Three jobs that have ended, in a location of their own: `ok-1`, `ok-2`, `bad`."""
    parent, emulator.parent = emulator.parent, "projects/penstock-emulator/locations/europe-west4"
    made = {}
    for name, script in (("ok-1", "true"), ("ok-2", "true"), ("bad", "false")):
        spec = emulated.pipeline({"t": emulated.step(script)})
        labels = {"run": name, "penstock-kind": "listed"}
        made[name] = emulator.run(spec, job=name, labels=labels, display_name=f"job {name}")
    emulator.parent = parent
    return made


def listed(emulator: Any, **request: Any) -> list[str]:
    parent = "projects/penstock-emulator/locations/europe-west4"
    found = emulator.pipelines.list_pipeline_jobs(request={"parent": parent, **request}, timeout=30)
    return [one.name.rpartition("/")[2] for one in found]


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ('labels.run="ok-1"', {"ok-1"}),
        ("labels.run=ok-1", {"ok-1"}),
        ('labels.run!="ok-1"', {"ok-2", "bad"}),
        ("labels.penstock-kind:*", {"ok-1", "ok-2", "bad"}),
        ("labels.none:*", set()),
        ('state="PIPELINE_STATE_FAILED"', {"bad"}),
        ('state!="PIPELINE_STATE_FAILED" AND labels.run="bad"', set()),
        ('labels.run="bad" OR labels.run="ok-2"', {"bad", "ok-2"}),
        ('labels.run="bad" OR labels.run="ok-2" AND state="PIPELINE_STATE_SUCCEEDED"', {"ok-2"}),
        ('NOT display_name="job bad"', {"ok-1", "ok-2"}),
        ('-(display_name="job bad" OR labels.run="ok-1")', {"ok-2"}),
        ('display_name:"job ok*"', {"ok-1", "ok-2"}),
        ('pipeline_job_user_id:"*ok*"', {"ok-1", "ok-2"}),
        ('pipeline_name="by-hand"', {"ok-1", "ok-2", "bad"}),
        ('create_time>"2020-01-01T00:00:00Z"', {"ok-1", "ok-2", "bad"}),
        ('end_time<"2020-01-01T00:00:00Z"', set()),
    ],
)
def test_filters(emulator, jobs, expression: str, found: set[str]) -> None:
    assert set(listed(emulator, filter=expression)) == found


@pytest.mark.parametrize(
    "request_",
    [
        {"filter": "color=red"},
        {"filter": 'display_name<"a"'},
        {"filter": 'create_time>"yesterday"'},
        {"filter": "state="},
        {"filter": "(state=x"},
        {"filter": 'state="x" state="y"'},
        {"order_by": "color"},
        {"order_by": "create_time down"},
        {"page_token": "???"},
        {"page_size": -1},
        {"read_mask": {"paths": ["color"]}},
    ],
)
def test_listings_that_are_not_understood_are_refused(exceptions, emulator, jobs, request_: dict[str, Any]) -> None:
    with pytest.raises(exceptions.BadRequest):
        listed(emulator, **request_)


def test_order_and_pages(emulator, jobs) -> None:
    assert listed(emulator) == ["bad", "ok-2", "ok-1"]
    assert listed(emulator, order_by="create_time") == ["ok-1", "ok-2", "bad"]
    assert listed(emulator, order_by="end_time desc", page_size=1) == ["bad", "ok-2", "ok-1"]
    assert listed(emulator, page_size=2) == ["bad", "ok-2", "ok-1"]


def test_a_listing_shows_no_tasks_and_what_is_asked_for(emulator, jobs) -> None:
    parent = "projects/penstock-emulator/locations/europe-west4"
    mask = {"paths": ["name", "labels", "pipeline_spec.pipeline_info"]}
    (one,) = emulator.pipelines.list_pipeline_jobs(
        request={"parent": parent, "filter": "labels.run=bad", "read_mask": mask}, timeout=30
    )
    assert (one.state, dict(one.labels)["run"]) == (0, "bad")
    assert dict(one.pipeline_spec) == {"pipelineInfo": {"name": "by-hand"}}
    (one,) = emulator.pipelines.list_pipeline_jobs(request={"parent": parent, "filter": "labels.run=bad"}, timeout=30)
    assert one.state.name == "PIPELINE_STATE_FAILED"
    assert not one.job_detail.task_details


def test_names_hold_the_number_of_the_project_and_both_are_taken(emulator, jobs) -> None:
    name = jobs["bad"].name
    assert name.split("/")[1].isdigit()
    by_id = "projects/penstock-emulator/locations/europe-west4/pipelineJobs/bad"
    get = emulator.pipelines.get_pipeline_job
    assert get(name=name, timeout=30) == get(name=by_id, timeout=30) == jobs["bad"]


def test_a_repeat_is_a_conflict_whoever_comes_first(exceptions, emulator, emulated) -> None:
    spec = emulated.pipeline({"t": emulated.step('mkdir "$PENSTOCK_GCS/penstock-emulator/once"')})
    results: list[str] = []

    def create() -> None:
        try:
            results.append(emulator.submit(spec, job="repeated").name)
        except exceptions.Conflict:
            results.append("conflict")

    threads = [threading.Thread(target=create) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results)[:5] == ["conflict"] * 5
    assert emulator.wait(max(results)).state.name == "PIPELINE_STATE_SUCCEEDED"


def test_delete_is_an_operation(exceptions, emulator, emulated) -> None:
    client = emulator.pipelines
    name = emulator.submit(emulated.pipeline({"t": emulated.step("sleep 600")})).name
    with pytest.raises(exceptions.BadRequest, match="has not ended"):
        client.delete_pipeline_job(name=name, timeout=30)
    client.cancel_pipeline_job(name=name, timeout=30)
    emulator.wait(name)
    operation = client.delete_pipeline_job(name=name, timeout=30)
    operation.result(timeout=30)
    for attempt in (client.get_pipeline_job, client.cancel_pipeline_job, client.delete_pipeline_job):
        with pytest.raises(exceptions.NotFound):
            attempt(name=name, timeout=30)

    kept = operation.operation.name
    get, listing, delete, wait = (
        client.get_operation,
        client.list_operations,
        client.delete_operation,
        client.wait_operation,
    )
    assert get({"name": kept}, timeout=30).done
    assert wait({"name": kept}, timeout=30).done
    client.cancel_operation({"name": kept}, timeout=30)
    assert [one.name for one in listing({"name": name}, timeout=30).operations] == [kept]
    delete({"name": kept}, timeout=30)
    with pytest.raises(exceptions.NotFound):
        get({"name": kept}, timeout=30)


def test_batches(exceptions, emulator, emulated) -> None:
    client = emulator.pipelines
    spec = emulated.pipeline({"t": emulated.step("sleep 600")})
    names = [emulator.submit(spec).name for _ in range(3)]
    with pytest.raises(exceptions.BadRequest, match="has not ended"):
        client.batch_delete_pipeline_jobs(parent=emulator.parent, names=names, timeout=30)
    answer = client.batch_cancel_pipeline_jobs(parent=emulator.parent, names=names, timeout=30).result(timeout=30)
    assert [one.name for one in answer.pipeline_jobs] == names
    assert {emulator.wait(name).state.name for name in names} == {"PIPELINE_STATE_CANCELLED"}
    answer = client.batch_delete_pipeline_jobs(parent=emulator.parent, names=names, timeout=30).result(timeout=30)
    assert [one.name for one in answer.pipeline_jobs] == names
    with pytest.raises(exceptions.NotFound):
        client.get_pipeline_job(name=names[0], timeout=30)
    for wrong in ([], names * 11, ["projects/p/locations/l/pipelineJobs/x"]):
        with pytest.raises(exceptions.BadRequest):
            client.batch_delete_pipeline_jobs(parent=emulator.parent, names=wrong, timeout=30)


def test_an_error_comes_when_it_was_asked_for(exceptions, faulty, emulated) -> None:
    get = faulty.pipelines.get_pipeline_job
    name = faulty.run(emulated.pipeline({"t": emulated.step("true")})).name
    faulty.fault(method="PipelineService.GetPipelineJob", call=2, times=2, error="RESOURCE_EXHAUSTED", message="quota")
    get(name=name, timeout=30)
    for _ in range(2):
        with pytest.raises(exceptions.TooManyRequests, match="quota"):
            get(name=name, timeout=30)
    get(name=name, timeout=30)


def test_an_answer_is_lost_after_the_work_was_done(exceptions, faulty, emulated) -> None:
    from requests.exceptions import ConnectionError as lost  # outside of Google's exceptions

    faulty.fault(method="PipelineService.CreatePipelineJob", lose_answer=True)
    spec = emulated.pipeline({"t": emulated.step("true")})
    with pytest.raises(lost):
        faulty.submit(spec, job="lost-answer")
    with pytest.raises(exceptions.Conflict):
        faulty.submit(spec, job="lost-answer")
    assert faulty.wait(f"{faulty.parent}/pipelineJobs/lost-answer").state.name == "PIPELINE_STATE_SUCCEEDED"

    faulty.fault(method="storage.objects.insert", lose_answer=True, times=0)
    with pytest.raises(lost):
        faulty.bucket.blob("lost").upload_from_string(b"x", if_generation_match=0, retry=None)
    assert faulty.bucket.blob("lost").download_as_bytes() == b"x"


def test_every_other_answer_of_each_thing_is_lost(exceptions, faulty, emulated) -> None:
    from requests.exceptions import ConnectionError as Broken

    spec = emulated.pipeline({"t": emulated.step("true")})
    names = [faulty.run(spec).name for _ in range(2)]
    faulty.fault(method="*", every=2, lose_answer=True)
    seen = []
    for name in (names[0], names[0], names[1], names[0], names[1]):
        try:
            faulty.pipelines.get_pipeline_job(name=name, timeout=30, retry=None)
            seen.append("answered")
        except Broken:
            seen.append("lost")
    assert seen == ["lost", "answered", "lost", "lost", "answered"]


def test_slowness(faulty) -> None:
    faulty.fault(method="storage.buckets.get", delay=0.5)
    begun = time.monotonic()
    assert faulty.bucket.exists()
    assert time.monotonic() - begun >= 0.5


@pytest.mark.parametrize(
    "what",
    [
        {"method": "x", "error": "NO_SUCH_CODE"},
        {"method": "x", "error": ["a"]},
        {"nothing": 1},
        {"method": 1},
        {"method": "x", "times": "y"},
        {"method": "x", "every": -1},
        {"method": "x", "delay": -1},
        {"method": "x", "delay": float("nan")},
        {"method": "x", "message": 5},
        {"method": "x", "lose_answer": "no"},
    ],
)
def test_faults_are_checked(faulty, what: dict[str, Any]) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        faulty.fault(**what)
    with caught.value as error:
        assert (error.code, json.load(error)["error"]["status"]) == (400, "INVALID_ARGUMENT")
    with urllib.request.urlopen(f"{faulty.url}/emulator/v1/faults") as answer:
        assert json.load(answer)["faults"] == []
