"""Faults on request: what Azure does on a bad day."""

from __future__ import annotations

import http.client
import time
import urllib.error

import pytest


def counted(emulator, method: str) -> int:
    return emulator.ask("GET", "/emulator/v1/faults").body["calls"].get(method, 0)


def test_an_error_comes_on_the_nth_call(faulty) -> None:
    faulty.fault(method="workspaces.get", call=2, times=2, error="ServiceUnavailable", message="a bad day")
    answers = [faulty.arm("GET", "") for _ in range(4)]
    assert [one.status for one in answers] == [200, 503, 503, 200]
    assert answers[1].body["error"]["message"] == "a bad day"


def test_throttling_says_when_to_come_again(faulty) -> None:
    faulty.fault(method="workspaces.get", error="TooManyRequests", retry_after=0.4)
    answer = faulty.arm("GET", "")
    assert (answer.status, answer.headers["Retry-After"]) == (429, "1")  # trap 4: no fraction, and no nothing


def test_a_role_can_be_missing(faulty) -> None:
    faulty.fault(method="jobs.*", times=0, error="AuthorizationFailed")
    assert faulty.arm("GET", "jobs").error == (403, "AuthorizationFailed")
    assert faulty.arm("GET", "").status == 200


def test_an_answer_is_lost_and_everything_was_done(faulty, emulated) -> None:
    name = emulated.unique("env")
    faulty.fault(method="environments.put", lose_answer=True)
    with pytest.raises((urllib.error.URLError, http.client.HTTPException, OSError)):
        faulty.arm("PUT", f"environments/{name}/versions/1", {"properties": {"image": "x"}})
    assert faulty.arm("GET", f"environments/{name}/versions/1").status == 200


def test_of_each_thing_every_second_answer_is_lost(faulty) -> None:
    before = counted(faulty, "environments.get")  # by tests that had the emulator earlier
    faulty.fault(method="environments.get", every=2, lose_answer=True)
    for name in ("a", "b"):
        for lost in (True, False, True, False):
            try:
                assert faulty.arm("GET", f"environments/{name}/versions/1").status == 404
                assert not lost
            except (urllib.error.URLError, http.client.HTTPException, OSError):
                assert lost
    assert counted(faulty, "environments.get") == before + 8


def test_slowness(faulty) -> None:
    faulty.fault(method="workspaces.get", delay=0.3)
    begun = time.monotonic()
    assert faulty.arm("GET", "").status == 200
    assert time.monotonic() - begun > 0.29


def test_storage_has_bad_days_too(faulty) -> None:
    faulty.fault(method="blobs.get", error="ServiceUnavailable")
    assert faulty.blob("x").status == 503
    assert faulty.blob("x").status == 404


@pytest.mark.parametrize("wrong", [{}, {"method": 1}, {"method": "x", "error": "Nothing"}, {"method": "x", "y": 1}])
@pytest.mark.parametrize("more", [{"call": "1"}, {"late": 1}, {"delay": -1}])
def test_a_fault_that_is_none_is_refused(emulator, wrong, more) -> None:
    for body in (wrong, {"method": "x", **more}):
        assert emulator.ask("POST", "/emulator/v1/faults", body).error == (400, "UserError")
    assert emulator.ask("GET", "/emulator/v1/faults").body["faults"] == []
