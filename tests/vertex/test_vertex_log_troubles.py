"""What Google's errors become when a log is read: one line, one stable code, and the log is whole afterwards."""

from __future__ import annotations

import socket

import pytest

from penstock.errors import PenstockError, TargetUnavailable, TargetUnsupported
from penstock_vertex import logs

ANSWERS = [
    ("UNAVAILABLE", "target_unavailable", "Google answers"),
    ("DEADLINE_EXCEEDED", "target_unavailable", "Google answers"),
    ("PERMISSION_DENIED", "permission_denied", "`roles/logging.viewer` on the project"),
    ("RESOURCE_EXHAUSTED", "quota_exhausted", "a quota is used up"),
    ("UNAUTHENTICATED", "credentials_expired", "sign in again"),
    ("INVALID_ARGUMENT", "dispatch_failed", "a fault that was asked for"),
    ("NOT_FOUND", "target_not_there", "a fault that was asked for"),
]


@pytest.mark.parametrize(("answer", "code", "says"), ANSWERS)
@pytest.mark.parametrize("call", [1, 2])
def test_an_answer_of_googles_is_one_line_and_the_log_is_whole_afterwards(
    job, faults, answer, code, says, call
) -> None:
    made = job("seq 1 1500").ended()
    faults("logging.entries.list", call=call, error=answer, times=3 if answer == "UNAVAILABLE" else 1)  # is repeated
    with pytest.raises(PenstockError, match=says) as caught:
        made.whole()
    assert caught.value.code == code
    assert "\n" not in str(caught.value) and str(caught.value).startswith("the log cannot be read: ")
    assert made.whole() == b"".join(b"%d\n" % number for number in range(1, 1501))


@pytest.mark.parametrize("call", [1, 2])
def test_a_lost_answer_loses_nothing(job, faults, call) -> None:
    made = job("seq 1 1500").ended()
    faults("logging.entries.list", call=call, times=3, lose_answer=True)  # with both repeats
    with pytest.raises(TargetUnavailable, match="cannot be reached"):
        made.whole()
    assert made.whole() == b"".join(b"%d\n" % number for number in range(1, 1501))


def test_one_call_has_a_time_limit(job, faults) -> None:
    made = job("echo done").ended()
    faults("logging.entries.list", delay=5)
    with pytest.raises(TargetUnavailable, match=r"127\.0\.0\.1:\d+ cannot be reached \(ReadTimeout\)"):
        made.read(poll_timeout="500ms")


def test_a_byte_that_is_far_away_is_come_to_by_asking_again(job, faults) -> None:
    made = job("seq 1 16000").ended()
    whole = b"".join(b"%d\n" % number for number in range(1, 16_001))
    faults("logging.entries.list", delay=0.4, times=0)
    with pytest.raises(TargetUnavailable, match="is long, and not read up to byte"):
        made.read(len(whole) - 1, poll_timeout="3s")
    for _ in range(8):
        try:
            assert made.read(len(whole) - 1, poll_timeout="3s").data == b"\n"
            break
        except TargetUnavailable:
            continue
    else:
        pytest.fail("it is never come to")


def test_who_cannot_be_reached_is_named(job) -> None:
    made = job("echo done").ended()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(TargetUnavailable, match=f"{nobody} cannot be reached"):
        made.read(logging_endpoint=nobody)


def test_without_the_library_it_is_said_how_to_get_it_and_where_else_logs_are(job, monkeypatch) -> None:
    made = job("echo done").ended()
    monkeypatch.setattr(logs, "is_installed", lambda: False)
    with pytest.raises(TargetUnsupported) as caught:
        made.read()
    assert "pip install 'penstock[vertex-logs]'" in str(caught.value)
    assert f"`penstock-{made.run}`" in str(caught.value) and "\n" not in str(caught.value)
