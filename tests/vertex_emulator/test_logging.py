"""Cloud Logging as the emulator serves it: how steps' lines become entries, and what a listing of them takes."""

from __future__ import annotations

import json
import time
import urllib.error
from typing import Any

import pytest


@pytest.fixture(scope="module")
def library(emulator):
    """Google's own client."""
    return client_of(emulator)


def client_of(emulator: Any) -> Any:
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.logging import Client

    options = {"api_endpoint": emulator.url}
    project = emulator.info["target"]["project"]
    return Client(project=project, credentials=AnonymousCredentials(), client_options=options, _use_grpc=False)


def ran(emulator: Any, emulated: Any, script: str, **more: Any) -> str:
    """The id of the custom job of a task that has ended."""
    job = emulator.run(emulated.pipeline({"t": emulated.step(script, **more)}))
    return emulated.details(job)["t"].executor_detail.container_detail.main_job.rpartition("/")[2]


def refused(emulator: Any, **asked: Any) -> tuple[int, str, str]:
    with pytest.raises(urllib.error.HTTPError) as caught:
        emulator.list_entries(**asked)
    error = json.load(caught.value)["error"]
    return error["code"], error["status"], error["message"]


def test_a_line_is_an_entry_that_googles_library_and_its_message_take(emulator, emulated, library) -> None:
    from google.cloud.logging_v2 import types
    from google.protobuf import json_format

    before = time.time()
    job = ran(emulator, emulated, "echo one; echo; printf two")
    names = [f"projects/{library.project}"]
    found = list(library.list_entries(resource_names=names, filter_=f'resource.labels.job_id="{job}"', page_size=2))
    assert [entry.payload["message"] for entry in found] == ["one", "", "two"]
    first = found[0]
    assert (first.resource.type, first.severity, first.log_name) == (
        "ml_job",
        "INFO",
        f"projects/{library.project}/logs/workerpool0-0",
    )
    assert first.resource.labels.keys() == {"job_id", "project_id", "task_name"}
    assert before <= first.timestamp.timestamp() < found[1].timestamp.timestamp() + 1e-6 <= time.time()
    answer = emulator.list_entries(resourceNames=names, filter=f'resource.labels.job_id="{job}"')
    message = json_format.ParseDict(answer, types.ListLogEntriesResponse.pb()())
    assert len({(entry.timestamp.ToNanoseconds(), entry.insert_id) for entry in message.entries}) == 3
    assert all(entry.receive_timestamp.ToNanoseconds() >= entry.timestamp.ToNanoseconds() for entry in message.entries)


def test_a_line_that_is_not_finished_is_a_part_of_a_split_one(emulator, emulated) -> None:
    long = 'head -c 300000 /dev/zero | tr "\\0" x'
    job = ran(emulator, emulated, f"{long}; echo; printf end")
    entries = emulator.entries(f'resource.labels.job_id="{job}"')
    sizes = [len(entry["jsonPayload"]["message"]) for entry in entries]
    splits = [(entry["split"]["index"], entry["split"]["totalSplits"]) for entry in entries]
    assert (sizes, splits) == ([250_000, 50_000, 3], [(0, 0), (1, 2), (0, 0)])
    uids = [entry["split"]["uid"] for entry in entries]
    assert uids[0] == uids[1] != uids[2]


def written(library: Any, kind: str) -> None:
    """Five entries of a kind, two of them at the same time."""
    rows = [("b", 2, "INFO"), ("a", 2, "ERROR"), ("first", 1, "DEBUG"), ("last", 9, "DEFAULT"), ("mid", 5, "NOTICE")]
    entries = [
        {
            "textPayload": text,
            "timestamp": f"2026-01-01T00:00:0{second}Z",
            "insertId": text,
            "severity": severity,
            "labels": {"text": text.upper()},
        }
        for text, second, severity in rows
    ]
    resource = {"type": "ml_job", "labels": {"job_id": kind, "odd.key": "x"}}
    name = f"projects/{library.project}/logs/a%2Flog"
    library.logging_api.write_entries(entries, logger_name=name, resource=resource, labels={"k": kind})


FILTERS = {
    "": "first a b mid last",
    'timestamp>="2026-01-01T00:00:02Z"': "a b mid last",
    'timestamp>"2026-01-01T00:00:02Z" timestamp<="2026-01-01T00:00:05Z"': "mid",
    'timestamp>="2026-01-01T02:00:05+02:00"': "mid last",
    'receiveTimestamp>="2026-01-01T00:00:05Z"': "first a b mid last",
    'receiveTimestamp<"2026-01-01T00:00:05Z"': "",
    'textPayload="MID"': "mid",
    "textPayload:I": "first mid",
    "textPayload!=mid": "first a b last",
    "NOT textPayload=mid": "first a b last",
    "-textPayload=mid": "first a b last",
    'textPayload=("a" OR "b")': "a b",
    "textPayload:(i AND r)": "first",
    "insertId>a insertId<first": "b",
    "severity>=INFO": "a b mid",
    "severity=default": "last",
    "severity<ERROR AND severity!=DEBUG": "b mid last",
    'labels.text="FIRST" OR labels.text=LAST': "first last",
    'labels."text":*': "first a b mid last",
    "labels.other:*": "",
    "NOT labels.other=x": "first a b mid last",
    "labels.other!=x": "",
    'resource.labels."odd.key"=x': "first a b mid last",
    'log_id("a/log")': "first a b mid last",
    'log_id("a/lo")': "",
    'logName="projects/penstock-emulator/logs/a%2Flog"': "first a b mid last",
    "resource.type = ml_job AND (textPayload=a OR textPayload=b) -- no": None,
    'textPayload=a\nOR textPayload=b\ntextPayload="b"': "b",
    "resource.type=ML_JOB": "first a b mid last",
    "(textPayload=a AND severity=ERROR) OR textPayload=last": "a last",
}


@pytest.mark.parametrize("said", FILTERS)
def test_a_filter_finds_what_it_says(emulator, library, said: str) -> None:
    kind = f"filter {said}"
    written(library, kind)
    mine = f"resource.labels.job_id={json.dumps(kind)}"
    wanted = FILTERS[said]
    if wanted is None:
        assert refused(emulator, resourceNames=["projects/penstock-emulator"], filter=said)[:2] == (
            400,
            "INVALID_ARGUMENT",
        )
        return
    found = emulator.entries(f"{mine} AND ({said})" if said else mine)
    assert [entry["textPayload"] for entry in found if "textPayload" in entry] == wanted.split()


def test_the_order_may_be_turned_round_and_pages_go_on_where_the_last_ended(emulator, library) -> None:
    written(library, "order")
    mine = 'resource.labels.job_id="order" AND textPayload:*'
    for order, wanted in (("timestamp asc", "first a b mid last"), ("timestamp desc", "last mid b a first")):
        for size in (1, 2, 5, 1000):
            found = emulator.entries(mine, pageSize=size, orderBy=order)
            assert " ".join(entry["textPayload"] for entry in found) == wanted
    page = emulator.list_entries(resourceNames=["projects/penstock-emulator"], filter=mine, pageSize=2)
    again = {"resourceNames": ["projects/penstock-emulator"], "pageToken": page["nextPageToken"], "filter": mine}
    assert len(emulator.list_entries(**again)["entries"]) == 3
    for other in ({"orderBy": "timestamp desc"}, {"filter": "severity=INFO"}, {"resourceNames": ["projects/p"]}):
        assert "pageToken" in refused(emulator, **{**again, **other})[2]


def test_the_same_entry_is_kept_once(emulator, library) -> None:
    for _ in range(2):
        written(library, "twice")
    assert len(emulator.entries('resource.labels.job_id="twice" AND textPayload:*')) == 5


def test_a_page_is_of_fifty_unless_it_is_said(emulator, emulated) -> None:
    job = ran(emulator, emulated, "seq 1 60")
    mine = f'resource.labels.job_id="{job}"'
    assert len(emulator.list_entries(resourceNames=["projects/penstock-emulator"], filter=mine)["entries"]) == 50
    assert len(emulator.entries(mine)) == 60


def test_another_project_has_its_own_and_a_number_is_as_good_as_an_id(emulator, emulated) -> None:
    job = ran(emulator, emulated, "echo here")
    mine = f'resource.labels.job_id="{job}"'
    (entry,) = emulator.entries(mine)
    number = entry["resource"]["labels"]["project_id"]
    (same,) = emulator.entries(mine, resourceNames=[f"projects/{number}"])
    assert same["logName"] == f"projects/{number}/logs/workerpool0-0"
    assert emulator.entries(mine, resourceNames=["projects/other"]) == []


REFUSED = [
    ({"resourceNames": []}, 400, "resourceNames"),
    ({"resourceNames": ["organizations/1"]}, 501, "is no projects/*"),
    ({"pageSize": 1001}, 400, "pageSize: 1001"),
    ({"pageSize": -1}, 400, "pageSize: -1"),
    ({"orderBy": "severity"}, 400, "orderBy"),
    ({"pageToken": "x"}, 400, "pageToken"),
    ({"projectIds": ["p"]}, 400, "projectIds"),
    ({"filter": 7}, 400, "filter"),
    ({"filter": "x" * 20_001}, 400, "20000"),
    ({"filter": 'textPayload=~"a"'}, 501, "regular expressions"),
    ({"filter": '"some words"'}, 501, "without a field"),
    ({"filter": 'sample(insertId, "0.1")'}, 501, "the function sample"),
    ({"filter": "nothing=1"}, 400, "unknown field 'nothing'"),
    ({"filter": "timestamp>=yesterday"}, 400, "RFC 3339"),
    ({"filter": "severity"}, 400, "missing at the end"),
    ({"filter": "(severity=INFO"}, 400, "`)` is missing"),
    ({"filter": "severity=INFO)"}, 400, "unexpected ')'"),
    ({"filter": "severity= ="}, 400, "'=' is no value"),
    ({"filter": 'labels."a\\"b"=x'}, 501, "the field"),
]


@pytest.mark.parametrize(("asked", "status", "says"), REFUSED)
def test_what_is_not_understood_is_refused(emulator, asked: dict[str, Any], status: int, says: str) -> None:
    found = refused(emulator, **{"resourceNames": ["projects/penstock-emulator"], **asked})
    assert found[0] == status and says in found[2]


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"textPayload": "x" * 256_000}, "more than 256000"),
        ({"logName": "projects/p/logs/"}, "logName"),
        ({"resource": {}}, "resource"),
        ({"textPayload": None}, "without textPayload"),
        ({"unheard": 1}, "unheard"),
    ],
)
def test_an_entry_that_google_would_not_take_is_not_taken(emulator, library, exceptions, entry, says) -> None:
    good = {"logName": "projects/p/logs/x", "resource": {"type": "global"}, "textPayload": "x"}
    with pytest.raises(exceptions.GoogleAPICallError, match=says):
        library.logging_api.write_entries([good, {**good, **entry}])
    assert emulator.entries('log_id("x")', resourceNames=["projects/p"]) == [], "none of them"


def test_entries_survive(fresh, emulated) -> None:
    job = ran(fresh, emulated, "seq 1 1000; printf end")
    before = fresh.entries(f'resource.labels.job_id="{job}"')
    assert len(before) == 1001
    fresh.kill()
    fresh.start()
    assert fresh.entries(f'resource.labels.job_id="{job}"') == before


def test_what_an_interrupted_step_wrote_is_kept_and_each_attempt_has_its_own_job(fresh, emulated) -> None:
    """Killed in its second attempt, whose file had more in it than had become entries."""
    wait = 'echo begun; printf rest; while [ ! -e "$PENSTOCK_GCS/penstock-emulator/go" ]; do sleep 0.02; done; exit 3'
    retry = {"retryPolicy": {"maxRetryCount": 2, "backoffDuration": "0s"}}
    mark = '"$PENSTOCK_GCS/penstock-emulator/one"'
    script = f"[ -e {mark} ] || {{ echo one; : >{mark}; exit 1; }}; {wait}"
    name = fresh.submit(emulated.pipeline({"t": emulated.step(script, task=retry)})).name
    fresh.wait(name, lambda job: "t" in emulated.details(job) and b"begun" in fresh.log(name, "t"))
    fresh.kill()
    fresh.start()
    fresh.bucket.blob("go").upload_from_string(b"")
    job = fresh.wait(name)
    assert job.state.name == "PIPELINE_STATE_FAILED"
    assert fresh.log(name, "t") == b"one\n" + b"begun\nrest" * 3
    assert len(emulated.details(job)["t"].executor_detail.container_detail.failed_main_jobs) == 2
    assert not list((fresh.state / "logs").glob("*/*"))


def test_a_listing_can_go_wrong(faulty, library, exceptions) -> None:
    faulty.fault(method="logging.entries.list", error="RESOURCE_EXHAUSTED")
    with pytest.raises(exceptions.TooManyRequests):
        list(library.list_entries())
    assert list(library.list_entries(filter_="textPayload=nobody")) == []
