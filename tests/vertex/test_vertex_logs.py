"""Logs of steps through Cloud Logging's library: what comes late, what is asked for, what Google's errors become."""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from penstock.contract.run import RunRef
from penstock.errors import NotFound
from penstock_vertex import logs

SCRIPT = 'echo begun; while [ ! -e "$PENSTOCK_GCS/penstock-emulator/$0" ]; do sleep 0.02; done; {}'


def asked(faults: Any) -> int:
    return int(faults()["calls"].get("logging.entries.list", 0))


BYTES = {
    "nothing": b"",
    "one line": b"a\n",
    "no end": b"a\nb",
    "empty lines": b"\n\na\n\n",
    "spaces": b"  a \t\n \n",
    "carriage returns": b"1\r2\r\n3\r",
    "other ends of lines": "a\u2028b\u0085c\x0b\x0cd\x1c\n".encode(),
    "NUL": b"a\0b\n\0",
    "escapes": b'\x1b[31m"\\n"\n',
    "any script": "é日本\n\U0001f600".encode(),
    "a JSON line": b'{"message": "hidden", "severity": "ERROR"}\n',
    "more than an entry": "é\U0001f600".encode() * 200_000 + b"\nand\n",
    "more than a block": b"x" * 3_000_000,
}


@pytest.mark.parametrize("kind", BYTES)
def test_what_a_step_writes_comes_back_byte_by_byte(job, tmp_path: Path, kind: str, anew) -> None:
    file = tmp_path / "said"
    file.write_bytes(BYTES[kind])
    made = job(f"cat {file}").ended()
    assert made.whole() == BYTES[kind]
    anew()
    middle = len(BYTES[kind]) // 2
    assert made.read(middle).data == BYTES[kind][middle : middle + (1 << 20)]


def test_what_is_not_utf_8_is_replaced(job, tmp_path: Path) -> None:
    (tmp_path / "said").write_bytes(b"a\xffb\n\xe9\n")
    assert job(f"cat {tmp_path}/said").ended().whole() == "a\ufffdb\n\ufffd\n".encode()


def test_attempts_follow_each_other(job) -> None:
    made = job("echo one; echo two >&2; exit 3", retryPolicy={"maxRetryCount": 2, "backoffDuration": "0s"}).ended()
    assert made.whole() == b"one\ntwo\n" * 3


def test_a_step_that_never_starts_has_an_empty_log_and_an_unknown_one_none(job) -> None:
    made = job("exit 1").ended()
    while not (chunk := made.read(step="u")).complete:
        time.sleep(0.02)
    assert (chunk.data, chunk.next_offset) == (b"", 0)
    with pytest.raises(NotFound, match="no step `v`"):
        made.read(step="v")
    made.ref = RunRef(id="nobody", publication=made.ref.publication)
    with pytest.raises(NotFound, match="does not know the run `nobody`"):
        made.read()


def test_who_follows_misses_nothing_and_sees_nothing_twice_whatever_comes_late(job, anew) -> None:
    made = job(SCRIPT.format("echo ended"))
    made.write("first", 100)
    data = b""
    while data.count(b"\n") < 2:
        data += made.read(len(data)).data
    assert data == b"first\nbegun\n"
    made.write("much later", 50)
    made.write("and before that", 60)
    while data.count(b"\n") < 4:
        data += made.read(len(data)).data
    assert data in (
        b"first\nbegun\n" + rest for rest in (b"much later\nand before that\n", b"and before that\nmuch later\n")
    )
    made.go()
    assert made.whole() == data + b"ended\n", "it only grows"
    anew()
    assert made.whole() == b"first\nand before that\nmuch later\nbegun\nended\n", "in order, read from the start"


def test_lines_have_the_times_of_their_entries_and_what_comes_late_has_no_earlier_one(job, anew) -> None:
    made = job(SCRIPT.format("true"))
    made.write("first", 100)
    data, times = b"", []
    for late in ("", "much later"):
        if late:
            made.write(late, 70)
        while data.count(b"\n") < (3 if late else 2):
            chunk = made.read(len(data))
            times += chunk.times
            data += chunk.data
    assert [mark.offset for mark in times] == [6, 12, 23]
    assert times[0].time + timedelta(seconds=50) < times[1].time == times[2].time
    made.go()
    anew()
    assert made.whole() == b"first\nmuch later\nbegun\n"
    found = [mark.time for mark in made.read(8).times]
    assert times[0].time < found[0] < found[1] == times[1].time


def test_what_is_younger_than_the_settling_time_waits_for_what_is_older(job, anew) -> None:
    made = job(SCRIPT.format("true"))
    made.write("before", 1000)
    assert made.read(log_settle="10m").data == b"before\n"
    made.write("c", 30, insertId="a")
    same = (datetime.now(UTC) - timedelta(seconds=40)).isoformat()
    for text in ("b", "a"):
        made.write(text, 0, timestamp=same, insertId=text)
    assert made.read(7).data == b"", "nor is it asked for"
    anew()
    assert made.read(log_settle="10m").data == b"before\n", "it is too young"
    anew()
    assert made.read(log_settle="20s").data == b"before\na\nb\nc\n"
    made.go()


def test_a_log_is_complete_when_the_settling_time_has_passed_since_the_end(job) -> None:
    made = job("echo done").ended()
    late = threading.Timer(0.5, made.write, ("on its way", 0.1))
    late.start()
    try:
        assert made.whole(log_settle="2s") == b"done\non its way\n"
    finally:
        late.join()


def test_waiting_for_the_end_has_a_limit(job) -> None:
    made = job("echo done").ended()
    chunk = made.read(log_settle="1h", poll_timeout="1s")
    assert (chunk.data, chunk.complete) == (b"", False)


def test_what_google_may_write_is_text(job) -> None:
    made = job(SCRIPT.format("true"))
    made.custom_job()
    payloads: list[Any] = [
        "text",
        "with its end\n",
        {"message": "a message", "levelname": "ERROR", "attrs": {"tag": "workerpool0-0"}},
        {"loss": 0.5, "é": True},
        {"message": {"not": "text"}},
    ]
    for number, payload in enumerate(payloads):
        made.write(payload, 100 - number)
    made.write("of another job", 80, resource={"type": "ml_job", "labels": {"job_id": "1"}})
    made.write("of Google's own", 80, logName=f"projects/{made.given['project']}/logs/ml.googleapis.com%2F1")
    made.go()
    said = made.whole().decode().splitlines()
    assert said[:3] == ["text", "with its end", "a message"]
    assert [json.loads(line) for line in said[3:5]] == [{"loss": 0.5, "é": True}, {"message": {"not": "text"}}]
    assert said[5:] == ["begun"]


def test_a_log_is_read_once_however_often_it_is_asked_for(job, faults) -> None:
    made = job("seq 1 20000").ended()
    whole = b"".join(b"%d\n" % number for number in range(1, 20_001))
    faults()
    before = asked(faults)
    assert made.whole() == whole
    assert asked(faults) - before == 20
    for offset in (0, 5, len(whole) - 1, len(whole)):
        chunk = made.read(offset)
        assert (chunk.data, chunk.complete) == (whole[offset : offset + (1 << 20)], True)
    assert asked(faults) - before == 20


def test_a_running_step_is_not_asked_after_all_the_time(job, faults) -> None:
    made = job(SCRIPT.format("true"))
    made.custom_job()
    calls = asked(faults)
    for _ in range(20):
        assert made.read(log_settle="1h").data == b""
    assert asked(faults) - calls == 1
    made.go()


def test_a_log_that_was_complete_is_asked_for_again_after_a_while(job, monkeypatch) -> None:
    made = job("echo done").ended()
    assert made.whole() == b"done\n"
    made.write("an hour later", 3600)
    assert made.whole() == b"done\n"
    monkeypatch.setattr(logs, "_FRESH", 0.0)
    assert made.whole() == b"an hour later\ndone\n"


def test_old_logs_make_room(job, monkeypatch, faults) -> None:
    monkeypatch.setattr(logs, "_KEPT", 3)
    first, second = job("echo first").ended(), job("echo second").ended()
    assert (first.whole(), second.whole(), first.whole()) == (b"first\n", b"second\n", b"first\n")
    assert len(logs._logs) == 1
